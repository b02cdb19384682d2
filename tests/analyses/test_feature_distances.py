from pathlib import Path

import numpy as np
import pytest

from core.analyses.base import Silent
from core.analyses.feature_distances import ANALYSIS
from core.errors import InputError
from core.results import Result, run_analysis
from core.store import Run
from tests.analyses.pattern_runs import N_TOPICS, topic_run, topic_world


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return topic_run(tmp_path_factory.mktemp("distances"))


@pytest.fixture(scope="module")
def result(run: Run) -> Result:
    return run_analysis(run, ANALYSIS, {"decoder": False})


def test_counts_and_affinities_are_those_of_the_acts(result: Result) -> None:
    fires = topic_world().acts.reshape(-1, 40) > 0
    fires = fires.reshape(400, 16, 40)[:, 1:].reshape(-1, 40)
    for row in result.table("distance_neighbours").query("rank in (0, 7)").itertuples():
        a, b = fires[:, row.feature], fires[:, row.neighbour]
        assert row.n_both == (a & b).sum()
        assert row.jaccard == pytest.approx((a & b).sum() / (a | b).sum(), rel=1e-5)
        assert row.overlap == pytest.approx((a & b).sum() / min(a.sum(), b.sum()), rel=1e-5)
        assert row.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), rel=1e-5)
        assert row.phi == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-5)


@pytest.mark.parametrize("affinity", ["jaccard", "phi", "c_cosine"])
def test_the_nearest_features_are_of_the_same_planted_topic(result: Result, affinity: str) -> None:
    near = result.table("distance_neighbours").query("affinity == @affinity and rank < 5")
    assert (near["feature"] % N_TOPICS == near["neighbour"] % N_TOPICS).mean() > 0.9


def test_independent_features_are_as_near_as_shuffled_ones(tmp_path: Path, result: Result) -> None:
    null = run_analysis(topic_run(tmp_path, structured=False), ANALYSIS, {"decoder": False})
    for found, real in ((null, False), (result, True)):
        nearest = found.table("distance_neighbours").query("affinity == 'phi' and rank == 0")["phi"].median()
        by_chance = found.table("units")["nearest_phi_null"].item()
        assert (nearest > 1.5 * by_chance) == real


def test_histograms_count_all_pairs_beside_shuffled_ones(result: Result) -> None:
    table = result.table("distance_histograms")
    n = result.table("units")["n_features"].item()
    whole = table[table["feature"].isna()].set_index("affinity")
    for affinity in ("jaccard", "overlap", "phi"):
        assert np.sum(whole.loc[affinity, "counts"]) == n * (n - 1)
        assert np.sum(whole.loc[affinity, "null_counts"]) == n * (n - 1)
    assert (table[table["feature"].notna()]["counts"].map(np.sum) == n - 1).all()


@pytest.mark.parametrize("affinity", ["c_cosine", "c_euclid"])
def test_columns_of_c_lie_otherwise_than_shuffled_ones_only_where_topics_are_planted(
    affinity: str, tmp_path: Path, result: Result
) -> None:
    null = run_analysis(topic_run(tmp_path, structured=False), ANALYSIS, {"decoder": False})
    apart = []
    for found in (result, null):
        row = found.table("distance_histograms").query("affinity == @affinity and feature.isna()").iloc[0]
        assert np.sum(row["counts"]) == np.sum(row["null_counts"])
        apart.append(np.abs(row["counts"] - row["null_counts"]).sum() / 2 / np.sum(row["counts"]))
    assert apart[0] > 0.2
    assert apart[1] < 0.1


def test_clusters_are_the_planted_topics_and_a_medoid_is_a_member(run: Run, result: Result) -> None:
    table = run_analysis(run, ANALYSIS, {"decoder": False, "k": 4, "n_clusters": N_TOPICS}).table("clusters")
    assert table["cluster"].nunique() == N_TOPICS
    for _, members in table.groupby("cluster"):
        assert members["feature"].mod(N_TOPICS).nunique() == 1
        assert members["medoid"].nunique() == 1
        assert members["medoid"].iloc[0] in set(members["feature"])
    assert result.table("clusters")["cluster"].nunique() == result.table("units")["n_features"].item() // 4


def test_the_dendrogram_puts_topics_together_and_the_kernel_is_exact_at_full_rank(result: Result) -> None:
    order = result.table("order").query("affinity == 'phi'").sort_values("place")["feature"].to_numpy()
    assert (np.diff(order % N_TOPICS) != 0).sum() == N_TOPICS - 1
    kernel = result.table("kernel")
    assert kernel["eigenvalue"].min() > -1e-9
    assert kernel["error"].iloc[-1] < 1e-9
    assert kernel["error"].iloc[0] > 0.1
    tree = result.table("dendrogram").query("affinity == 'phi'")
    assert tree["size"].iloc[-1] == len(order)


def test_per_context_features_fire_together_more_often(run: Run, result: Result) -> None:
    wide = run_analysis(run, ANALYSIS, {"decoder": False, "per": "context"})
    assert wide.table("units")["n_units"].item() == 400
    by = "affinity == 'jaccard' and rank == 0"
    nearest = [found.table("distance_neighbours").query(by)["jaccard"].median() for found in (wide, result)]
    assert nearest[0] > nearest[1]


def test_the_same_question_gives_the_same_tables(run: Run) -> None:
    first, again = (ANALYSIS.compute(run, ANALYSIS.params(decoder=False), Silent()) for _ in range(2))
    for spec, table in again.items():
        assert table.equals(first[spec]), spec.name


@pytest.mark.parametrize("values", [{"n_kernel": 5_000}, {"n_dendrogram": 1}, {"n_clusters": 0}, {"k": 0}])
def test_samples_out_of_bounds_are_refused(run: Run, values: dict) -> None:
    with pytest.raises(InputError, match="out of bounds"):
        run_analysis(run, ANALYSIS, values | {"decoder": False})
