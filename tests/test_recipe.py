"""Recipes: read strictly, every mistake at once, and a digest of exactly what decides the numbers."""

from __future__ import annotations

import dataclasses
import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PrismError, RecipeError
from core.recipe import NAME, Recipe, difference, load_recipe, located, overrides_as_values, parse_recipe, structure

WHOLE = """
name = "gpt2-small-l8"

[model]
name = "gpt2-small"                  # hub id, TransformerLens name or folder
dtype = "float32"

[sae]
release = "gpt2-small-res-jb"        # SAELens release + id, or: path = "folder"
id = "blocks.8.hook_resid_pre"

[corpus]
dataset = "NeelNanda/pile-10k"
split = "train"
column = "text"
n_contexts = 20000
context_size = 128
seed = 0

[encode]
device = "auto"
store_dtype = "float16"
features = "all"

[fidelity]
stop = true

[analyses]
"""


def values(**changes: object) -> dict:
    """The whole recipe as plain values with ``section_key=value`` changes; None takes a key out."""
    made = tomllib.loads(WHOLE)
    for path, value in changes.items():
        section, _, key = path.partition("_")
        part, key = (made[section], key) if key else (made, section)
        if value is None:
            part.pop(key, None)
        else:
            part[key] = value
    return made


def mistakes(made: dict) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(made)
    return caught.value.detail


def test_the_recipe_that_the_readme_shows_is_whole(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(WHOLE)
    recipe = load_recipe(path)
    assert recipe.name == "gpt2-small-l8"
    assert (recipe.sae.release, recipe.sae.path) == ("gpt2-small-res-jb", None)
    assert recipe.corpus.n_contexts == 20_000
    assert recipe.encode.features == "all"
    assert recipe.analyses == {}


def test_what_is_left_out_has_the_stated_defaults():
    small = {"name": "a", "model": {"name": "m"}, "sae": {"path": "s"}, "corpus": {"path": "t.txt", "n_tokens": 5}}
    recipe = parse_recipe(small)
    assert (recipe.model.dtype, recipe.encode.device, recipe.encode.store_dtype) == ("float32", "auto", "float16")
    assert recipe.corpus.context_size is None
    assert recipe.fidelity.stop is True


def test_all_mistakes_are_told_at_once_each_with_its_path():
    made = values(name="Bad Name", model_dtype="float8", corpus_n_tokens=5, corpus_seed="0", encode_features=[-1])
    made["fidelity"]["stopp"] = 1
    made["sae"]["path"] = "also"
    detail = mistakes(made)
    for part in (
        "'Bad Name' cannot name a run",
        "expected one of float32, bfloat16, float16, found 'float8' @ model.dtype",
        "expected int, found '0' @ corpus.seed",
        "give either n_contexts or n_tokens @ corpus",
        "give either release and id, or path @ sae",
        "list of feature numbers, found [-1] @ encode.features",
        "unknown key 'stopp'. Did you mean 'stop'? @ fidelity",
    ):
        assert part in detail
    assert len(detail.splitlines()) == 7


@pytest.mark.parametrize(
    ("section", "typo", "meant"),
    [("model", "nmae", "name"), ("corpus", "n_context", "n_contexts"), ("encode", "devise", "device")],
)
def test_a_misspelt_key_is_answered_with_its_nearest_neighbour(section, typo, meant):
    made = values()
    made[section][typo] = 1
    assert f"unknown key {typo!r}. Did you mean {meant!r}" in mistakes(made)


def test_a_misspelt_section_is_answered_and_an_alien_key_is_told_the_known_ones():
    made = values()
    made["corpuss"] = {}
    assert "unknown key 'corpuss'. Did you mean 'corpus'? @ top level" in mistakes(made)
    made = values()
    made["fidelity"]["zzzzz"] = 1
    assert "unknown key 'zzzzz'. Known keys: stop, n_contexts." in mistakes(made)


@pytest.mark.parametrize("section", ["name", "model", "sae", "corpus"])
def test_a_missing_part_is_named(section):
    assert section in mistakes(values(**{section: None}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"corpus_n_contexts": 0}, "must be 1 or more, found 0 @ corpus.n_contexts"),
        ({"corpus_n_contexts": -5}, "must be 1 or more, found -5"),
        ({"corpus_context_size": 1}, "must be 2 or more, found 1 @ corpus.context_size"),
        ({"corpus_n_contexts": 12.5}, "expected int, found 12.5 @ corpus.n_contexts"),
        ({"corpus_n_contexts": True}, "expected int, found True"),
        ({"corpus_n_contexts": "12"}, "expected int, found '12'"),
        ({"fidelity_stop": "yes"}, "expected bool, found 'yes' @ fidelity.stop"),
        ({"fidelity_stop": 1}, "expected bool, found 1"),
        ({"corpus_path": "t.txt"}, "give either dataset or path @ corpus"),
        ({"corpus_dataset": None}, "give either dataset or path @ corpus"),
        ({"corpus_dataset": None, "corpus_path": "t.pdf"}, "must end in .txt, .json, .jsonl, .csv, .parquet"),
        ({"sae_id": None}, "give either release and id, or path @ sae"),
        ({"sae_id": None, "sae_path": "p"}, "give either release and id, or path @ sae"),
        ({"sae_release": None, "sae_id": None}, "give either release and id, or path @ sae"),
        ({"encode_features": []}, "encode.features"),
        ({"encode_features": "random:0"}, "encode.features"),
        ({"encode_features": "some"}, "encode.features"),
        ({"encode_features": [1, 2.0]}, "encode.features"),
        ({"encode_batch_tokens": 0}, "must be 1 or more, found 0 @ encode.batch_tokens"),
        ({"fidelity_n_contexts": 0}, "must be 1 or more, found 0 @ fidelity.n_contexts"),
        ({"corpus_seed": -1}, "must be 0 or more, found -1 @ corpus.seed"),
        ({"model": "gpt2"}, "@ model"),
        ({"corpus": ["x"]}, "@ corpus"),
        ({"name": 5}, "expected str, found 5 @ name"),
    ],
)
def test_values_that_cannot_be_are_refused_with_their_path(change, said):
    assert said in mistakes(values(**change))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "Größe", "a b", "x" * 65, "a\n", "-a", "~"])
