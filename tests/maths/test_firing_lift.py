"""Lift of firing shares, false discovery rate, and contexts cut to the lengths of texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.maths.firing_lift import discovery_rate, fisher_differs, fisher_more, lift_interval, match_lengths


@given(st.integers(1, 30), st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_fisher_equals_scipy(n: int, m: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    table = [[x, n - x], [y, m - y]]
    tails = [stats.fisher_exact(table, side).pvalue for side in ("greater", "less")]
    assert fisher_more(np.array([x]), n, np.array([y]), m)[0] == pytest.approx(tails[0], abs=1e-9)
    assert fisher_differs(np.array([x]), n, np.array([y]), m)[0] == pytest.approx(min(1, 2 * min(tails)), abs=1e-9)


def test_discovery_rate_is_benjamini_and_hochbergs() -> None:
    p = np.random.default_rng(0).random(200) ** 3
    order = np.argsort(p)
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    expected = np.empty(len(p))
    expected[order] = np.minimum.accumulate(steps[::-1])[::-1]
    np.testing.assert_allclose(discovery_rate(p), np.minimum(expected, 1), atol=1e-12)
    assert len(discovery_rate(np.zeros(0))) == 0


@pytest.mark.parametrize(("share", "base"), [(0.3, 0.05), (0.9, 0.6), (0.1, 0.1), (0.5, 0.01)])
def test_the_lift_interval_holds_the_truth_as_often_as_it_says(share: float, base: float) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.binomial(40, share, 4000), rng.binomial(800, base, 4000)
    lo, hi = lift_interval(x, 40, y, 800)
    assert 0.92 <= ((lo <= share / base) & (share / base <= hi)).mean() <= 0.99


def test_a_feature_silent_on_the_base_still_has_a_lower_end() -> None:
    lo, hi = lift_interval(np.array([20]), 20, np.array([0]), 1000)
    assert 50 < lo[0] < hi[0] < np.inf


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(sizes, sizes, st.integers(1, 200), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_contexts_are_different_and_long_enough(wanted: list[int], available: list[int], most: int, seed: int) -> None:
    cuts = match_lengths(np.array(wanted), np.array(available), most, np.random.default_rng(seed))
    assert len(cuts.context) == len(set(cuts.context.tolist())) >= 1
    assert (np.diff(cuts.context) > 0).all()
    assert (np.array(available)[cuts.context] >= cuts.length).all()
    assert set(cuts.length.tolist()) <= {min(w, cuts.longest) for w in wanted}
    assert len(cuts.context) <= max(most, 1)


def test_each_length_comes_equally_often_where_contexts_allow() -> None:
    wanted = np.array([3, 5, 5, 9])
    cuts = match_lengths(wanted, np.full(100, 20), 1000, np.random.default_rng(0))
    assert np.unique(cuts.length, return_counts=True)[1].tolist() == [25, 50, 25]
    assert cuts.n_longer == 0


def test_texts_longer_than_all_contexts_are_counted() -> None:
    cuts = match_lengths(np.array([5, 50, 60]), np.full(30, 10), 1000, np.random.default_rng(0))
    assert cuts.n_longer == 2
    assert cuts.longest == 10


def test_which_contexts_are_drawn_does_not_depend_on_how_long_they_are_beyond_the_cut() -> None:
    available = np.repeat([10, 100], 200)
    drawn = [match_lengths(np.full(40, 8), available, 40, np.random.default_rng(s)).context for s in range(50)]
    share = (np.concatenate(drawn) < 200).mean()
    assert share == pytest.approx(0.5, abs=0.05)
