"""Do parts differ, how evenly, how much of the whole: against enumeration, scipy and known truths."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, permutation_test

from core.maths.decomposition_index import evenness, index, index_interval, parts_differ


def test_parts_differ_equals_full_enumeration_of_permutations() -> None:
    for fired in ([3, 0], [2, 1], [1, 2], [3, 3], [0, 0]):
        phrases = np.array([1] * fired[0] + [0] * (3 - fired[0]) + [1] * fired[1] + [0] * (3 - fired[1]))
        splits = {s for s in permutations(range(6))}
        counts = np.array([[phrases[list(s[:3])].sum(), phrases[list(s[3:])].sum()] for s in splits])
        expected = np.mean((counts**2).sum(1) >= (np.array(fired) ** 2).sum())
        assert parts_differ(np.array([fired]), np.full((1, 2), 3))[0] == pytest.approx(expected)


@pytest.mark.parametrize("fired", [[10, 1, 0, 1, 0], [4, 1, 2, 0, 1], [6, 7, 6, 5, 2], [12, 12, 12, 12, 11]])
def test_exact_p_agrees_with_scipys_permutation_test(fired: list[int]) -> None:
    groups = [np.r_[np.ones(k), np.zeros(12 - k)] for k in fired]

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        return sum(s.sum(axis=axis) ** 2 for s in samples)

    drawn = permutation_test(groups, statistic, n_resamples=20_000, alternative="greater", vectorized=True, rng=0)
    assert parts_differ(np.array([fired]), np.full((1, 5), 12))[0] == pytest.approx(drawn.pvalue, abs=0.012)


def test_drawn_p_for_unequal_parts_agrees_with_the_exact_one_next_to_it() -> None:
    exact = parts_differ(np.array([[9, 2, 3, 1, 0]]), np.full((1, 5), 12))[0]
    drawn = parts_differ(np.array([[9, 2, 3, 1, 0]]), np.array([[12, 12, 12, 12, 11]]))[0]
    assert drawn == pytest.approx(exact, abs=0.003)
    assert drawn > 0


def test_large_parts_agree_with_chi_square() -> None:
    fired = np.array([[30, 42, 38, 25, 35]])
    table = np.stack([fired[0], 100 - fired[0]])
    assert parts_differ(fired, np.full((1, 5), 100))[0] == pytest.approx(chi2_contingency(table).pvalue, abs=0.015)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_parts_with_one_rate_differ_in_at_most_5_percent(rate: float) -> None:
    fired = np.random.default_rng(0).binomial(12, rate, (4000, 5))
    assert np.mean(parts_differ(fired, np.full(fired.shape, 12)) <= 0.05) <= 0.06


def test_parts_that_were_not_measured_take_no_part() -> None:
    n = np.array([[12, 12, 12, 0, 0]])
    with_gaps = parts_differ(np.array([[10, 1, 0, 0, 0]]), n)
    assert with_gaps == pytest.approx(parts_differ(np.array([[10, 1, 0]]), np.full((1, 3), 12)))
    assert parts_differ(np.array([[5, 0, 0]]), np.array([[12, 0, 0]]))[0] == 1


def test_evenness_is_one_for_alike_parts_and_a_fifth_for_one_part_alone() -> None:
    n = np.full((3, 5), 12)
    values = evenness(np.array([[7] * 5, [9, 0, 0, 0, 0], [0] * 5]), n)
    assert values[:2] == pytest.approx([1.0, 0.2])
    assert np.isnan(values[2])


def test_index_is_the_share_of_the_whole_that_parts_reach_above_control() -> None:
    assert index(np.array([0.45]), np.array([0.85]), np.array([0.05]))[0] == pytest.approx(0.5)
    assert index(np.array([0.9]), np.array([0.8]), np.array([0.05]))[0] == 1
    assert index(np.array([0.01]), np.array([0.8]), np.array([0.05]))[0] == 0


@pytest.mark.parametrize(
    ("parts", "whole"), [((0.7,) * 5, 0.9), ((0.5,) * 5, 0.8), ((0.8, 0.05, 0.05, 0.05, 0.05), 0.8), ((0.2,) * 5, 0.4)]
)
def test_index_interval_covers_the_true_index_in_about_95_percent(parts: tuple[float, ...], whole: float) -> None:
    rng = np.random.default_rng(0)
    size = 800
    fired = rng.binomial(12, np.broadcast_to(parts, (size, 5)))
    n, whole_n = np.full((size, 5), 12), np.full(size, 40)
    point, lo, hi = index_interval(fired, n, rng.binomial(40, whole, size), whole_n, np.full(size, 0.05), n_boot=500)
    truth = (np.mean(parts) - 0.05) / (whole - 0.05)
    assert np.all((lo <= point) & (point <= hi))
    assert 0.90 < np.mean((lo <= truth + 1e-9) & (truth - 1e-9 <= hi)) < 0.99


@given(st.lists(st.integers(0, 12), min_size=2, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_numbers_do_not_depend_on_the_order_of_parts_or_on_other_features(fired: list[int], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(fired, len(fired))
    both = np.array([fired, shuffled])
    n = np.full(both.shape, 12)
    assert len(set(parts_differ(both, n))) == 1
    assert evenness(both, n)[0] == pytest.approx(evenness(both, n)[1], nan_ok=True)
    whole, whole_n, r0 = np.array([30, 30]), np.array([40, 40]), np.array([0.05, 0.05])
    together = np.array(index_interval(both, n, whole, whole_n, r0, n_boot=50))
    alone = np.array(index_interval(both[:1], n[:1], whole[:1], whole_n[:1], r0[:1], n_boot=50))
    assert np.allclose(together[:, 0], together[:, 1])
    assert np.allclose(together[:, :1], alone)
