"""The token at which each context peaks, and whether the top contexts peak on the tokens that contexts usually do.

A feature judged by its highest examples alone can look like one word and be another thing (the
interpretability illusion, Bolukbasi et al. 2021). Here that is a number with its null.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, uint64

N_TOP = 20
MIN_CONTEXTS = 2 * N_TOP
N_NULL = 999
N_FREQUENT = 5
ROUNDING = 1e-9  # divergences nearer than this are the same number


@dataclass(frozen=True)
class Peaks:
    """The highest firing of each firing context, as segments in order of context; the first of equal ones."""

    ptr: np.ndarray  # [n + 1] int64
    token: np.ndarray  # [n_peaks] int32
    act: np.ndarray  # [n_peaks] float32


def find_peaks(
    ptr: np.ndarray, context: np.ndarray, pos: np.ndarray, act: np.ndarray, ctx_ptr: np.ndarray, token: np.ndarray
) -> Peaks:
    """Peaks of segments of firings; context ``c`` owns ``token[ctx_ptr[c] : ctx_ptr[c + 1]]``."""
    return Peaks(*_find_peaks(ptr, context, pos, act, ctx_ptr, token))


def frequent_tokens(peaks: Peaks, n_vocabulary: int) -> np.ndarray:
    """``[n, 5]`` int32: most frequent peak tokens, ties by the larger act, then the smaller id; -1 where fewer."""
    out = np.full((len(peaks.ptr) - 1, N_FREQUENT), -1, np.int32)
    _frequent(peaks.ptr, peaks.token, peaks.act, n_vocabulary, out)
    return out


def top_divergences(
    peaks: Peaks, features: np.ndarray, n_vocabulary: int, seed: int, n_null: int = N_NULL
) -> np.ndarray:
    """``[n, 3]``: divergence of the top 20 contexts in bits, 95th percentile of its null, p. NaN below 40 contexts.

    The divergence is Jensen-Shannon between the peak tokens of the 20 contexts with the highest peaks (which
    of equal peaks count is drawn) and those of *all* other firing contexts: the limit of drawing uniformly from them.
    The null splits the same contexts into 20 drawn uniformly and all others, ``n_null`` times: the same sizes
    and the same finite population. For a feature whose acts do not depend on the peak token the top 20 are such
    a draw, so p = (1 + null draws at least as divergent) / (1 + ``n_null``) falls to x or below with
    probability at most x.

    The divergence itself grows with the number of distinct tokens whatever the feature: read it beside its
    null. Contexts of one document count as separate, so a top 20 from few documents is also atypical.
    """
    out = np.full((len(peaks.ptr) - 1, 3), np.nan)
    _divergences(
        peaks.ptr, peaks.token, peaks.act, features.astype(np.uint64), np.uint64(seed), n_vocabulary, n_null, out
    )
    return out


@njit(cache=True, nogil=True)
def _find_peaks(ptr, context, pos, act, ctx_ptr, token):  # type: ignore[no-untyped-def]
    out_ptr, n = np.zeros(len(ptr), np.int64), 0
    for i in range(len(ptr) - 1):
        for r in range(ptr[i], ptr[i + 1]):
            n += r == ptr[i] or context[r] != context[r - 1]
        out_ptr[i + 1] = n
    tokens, acts, k = np.empty(n, np.int32), np.empty(n, np.float32), -1
    for i in range(len(ptr) - 1):
        for r in range(ptr[i], ptr[i + 1]):
            new = r == ptr[i] or context[r] != context[r - 1]
            k += new
            if new or act[r] > acts[k]:
                acts[k] = act[r]
                tokens[k] = token[ctx_ptr[context[r]] + pos[r]]
    return out_ptr, tokens, acts


@njit(cache=True, nogil=True)
def _frequent(ptr, token, act, n_vocabulary, out):  # type: ignore[no-untyped-def]
    count, best = np.zeros(n_vocabulary, np.int64), np.zeros(n_vocabulary, np.float32)
    for i in range(len(ptr) - 1):
        for r in range(ptr[i], ptr[i + 1]):
            t = token[r]
            count[t] += 1
            best[t] = max(best[t], act[r])
        for r in range(ptr[i], ptr[i + 1]):
            if count[token[r]] > 0:
                _insert(out[i], token[r], count, best)
            count[token[r]] = -abs(count[token[r]])  # seen: each token is ranked once
        for r in range(ptr[i], ptr[i + 1]):
            count[token[r]], best[token[r]] = 0, 0


@njit(cache=True, nogil=True)
def _insert(ranked, token, count, best):  # type: ignore[no-untyped-def]
    for k in range(len(ranked)):
        other = ranked[k]
        if other < 0 or _before(token, other, count, best):
            ranked[k] = token
            if other < 0:
                return
            token = other


@njit(cache=True, nogil=True)
def _before(a, b, count, best):  # type: ignore[no-untyped-def]
    n_a, n_b = abs(count[a]), abs(count[b])
    if n_a != n_b:
        return n_a > n_b
    return best[a] > best[b] if best[a] != best[b] else a < b


@njit(cache=True, nogil=True)
def _divergences(ptr, token, act, features, seed, n_vocabulary, n_null, out):  # type: ignore[no-untyped-def]
    total, inside = np.zeros(n_vocabulary, np.int64), np.zeros(n_vocabulary, np.int64)
    null = np.empty(n_null)
    for i in range(len(ptr) - 1):
        n = ptr[i + 1] - ptr[i]
        if n < MIN_CONTEXTS:
            continue
        state = np.array([_mix(_mix(seed) + features[i])], np.uint64)
        pool = token[ptr[i] : ptr[i + 1]].copy()
        for t in pool:
            total[t] += 1
        _top_first(pool, act[ptr[i] : ptr[i + 1]], state)
        observed = _divergence(pool, total, inside)
        hits = 0
        for b in range(n_null):
            for k in range(N_TOP):
                _swap(pool, k, k + _below(n - k, state))
            null[b] = _divergence(pool, total, inside)
            hits += null[b] >= observed - ROUNDING
        null.sort()
        at = 0.95 * (n_null - 1)
        low = int(at)
        out[i, 0] = observed
        out[i, 1] = null[low] + (null[min(low + 1, n_null - 1)] - null[low]) * (at - low)
        out[i, 2] = (1 + hits) / (1 + n_null)
        for t in pool:
            total[t] = 0


@njit(cache=True, nogil=True)
def _top_first(pool, act, state):  # type: ignore[no-untyped-def]
    """Reorder ``pool`` so that its first 20 entries are those with the highest acts, drawing among equals."""
    least = np.partition(act, len(act) - N_TOP)[len(act) - N_TOP]
    chosen = np.empty(N_TOP, np.int64)
    n_above, n_equal = 0, 0
    for r in range(len(act)):
        if act[r] > least:
            chosen[n_above] = r
            n_above += 1
    for r in range(len(act)):  # reservoir sampling among the equal ones
        if act[r] == least:
            n_equal += 1
            if n_above + n_equal <= N_TOP:
                chosen[n_above + n_equal - 1] = r
            else:
                k = _below(n_equal, state)
                if n_above + k < N_TOP:
                    chosen[n_above + k] = r
    chosen.sort()  # ascending, so that no swap moves an entry that is still to come
    for k in range(N_TOP):
        _swap(pool, k, chosen[k])


@njit(cache=True, nogil=True)
def _divergence(pool, total, inside):  # type: ignore[no-untyped-def]
    """JS divergence in bits of the first 20 entries of ``pool`` from the others; ``total`` counts all by token."""
    n_rest = len(pool) - N_TOP
    for k in range(N_TOP):
        inside[pool[k]] += 1
    sum_ = 0.0
    for k in range(N_TOP):
        n = inside[pool[k]]
        rest = total[pool[k]] - n
        if n > 0 and rest > 0:  # a token on one side only adds half its share, which the 1 below holds
            p, q = n / N_TOP, rest / n_rest
            sum_ += p * np.log2(p / (p + q)) + q * np.log2(q / (p + q))
        inside[pool[k]] = 0
    return 1 + 0.5 * sum_


@njit(cache=True, nogil=True)
def _swap(pool, a, b):  # type: ignore[no-untyped-def]
    pool[a], pool[b] = pool[b], pool[a]


@njit(uint64(uint64), cache=True, nogil=True)
def _mix(x):  # type: ignore[no-untyped-def]
    """Finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x += uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@njit(cache=True, nogil=True)
def _below(n, state):  # type: ignore[no-untyped-def]
    """Uniform in 0 .. n - 1 for n < 2^31, with a bias below n / 2^32.

    Own generator, so that a feature's draws depend on the seed and the feature only.
    """
    state[0] += uint64(0x9E3779B97F4A7C15)
    return np.int64(((_mix(state[0]) >> uint64(32)) * uint64(n)) >> uint64(32))
