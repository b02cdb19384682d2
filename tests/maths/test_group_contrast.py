"""What tells two groups apart: p is uniform or larger under the null, shuffles and folds respect documents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from core.maths.group_contrast import compare_shuffled, difference_intervals, exact_p, folds, held_out, shuffles
from core.maths.sparse_auroc import SparseRanks


def firings(rng: np.random.Generator, n: int, n_columns: int) -> sparse.csc_matrix:
    """Columns that fire on 1 % to all texts."""
    share = np.exp(rng.uniform(np.log(0.01), 0.3, n_columns))
    return sparse.csc_matrix(rng.gamma(2, 1, (n, n_columns)) * (rng.random((n, n_columns)) < share))


@pytest.mark.parametrize(("n_a", "n_b"), [(60, 60), (12, 200), (8, 8), (4, 30)])
def test_p_is_not_smaller_than_it_says_when_groups_are_alike(n_a: int, n_b: int) -> None:
    rng = np.random.default_rng(0)
    acts = firings(rng, n_a + n_b, 6000)
    member = np.arange(n_a + n_b) < n_a
    p = exact_p(acts, SparseRanks.of(acts), member)
    for level in (0.2, 0.05, 0.01, 0.001):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / len(p)), level


def test_p_of_a_rare_feature_is_fishers_and_of_a_frequent_one_mann_whitneys() -> None:
    rng = np.random.default_rng(1)
    member = np.arange(60) < 25
    values = np.stack([(np.arange(60) < 9) * 1.0, 1 + rng.random(60)], axis=1)
    acts = sparse.csc_matrix(values)
    rare, frequent = exact_p(acts, SparseRanks.of(acts), member)
    fisher = [stats.fisher_exact([[9, 16], [0, 35]], side).pvalue for side in ("less", "greater")]
    assert rare == pytest.approx(2 * min(fisher), abs=1e-9)
    expected = stats.mannwhitneyu(values[member, 1], values[~member, 1], method="asymptotic").pvalue
    assert frequent == pytest.approx(expected, abs=1e-9)


def test_a_feature_that_fires_everywhere_but_stronger_in_one_group_is_seen() -> None:
    member = np.arange(60) < 30
    acts = sparse.csc_matrix((1 + np.random.default_rng(0).random(60) + member)[:, None])
    assert exact_p(acts, SparseRanks.of(acts), member)[0] < 1e-6


def test_shuffles_keep_documents_together_and_mixed_documents_mixed() -> None:
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(10), 3)
    drawn = shuffles(unit < 5, unit, 40, rng)
    per_unit = drawn.reshape(10, 3, 40)
    assert (per_unit.all(1) | ~per_unit.any(1)).all()
    assert (per_unit[:, 0].sum(0) == 5).all()
    mixed = shuffles(np.tile([True, False, False], 10), unit, 40, rng).reshape(10, 3, 40)
    assert (mixed.sum(1) == 1).all()
    assert 0.2 < mixed[:, 0].mean() < 0.5


def test_the_best_feature_of_equal_groups_is_ordinary() -> None:
    rng = np.random.default_rng(3)
    member, unit = np.arange(40) < 20, np.arange(40)
    least = []
    for seed in range(100):
        acts = firings(rng, 40, 60)
        least.append(compare_shuffled(SparseRanks.of(acts), member, unit, 99, seed).p_max.min())
    assert np.mean(np.array(least) <= 0.1) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 100)
    assert 0.3 < np.mean(least) < 0.7


def test_shuffling_texts_of_alike_documents_as_if_independent_would_find_something() -> None:
    """Why documents are shuffled whole: a feature that follows documents looks like a difference of groups."""
    rng = np.random.default_rng(4)
    unit = np.repeat(np.arange(8), 25)
    member = unit < 4
    acts = sparse.csc_matrix((rng.gamma(2, 1, (8, 300)) * (rng.random((8, 300)) < 0.5))[unit] + 1e-3)
    ranks = SparseRanks.of(acts)
    assert compare_shuffled(ranks, member, unit, 99, 0).p_max.min() > 0.05
    assert compare_shuffled(ranks, member, np.arange(200), 99, 0).p_max.min() == 0.01


def test_folds_hold_whole_documents_and_both_groups() -> None:
    unit = np.repeat(np.arange(20), 3)
    member = unit < 10
    fold = folds(member, unit, 5, 0)
    assert all(len(set(fold[unit == u])) == 1 for u in range(20))
    assert np.bincount(fold[member]).tolist() == np.bincount(fold[~member]).tolist() == [6] * 5


def test_held_out_area_is_a_half_for_features_that_know_nothing_and_high_for_the_planted_one() -> None:
    rng = np.random.default_rng(5)
    member, unit = np.arange(100) < 50, np.arange(100)
    acts = firings(rng, 100, 300).tolil()
    acts[:, 7] = (member * (1 + rng.random(100)))[:, None]
    found = held_out(acts.tocsc(), member, unit, 5, 0)
    assert found.auroc[7] == pytest.approx(1)
    assert found.n_best[7] == 5
    assert [row[1] for row in found.chosen] == [7] * 5
    others = np.delete(found.auroc, 7)
    assert np.nanmean(others) == pytest.approx(0.5, abs=0.02)
    null = held_out(firings(rng, 100, 300), member, unit, 5, 0)
    assert np.mean([row[2] for row in null.chosen]) > 0.6, "the chosen one looks good where it was chosen"
    assert np.mean([row[3] for row in null.chosen]) < 0.6


@pytest.mark.parametrize(("n", "share_a", "share_b"), [(30, 0.4, 0.4), (15, 0.9, 0.1), (60, 0.05, 0.0)])
def test_difference_intervals_hold_the_truth(n: int, share_a: float, share_b: float) -> None:
    rng = np.random.default_rng(6)
    member = np.arange(2 * n) < n
    fires = sparse.csc_matrix(rng.random((2 * n, 600)) < np.where(member, share_a, share_b)[:, None], dtype=float)
    lo, hi = difference_intervals(fires, member, np.arange(2 * n), 0)
    assert ((lo <= share_a - share_b) & (share_a - share_b <= hi)).mean() >= 0.93
    assert (lo >= -1).all()
    assert (hi <= 1).all()


def test_three_texts_against_three_are_not_certain() -> None:
    member = np.arange(6) < 3
    lo, hi = difference_intervals(sparse.csc_matrix(member[:, None].astype(float)), member, np.arange(6), 0)
    assert lo[0] < 0.5
    assert hi[0] == pytest.approx(1, abs=0.3)
