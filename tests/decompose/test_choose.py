"""Which labels are tested: numbers, random draws, all, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.decompose.choose import choose_labels
from core.errors import InputError, NotFoundError
from core.formats.labels import FoundLabel
from core.formats.run_labels import add_labels
from core.store import Run
from tests.factories import write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = write_run(tmp_path, neuronpedia_id="m/s")
    labels = [
        FoundLabel(4, "cats", "a"),
        FoundLabel(4, "pets", "b"),
        FoundLabel(9, "dogs", "a"),
        FoundLabel(7, "x", "a"),
    ]
    add_labels(made, labels)
    return made


def chosen(run: Run, spec: str, needs_label: bool = True, seed: int = 0) -> list[tuple[int, str]]:
    return [(x.feature, x.label) for x in choose_labels(run, spec, needs_label, seed).labels]


def test_a_feature_named_by_number_is_tested_with_all_its_labels_or_says_it_has_none(run: Run) -> None:
    assert chosen(run, "9, 4,5,9") == [(4, "cats"), (4, "pets"), (5, ""), (9, "dogs")]


def test_without_need_of_labels_each_feature_is_tested_once(run: Run) -> None:
    assert chosen(run, "4,5", needs_label=False) == [(4, ""), (5, "")]


def test_all_and_random_draw_among_labelled_features_when_labels_are_needed(run: Run) -> None:
    assert [f for f, _ in chosen(run, "all")] == [4, 4, 7, 9]
    assert {f for f, _ in chosen(run, "random:2")} < {4, 7, 9}
    assert {f for f, _ in chosen(run, "random:100")} == {4, 7, 9}
    assert len(chosen(run, "all", needs_label=False)) == 40
    assert len(chosen(run, "random:10", needs_label=False)) == 10


def test_a_random_draw_follows_its_seed(run: Run) -> None:
    draws = [chosen(run, "random:10", False, seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_a_file_brings_its_own_labels_and_what_is_left_out_is_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    rows = [
        '{"modelId": "m", "layer": "s", "index": "3", "description": "fish"}',
        '{"modelId": "m", "layer": "s", "index": "3", "description": "fish"}',
        '{"modelId": "m", "layer": "other", "index": "3", "description": "birds"}',
        '{"modelId": "m", "layer": "s", "index": "30000", "description": "bees"}',
        '{"modelId": "m", "layer": "s", "index": "x", "description": "bees"}',
    ]
    path.write_text("\n".join(rows))
    found = choose_labels(run, str(path), True)
    assert [(x.feature, x.label) for x in found.labels] == [(3, "fish")]
    assert len(found.notes) == 3
    path.write_text(rows[2])
    with pytest.raises(InputError, match="no label of"):
        choose_labels(run, str(path), True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.txt", "9\n4\n\n5\n9\n"),
        ("f.txt", "9, 4,5"),
        ("f.csv", "feature\r\n9\r\n4\r\n5\r\n"),
        ("f.csv", "\ufeff9,4,5,\n"),
        ("F.TXT", "9 4 5"),
    ],
)
def test_a_file_of_numbers_is_the_same_as_its_numbers(run: Run, tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    for needs_label in (True, False):
        assert chosen(run, str(path), needs_label) == chosen(run, "9,4,5", needs_label)
    assert chosen(run, str(path))[0] == (4, "cats")


def test_numbers_that_the_run_lacks_are_left_out_and_counted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("4\n40\n99999\n")
    found = choose_labels(run, str(path), False)
    assert [x.feature for x in found.labels] == [4]
    assert found.notes == ("2 features of f.txt left out: they were not encoded in this run",)
    path.write_text("40")
    with pytest.raises(InputError, match=r"no feature of f\.txt"):
        choose_labels(run, str(path), False)


def test_a_csv_of_labels_is_still_one_of_labels(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("feature,label\n3,fish\n")
    assert chosen(run, str(path)) == [(3, "fish")]


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"4\n-5", "'-5'"), (b"", "empty"), (b"4 five", "'five'"), (b"9" * 10, "'9999999999'"), (b"\xff\xfe4", "utf-8")],
)
def test_a_text_of_something_else_is_named_with_what_is_wrong(run: Run, tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        choose_labels(run, str(path), True)
    assert said in str(caught.value.detail)
    assert caught.value.remedy


@pytest.mark.parametrize("spec", ["", " ", "random", "random:x", "random:-3", "12;13", "..", "1 2", "-5", "random:0"])
def test_what_means_nothing_is_an_input_error(run: Run, spec: str) -> None:
    with pytest.raises(InputError):
        choose_labels(run, spec, True)


def test_an_unknown_feature_is_refused(run: Run) -> None:
    with pytest.raises(NotFoundError, match="no feature 40"):
        choose_labels(run, "40", False)


def test_a_run_without_labels_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no labels"):
        choose_labels(write_run(tmp_path), "all", True)
