"""From recipe to run folder: what is written, what is refused, what is left behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock

from core.engine import choices, shards
from core.engine import models as models_module
from core.engine import saes as saes_module
from core.engine.run import run_recipe
from core.engine.work import WORK
from core.errors import CorpusError, DamagedError, FidelityError, InputError, MachineError
from core.recipe import load_recipe
from core.run_folder import MANIFEST
from core.store import Run, Store
from core.tables import RUN_TABLES
from tests.fakes import D_SAE, FakeModel, FakeSAE, fake_recipe, install, sentences


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe's folder with a corpus; the engine loads fakes."""
    install(monkeypatch)
    (tmp_path / "text.json").write_text(json.dumps(sentences(100)))
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: dict[str, tuple[float | None, str, float]] = {}
        self.notes: list[str] = []
        self._now = ""

    def stage(self, name: str, total: float | None = None, unit: str = "") -> None:
        self.stages[name], self._now = (total, unit, 0.0), name

    def advance(self, n: float) -> None:
        total, unit, done = self.stages[self._now]
        self.stages[self._now] = (total, unit, done + n)

    def note(self, text: str) -> None:
        self.notes.append(text)


def tables(run: Run) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(run.path.glob("*.parquet"))}


def nothing_left(store: Store) -> bool:
    return not [p for p in store.cache_dir.glob("*") if not p.name.startswith(".lock")] and not store.unfinished()


# --- what is written ----------------------------------------------------------------------------------


def test_a_run_holds_every_table_and_nothing_else(folder: Path, store: Store) -> None:
    run = run_recipe(fake_recipe(), folder, store)
    names = {spec.name for spec in RUN_TABLES} | {"activations"}
    assert {p.name for p in run.path.iterdir()} == {f"{n}.parquet" for n in names} | {MANIFEST}
    assert run.manifest["tables"].keys() == names
    assert run.verify() == []
    assert store.names() == ["fake"]
    assert store.unfinished() == []


def test_the_index_leads_to_each_features_rows_in_order(folder: Path, store: Store) -> None:
    run = run_recipe(fake_recipe(), folder, store)
    frame = run.table("activations")
    assert frame.equals(frame.sort_values(["feature", "context", "pos"], ignore_index=True))
    assert not frame.duplicated(["feature", "context", "pos"]).any()
    assert (frame["act"] > 0).all()
    assert run.encoded_features.tolist() == list(range(D_SAE))
    for feature in range(D_SAE):
        rows, acts = frame[frame["feature"] == feature], run.acts(feature)
        assert acts.context.tolist() == rows["context"].tolist()
        assert acts.act.tolist() == rows["act"].astype(np.float32).tolist()
    assert len(run.acts(0).act) == 0  # the dead one
    assert len(frame) == run.manifest["counts"]["n_firings"] > 1000


def test_near_misses_of_the_run_are_below_every_firing_of_a_relu_feature(folder: Path, store: Store) -> None:
    run = run_recipe(fake_recipe(), folder, store)
    frame = run.table("near_misses")
    assert (frame["hidden_pre"] <= 0).all()
    assert frame.groupby("feature").size().tolist() == [20] * D_SAE
    ordered = frame.groupby("feature")["hidden_pre"].apply(lambda v: v.is_monotonic_decreasing)
    assert ordered.all()


def test_row_groups_have_exactly_32768_rows(folder: Path, store: Store) -> None:
    (folder / "text.json").write_text(json.dumps(sentences(1500)))
    run = run_recipe(fake_recipe(corpus={"n_contexts": 6000}), folder, store)
    meta = pq.ParquetFile(run.path / "activations.parquet").metadata
    sizes = [meta.row_group(g).num_rows for g in range(meta.num_row_groups)]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {32_768}


def test_the_manifest_says_what_was_done_and_names_no_machine(folder: Path, store: Store) -> None:
    recipe = fake_recipe(corpus={"n_contexts": 50})
    manifest = run_recipe(recipe, folder, store).manifest
    assert manifest["recipe"] == recipe.as_dict()
    assert manifest["digest"] == recipe.digest()
    assert manifest["corpus"]["n_contexts"] == manifest["counts"]["n_contexts"] == 50
    assert manifest["corpus"]["licence"] == "not stated"
    assert manifest["sae"]["weights_sha256"] == "b" * 64
    assert manifest["model"]["name"] == "fake"
    assert manifest["fidelity"]["verdict"] == "ok"
    provenance = manifest["provenance"]
    assert provenance["packages"]["torch"] == torch.__version__
    assert (store.cache_dir / "fake" / provenance["recipe_folder"]).resolve() == folder.resolve()
    assert provenance["tokens_per_s"] > 0
    assert {"contexts", "fidelity", "encode", "merge", "statistics"} <= provenance["seconds_by_stage"].keys()
    assert str(folder) not in json.dumps(manifest)


