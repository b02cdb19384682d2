import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import pairwise_distances

from core.maths import cofiring, pair_counts
from core.maths.affinities import affinity_block, dice, jaccard, overlap, phi
from core.maths.cofiring import N_BINS, cofiring_pass
from core.maths.dense_neighbours import dense_neighbours
from tests.maths.pattern_worlds import binary, random_acts


@pytest.fixture(params=[0.03, 0.3])
def fires(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    return binary(random_acts(7, n_rows=200, n_features=60, density=request.param))


def test_blocks_equal_scipy_and_numpy(fires) -> None:  # type: ignore[no-untyped-def]
    dense, rows, columns = fires.toarray(), np.arange(5, 20), np.arange(0, 60, 7)
    of_jaccard = 1 - squareform(pdist(dense.T.astype(bool), "jaccard"))
    of_dice = 1 - squareform(pdist(dense.T.astype(bool), "dice"))
    at = np.ix_(rows, columns)
    np.testing.assert_allclose(affinity_block(fires, rows, columns, "jaccard"), of_jaccard[at], atol=1e-12)
    np.testing.assert_allclose(affinity_block(fires, rows, columns, "dice"), of_dice[at], atol=1e-12)
    np.testing.assert_allclose(affinity_block(fires, rows, columns, "phi"), np.corrcoef(dense.T)[at], atol=1e-12)


def _all(fires) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    everything = np.arange(fires.shape[1])
    return {name: affinity_block(fires, everything, everything, name) for name in cofiring.RANKED}


def test_the_pass_finds_the_nearest_features_of_the_full_matrix(fires) -> None:  # type: ignore[no-untyped-def]
    found, full = cofiring_pass(fires, 10), _all(fires)
    both = fires.T @ fires
    for m, name in enumerate(cofiring.RANKED):
        for i in range(60):
            others = [j for j in range(60) if j != i and both[i, j] > 0]
            expected = sorted(others, key=lambda j: (-round(full[name][i, j], 12), j))[:10]
            mine = [j for j in found.index[m, i] if j >= 0]
            np.testing.assert_allclose(full[name][i, mine], full[name][i, expected], atol=1e-12)
            assert len(mine) == len(expected)


def test_the_histograms_count_every_other_feature_once(fires) -> None:  # type: ignore[no-untyped-def]
    found, full = cofiring_pass(fires), _all(fires)
    assert (found.histograms.sum(2) == 59).all()
    for m, (name, lo) in enumerate(zip(cofiring.RANKED, (0.0, 0.0, -1.0), strict=True)):
        for i in range(60):
            values = np.delete(full[name][i], i)
            edges = np.linspace(lo, 1, N_BINS + 1)[1:-1]
            below = np.cumsum(found.histograms[m, i])[:-1]  # a value on an edge may fall on either side of it
            assert (below >= (values[:, None] < edges - 1e-9).sum(0)).all()
            assert (below <= (values[:, None] < edges + 1e-9).sum(0)).all()


def _falling(n_features: int = 1_300, n_rows: int = 400) -> sparse.csc_matrix:
    """Densities from nearly always to once, most pairs apart, a dead column and one that always fires."""
    rng = np.random.default_rng(3)
    density = rng.permutation(0.9 / np.arange(1, n_features + 1) ** 0.8)
    fires = rng.random((n_rows, n_features)) < density
    fires[:, 5], fires[:, 700] = False, True
    return sparse.csc_matrix(fires.astype(np.float64))


def test_the_pass_is_exact_where_most_pairs_are_only_glanced_at() -> None:
    fires = _falling()
    n, n_rows = fires.shape[1], fires.shape[0]
    found, both = cofiring_pass(fires, 20), (fires.T @ fires).toarray()
    counts = np.diag(both).copy()
    share = counts / n_rows
    odds = np.sqrt(share / (1 - np.where(share < 1, share, 0)) * (share < 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where((share > 0) & (share < 1), 1 / np.sqrt(share * (1 - share) * n_rows), 0)
        values = {
            "jaccard": jaccard(both, counts[:, None], counts[None, :]),
            "overlap": overlap(both, counts[:, None], counts[None, :]),
            "phi": both * (spread[:, None] * spread[None, :]) - odds[:, None] * odds[None, :],
        }
    for m, (name, lo) in enumerate(zip(cofiring.RANKED, (0.0, 0.0, -1.0), strict=True)):
        for i in range(n):
            of = np.where(both[i] > 0, values[name][i], -3)
            of[i] = -3
            best = np.argsort(-of, kind="stable")[:20]
            expected = np.where(of[best] > -3, best, -1)
            np.testing.assert_allclose(of[found.index[m, i]][expected >= 0], of[best][expected >= 0], atol=1e-12)
            np.testing.assert_array_equal(found.index[m, i] < 0, expected < 0)
            all_others = np.nan_to_num(np.delete(values[name][i], i))
            bins = np.floor((all_others - lo) / (1 - lo) * N_BINS + 1e-9)  # edges belong to the bin above
            wanted = np.bincount(np.clip(bins, 0, N_BINS - 1).astype(int), minlength=N_BINS)
            assert np.abs(found.histograms[m, i] - wanted).sum() <= 2 * _on_edges(all_others, lo)


def _on_edges(values: np.ndarray, lo: float) -> int:
    """How many lie so near an edge that rounding decides."""
    at = (values - lo) / (1 - lo) * N_BINS
    return int((np.abs(at - np.round(at)) < 1e-9).sum())


def test_pairs_that_meet_more_than_65535_times_are_counted() -> None:
    rng = np.random.default_rng(0)
    fires = rng.random((90_000, 3)) < np.array([0.9, 0.95, 0.3])
    found = cofiring_pass(sparse.csc_matrix(fires.astype(np.float64)), 2)
    assert (fires[:, 0] & fires[:, 1]).sum() > 2**16
    assert found.index[0].tolist() == [[1, 2], [0, 2], [1, 0]]
    share = (fires[:, 0] & fires[:, 1]).sum() / (fires[:, 0] | fires[:, 1]).sum()
    assert found.histograms[0, 0, int(share * N_BINS)] == 1


def test_counts_of_pairs_are_the_same_either_way(fires, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    pairs = np.stack(np.triu_indices(60, 1), 1)
    expected = (fires.T @ fires).toarray()[pairs[:, 0], pairs[:, 1]]
    np.testing.assert_array_equal(pair_counts.pair_counts(fires, pairs), expected)
    monkeypatch.setattr(pair_counts, "FEW_COLUMNS", 0)
    np.testing.assert_array_equal(pair_counts.pair_counts(fires, pairs), expected)


@pytest.mark.parametrize(("by", "metric"), [("cosine", "cosine"), ("euclid", "euclidean")])
def test_dense_neighbours_equal_sklearn_in_blocks(by: str, metric: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
    distance = pairwise_distances(vectors.astype(np.float64), metric=metric)
    found = dense_neighbours(vectors, by, 5, block=32)
    for i in range(90):
        expected = np.sort(np.delete(distance[i], i))[:5]
        np.testing.assert_allclose(distance[i, found.index[i]], expected, atol=1e-5)
    assert (found.histograms.sum(1) == 89).all()


def test_a_row_without_length_has_no_cosine_and_is_nobodys_neighbour() -> None:
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.1]])
    found = dense_neighbours(vectors, "cosine", 2)
    assert found.index.tolist() == [[-1, -1], [2, -1], [1, -1]]


def test_identical_features_are_alike_by_every_affinity_and_disjoint_ones_by_none() -> None:
    same, apart = (np.array(10), np.array(10), np.array(10)), (np.array(0), np.array(10), np.array(10))
    for affinity in (jaccard, dice, overlap):
        assert affinity(*same) == 1
        assert affinity(*apart) == 0
    assert phi(*same, 100) == pytest.approx(1)
    assert phi(*apart, 100) < 0
    assert np.isnan(phi(np.array(100), np.array(100), np.array(100), 100))
