"""Bounds, divergence and summaries against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest

from core.maths.statistics import (
    QUANTILES,
    js_divergence,
    linear_edges,
    log_edges,
    rule_of_three,
    summarise_acts,
)

ACTS = arrays(np.float32, st.integers(1, 60), elements=st.floats(2**-14, 1000, width=16))


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
def test_rule_of_three_is_the_upper_end_of_clopper_pearson_without_successes(n):
    assert rule_of_three(n) == pytest.approx(binomtest(0, n).proportion_ci(0.95).high)


def test_rule_of_three_allows_everything_when_nothing_was_seen():
    assert rule_of_three(0) == 1.0


@settings(deadline=None)
@given(arrays(np.int64, 6, elements=st.integers(0, 9)), arrays(np.int64, 6, elements=st.integers(0, 9)))
def test_js_divergence_equals_scipys_and_is_symmetric(p, q):
    p[0] += 1
    q[1] += 1
    assert js_divergence(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert js_divergence(p, q) == pytest.approx(js_divergence(q, p), abs=1e-12)


def test_js_divergence_is_one_bit_when_disjoint_and_zero_when_proportional():
    assert js_divergence(np.array([3, 0, 1]), np.array([0, 5, 0])) == 1.0
    assert js_divergence(np.array([1, 2]), np.array([10, 20])) == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(st.lists(ACTS, min_size=1, max_size=4))
def test_summaries_equal_numpys_for_every_segment(segments):
    segments.insert(1, np.empty(0, np.float32))
    ptr = np.cumsum([0] + [len(s) for s in segments])
    act = np.concatenate(segments)
    before = act.copy()
    got = summarise_acts(ptr, act)
    np.testing.assert_array_equal(act, before)
    for i, mine in enumerate(segments):
        if not len(mine):
            assert np.isnan([got.mean[i], got.max[i], got.log_lo[i], *got.quantiles[i]]).all()
            assert not got.linear[i].any()
            assert not got.log[i].any()
            continue
        wide = mine.astype(np.float64)
        assert got.max[i] == mine.max()
        assert got.mean[i] == pytest.approx(wide.mean(), rel=1e-12)
        np.testing.assert_allclose(got.quantiles[i], np.quantile(wide, QUANTILES), rtol=1e-12)
        np.testing.assert_array_equal(got.linear[i], np.histogram(wide, linear_edges(mine.max()))[0])
        np.testing.assert_array_equal(got.log[i], np.histogram(wide, log_edges(got.log_lo[i], mine.max()))[0])
        assert got.linear[i].sum() == got.log[i].sum() == len(mine)


def test_acts_on_an_edge_fall_in_the_bin_above_it():
    acts = np.arange(1, 31, dtype=np.float32)
    got = summarise_acts(np.array([0, 30]), acts)
    np.testing.assert_array_equal(got.linear[0], np.histogram(acts, linear_edges(30))[0])
    assert got.linear[0, 0] == 0
    assert got.linear[0, -1] == 2


def test_edges_are_equal_in_width_or_in_ratio_and_end_exactly():
    np.testing.assert_allclose(linear_edges(6.0), np.linspace(0, 6, 31))
    np.testing.assert_allclose(log_edges(0.1, 7.0), np.geomspace(0.1, 7, 31))
    assert log_edges(0.1, 7.0)[-1] == 7.0


def test_equal_acts_fall_in_the_last_bin_of_both_scales():
    got = summarise_acts(np.array([0, 5]), np.full(5, 2.5, np.float32))
    assert got.linear[0, -1] == got.log[0, -1] == 5
    assert got.log_lo[0] == np.float32(0.25)