def test_context_size_is_the_recipes_else_the_saes(folder: Path, store: Store) -> None:
    runs = [
        run_recipe(fake_recipe("own", corpus={"context_size": 11}), folder, store),
        run_recipe(fake_recipe("saes"), folder, store),
    ]
    lengths = [max(map(len, run.contexts(range(120))["token_ids"])) for run in runs]
    assert lengths == [11, 32]


def test_progress_ends_where_it_said_it_would(folder: Path, store: Store) -> None:
    progress = Recorder()
    run = run_recipe(fake_recipe(), folder, store, progress=progress)
    for name, done in (("tokenise", 120), ("encode", run.manifest["counts"]["n_tokens"])):
        assert progress.stages[name][0] == progress.stages[name][2] == done
    assert progress.stages["encode"][1] == "tokens"
    assert progress.stages["sort activations"][2] == run.manifest["counts"]["n_firings"]


def test_a_corpus_smaller_than_asked_for_is_noted(folder: Path, store: Store) -> None:
    progress = Recorder()
    run_recipe(fake_recipe(corpus={"n_contexts": 10**6}), folder, store, progress=progress)
    assert any("of the 1,000,000 contexts asked for" in note for note in progress.notes)


@pytest.mark.parametrize("size", [1, 100, 700])
def test_tables_do_not_depend_on_the_size_of_shards(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Batches end where shards end, which moves the last bit of a float32 product; float16 hides most of it."""
    whole = run_recipe(fake_recipe("whole"), folder, store)
    monkeypatch.setattr(choices, "SHARD_TOKENS", size)
    parts = run_recipe(fake_recipe("parts"), folder, store)
    a, b = whole.table("activations"), parts.table("activations")
    assert a[["feature", "context", "pos"]].equals(b[["feature", "context", "pos"]])
    np.testing.assert_allclose(a["act"].astype(float), b["act"].astype(float), rtol=2e-3)
    assert whole.table("activation_index").equals(parts.table("activation_index"))
    near = whole.table("near_misses"), parts.table("near_misses")
    np.testing.assert_allclose(near[0]["hidden_pre"], near[1]["hidden_pre"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 500, 10**7])
def test_tables_do_not_depend_on_how_much_is_merged_at_once(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(choices, "SHARD_TOKENS", 300)
    whole = run_recipe(fake_recipe("whole"), folder, store)
    monkeypatch.setattr(shards, "MERGE_ROWS", rows)
    assert tables(run_recipe(fake_recipe("parts"), folder, store)) == tables(whole)


def test_float32_is_stored_where_asked(folder: Path, store: Store) -> None:
    run = run_recipe(fake_recipe(encode={"store_dtype": "float32"}), folder, store)
    assert run.table("activations")["act"].dtype == np.float32


@pytest.mark.parametrize(("features", "expected"), [([5, 2, 30], [2, 5, 30]), ("random:7", None), ("random:40", None)])
def test_only_wanted_features_are_encoded(
    folder: Path, store: Store, features: Any, expected: list[int] | None
) -> None:
    whole = run_recipe(fake_recipe("whole"), folder, store)
    run = run_recipe(fake_recipe("some", encode={"features": features}), folder, store)
    wanted = run.encoded_features.tolist()
    assert wanted == expected if expected else len(wanted) == int(features.split(":")[1])
    for feature in wanted:
        np.testing.assert_allclose(run.acts(feature).act, whole.acts(feature).act, rtol=2e-3)
        assert run.near_misses(feature)["context"].tolist() == whole.near_misses(feature)["context"].tolist()
    assert run.features()["feature"].tolist() == wanted


def test_random_features_follow_the_seed(folder: Path, store: Store) -> None:
    def drawn(name: str, seed: int) -> list[int]:
        recipe = fake_recipe(name, encode={"features": "random:10"}, corpus={"seed": seed})
        return run_recipe(recipe, folder, store).encoded_features.tolist()

    assert drawn("a", 0) == drawn("b", 0) != drawn("c", 1)


# --- names that are taken -----------------------------------------------------------------------------


def test_a_finished_run_of_the_same_recipe_is_returned_without_loading_anything(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_recipe(fake_recipe(), folder, store)
    created = first.manifest["created_at"]

    def refuse(*args: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(saes_module, "load_sae", refuse)
    monkeypatch.setattr(models_module, "load_model", refuse)
    same = dataclasses.replace(fake_recipe(encode={"device": "cuda"}), analyses={"later": {}})
    assert run_recipe(same, folder, store).manifest["created_at"] == created


def test_a_changed_recipe_under_the_same_name_is_refused_with_the_difference(folder: Path, store: Store) -> None:
    before = tables(run_recipe(fake_recipe(), folder, store))
    with pytest.raises(InputError) as caught:
        run_recipe(fake_recipe(corpus={"n_contexts": 60, "seed": 3}), folder, store)
    assert "corpus.n_contexts: 120 -> 60" in caught.value.detail
    assert "corpus.seed: 0 -> 3" in caught.value.detail
    assert "--replace" in caught.value.remedy
    assert tables(store.run("fake")) == before


def test_replace_puts_the_new_run_in_the_old_ones_place(folder: Path, store: Store) -> None:
    run_recipe(fake_recipe(), folder, store)
    run = run_recipe(fake_recipe(corpus={"n_contexts": 60}), folder, store, replace=True)
    assert run.manifest["counts"]["n_contexts"] == 60
    assert [p.name for p in store.cache_dir.iterdir() if not p.name.startswith(".lock")] == ["fake"]


def test_the_old_run_stays_until_its_replacement_is_whole(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(run_recipe(fake_recipe(), folder, store))
    install(monkeypatch, verdict="far off", cause="the hook is another one")
    with pytest.raises(FidelityError):
        run_recipe(fake_recipe(corpus={"n_contexts": 60}), folder, store, replace=True)
    assert tables(store.run("fake")) == before


def test_another_text_in_the_same_file_is_refused(folder: Path, store: Store) -> None:
    run_recipe(fake_recipe(), folder, store)
    (folder / "text.json").write_text(json.dumps(sentences(100, seed=9)))
    with pytest.raises(InputError) as caught:
        run_recipe(fake_recipe(), folder, store)
    assert "content of 'text.json' has changed" in caught.value.detail
    (folder / "text.json").unlink()  # a run that was copied without its corpus is still that run
    assert run_recipe(fake_recipe(), folder, store).name == "fake"


def test_a_finished_run_that_lost_a_table_says_how_to_make_it_again(folder: Path, store: Store) -> None:
    run = run_recipe(fake_recipe(), folder, store)
    (run.path / "features.parquet").unlink()
    with pytest.raises(DamagedError, match=r"features\.parquet") as caught:
        run_recipe(fake_recipe(), folder, store)
    assert "--replace" in caught.value.remedy
    assert run_recipe(fake_recipe(), folder, store, replace=True).verify() == []


def test_two_processes_cannot_make_the_same_run(folder: Path, store: Store) -> None:
    store.cache_dir.mkdir()
    with FileLock(store.cache_dir / ".lock-fake"), pytest.raises(MachineError, match="another process"):
        run_recipe(fake_recipe(), folder, store)
    assert run_recipe(fake_recipe(), folder, store).name == "fake"


# --- mistakes leave nothing behind --------------------------------------------------------------------


def test_a_fidelity_far_off_stops_before_any_work(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, verdict="far off", cause="the hook is another one", remedy="name it", explained_variance=-2.0)
    with pytest.raises(FidelityError, match="the hook is another one"):
        run_recipe(fake_recipe(), folder, store)
    assert nothing_left(store)
    run = run_recipe(fake_recipe(fidelity={"stop": False}), folder, store)
    assert run.manifest["fidelity"]["verdict"] == "far off"


@pytest.mark.parametrize(
    ("sections", "error", "says"),
    [
        ({"encode": {"features": [3, 40]}}, InputError, "no feature 40"),
        ({"encode": {"features": "random:41"}}, InputError, "41 random features"),
        ({"corpus": {"context_size": 65}}, InputError, "context_size 65"),
        ({"corpus": {"path": "none.txt"}}, CorpusError, "no corpus file"),
        ({"corpus": {"column": "x", "path": "objects.json"}}, CorpusError, "no column 'x'"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(
    folder: Path, store: Store, sections: dict[str, Any], error: type[InputError], says: str
) -> None:
    (folder / "objects.json").write_text('[{"text": "one"}, {"text": "two"}]')
    with pytest.raises(error, match=says):
        run_recipe(fake_recipe(**sections), folder, store)
    assert nothing_left(store)


def test_an_act_too_large_for_float16_leaves_nothing_in_the_way_of_float32(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "SHARD_TOKENS", 300)  # some shards are written before it happens
    rare = FakeModel(edit=lambda resid, tokens: torch.where((tokens == 77)[..., None], resid * 1e6, resid))
    install(monkeypatch, rare)
    texts = [t.replace("n", "o") for t in sentences(100)]
    (folder / "text.json").write_text(json.dumps([*texts, "n"]))
    with pytest.raises(InputError, match="does not fit float16"):
        run_recipe(fake_recipe(corpus={"n_contexts": 10**6, "replace": {"k": "n"}}), folder, store)
    assert nothing_left(store)
    recipe = fake_recipe(corpus={"n_contexts": 10**6, "replace": {"k": "n"}}, encode={"store_dtype": "float32"})
    assert run_recipe(recipe, folder, store).table("activations")["act"].max() > 65_504


def test_a_crash_keeps_the_work_and_the_same_recipe_resumes_it(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "SHARD_TOKENS", 300)
    whole = tables(run_recipe(fake_recipe("whole"), folder, store))
    calls = 0

    def failing(resid: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise RuntimeError("power cut")
        return resid

    install(monkeypatch, FakeModel(edit=failing))
    with pytest.raises(RuntimeError):
        run_recipe(fake_recipe(), folder, store)
    assert store.unfinished() == ["fake"]
    install(monkeypatch)
    with pytest.raises(InputError, match="unfinished work") as caught:
        run_recipe(fake_recipe(corpus={"seed": 1}), folder, store)
    assert "corpus.seed: 0 -> 1" in caught.value.detail
    progress = Recorder()
    assert tables(run_recipe(fake_recipe(), folder, store, progress=progress)) == whole
    assert any("resuming" in note for note in progress.notes)


def test_replace_discards_unfinished_work_of_another_recipe(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(folder, store, monkeypatch)
    run = run_recipe(fake_recipe(corpus={"seed": 1}), folder, store, replace=True)
    assert run.manifest["recipe"]["corpus"]["seed"] == 1


def interrupt(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave unfinished work with all of its shards; returns its folder."""
    monkeypatch.setattr(choices, "SHARD_TOKENS", 300)
    with monkeypatch.context() as patch:
        patch.setattr("core.engine.job.compute_feature_tables", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_recipe(fake_recipe(), folder, store)
    return store.partial("fake")


def test_a_damaged_shard_is_encoded_again(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = interrupt(folder, store, monkeypatch)
    files = sorted((partial / "shards").glob("*.bin"))
    assert len(files) > 4
    for path, byte in ((files[1], 5000), (files[3], 17)):
        content = bytearray(path.read_bytes())
        content[byte] ^= 4
        path.write_bytes(content)
    files[4].unlink()
    progress = Recorder()
    resumed = run_recipe(fake_recipe(), folder, store, progress=progress)
    assert f"resuming: {len(files) - 3} of {len(files)} parts" in "\n".join(progress.notes)
    assert tables(resumed) == tables(run_recipe(fake_recipe("whole"), folder, store))


@pytest.mark.parametrize("name", ["contexts", "vocabulary"])
def test_damaged_contexts_of_unfinished_work_are_made_again(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = interrupt(folder, store, monkeypatch) / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    resumed = run_recipe(fake_recipe(), folder, store)
    assert tables(resumed) == tables(run_recipe(fake_recipe("whole"), folder, store))


def test_a_whole_run_that_only_lacks_its_place_is_put_there_without_loading_anything(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("core.engine.run.publish", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_recipe(fake_recipe(), folder, store)
    monkeypatch.setattr(saes_module, "load_sae", lambda *args: pytest.fail("loaded"))
    assert run_recipe(fake_recipe(), folder, store).verify() == []
    assert store.unfinished() == []


def test_work_begun_with_other_weights_is_not_mixed(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(folder, store, monkeypatch)
    other = FakeSAE()
    other.info = dataclasses.replace(other.info, weights_sha256="c" * 64)
    install(monkeypatch, sae=other)
    with pytest.raises(InputError, match="other weights"):
        run_recipe(fake_recipe(), folder, store)


def test_unreadable_notes_of_unfinished_work_begin_it_anew(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (interrupt(folder, store, monkeypatch) / WORK).write_text("{")
    assert run_recipe(fake_recipe(), folder, store).verify() == []


# --- the real thing -----------------------------------------------------------------------------------


def test_stories260k_end_to_end(shared: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        Path("core/recipes/stories260K.toml"), ["corpus.n_contexts=60", "encode.device=cpu", 'corpus.licence="CDLA"']
    )
    run = run_recipe(recipe, Path("core/recipes").resolve(), Store(tmp_path))
    manifest = run.manifest
    assert manifest["fidelity"]["verdict"] == "ok"
    assert manifest["fidelity"]["explained_variance"] > 0.85
    assert manifest["fidelity"]["l0"] == pytest.approx(8, abs=0.1)
    assert manifest["counts"]["n_firings"] == pytest.approx(8 * manifest["counts"]["n_tokens"], rel=0.01)
    assert manifest["corpus"]["licence"] == "CDLA"
    assert run.verify() == []
    texts = ["".join(run.str_tokens[np.asarray(ids)[1:]]) for ids in run.contexts([0, 1])["token_ids"]]
    assert all(" the " in text or " was " in text or " and " in text for text in texts)
    assert run.features()["n_firings"].sum() == manifest["counts"]["n_firings"]
