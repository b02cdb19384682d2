"""``prism demo build --tiny`` as a person types it, and what the other commands then say of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import cli
from core.analyses.truth import ANALYSIS

CACHE = Path(__file__).resolve().parents[2] / "cache"
Prism = Callable[..., str]


@pytest.fixture
def prism(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Prism:
    """Run a command that succeeds; what it wrote to standard output."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["prism", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code
        return capsys.readouterr().out

    return run


def test_a_tiny_demo_is_built_verified_and_judged(prism: Prism, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sae_lens")
    there = ("--cache-dir", str(tmp_path))
    made: dict[str, Any] = json.loads(
        prism("demo", "build", "--tiny", "--seed", "5", "--name", "small", *there, "--json")
    )
    assert (made["name"], made["contexts"]) == ("small", 60)
    assert json.loads(prism("verify", "small", *there, "--json"))["whole"]
    judged = json.loads(prism("analyze", "small", "truth", *there, "--json"))
    assert judged["summary"]["what the features stand for"]
    assert Path(judged["path"]).is_relative_to(tmp_path / "small" / "truth")
    assert not [p.name for p in tmp_path.iterdir() if p.name != "small" and p.is_dir()], "parts are moved into the run"


def test_verify_says_that_the_committed_demo_is_whole(prism: Prism) -> None:
    assert "run demo is whole" in prism("verify", "demo", "--cache-dir", str(CACHE))


def test_analyze_prints_the_summary_of_a_stored_result_at_once(prism: Prism) -> None:
    """The numbers that the README quotes; nothing is computed for them."""
    before = sorted((CACHE / "demo" / "truth").iterdir())
    said = prism("analyze", "demo", "truth", "--cache-dir", str(CACHE))
    assert sorted((CACHE / "demo" / "truth").iterdir()) == before
    for word in ("token", "span", "entity", "nationality", "matched", "absorbed", ANALYSIS.question):
        assert word in said