def test_a_name_that_could_be_a_path_is_refused(name):
    assert "cannot name a run" in mistakes(values(name=name))


@given(st.from_regex(NAME, fullmatch=True))
def test_names_of_the_allowed_kind_are_accepted(name):
    assert parse_recipe(values(name=name)).name == name


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_features_are_sorted_and_each_once(features):
    assert parse_recipe(values(encode_features=features)).encode.features == sorted(set(features))


def test_overrides_take_toml_values_and_plain_words(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(WHOLE)
    recipe = load_recipe(
        path, ["corpus.n_contexts=500", "model.name=other/model", "encode.features=[3, 1]", "fidelity.stop=false"]
    )
    assert recipe.corpus.n_contexts == 500
    assert recipe.model.name == "other/model"
    assert recipe.encode.features == [1, 3]
    assert recipe.fidelity.stop is False


def test_overrides_may_open_a_section_and_leave_the_given_values_as_they_are():
    given_values = {"a": {"b": 1}}
    assert overrides_as_values(["c.d.e=x", "a.b=2"], given_values) == {"a": {"b": 2}, "c": {"d": {"e": "x"}}}
    assert given_values == {"a": {"b": 1}}


@pytest.mark.parametrize("text", ["corpus.n_contexts", "=5", "corpus.=5", ".n=5", "name.x=1", ""])
def test_an_override_that_is_none_is_told_so(text):
    with pytest.raises(RecipeError, match="--set"):
        overrides_as_values([text], values())


def test_a_misspelt_override_is_a_mistake_of_the_recipe(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(WHOLE)
    with pytest.raises(RecipeError, match="Did you mean 'n_contexts'"):
        load_recipe(path, ["corpus.n_contxts=5"])


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[a]\n[a]\n"])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"bad.toml is not readable as TOML"):
        load_recipe(path)


def test_a_missing_recipe_and_a_folder_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="not readable"):
        load_recipe(tmp_path)


# --- digest and difference ----------------------------------------------------------------------------

NUMBERS = {
    "name": "other", "model_name": "m2", "model_dtype": "bfloat16", "sae_id": "x", "sae_dtype": "float16",
    "corpus_dataset": "d2", "corpus_config": "c", "corpus_split": "test", "corpus_column": "body",
    "corpus_n_contexts": 5, "corpus_context_size": 64, "corpus_seed": 1, "corpus_licence": "CC0",
    "corpus_replace": {"a": "b"},
    "encode_store_dtype": "float32", "encode_features": [1], "encode_batch_tokens": 8, "fidelity_n_contexts": 3,
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), NUMBERS.items())
def test_the_digest_changes_with_everything_that_may_change_a_table(key, value):
    assert parse_recipe(values(**{key: value})).digest() != parse_recipe(values()).digest()


