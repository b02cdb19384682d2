"""Peak tokens by brute force; the divergence of top examples on planted illusions and on exchangeable features."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import kstest

from core.maths.peak_tokens import (
    MIN_CONTEXTS,
    N_NULL,
    N_TOP,
    Peaks,
    find_peaks,
    frequent_tokens,
    top_divergences,
)

VOCABULARY = 50


def peaks_of(features: list[tuple[np.ndarray, np.ndarray]]) -> Peaks:
    """Peaks from ``(token, act)`` of each feature."""
    ptr = np.cumsum([0] + [len(t) for t, _ in features])
    tokens = np.concatenate([t for t, _ in features]).astype(np.int32)
    return Peaks(ptr, tokens, np.concatenate([a for _, a in features]).astype(np.float32))


def divergences(features: list[tuple[np.ndarray, np.ndarray]], seed: int = 0, n_null: int = N_NULL) -> np.ndarray:
    return top_divergences(peaks_of(features), np.arange(len(features)), VOCABULARY, seed, n_null)


def exchangeable(rng, n_contexts: int, n_tokens: int = VOCABULARY, levels: int | None = None):
    """Peak tokens and acts drawn independently; ``levels`` few acts only, so that many are equal."""
    acts = rng.integers(1, levels + 1, n_contexts) if levels else rng.gamma(2, 1, n_contexts)
    return rng.integers(0, n_tokens, n_contexts), acts


def test_peaks_are_each_contexts_first_highest_firing():
    ctx_ptr, token = np.array([0, 4, 8]), np.arange(8, dtype=np.int32)
    context = np.array([0, 0, 0, 1, 1, 1], np.int32)
    pos = np.array([1, 2, 3, 0, 3, 2], np.int16)
    act = np.array([1, 3, 3, 2, 5, 4], np.float32)
    got = find_peaks(np.array([0, 4, 4, 6]), context, pos, act, ctx_ptr, token)
    assert got.ptr.tolist() == [0, 2, 2, 3]  # context 1 belongs to two features: two peaks
    assert got.token.tolist() == [2, 4, 7]
    assert got.act.tolist() == [3, 2, 5]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=40))
def test_frequent_tokens_are_ordered_by_count_then_act_then_id(peaks):
    token, act = np.array([t for t, _ in peaks], int), np.array([a for _, a in peaks], float)
    counts = Counter(token.tolist())
    order = sorted(counts, key=lambda t: (-counts[t], -act[token == t].max(), t))[:5]
    noise = (np.array([1, 1, 2]), np.array([9.0, 9, 9]))
    got = frequent_tokens(peaks_of([noise, (token, act), noise]), 10)
    assert got[1].tolist() == order + [-1] * (5 - len(order))
    assert got[0].tolist() == got[2].tolist() == [1, 2, -1, -1, -1]


def test_divergence_and_its_null_equal_brute_force():
    rng = np.random.default_rng(0)
    token, act = exchangeable(rng, 90, 8)
    token.sort()  # like contexts lie together: a null that drew from some of them only would be too divergent
    observed, high, p = divergences([(token, act)])[0]
    order = np.argsort(-act)

    def split(order):
        top, rest = (np.bincount(token[part], minlength=8) for part in (order[:N_TOP], order[N_TOP:]))
        return jensenshannon(top, rest, base=2) ** 2

    assert observed == pytest.approx(split(order), abs=1e-9)
    null = np.array([split(rng.permutation(90)) for _ in range(3000)])
    assert high == pytest.approx(np.quantile(null, 0.95), abs=0.02)
    assert p == pytest.approx((null >= split(order)).mean(), abs=0.05)


def test_an_illusion_is_seen_when_the_top_is_one_word_and_the_rest_are_others():
    rng = np.random.default_rng(1)
    token, act = exchangeable(rng, 300)
    act[:30] += 100
    token[:30] = 7
    observed, high, p = divergences([(token, act)])[0]
    assert p == 1 / (1 + N_NULL)
    assert observed > high + 0.2


def test_p_is_uniform_for_exchangeable_features():
    rng = np.random.default_rng(2)
    p = divergences([exchangeable(rng, int(n)) for n in rng.integers(40, 1000, 400)])[:, 2]
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("levels", [None, 1, 4])
@pytest.mark.parametrize("n_contexts", [40, 45, 200])
@pytest.mark.parametrize("n_tokens", [2, VOCABULARY])
def test_p_is_never_too_small_with_ties_few_contexts_or_few_tokens(levels, n_contexts, n_tokens):
    rng = np.random.default_rng([levels or 0, n_contexts, n_tokens])
    p = divergences([exchangeable(rng, n_contexts, n_tokens, levels) for _ in range(300)])[:, 2]
    for alpha, most in ((0.05, 0.05 + 3.5 * 0.0126), (0.2, 0.2 + 3.5 * 0.0231)):  # 3.5 standard errors of 300
        assert (p <= alpha).mean() <= most


def test_ties_in_reading_order_do_not_choose_the_top():
    """Equal acts whose first contexts share a token: taking the first 20 would find an illusion that is none."""
    token = np.repeat(np.arange(10), 20)
    p = divergences([(token, np.ones(200))] * 100)[:, 2]
    assert np.median(p) > 0.3


def test_a_feature_of_one_token_diverges_by_nothing():
    observed, high, p = divergences([(np.full(60, 3), np.arange(60.0))])[0]
    assert (observed, high, p) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12), 1.0)


def test_below_forty_firing_contexts_there_is_no_answer():
    rng = np.random.default_rng(3)
    got = divergences([exchangeable(rng, MIN_CONTEXTS - 1), exchangeable(rng, MIN_CONTEXTS), exchangeable(rng, 0)])
    assert np.isnan(got).all(axis=1).tolist() == [True, False, True]


def test_draws_follow_from_seed_and_feature_only():
    rng = np.random.default_rng(4)
    features = [exchangeable(rng, 100) for _ in range(10)]
    whole = divergences(features, seed=5)
    alone = top_divergences(peaks_of(features[6:7]), np.array([6]), VOCABULARY, 5)
    np.testing.assert_array_equal(whole[6:7], alone)
    assert (whole != divergences(features, seed=6)).any()
