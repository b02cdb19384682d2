"""Intervals, thresholds and adjusted p against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from core.maths.rates import adjust, bank_threshold, clopper_pearson, group_interval, held_out_fired, upper_limit


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_clopper_pearson_equals_scipy_for_every_count(level: float) -> None:
    for n in (1, 2, 7, 12, 40):
        lo, hi = clopper_pearson(np.arange(n + 1), np.full(n + 1, n), level)
        for k in range(n + 1):
            exact = binomtest(k, n).proportion_ci(level, "exact")
            assert (lo[k], hi[k]) == pytest.approx((exact.low, exact.high), abs=1e-10)


def test_upper_limit_equals_scipys_one_sided_interval() -> None:
    for n in (1, 5, 12, 60):
        for k in range(n + 1):
            expected = binomtest(k, n, alternative="less").proportion_ci(0.95, "exact").high
            assert upper_limit(np.array(k), np.array(n)) == pytest.approx(expected, abs=1e-10)


def test_clopper_pearson_equals_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    k, n = np.array([0, 3, 30, 60]), np.full(4, 60)
    expected = proportion.proportion_confint(k, n, 0.05, "beta")
    assert np.allclose(clopper_pearson(k, n), expected, atol=1e-10)


def test_untried_group_may_have_any_rate() -> None:
    lo, hi = clopper_pearson(np.array([0]), np.array([0]))
    assert (lo[0], hi[0]) == (0.0, 1.0)


@given(st.integers(0, 300), st.integers(1, 300))
def test_interval_contains_the_rate_and_the_one_sided_limit_lies_inside(k: int, n: int) -> None:
    k = min(k, n)
    lo, hi = clopper_pearson(np.array(k), np.array(n))
    assert 0 <= lo <= k / n <= hi <= 1
    assert k / n <= upper_limit(np.array(k), np.array(n)) <= hi + 1e-12


def test_theta5_is_numpys_inverted_cdf_and_at_most_5_percent_lie_above() -> None:
    rng = np.random.default_rng(0)
    for n_groups, n in ((300, 12), (99, 7), (100, 3), (2, 1)):
        acts = rng.gamma(1.0, 1.0, (4, n_groups, n)) * (rng.random((4, n_groups, n)) < 0.4)
        theta = bank_threshold(acts)
        flat = acts.reshape(4, -1)
        assert np.array_equal(theta, np.quantile(flat, 0.95, axis=1, method="inverted_cdf"))
        assert np.all((flat > theta[:, None]).mean(1) <= 0.05)
        below = np.array([row[row < t].max(initial=-1.0) for row, t in zip(flat, theta, strict=True)])
        assert np.all((flat > below[:, None]).mean(1) > 0.05)  # any lower act would let more than 5 % through


def test_theta5_counts_whole_phrases_where_floating_point_would_not() -> None:
    acts = np.arange(1, 21, dtype=float).reshape(1, 20, 1)  # 5 % of 20 is one phrase, exactly
    assert bank_threshold(acts)[0] == 19.0


def test_theta5_is_zero_for_a_feature_that_fires_on_fewer_than_5_percent() -> None:
    acts = np.zeros((1, 300, 12))
    acts[0, :10, 0] = 1.0
    assert bank_threshold(acts)[0] == 0.0


@pytest.mark.parametrize("alike", [False, True])
def test_held_out_rate_is_5_percent_on_average_and_its_interval_holds_it(alike: bool) -> None:
    rng = np.random.default_rng(1)
    acts = rng.gamma(2.0, 1.0, (400, 300, 12))
    if alike:
        acts *= rng.gamma(4.0, 1.0, (400, 300, 1))  # phrases of a group resemble each other
    fired = held_out_fired(acts)
    assert fired.shape == (400, 150)
    assert fired.mean() / 12 == pytest.approx(0.05, abs=0.002)
    lo, hi = group_interval(fired, 12, n_boot=400)
    # below 95 %: the interval is of the checked half, while the threshold of the other half errs as much again
    assert 0.75 < np.mean((lo <= 0.05) & (hi >= 0.05)) < 0.97


def test_held_out_check_notices_a_threshold_that_does_not_carry_over() -> None:
    acts = np.random.default_rng(2).random((1, 300, 12))
    order = np.random.default_rng(0).permutation(300)  # the split that seed 0 makes
    acts[0, order[150:]] *= 3  # the half that is checked fires far more
    assert held_out_fired(acts, seed=0).mean() / 12 > 0.5


@pytest.mark.parametrize(("icc", "rate"), [(0.0, 0.05), (0.1, 0.05), (0.4, 0.2)])
def test_group_interval_covers_the_rate_where_phrases_of_a_group_are_alike(icc: float, rate: float) -> None:
    rng = np.random.default_rng(3)
    spread = 1 / icc - 1 if icc else 0
    rates = rng.beta(rate * spread, (1 - rate) * spread, (600, 150)) if icc else np.full((600, 150), rate)
    lo, hi = group_interval(rng.binomial(12, rates), 12, n_boot=400)
    assert 0.91 < np.mean((lo <= rate) & (rate <= hi)) < 0.98


def test_group_interval_of_a_silent_bank_is_exact_over_groups_and_not_a_point() -> None:
    lo, hi = group_interval(np.zeros((1, 300), int), 12)
    assert lo[0] == 0
    assert hi[0] == pytest.approx(1 - 0.025 ** (1 / 300))


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("hochberg", "simes-hochberg")])
def test_adjusted_p_equals_statsmodels(ours: str, theirs: str) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for m in (1, 2, 5, 8):
        for p in (rng.random(m), np.full(m, 0.03), np.round(rng.random(m), 1)):
            expected = multitest.multipletests(p, method=theirs)[1]
            assert np.allclose(adjust(p[None], ours)[0], np.minimum(expected, 1.0))


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8))
def test_adjusted_p_is_between_p_and_one_and_hochberg_never_exceeds_holm(values: list[float]) -> None:
    p = np.array(values)
    holm, hochberg = adjust(p, "holm"), adjust(p, "hochberg")
    assert np.all(p <= hochberg + 1e-15)
    assert np.all(hochberg <= holm + 1e-15)
    assert np.all(holm <= 1)
    assert np.all(np.diff(hochberg[np.argsort(p, kind="stable")]) >= -1e-15)
