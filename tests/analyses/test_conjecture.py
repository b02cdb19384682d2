from pathlib import Path

import numpy as np
import pytest

from core.analyses.base import Silent
from core.analyses.conjecture import ANALYSIS
from core.analyses.conjecture_planted import planted_pairs
from core.analyses.patterns import pattern_matrix
from core.errors import InputError, NotFoundError
from core.results import Result, run_analysis
from core.store import Run, Store
from tests.analyses.pattern_runs import N_TOPICS, topic_run

FAST = {"ks": [3, 8], "n_null": 3, "n_boot": 40, "decoder": False, "rows": "all"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return topic_run(tmp_path_factory.mktemp("conjecture"))


@pytest.fixture(scope="module")
def result(run: Run) -> Result:
    return run_analysis(run, ANALYSIS, FAST)


def test_cosine_predicts_which_features_of_planted_topics_fire_together(result: Result) -> None:
    verdict = result.table("verdict").iloc[0]
    assert verdict["cosine_holds"]
    assert verdict["k"] == N_TOPICS - 1
    scores = result.table("scores")
    best = scores.query("scale == 'unit' and similarity == 'cosine' and k == 3").iloc[0]
    assert best["lo"] <= best["spearman"] <= best["hi"]
    assert best["spearman"] > 0.4
    assert best["null_lo"] <= best["null_mean"] <= best["null_hi"] < 0.3
    assert f"{best['spearman']:+.2f}" in verdict["sentence"]


def test_independent_features_support_nothing(tmp_path: Path) -> None:
    result = run_analysis(topic_run(tmp_path, structured=False), ANALYSIS, FAST)
    verdict = result.table("verdict").iloc[0]
    assert not verdict["cosine_holds"]
    assert not verdict["proposed_holds"]
    assert "does not predict" in verdict["sentence"]
    assert (result.table("scores")["partial"].abs() < 0.3).all()


def test_every_variant_has_its_null_and_every_score_its_interval(result: Result) -> None:
    scores = result.table("scores")
    fitted = scores[scores["similarity"] != "baseline"]
    assert len(fitted) == (5 * 2 + 1) * 3  # five scales by two similarities and the kernel; full rank, k = 3 and 8
    assert fitted[["null_mean", "partial_null_hi", "density_twin"]].notna().all(axis=None)
    assert scores[["spearman", "lo", "hi", "partial", "partial_lo", "partial_hi"]].notna().all(axis=None)
    assert set(scores[scores["similarity"] == "baseline"]["scale"]) == {"density only", "excess on the fitted half"}


def test_the_kernel_is_exact_where_the_proposal_is_not(result: Result) -> None:
    raw = result.table("raw")
    full = raw[raw["k"].isna()].set_index(["scale", "similarity"])
    assert full.loc[("jaccard kernel", "euclid"), "pearson_squared"] == pytest.approx(1, abs=1e-9)
    assert full.loc[("raw", "euclid"), "pearson_squared"] < 0.9
    assert raw["spearman_shuffled"].notna().all()


def test_the_scatter_counts_every_pair_on_both_sides(result: Result) -> None:
    scatter, n_pairs = result.table("scatter"), result.table("raw")["n_pairs"].max()
    assert set(scatter["side"]) == {"real", "shuffled"}
    assert all(np.sum(counts) == n_pairs for counts in scatter["counts"])


def test_the_same_question_gives_the_same_tables(run: Run) -> None:
    first, again = (ANALYSIS.compute(run, ANALYSIS.params(**FAST | {"ks": (3, 8)}), Silent()) for _ in range(2))
    for spec, table in again.items():
        assert table.equals(first[spec]), spec.name


def test_text_without_annotation_has_no_planted_table(result: Result) -> None:
    assert len(result.table("planted")) == 0


def test_features_of_one_planted_concept_share_a_prototype_more_than_density_matched_pairs() -> None:
    demo = Store(Path(__file__).resolve().parents[2] / "cache").run("demo")
    found = planted_pairs(demo, pattern_matrix(demo, "random", 20), 25, 0).set_index(["method", "pairs"])
    for method in ("svd", "varimax"):
        one, matched = found.loc[(method, "one concept")], found.loc[(method, "density-matched")]
        assert one["lo"] > matched["hi"]
        assert one["cosine"] > matched["cosine"]
        assert one["n_concepts"] >= 5
        assert found.loc[method][["lo", "share", "hi"]].apply(lambda row: row.is_monotonic_increasing, axis=1).all()


def test_too_few_pairs_are_refused(run: Run) -> None:
    with pytest.raises(InputError, match="pairs of features") as error:
        run_analysis(run, ANALYSIS, FAST | {"rows": "random", "min_firings": 58})
    assert "rows=all" in error.value.remedy


def test_a_decoder_that_is_not_here_is_said_and_can_be_left_out(run: Run) -> None:
    with pytest.raises(NotFoundError) as error:
        run_analysis(run, ANALYSIS, {"rows": "all"})
    assert "decoder=false" in error.value.remedy
