"""The published csv as a run: counts equal an independent recomputation, and no cell does more than be counted."""

from __future__ import annotations

import ast
import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analyses.decomposition_tables import TABLES
from core.errors import InputError
from core.formats.decomposability import read_decomposability
from core.formats.decomposability_run import Imported, import_decomposability
from core.formats.published_reply import Reply, parse_reply
from core.results import results
from core.store import Run, Store
from tests.published_csv import HOSTILE, SAE, hostile_rows, row, rows, write_csv


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("csv") / "published.csv", rows())


@pytest.fixture(scope="module")
def imported(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return import_decomposability(path, Store(tmp_path_factory.mktemp("cache")), "published")


@pytest.fixture(scope="module")
def by_pandas(path: Path) -> pd.DataFrame:
    """The file read again by other means: one row per distinct phrase that was measured, BOS zeroed."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame[frame["raw_data"].str.startswith("{")]
    frame = frame.drop_duplicates(["feature_index", "sub_component", "activating_phrase"])
    replies = frame["raw_data"].map(ast.literal_eval)
    acts = replies.map(lambda r: np.array(r["values"]) * (np.arange(len(r["values"])) > 0))
    return frame.assign(
        feature=frame["feature_index"].astype(int),
        acts=acts,
        fires=acts.map(lambda a: a.max() > 0),
        any_act=replies.map(lambda r: max(r["values"]) > 0),
        max_on_bos=replies.map(lambda r: max(r["values"]) > 0 and r["maxValueTokenIndex"] == 0),
    )


def test_counts_equal_those_of_pandas(imported: Imported, path: Path, by_pandas: pd.DataFrame) -> None:
    counts = imported.counts
    whole = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert counts["rows"] == len(whole)
    assert counts["features"] == by_pandas["feature"].nunique()
    assert counts["phrases"] == len(by_pandas)
    assert counts["repeated"] == whole["raw_data"].str.startswith("{").sum() - len(by_pandas)
    assert counts["firing_share"] == pytest.approx(by_pandas["fires"].mean())
    assert counts["firing_share_bos_counted"] == pytest.approx(by_pandas["any_act"].mean())
    assert counts["max_on_bos_share"] == pytest.approx(by_pandas["max_on_bos"].sum() / by_pandas["any_act"].sum())
    assert counts["firing_share"] < counts["firing_share_bos_counted"], "the fixture has maxima on BOS only"
    assert counts["firing_share_lo"] < counts["firing_share"] < counts["firing_share_hi"]
    errors = (whole["max_value"] == "Error: 405").sum()
    empty = ((whole["raw_data"] == "") & (whole["max_value"] != "Error: 405")).sum()
    keys = ["feature_index", "sub_component", "activating_phrase"]
    lost = whole[(whole["raw_data"] == "") & (whole["max_value"] != "Error: 405")].drop_duplicates(keys)
    lost = lost.merge(by_pandas[keys], on=keys, how="left", indicator=True).query("_merge == 'left_only'")
    assert counts["without_reply"] == len(lost) > 0
    assert counts["without_reply_firing"] == (lost["total_activation"].astype(float) > 0).sum()
    assert counts["rejected"] == {"raw_data is empty": empty, "the service answered an error": errors}


def test_the_histogram_of_parts_that_fire_equals_that_of_pandas(imported: Imported, by_pandas: pd.DataFrame) -> None:
    parts = by_pandas.groupby(["feature", "sub_component"])["fires"].any().groupby("feature").sum()
    expected = parts.value_counts().to_dict()
    assert {int(k): n for k, n in imported.counts["parts_that_fire"].items() if n} == expected
    assert len(expected) > 2, "features of the fixture differ"


def test_firings_of_the_run_equal_those_of_pandas(imported: Imported, by_pandas: pd.DataFrame) -> None:
    run = imported.run
    assert run.verify() == []
    for feature, own in by_pandas.groupby("feature"):
        acts = run.acts(int(feature))
        expected = sorted(a for row in own["acts"] for a in row[row > 0])
        np.testing.assert_allclose(sorted(acts.act.tolist()), expected, rtol=1e-6)
        assert (acts.pos > 0).all()


def test_density_is_over_the_features_own_phrases(imported: Imported, by_pandas: pd.DataFrame) -> None:
    features = imported.run.features().set_index("feature")
    for feature, own in by_pandas.groupby("feature"):
        positions, firing = sum(len(a) - 1 for a in own["acts"]), sum(int((a > 0).sum()) for a in own["acts"])
        got = features.loc[int(feature)]
        assert got["density"] == pytest.approx(firing / positions)
        assert got["flag"] == ("" if firing else "dead")
        assert got["density_lo"] <= got["density"] <= got["density_hi"]
    assert features["token_r2"].isna().all()
    assert features["decoder_norm"].isna().all()


def test_each_phrase_is_a_context_with_bos_special(imported: Imported, by_pandas: pd.DataFrame) -> None:
    run = imported.run
    frame = run.contexts(np.arange(run.manifest["corpus"]["n_contexts"]))
    assert {run.str_tokens[i] for i in run.special_ids} == {"<bos>"}
    assert all(run.str_tokens[ids[0]] == "<bos>" for ids in frame["token_ids"])
    assert (frame["n_tokens"] == frame["token_ids"].map(len) - 1).all()
    texts = {"".join(run.str_tokens[ids[1:]]) for ids in frame["token_ids"]}
    assert len(texts) == len(frame)
    assert run.near_misses(int(by_pandas["feature"].iloc[0])).empty
    assert run.neighbours(int(by_pandas["feature"].iloc[0])).empty


def test_the_result_keeps_to_its_tables_and_decides_nothing(imported: Imported, by_pandas: pd.DataFrame) -> None:
    (result,) = results(imported.run, "decomposition")
    tables = {spec.name: result.table(spec.name) for spec in TABLES}
    for spec in TABLES:
        assert list(tables[spec.name].columns) == spec.schema.names
        assert tables[spec.name].equals(tables[spec.name].sort_values(list(spec.sort), kind="stable"))
    tests, groups, phrases = tables["tests"], tables["groups"], tables["phrases"]
    assert set(tests["kind"]) == {"UNDECIDED"}
    assert (tests["n_needed"] >= 12).all()
    assert tests[["theta5", "r0", "own_rate", "whole_rate", "failure", "published_class"]].isna().all().all()
    assert groups[["p", "up", "absent", "absent_below"]].isna().all().all()
    assert set(groups["theta"]) == {"theta0"}
    fired = by_pandas.groupby("feature")["fires"].sum()
    pooled = groups[groups["group"] == "pooled"].set_index("test")["fired"]
    assert pooled.to_dict() == {int(t): int(fired[f]) for t, f in zip(tests["test"], tests["feature"], strict=True)}
    assert len(phrases) == len(by_pandas)
    assert (phrases["str_tokens"].map(len) == phrases["acts"].map(len)).all()
    assert not phrases["str_tokens"].map(lambda tokens: "<bos>" in list(tokens)).any()
    np.testing.assert_allclose(phrases["acts"].map(max), phrases["max_act"])


def test_the_act_at_bos_is_told_where_a_reply_begins_with_it(
    imported: Imported, by_pandas: pd.DataFrame, tmp_path: Path
) -> None:
    replies = by_pandas["raw_data"].map(ast.literal_eval)
    at_bos = replies.map(lambda r: r["values"][0]).groupby(by_pandas["feature"]).max()
    (result,) = results(imported.run, "decomposition")
    tests = result.table("tests").set_index("feature")
    assert tests["bos_act"].to_dict() == at_bos.to_dict()
    assert set(at_bos) == {0.0, 5.0, 60.0}
    made = [row(7, "part", "a phrase", ["a", " phrase"], [3.0, 0.0])]
    run = import_decomposability(write_csv(tmp_path / "x.csv", made), Store(tmp_path), "x").run
    assert results(run, "decomposition")[0].table("tests")["bos_act"].isna().all()


def test_parts_differ_by_chance_only_as_often_as_chance_allows(tmp_path: Path) -> None:
    """A null: all parts of all features fire at one rate; corrected for looking at all labels, none may differ."""
    rng = np.random.default_rng(0)
    made = [
        row(f, f"p{s}", f"{f} {s} {k}", ["<bos>", " a"], [0.0, float(rng.random() < 0.4)])
        for f in range(60) for s in range(5) for k in range(3)
    ]  # fmt: skip
    power = import_decomposability(write_csv(tmp_path / "a.csv", made), Store(tmp_path), "null").counts["power"]
    assert power["parts_differ"] == 0
    assert power["parts_differ_uncorrected"] <= 8  # binomial(60, .05) exceeds 8 in .3 %
    assert (power["phrases_per_part"], power["undecided"], power["decided"]) == (3, 60, 0)
    assert power["none_fired_leaves_up_to"] == pytest.approx(1 - 0.025 ** (1 / 3))


def test_equal_texts_under_two_parts_fire_once_in_the_run_and_twice_in_the_test(tmp_path: Path) -> None:
    made = [row(3, part, "a b", ["<bos>", " a", " b"], [9.0, 0.0, 2.0]) for part in ("one", "two")]
    made.append(row(4, "one", "a b", ["<bos>", " a", " b"], [0.0, 1.0, 0.0]))
    done = import_decomposability(write_csv(tmp_path / "a.csv", made), Store(tmp_path), "same")
    assert done.run.manifest["corpus"]["n_contexts"] == 1
    assert done.run.acts(3).pos.tolist() == [2]
    assert done.run.acts(4).pos.tolist() == [1]
    assert (done.counts["phrases"], done.counts["firing"], done.counts["max_on_bos"]) == (3, 3, 2)


def test_a_repeated_phrase_with_another_reply_keeps_the_first_and_is_counted(tmp_path: Path) -> None:
    made = [row(3, "one", "a b", ["<bos>", " a"], [0.0, value]) for value in (1.0, 2.0, 1.0)]
    done = import_decomposability(write_csv(tmp_path / "a.csv", made), Store(tmp_path), "same")
    assert (done.counts["repeated"], done.counts["repeated_otherwise"]) == (2, 1)
    assert done.run.acts(3).act.tolist() == [1.0]


def test_position_0_never_counts_whatever_token_stands_there(tmp_path: Path) -> None:
    made = [row(3, "one", "The a", ["The", " a", "The"], [7.0, 0.0, 2.0])]
    done = import_decomposability(write_csv(tmp_path / "a.csv", made), Store(tmp_path), "same")
    assert done.run.acts(3).pos.tolist() == [2]
    assert (done.counts["without_bos"], done.counts["max_on_bos"]) == (1, 1)


# --- what is wrong ------------------------------------------------------------------------------------


def test_hostile_cells_are_rejected_counted_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = [r for r in rows(3) if r["raw_data"]], hostile_rows()
    file = read_decomposability(write_csv(tmp_path / "a.csv", good + bad + good))
    assert sum(n for n, _ in file.rejected.values()) == len(bad)
    assert file.n_rows == 2 * len(good) + len(bad)
    assert file.sae == "/".join(SAE)
    assert not (tmp_path / "hacked").exists()
    first = min(line for _, line in file.rejected.values())
    assert first >= len(good) + 2, "the first bad line comes after the header and the good rows"


@pytest.mark.parametrize("cell", HOSTILE, ids=lambda cell: cell[:30])
def test_a_hostile_cell_is_no_usable_reply(cell: str) -> None:
    reply = parse_reply(cell)
    assert isinstance(reply, str) or reply.feature == 999 or reply.sae == "gpt2-small/6-res-jb"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tokens", "values", "index"]), inner),
    max_leaves=12,
))  # fmt: skip
def test_any_literal_is_a_reply_of_equal_lengths_or_a_reason(value: Any) -> None:
    reply = parse_reply(repr(value))
    if isinstance(reply, Reply):
        assert len(reply.tokens) == len(reply.values) > 1
        assert all(v >= 0 for v in reply.values)
    else:
        assert reply


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_csv_or_an_input_error_with_a_remedy(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    header = b"phrase,sub_component,activating_phrase,feature_index,raw_data\r\n"
    path.write_bytes(header + data if len(data) % 2 else data)
    with pytest.raises(InputError) as caught:
        read_decomposability(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the columns"),
        (b"phrase,raw_dat\r\na,b\r\n", "Did you mean 'raw_dat'"),
        (b"phrase,sub_component,activating_phrase,feature_index,raw_data\r\n", "no rows"),
        ("phrase,sub_component,activating_phrase,feature_index,raw_data\r\nnaïve,a,b,1,{}".encode("latin-1"), "UTF-8"),
        (b"phrase,sub_component,activating_phrase,feature_index,raw_data\r\na,b,c,1,{}\r\n", "no row can be used"),
        (b"phrase,sub_component,activating_phrase,feature_index,raw_data\r\na,b\r\n", "fewer cells"),
        (b"PAR1" + bytes(range(256)), "UTF-8"),
    ],
)
def test_files_of_another_kind_are_refused_with_a_remedy(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        import_decomposability(tmp_path / "a.csv", Store(tmp_path), "a")
    assert caught.value.remedy
    assert Store(tmp_path).names() == []
    assert Store(tmp_path).unfinished() == []


def test_a_file_of_several_saes_is_not_reduced_to_its_first_row(tmp_path: Path) -> None:
    ok = ("part", "a phrase", ["<bos>", " a"], [0.0, 1.0])
    other = row(7, *ok, raw_data="{'tokens': ['<bos>', ' a'], 'values': [1.0, 2.0], 'modelId': 'x', 'layer': 'y'}")
    path = write_csv(tmp_path / "a.csv", [other, *rows(2)])
    with pytest.raises(InputError, match="rows are of other SAEs than x/y"):
        read_decomposability(path)


@pytest.mark.parametrize("name", ["missing.csv", ".", "/dev/zero", "x" * 300])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be imported"):
        read_decomposability(tmp_path / name)


def test_the_csv_modules_limit_is_as_it_was(path: Path) -> None:
    before = csv.field_size_limit()
    read_decomposability(path)
    assert csv.field_size_limit() == before


# --- into the store -----------------------------------------------------------------------------------


def test_the_same_file_is_imported_once_and_another_one_is_refused(imported: Imported, path: Path) -> None:
    store = Store(imported.run.path.parent)
    again = import_decomposability(path, store, "published")
    assert again.already_there
    assert again.counts == imported.counts
    other = write_csv(path.with_name("other.csv"), rows(3, seed=5))
    with pytest.raises(InputError, match="made of something else") as caught:
        import_decomposability(other, store, "published")
    assert "--replace" in caught.value.remedy
    assert store.run("published").manifest["recipe"]["import"]["file"] == "published.csv"


def test_replace_makes_the_run_anew(path: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    import_decomposability(path, store, "mine")
    other = write_csv(tmp_path / "other.csv", rows(3, seed=5))
    done = import_decomposability(other, store, "mine", replace=True)
    assert done.counts["features"] == 3 == len(Store(tmp_path).run("mine").encoded_features)
    assert done.run.labels()["label"].str.startswith("label of").all()
    assert done.run.verify() == []


def test_the_run_says_what_it_lacks_and_names_no_folder_of_this_machine(imported: Imported, path: Path) -> None:
    run: Run = imported.run
    manifest = run.manifest
    assert manifest["fidelity"]["verdict"] == "not measured"
    assert manifest["sae"]["neuronpedia_id"] == "/".join(SAE)
    text = (run.path / "run.json").read_text()
    assert os.fspath(path.parent) not in text
    labels = run.labels()
    assert len(labels) == imported.counts["labels"]
    assert set(labels["source"]) == {"published csv"}
