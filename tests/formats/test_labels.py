"""Labels from files of several tools, and into a run."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.formats.labels import FoundLabel, read_labels
from core.formats.run_labels import add_labels, remove_label
from core.store import Run, Store
from tests.factories import write_run

SAE = "gemma-2-2b/20-gemmascope-res-16k"


def explanation(index: Any, text: Any, **rest: Any) -> dict[str, Any]:
    """A row of Neuronpedia's explanations export."""
    return {
        "id": "clx", "modelId": "gemma-2-2b", "layer": "20-gemmascope-res-16k", "index": index, "authorId": "a",
        "description": text, "embedding": [0.1] * 256, "typeName": "oai_token-act-pair",
        "explanationModelName": "gpt-4o-mini", "umap_x": 0, "umap_y": 0, "umap_cluster": 0,
    } | rest  # fmt: skip


def write_lines(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(r) + "\n" for r in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


# --- reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch-0.jsonl.gz", "batch-0.jsonl"])
def test_neuronpedia_explanations_are_read_with_index_as_text(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, [explanation("10", "ten"), explanation("2", "two"), explanation(3, "three")])
    found = read_labels(path)
    assert found.kind == "neuronpedia"
    assert [(x.feature, x.label) for x in found.labels] == [(10, "ten"), (2, "two"), (3, "three")]
    assert {x.source for x in found.labels} == {"neuronpedia oai_token-act-pair gpt-4o-mini"}
    assert {x.sae for x in found.labels} == {SAE}


def test_a_folder_of_batches_is_read_whole(tmp_path: Path) -> None:
    for n in range(3):
        write_lines(tmp_path / f"batch-{n}.jsonl.gz", [explanation(str(n), f"label {n}")])
    (tmp_path / "notes.txt").write_text("not a batch")
    found = read_labels(tmp_path)
    assert sorted(x.feature for x in found.labels) == [0, 1, 2]
    assert found.n_rows == 3


def test_a_single_features_json_gives_all_of_its_explanations(tmp_path: Path) -> None:
    entries = [{"description": "one", "typeName": "t"}, {"description": "two"}, {"description": ""}, "odd"]
    feature = {"modelId": "gemma-2-2b", "layer": "20-gemmascope-res-16k", "index": "10956", "explanations": entries}
    (tmp_path / "f.json").write_text(json.dumps(feature | {"activations": []}))
    found = read_labels(tmp_path / "f.json")
    assert [(x.feature, x.label, x.source) for x in found.labels] == [
        (10956, "one", "neuronpedia t"),
        (10956, "two", "neuronpedia"),
    ]
    assert set(found.rejected) == {"the label is empty", "no object"}


def test_axbench_rows_are_read_by_their_reference(tmp_path: Path) -> None:
    rows = [{"concept_id": 0, "concept": "rental services", "ref": f"https://www.neuronpedia.org/{SAE}/16038"}]
    found = read_labels(write_lines(tmp_path / "c.jsonl", [*rows, {"concept": "x", "ref": "nowhere"}]))
    assert found.labels == (FoundLabel(16038, "rental services", "axbench", SAE),)
    assert found.rejected == {"ref is not the address of a feature": (1, 2)}


def test_the_published_concepts_are_all_read(shared: Path) -> None:
    found = read_labels(shared / "labels" / "concept500_2b_l20.metadata.jsonl")
    assert (len(found.labels), found.n_rows, found.rejected) == (500, 500, {})
    assert {x.sae for x in found.labels} == {SAE}
    assert found.labels[0] == FoundLabel(
        16038, "references to rental services and associated equipment", "axbench", SAE
    )


def test_a_dashboard_batch_without_labels_says_what_it_has(shared: Path) -> None:
    with pytest.raises(InputError, match="sae_set"):
        read_labels(shared / "labels" / "saedashboard_batch-0.json")


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl"])
def test_ones_own_labels_need_feature_and_label(tmp_path: Path, name: str) -> None:
    rows = [{"feature": 1, "label": "a, b", "source": "me"}, {"feature": 2, "label": "Frühling 🌷", "source": ""}]
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_text('\ufeffFeature,Label,source\n1,"a, b",me\n2,Frühling 🌷,\n', encoding="utf-8")
    else:
        write_lines(path, rows)
    found = read_labels(path)
    assert found.labels == (FoundLabel(1, "a, b", "me"), FoundLabel(2, "Frühling 🌷", "file"))
    assert found.kind == "plain"


@pytest.mark.parametrize("index", ["1.5", "12.0", "-1", "", "abc", None, True, 1.5, "9" * 30, [], "１２"])
def test_an_index_that_is_no_feature_number_is_rejected(tmp_path: Path, index: Any) -> None:
    found = read_labels(write_lines(tmp_path / "b.jsonl", [explanation("1", "ok"), explanation(index, "x")]))
    assert len(found.labels) == 1
    assert found.rejected == {"the feature is not a whole number": (1, 2)}


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("x" * 10_000, "longer"),
        (None, "not a text"),
        (3, "not a text"),
        (["a"], "not a text"),
    ],
)
def test_a_label_that_is_none_is_rejected_and_the_rest_is_read(tmp_path: Path, label: Any, why: str) -> None:
    found = read_labels(write_lines(tmp_path / "b.jsonl", [explanation("1", "ok"), explanation("2", label)]))
    assert len(found.labels) == 1
    assert why in next(iter(found.rejected))


