"""AUROC of sparse columns against independent implementations; its interval by how often it holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.metrics import roc_auc_score

from core.maths.sparse_auroc import SparseRanks, auroc_interval


def tied(rng: np.random.Generator, n: int, n_columns: int) -> np.ndarray:
    """Dense values >= 0 with many zeros and many ties; the last column never fires."""
    values = np.round(rng.gamma(1, 2, (n, n_columns)), 0) * (rng.random((n, n_columns)) < rng.uniform(0, 1, n_columns))
    values[:, -1] = 0
    return values


@pytest.mark.parametrize("seed", range(5))
def test_auroc_equals_sklearn_with_zeros_and_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, member = tied(rng, 57, 20), rng.random((57, 3)) < 0.4
    found = SparseRanks.of(sparse.csc_matrix(values)).auroc(member)
    expected = [[roc_auc_score(m, column) for m in member.T] for column in values.T]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_auroc_is_not_defined_without_members_or_others() -> None:
    ranks = SparseRanks.of(sparse.csc_matrix(np.eye(4)))
    found = ranks.auroc(np.array([[True, False]] * 4))
    assert np.isnan(found).all()


@pytest.mark.parametrize("seed", range(5))
def test_mann_whitney_equals_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, member = tied(rng, 43, 20), rng.random(43) < 0.4
    found = SparseRanks.of(sparse.csc_matrix(values)).mann_whitney_p(member)
    expected = stats.mannwhitneyu(values[member], values[~member], method="asymptotic").pvalue
    np.testing.assert_allclose(found[:-1], np.minimum(expected[:-1], 1), rtol=0, atol=1e-9)
    assert found[-1] == 1


@pytest.mark.parametrize(("truth", "n", "m"), [(0.5, 20, 20), (0.8, 12, 40), (0.95, 30, 15)])
def test_the_interval_holds_the_truth_as_often_as_it_says(truth: float, n: int, m: int) -> None:
    rng = np.random.default_rng(1)
    shift = stats.norm.ppf(truth) * np.sqrt(2)
    member = np.arange(n + m) < n
    values = rng.normal(size=(n + m, 1000)) + shift * member[:, None] + 100
    auroc = SparseRanks.of(sparse.csc_matrix(values)).auroc(member[:, None])[:, 0]
    lo, hi = auroc_interval(auroc, n, m)
    assert 0.93 <= ((lo <= truth) & (truth <= hi)).mean() <= 0.99


def test_the_interval_of_a_perfect_area_is_no_point_and_stays_within_0_and_1() -> None:
    lo, hi = auroc_interval(np.array([0.0, 0.5, 1.0]), 5, 5)
    assert hi[2] == pytest.approx(1, abs=1e-9)
    assert lo[2] < 0.75
    assert lo[0] == pytest.approx(0, abs=1e-9)
    assert hi[0] > 0.25
    assert (lo >= 0).all()
    assert (hi <= 1 + 1e-9).all()
    assert lo[1] + hi[1] == pytest.approx(1, abs=1e-6), "an area of one half has a symmetrical interval"
