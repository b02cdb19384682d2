"""``prism test | find | contrast | account | decode`` as a person types them, with a model that needs no torch."""

from __future__ import annotations

import csv
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import cli, feature_lists
from core.lab.prompt_sets import load_set
from core.lab.upload import read_prompts
from core.proposals.upload import read_upload
from core.store import Run
from tests.lab.conftest import prompts
from tests.lab.fake_prompt_model import FakePromptModel, Language

Prism = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def language() -> Language:
    return Language(n_features=40, planted={5: "alpha"})


@pytest.fixture
def run(language: Language, tmp_path: Path) -> Run:
    return language.write(tmp_path, 420)


@pytest.fixture
def file(language: Language, tmp_path: Path) -> Path:
    """Thirty prompts with the planted word, thirty without, a formula and an empty row."""
    path = tmp_path / "mine.csv"
    texts = [*prompts(language, 30, "alpha"), *prompts(language, 30, seed=1)]
    rows = [[t, "ab"[i // 30], "yes" if i < 30 else "no"] for i, t in enumerate(texts)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["prompt", "side", "label"], *rows, ["=w1 w2", "b", "no"], ["", "b", "no"]])
    return path


@pytest.fixture
def prism(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run, language: Language) -> Prism:
    """Run a command on the run; its exit code and the one JSON object on standard output."""
    engine = SimpleNamespace(run_prompt_model=lambda run, device: FakePromptModel(language))
    monkeypatch.setitem(sys.modules, "core.engine.prompt_model", engine)

    def call(task: str, *arguments: Any) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["prism", task, str(run.path), *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == 1, "one JSON object and nothing else"
        return int(stopped.value.code or 0), json.loads(lines[0])

    return call


def test_test_writes_every_cell_exactly(prism: Prism, run: Run, language: Language, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.csv"
    code, said = prism("test", "--prompts", file, "--features", "5,7", "--out", out, "--theta", 0.5, "--save", "mine")
    assert code == 0
    assert said["left_out"] == {"the prompt is empty": 1}
    assert said["summary"]["n_prompts"] == 61
    asked = read_prompts(file.read_bytes(), file.name)
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["text"] for r in rows[::2]] == [p.text for p in asked.prompts]
    for row in rows:
        acts = language.acts(language.ids(row["text"]))[:, int(row["feature"])]
        assert np.float32(row["max_act"]) == acts.max()
        assert int(row["n_firing"]) == (acts > 0.5).sum()
    kept = load_set(run, "mine").result.table("cells")["max_act"].tolist()
    assert kept == [np.float32(r["max_act"]) for r in rows]


def test_a_spreadsheet_gets_no_formula_and_parquet_the_same_numbers(prism: Prism, file: Path, tmp_path: Path) -> None:
    sheet, exact = tmp_path / "s.csv", tmp_path / "e.parquet"
    prism("test", "--prompts", file, "--features", "5", "--out", sheet, "--spreadsheet")
    prism("test", "--prompts", file, "--features", "5", "--out", exact)
    assert "'=w1 w2" in sheet.read_text("utf-8-sig")
    frame = pd.read_parquet(exact)
    assert "=w1 w2" in frame["text"].tolist()
    np.testing.assert_array_equal(frame["max_act"], pd.read_csv(sheet)["max_act"].astype(np.float32))


def test_find_contrast_and_account_name_the_planted_feature(prism: Prism, file: Path, tmp_path: Path) -> None:
    only = tmp_path / "only.txt"
    only.write_text("\n".join(p.text for p in read_prompts(file.read_bytes(), file.name).prompts[:30]))
    code, found = prism("find", "--prompts", only, "--out", tmp_path / "found.csv")
    assert (code, found["found"][0]["feature"], found["summary"]["n_found"]) == (0, 5, 1)
    code, told = prism("contrast", "--prompts", file, "--group", "side", "--shuffles", 100)
    assert (code, told["contrasted"][0]["feature"], told["summary"]["best_auroc"]) == (0, 5, 1)
    phrases = tmp_path / "phrases.csv"
    code, held = prism("account", "--prompts", file, "--feature", 5, "--label", "alpha", "--phrases", phrases)
    assert code == 0
    assert (held["summary"]["sensitivity"], held["summary"]["specificity"]) == (1, 1)
    assert len(read_upload(phrases.read_bytes(), "phrases.csv").proposals.made) == 1
    assert len(pd.read_csv(tmp_path / "found.csv")) == found["tables"]["found"]


def test_decode_sets_features_and_writes_what_the_model_goes_on_with(prism: Prism, tmp_path: Path) -> None:
    out = tmp_path / "d.csv"
    code, said = prism("decode", "--set", "5=2", "--prompt", "w1", "--strengths", "1,2", "--tokens", 4, "--out", out)
    assert code == 0
    assert said["params"]["values"] == {"5": 2.0}
    assert pd.read_csv(out)["kind"].tolist() == ["unsteered", "steered", "random", "steered", "random"]


def test_a_file_that_is_too_big_is_refused_before_it_is_read(prism: Prism, tmp_path: Path) -> None:
    big = tmp_path / "big.txt"
    with big.open("wb") as stream:
        stream.truncate(2_000_000_000)  # sparse: no bytes on the disk
    tracemalloc.start()
    try:
        code, said = prism("test", "--prompts", big, "--features", "5")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code != 0
    assert "more than 20 MB" in json.dumps(said)
    assert peak < 100_000_000


def test_a_list_of_the_run_names_features(prism: Prism, run: Run, file: Path) -> None:
    feature_lists.save_list(run, "some", [7, 5])
    assert prism("test", "--prompts", file, "--features", "list:some")[1]["params"]["features"] == [7, 5]


@pytest.mark.parametrize(
    ("task", "arguments", "why"),
    [
        ("test", ["--features", "99999"], "no feature 99999"),
        ("test", ["--features", "5", "--out", "x.xlsx"], "cannot write"),
        ("test", ["--features", "5", "--column", "nope"], "cannot be read"),
        ("test", ["--features", "5", "--save", "../x"], "name"),
        ("test", ["--features", "5", "--out", "x.csv", "--table", "nope"], "no table"),
        ("contrast", [], "two groups"),
        ("contrast", ["--group", "side", "--a", "z"], "no prompt is of group"),
        ("account", ["--feature", "5", "--label", "x", "--positive", "maybe"], "not clear"),
        ("account", ["--feature", "400", "--label", "x"], "no feature 400"),
    ],
)
def test_what_a_person_can_mend_exits_with_2(
    prism: Prism, file: Path, task: str, arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = prism(task, "--prompts", file, *arguments)
    assert code == 2
    assert why in said["title"]


@pytest.mark.parametrize("values", [["5"], ["x=1"], ["5=x"], ["5=nan"], ["5=0"], ["-1=3"]])
def test_values_that_set_nothing_exit_with_2(prism: Prism, values: list[str]) -> None:
    assert prism("decode", "--set", *values)[0] == 2


def test_a_taken_name_is_said_before_the_model_is_loaded(
    prism: Prism, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prism("test", "--prompts", file, "--features", "5", "--save", "mine")
    monkeypatch.setitem(sys.modules, "core.engine.prompt_model", SimpleNamespace())
    code, said = prism("test", "--prompts", file, "--features", "5", "--save", "mine")
    assert code == 2
    assert "already" in said["title"]


def test_without_torch_the_command_that_installs_it_is_named(
    prism: Prism, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("core.cli_prompts.importlib", SimpleNamespace(import_module=missing))
    code, said = prism("test", "--prompts", file, "--features", "5")
    assert code == 3
    assert "pip install" in said["remedy"]
