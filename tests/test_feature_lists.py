"""Named lists of features in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import feature_lists
from core.errors import DamagedError, InputError, NotFoundError
from core.store import Run
from tests.factories import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("lists"))


def test_a_list_is_read_back_in_its_order_each_feature_once(run: Run) -> None:
    feature_lists.save_list(run, "mine", [30, 2, 30, 7])
    assert feature_lists.load_list(run, "mine") == [30, 2, 7]
    assert "mine" in feature_lists.list_names(run)
    assert run.verify() == []


def test_saving_again_replaces_and_deleting_twice_is_no_error(run: Run) -> None:
    feature_lists.save_list(run, "short", [1, 2])
    feature_lists.save_list(run, "short", [3])
    assert feature_lists.load_list(run, "short") == [3]
    feature_lists.delete_list(run, "short")
    feature_lists.delete_list(run, "short")
    assert "short" not in feature_lists.list_names(run)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", ".hidden", "x" * 65, "con\n"])
def test_a_name_is_not_a_path(run: Run, name: str) -> None:
    before = sorted(run.path.parent.rglob("*"))
    for act in (lambda: feature_lists.save_list(run, name, [1]), lambda: feature_lists.load_list(run, name),
                lambda: feature_lists.delete_list(run, name)):  # fmt: skip
        with pytest.raises(InputError):
            act()
    assert sorted(run.path.parent.rglob("*")) == before


@pytest.mark.parametrize("features", [[], [-1], [40], [10**9]])
def test_only_encoded_features_make_a_list(run: Run, features: list[int]) -> None:
    with pytest.raises(InputError):
        feature_lists.save_list(run, "wrong", features)
    assert "wrong" not in feature_lists.list_names(run)


def test_an_unknown_list_names_its_neighbour(run: Run) -> None:
    feature_lists.save_list(run, "animals", [1])
    with pytest.raises(NotFoundError, match="animals"):
        feature_lists.load_list(run, "animal")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"features": 3}', '{"features": [1.5]}', '{"features": [true]}',
                                     '{"features": []}', "\x00"])  # fmt: skip
def test_a_damaged_list_is_said(run: Run, content: str) -> None:
    path: Path = run.path / "lists" / "broken.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(DamagedError, match="broken"):
        feature_lists.load_list(run, "broken")
    path.unlink()
