"""Where numbers come from: facts and commands by value; a command makes the same thing again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from core.recipe import overrides_as_values
from dashboard import provenance
from tests.dashboard.conftest import Open, texts

PARAMS = {"n_boot": 200, "seed": 3, "share": 0.5, "names": ["a b", "it's"], "on": True, "none": None, "text": 'x "y"'}
RESULT = {
    "analysis": "truth", "version": 2, "params": PARAMS, "inputs": {"contexts": "ab", "activations": "cd"},
    "created_at": "2026-01-02T03:04:05.678901+00:00", "seconds": 11.7432,
    "packages": {"sae-prism": "9.9", "numpy": "2.4"}, "tables": {"concepts": {"n_rows": 1234}},
}  # fmt: skip


def test_a_run_is_made_again_by_its_own_command_or_by_its_name() -> None:
    assert provenance.run_command({"name": "toy", "provenance": {}}) == "prism run toy --replace"
    demo = {"name": "demo", "provenance": {"command": "prism demo build"}}
    assert provenance.run_command(demo) == "prism demo build"


def test_the_command_of_a_result_gives_its_parameters_back() -> None:
    words = shlex.split(provenance.result_command("toy", RESULT))
    assert words[:4] == ["prism", "analyze", "toy", "truth"]
    assert words[4::2] == ["--param"] * 6
    assert overrides_as_values(words[5::2]) == {k: v for k, v in PARAMS.items() if v is not None}


def test_a_result_that_names_its_command_is_made_by_it() -> None:
    assert provenance.result_command("toy", RESULT | {"command": "prism decompose toy"}) == "prism decompose toy"


@pytest.mark.parametrize(
    ("label", "said"),
    [("analysis", "truth"), ("seeds", "seed = 3"), ("made", "2026-01-02T03:04:05 (UTC)"), ("with", "sae-prism 9.9"),
     ("tables", "concepts 1,234"), ("inputs", "contexts, activations")],
)  # fmt: skip
def test_facts_of_a_result(label: str, said: str) -> None:
    found = {fact.label: fact for fact in provenance.result_facts(RESULT)}
    assert found[label].value == said
    assert found["made"].note == "took 11.7 s"
    assert "seed" not in found["parameters"].value
    assert "n_boot = 200" in found["parameters"].value


def test_pages_say_how_their_run_is_made_again(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="1")
    assert any("prism run toy --replace" in code.value and "prism verify toy" in code.value for code in at.code)
    assert "recipe 000000000000" in texts(at)
