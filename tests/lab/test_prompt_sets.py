"""Named prompt sets: the same numbers with no model, names that are no paths, and no half of one after a kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from core.errors import DamagedError, InputError, MachineError, NotFoundError
from core.lab.contrasting import ContrastParams, contrast_groups
from core.lab.decoding import decode_features
from core.lab.finding import find_features
from core.lab.prompt_sets import FOLDER, delete_set, load_set, save_set, set_names
from core.lab.prompts import PromptTable
from core.lab.result import LabResult
from core.lab.testing import measure_features, summarise
from core.store import Run
from tests.lab.conftest import groups, prompts
from tests.lab.fake_prompt_model import FakePromptModel, Language


@pytest.fixture(scope="module")
def result(language: Language) -> LabResult:
    table = PromptTable.of_texts([*prompts(language, 8, "alpha"), "", "<script>"], groups=["a", "b"] * 5)
    return summarise(measure_features(FakePromptModel(language), table, [5, 60], log_probs=True))


@pytest.fixture
def own(language: Language, tmp_path: Path) -> Run:
    return Language(n_features=8, planted={5: "alpha"}).write(tmp_path, 40)


def test_every_task_reads_back_as_it_was(language: Language, run: Run, model: FakePromptModel, own: Run) -> None:
    table = groups(prompts(language, 12, "alpha"), prompts(language, 12, seed=1))
    measured = measure_features(model, table, [5, 60], log_probs=True)
    answers = [
        summarise(measured, 0.5, run), find_features(model, run, table),
        contrast_groups(model, run, table, ContrastParams(n_shuffles=100)),
        decode_features(model, {5: 1.0}, PromptTable.of_texts(["w1"])),
    ]  # fmt: skip
    for answer in answers:
        save_set(own, answer.task, answer, model.about, title="<b>what</b> I saw")
        again = load_set(own, answer.task)
        assert (again.result.task, again.result.summary, again.result.notes) == (
            answer.task,
            answer.summary,
            answer.notes,
        )
        assert again.result.params == json.loads(json.dumps(answer.params))
        assert again.manifest["model"] == model.about
        assert again.manifest["run_tables"]["activations"] == own.manifest["tables"]["activations"]["sha256"]
        assert list(again.result.frames) == list(answer.frames)
        for name, frame in answer.frames.items():
            pd.testing.assert_frame_equal(again.result.frames[name], frame)
    assert set_names(own) == sorted(a.task for a in answers)
    assert own.verify() == []


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced(own: Run, result: LabResult) -> None:
    save_set(own, "mine", result, {})
    with pytest.raises(InputError, match="already"):
        save_set(own, "mine", result, {})
    save_set(own, "mine", result, {"other": 1}, replace=True)
    assert load_set(own, "mine").manifest["model"] == {"other": 1}
    assert [p.name for p in (own.path / FOLDER).iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", ".hidden", "x" * 65, "con\n", "prompts/../../x"])
def test_a_name_is_not_a_path(own: Run, result: LabResult, name: str) -> None:
    before = sorted(own.path.parent.rglob("*"))
    for act in (lambda: save_set(own, name, result, {}), lambda: load_set(own, name), lambda: delete_set(own, name)):
        with pytest.raises(InputError):
            act()
    assert sorted(own.path.parent.rglob("*")) == before


def test_an_unknown_set_names_its_neighbour_and_deleting_twice_is_no_error(own: Run, result: LabResult) -> None:
    save_set(own, "animals", result, {})
    with pytest.raises(NotFoundError, match="animals"):
        load_set(own, "animal")
    delete_set(own, "animals")
    delete_set(own, "animals")
    assert set_names(own) == []
    assert list((own.path / FOLDER).iterdir()) == []


@pytest.mark.parametrize("file", ["manifest.json", "prompts.parquet", "cells.parquet"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damage_is_said(own: Run, result: LabResult, file: str, damage: str) -> None:
    path = save_set(own, "mine", result, {}) / file
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 255
        path.write_bytes(content[: len(content) // 3] if damage == "cut" else content)
    with pytest.raises((DamagedError, NotFoundError), match="mine"):
        load_set(own, "mine")
    if (own.path / FOLDER / "mine" / "manifest.json").exists():
        save_set(own, "mine", result, {}, replace=True)
    else:
        delete_set(own, "mine")


def test_a_changed_number_in_the_manifest_is_noticed(own: Run, result: LabResult) -> None:
    path = save_set(own, "mine", result, {}) / "manifest.json"
    path.write_text(path.read_text().replace('"n_prompts": 9', '"n_prompts": 99'))
    with pytest.raises(DamagedError):
        load_set(own, "mine")


def test_a_run_that_cannot_be_written_says_so(own: Run, result: LabResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.lab.prompt_sets.parquet.sync_folder", refuse)
    with pytest.raises(MachineError, match="No space"):
        save_set(own, "mine", result, {})
    assert set_names(own) == []


def _write_for_ever(path: Path, result: LabResult) -> None:
    run, n = Run(path), 0
    while True:
        n += 1
        save_set(run, "mine", result, {"n": n}, replace=True)


def test_killed_at_any_moment_there_is_a_whole_set_or_none(own: Run, result: LabResult) -> None:
    rng, seen = random.Random(0), 0
    for _ in range(12):
        child = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(own.path, result))
        child.start()
        time.sleep(rng.uniform(0.02, 0.25))
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        if "mine" in set_names(own):
            seen += 1
            found = load_set(own, "mine")
            pd.testing.assert_frame_equal(found.result.frames["cells"], result.frames["cells"])
        else:
            assert not seen, "once there, a set that is being replaced is never gone"
    assert seen
    save_set(own, "mine", result, {}, replace=True)
    assert [p.name for p in (own.path / FOLDER).iterdir()] == ["mine"], "what killed ones left is cleared"