def test_the_digest_ignores_where_the_work_is_done_what_follows_it_and_how_it_was_written():
    whole = parse_recipe(values()).digest()
    assert parse_recipe(values(encode_device="cuda:0")).digest() == whole
    assert parse_recipe(values(fidelity_stop=False)).digest() == whole
    assert parse_recipe(values(analyses={"svd": {"k": 5}})).digest() == whole
    assert parse_recipe(values(encode=None)).digest() == whole
    assert parse_recipe(dict(reversed(values().items()))).digest() == whole


def test_a_recipe_survives_json_and_back():
    recipe = parse_recipe(values(encode_features=[4, 2], corpus_replace={"\n\n": "\n"}))
    plain = json.loads(json.dumps(recipe.as_dict()))
    empty = {s: {k: v for k, v in p.items() if v is not None} if isinstance(p, dict) else p for s, p in plain.items()}
    assert parse_recipe(empty) == recipe
    assert parse_recipe(empty).digest() == recipe.digest()


KEYS = st.text("ab", min_size=1, max_size=2)
PLAIN = st.recursive(
    st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
DICTS = st.dictionaries(st.text("abc", min_size=1, max_size=2), PLAIN, max_size=4)


@given(DICTS, DICTS)
def test_the_difference_is_empty_only_for_equal_values(a, b):
    assert difference(a, a) == []
    assert bool(difference(a, b)) == (a != b)
    assert len(difference(a, b)) == len(difference(b, a))


def test_the_difference_names_each_changed_value_with_its_path():
    old, new = parse_recipe(values()).as_dict(), parse_recipe(values(corpus_seed=7, model_name="x")).as_dict()
    assert difference(old, new) == ["corpus.seed: 0 -> 7", "model.name: 'gpt2-small' -> 'x'"]


def test_files_are_found_beside_the_recipe_and_hub_names_stay(tmp_path):
    (tmp_path / "model").mkdir()
    made = values(
        model_name="model", sae_release=None, sae_id=None, sae_path="sae", corpus_dataset=None, corpus_path="../t.txt"
    )
    recipe = located(parse_recipe(made), tmp_path)
    assert recipe.model.name == str(tmp_path / "model")
    assert recipe.sae.path == str(tmp_path / "sae")
    assert recipe.corpus.path == str(tmp_path.parent / "t.txt")
    assert located(parse_recipe(values()), tmp_path) == parse_recipe(values())


def test_other_dataclasses_are_read_as_strictly():
    @dataclasses.dataclass(frozen=True)
    class Params:
        share: float = 0.5

    assert structure({"share": 1}, Params, "p", PrismError).share == 1.0
    with pytest.raises(PrismError, match=r"p has 1 mistake\n.*unknown key 'shar'. Did you mean 'share'"):
        structure({"shar": 1}, Params, "p", PrismError)


def test_a_recipe_cannot_be_changed_after_it_was_read():
    recipe = parse_recipe(values())
    assert isinstance(recipe, Recipe)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.name = "other"  # type: ignore[misc]