def test_broken_lines_are_counted_with_the_first_of_them(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    good = json.dumps(explanation("1", "ok"))
    path.write_bytes(f"garbage\n{good}\n\n{{\n[1]\n".encode() + b"\xff\xfe\n" + f"{good[:40]}\n".encode())
    found = read_labels(path)
    assert len(found.labels) == 1
    assert found.rejected == {"not a JSON object": (5, 1)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.txt", b"feature,label\n"), ("x.csv", b""), ("x.csv", b"a,b\n1,2\n"), ("x.jsonl", b""), ("x.jsonl", b"[]\n"),
        ("x.json", b"{"), ("x.json", b"[]"), ("x.jsonl.gz", b"not gzip"),
        ("x.jsonl.gz", gzip.compress(b"{}", mtime=0)[:-4]),
        ("x.csv", b"feature,label\n1,\xff\n"), ("x.jsonl", b'{"feature": 1}\n'), ("x.csv", b'feature,label\n1,"open'),
        ("x.json", b"[" * 100_000), ("x.jsonl", b'{"a":' + b"x" * 5_000_000),
    ],
)  # fmt: skip
def test_files_that_hold_no_labels_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        read_labels(tmp_path / name)


def test_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(InputError):
            read_labels(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([".csv", ".json", ".jsonl", ".jsonl.gz"]))
def test_any_bytes_are_labels_or_an_input_error(tmp_path: Path, data: bytes, ending: str) -> None:
    path = tmp_path / f"any{ending}"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        assert isinstance(read_labels(path).labels, tuple)


# --- into a run ---------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(tmp_path, neuronpedia_id=SAE)


def test_labels_are_added_shown_and_verified(run: Run) -> None:
    added = add_labels(run, [FoundLabel(4, "four", "me"), FoundLabel(2, "two", "me"), FoundLabel(4, "IV", "them")])
    assert (added.n_added, added.n_features, added.rejected) == (3, 2, {})
    again = Store(run.path.parent).run(run.name)
    assert again.labels()[["feature", "label"]].values.tolist() == [[2, "two"], [4, "four"], [4, "IV"]]
    features = again.features().set_index("feature")
    assert features.loc[4, "label"] == "four"
    assert again.verify() == []
    assert again.manifest["tables"]["labels"]["n_rows"] == 3


def test_the_same_label_is_added_once(run: Run) -> None:
    one = FoundLabel(1, "cat", "me")
    assert add_labels(run, [one, one]).n_already_there == 1
    first = run.labels()
    again = add_labels(run, [one, FoundLabel(1, "cat", "someone else")])
    assert (again.n_added, again.n_already_there) == (1, 1)
    assert run.labels()["added_at"].tolist()[0] == first["added_at"].tolist()[0]


def test_labels_out_of_range_or_of_another_sae_are_counted_and_left_out(run: Run) -> None:
    offered = [
        FoundLabel(1, "a", "s", SAE),
        FoundLabel(1, "b", "s", "gemma-2-2b/12-gemmascope-res-16k"),
        FoundLabel(40, "c", "s"),
        FoundLabel(999_999, "d", "s", SAE),
        FoundLabel(2, "e", "s"),
    ]
    added = add_labels(run, offered)
    assert added.n_added == 2
    assert sum(added.rejected.values()) == 3
    assert added.rejected["its feature was not encoded in this run"] == 2


def test_a_run_that_names_no_sae_takes_labels_of_a_named_one_only_when_told_to(tmp_path: Path) -> None:
    run, label = write_run(tmp_path), FoundLabel(1, "a", "s", "x/y")
    left_out = add_labels(run, [label, FoundLabel(2, "b", "s")])
    assert (left_out.n_added, sum(left_out.rejected.values())) == (1, 1)
    assert add_labels(run, [label], any_sae=True).n_added == 1


def test_a_run_folder_with_labels_holds_nothing_but_the_run(run: Run) -> None:
    before = {p.name for p in run.path.iterdir()}
    add_labels(run, [FoundLabel(1, "a", "me")])
    assert {p.name for p in run.path.iterdir()} - before == {"labels.parquet"}


def test_hostile_labels_are_stored_as_text(run: Run) -> None:
    label = "<script>alert(1)</script> {{x}} ../../ =1+1 \u202e"
    add_labels(run, [FoundLabel(1, label, "me")])
    assert run.labels()["label"].tolist() == [label]


def test_a_label_can_be_taken_out_again(run: Run) -> None:
    add_labels(run, [FoundLabel(1, "a", "me"), FoundLabel(2, "b", "me")])
    assert remove_label(run, 1, "a", "me")
    assert not remove_label(run, 1, "a", "me")
    assert run.labels()["label"].tolist() == ["b"]
    assert run.verify() == []
