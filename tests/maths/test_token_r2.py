"""The sparse held-out R^2 against a dense one with scikit-learn, on planted features and on nulls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from core.maths.token_r2 import TokenHalves


def dense_r2(y: np.ndarray, token: np.ndarray, half: np.ndarray) -> float:
    """Predict each half's acts by token means of the other half; all arguments ``[n real positions]``."""
    guess = np.empty(len(y))
    for h in (0, 1):
        train = half != h
        means = {t: y[train & (token == t)].mean() for t in np.unique(token[train])}
        guess[~train] = [means.get(t, y[train].mean()) for t in token[~train]]
    return float(r2_score(y, guess))


def world(rng, n_contexts=60, n_vocabulary=12, contexts_per_document=2):
    """Contexts of unequal length with special tokens (ids 0 and 1) at the start and strewn in."""
    ptr = np.concatenate([[0], np.cumsum(rng.integers(2, 20, n_contexts))])
    token = rng.integers(1, n_vocabulary, ptr[-1]).astype(np.int32)
    token[ptr[:-1]] = 0
    is_special = np.arange(n_vocabulary) < 2
    return ptr, token, is_special, (np.arange(n_contexts) // contexts_per_document).astype(np.int32)


def firings(y: np.ndarray, ptr: np.ndarray):
    """Segments of one feature from acts at every position."""
    at = np.flatnonzero(y)
    context = np.searchsorted(ptr, at, side="right") - 1
    return np.array([0, len(at)]), context.astype(np.int32), (at - ptr[context]).astype(np.int16), y[at]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.9), st.booleans(), st.sampled_from([30, 500]))
def test_sparse_r2_equals_the_dense_one_with_scikit_learn(seed, density, null, n_vocabulary):
    """Of 500 tokens a half lacks many, which are then predicted by its mean."""
    rng = np.random.default_rng(seed)
    ptr, token, is_special, document = world(rng, n_vocabulary=n_vocabulary)
    halves = TokenHalves.over(ptr, token, is_special, document, seed)
    real = ~is_special[token]
    y = ((rng.random(len(token)) < density) * real * rng.gamma(2, 1, len(token))).astype(np.float32)
    half = np.repeat(halves.half, np.diff(ptr))
    tokens = halves.rotated if null else token
    expected = dense_r2(y[real].astype(float), tokens[real], half[real])
    assert halves.r2(*firings(y, ptr), null=null)[0] == pytest.approx(expected, abs=1e-9)


def test_a_feature_that_is_its_token_scores_one_and_its_rotated_null_does_not():
    rng = np.random.default_rng(0)
    ptr, token, is_special, document = world(rng, n_contexts=400)
    halves = TokenHalves.over(ptr, token, is_special, document, 0)
    y = np.where(token == 5, 2.0, np.where(token == 7, 1.0, 0.0)).astype(np.float32)
    assert halves.r2(*firings(y, ptr))[0] == pytest.approx(1, abs=1e-9)
    assert halves.r2(*firings(y, ptr), null=True)[0] < 0.1


def test_features_that_ignore_tokens_score_no_more_than_zero_where_in_sample_shares_are_large():
    """METHODS 1.6 C2: in sample, eta^2 of such a feature is about (distinct tokens - 1) / (positions - 1)."""
    rng = np.random.default_rng(0)
    n_contexts, length, n_vocabulary = 400, 26, 4000
    ptr = np.arange(n_contexts + 1) * length
    share = 1 / np.arange(1, n_vocabulary + 1)
    token = rng.choice(n_vocabulary, ptr[-1], p=share / share.sum()).astype(np.int32)
    document = np.arange(n_contexts, dtype=np.int32)
    halves = TokenHalves.over(ptr, token, np.zeros(n_vocabulary, bool), document, 0)
    scores, in_sample = [], []
    for _ in range(40):
        y = ((rng.random(len(token)) < 0.1) * rng.gamma(2, 1, len(token))).astype(np.float32)
        scores.append(halves.r2(*firings(y, ptr))[0])
        mean = np.bincount(token, weights=y) / np.maximum(np.bincount(token), 1)
        in_sample.append(r2_score(y, mean[token]))
    assert np.mean(in_sample) > 0.1
    assert max(scores) < 0.01
    assert np.mean(scores) < 0


def test_undefined_where_a_half_never_fires_or_all_positions_are_alike():
    ptr = np.arange(21) * 3
    token = np.tile(np.array([1, 2, 3], np.int32), 20)
    document = np.arange(20, dtype=np.int32)
    halves = TokenHalves.over(ptr, token, np.zeros(4, bool), document, 0)
    in_one = np.repeat(halves.half == 1, 3).astype(np.float32)
    alike = np.full(60, 2.5, np.float32)
    for y in (np.zeros(60, np.float32), in_one, alike):
        assert np.isnan(halves.r2(*firings(y, ptr))[0])


def test_scratch_of_one_feature_does_not_leak_into_the_next():
    rng = np.random.default_rng(2)
    ptr, token, is_special, document = world(rng)
    halves = TokenHalves.over(ptr, token, is_special, document, 0)
    features = [((rng.random(len(token)) < d) * ~is_special[token]).astype(np.float32) for d in (0.5, 0.1, 0.9)]
    parts = [firings(y, ptr) for y in features]
    together = [np.concatenate([p[k] for p in parts]) for k in (1, 2, 3)]
    joined = np.cumsum([0] + [len(p[1]) for p in parts])
    np.testing.assert_array_equal(halves.r2(joined, *together), [halves.r2(*p)[0] for p in parts])


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_rotation_moves_every_contexts_real_tokens_round_by_one_offset_and_leaves_special_ones(seed):
    rng = np.random.default_rng(seed)
    ptr, token, is_special, document = world(rng, n_contexts=8, n_vocabulary=40)
    halves = TokenHalves.over(ptr, token, is_special, document, seed)
    for a, b in pairwise(ptr):
        real = ~is_special[token[a:b]]
        np.testing.assert_array_equal(halves.rotated[a:b][~real], token[a:b][~real])
        mine, turned = token[a:b][real], halves.rotated[a:b][real]
        offsets = range(1, len(mine)) if len(mine) > 1 else [0]
        assert any(np.array_equal(np.roll(mine, -k), turned) for k in offsets)


def test_halves_split_documents_evenly_and_never_inside_one():
    rng = np.random.default_rng(0)
    ptr, token, is_special, document = world(rng, n_contexts=90, contexts_per_document=3)
    halves = TokenHalves.over(ptr, token, is_special, document, 4)
    by_document = halves.half.reshape(30, 3)
    assert (by_document == by_document[:, :1]).all()
    assert by_document[:, 0].sum() == 15
    other = TokenHalves.over(ptr, token, is_special, document, 5)
    assert (halves.half != other.half).any()
    real = ~is_special[token]
    assert halves.n.sum() == real.sum()
