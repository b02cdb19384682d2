"""Prototypes and Conjecture: pages of runs with and without structure, and their figures by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.analyses import conjecture, pattern_svd
from core.results import results, run_analysis
from core.store import Run
from dashboard import pattern_charts
from tests.analyses.pattern_runs import topic_run
from tests.dashboard.conftest import Open, alerts, texts


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    for structured in (True, False):
        run = topic_run(folder, structured)
        knobs = {"rows": "all", "n_null": 20, "n_boot": 1, "n_seeds": 1, "k_max": 12}
        run_analysis(run, pattern_svd.ANALYSIS, knobs)
        run_analysis(run, conjecture.ANALYSIS, {"rows": "all", "ks": [3], "n_null": 2, "n_boot": 20, "decoder": False})
    return folder


def test_prototypes_are_drawn_with_the_method_and_number_of_the_link(cache: Path, open_page: Open) -> None:
    at = open_page(cache, "pattern_svd", run="topics", pattern_svd_method="nmf", pattern_svd_number="2")
    assert not at.exception
    assert not alerts(at)
    assert at.query_params["pattern_svd_method"] == "nmf"
    assert at.number_input(key="pattern_svd_number").value == 2
    loadings = next(d.value for d in at.dataframe if "loading" in d.value)
    assert loadings["loading"].is_monotonic_decreasing
    rows = next(d.value for d in at.dataframe if "text" in d.value)
    assert rows["text"].str.contains("⟦.*⟧").all()


def test_a_run_without_structure_says_that_there_are_no_prototypes(cache: Path, open_page: Open) -> None:
    at = open_page(cache, "pattern_svd", run="null")
    assert not at.exception
    assert "No component stands above shuffled columns" in texts(at)


@pytest.mark.parametrize(("run", "said"), [("topics", "predicts it"), ("null", "does not predict it")])
def test_the_conjecture_page_says_the_verdict(run: str, said: str, cache: Path, open_page: Open) -> None:
    at = open_page(cache, "conjecture", run=run, conjecture_similarity="euclid")
    assert not at.exception
    assert not alerts(at)
    assert said in texts(at)


@pytest.mark.parametrize("page", ["pattern_svd", "conjecture"])
def test_a_page_without_a_result_names_the_command(page: str, open_page: Open, toy_cache: Path) -> None:
    (alert,) = alerts(open_page(toy_cache, page, run="toy"))
    assert f"prism analyze toy {page}" in alert


def test_the_figures_hold_the_numbers_of_the_tables(cache: Path) -> None:
    run = Run(cache / "topics")
    spectrum = run_tables(run, "pattern_svd")("spectrum")
    figure = pattern_charts.spectrum(spectrum, 3)
    assert [trace.name for trace in figure.data] == [name for _, name, _ in pattern_charts.LINES]
    np.testing.assert_array_equal(figure.data[1].y, spectrum["null_q95"])
    assert "12 components" in pattern_charts.spectrum_alt(spectrum, 3)
    scores = run_tables(run, "conjecture")("scores")
    curves = pattern_charts.over_k(scores, "cosine")
    unit = next(trace for trace in curves.data if trace.name == "unit")
    expected = scores.query("scale == 'unit' and similarity == 'cosine'").set_index("k")["partial"]
    assert unit.y[0] == expected.loc[3]
    assert unit.y[-1] == expected[expected.index.isna()].item()
    assert "cosine" in pattern_charts.over_k_alt(scores, "cosine")


def run_tables(run: Run, key: str):  # type: ignore[no-untyped-def]
    return results(run, key)[0].table
