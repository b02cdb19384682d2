"""Small statistics that need no resampling: bounds, divergence, summaries of what each feature's acts look like.

Many features at once are passed as *segments*: feature ``i`` owns entries ``ptr[i] : ptr[i + 1]`` of every
array beside ``ptr [n + 1]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

QUANTILES = (0.1, 0.5, 0.9, 0.99)
N_BINS = 30


def rule_of_three(n: int, error: float = 0.025) -> float:
    """Largest share that ``n`` independent units without one success leave possible: 1 - error^(1/n), one-sided.

    About 3.7 / n (with ``error`` = 0.05 about 3 / n, whence the name). 1.0 for ``n`` = 0.
    """
    return 1.0 if n == 0 else float(1 - error ** (1 / n))


def js_divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of two distributions over the same values, given as counts or weights.

    ``p`` and ``q`` are ``[n_values]``, >= 0, each with a positive sum. 0 when proportional, 1 when disjoint.
    """
    p, q = p / p.sum(), q / q.sum()
    both = (p > 0) & (q > 0)  # a value that only one of them has adds half its share: that is the 1
    p, q = p[both], q[both]
    return float(1 + 0.5 * (p * np.log2(p / (p + q)) + q * np.log2(q / (p + q))).sum())


@dataclass(frozen=True)
class ActSummary:
    """Of each feature's acts over its firings; NaN (counts: 0) for a feature without firings.

    ``linear`` and ``log`` are counts in 30 bins with edges ``linear_edges(hi)`` and ``log_edges(log_lo, hi)``
    where ``hi`` is the largest act; all bins are half-open but the last, as in ``numpy.histogram``.
    """

    mean: np.ndarray  # [n] float64
    max: np.ndarray  # [n] float32
    quantiles: np.ndarray  # [n, 4] float64, numpy's default (linear) quantiles at QUANTILES
    log_lo: np.ndarray  # [n] float32: the smallest act, or a tenth of the act when all are equal
    linear: np.ndarray  # [n, 30] int32
    log: np.ndarray  # [n, 30] int32


def linear_edges(hi: float) -> np.ndarray:
    """Edges ``[31]`` from 0 to ``hi``."""
    return _edges(0.0, float(hi), False)


def log_edges(lo: float, hi: float) -> np.ndarray:
    """Edges ``[31]`` from ``lo`` > 0 to ``hi``, equal in ratio."""
    return _edges(float(lo), float(hi), True)


def summarise_acts(ptr: np.ndarray, act: np.ndarray) -> ActSummary:
    """Summaries of segments ``act`` (float32, > 0), which is left as it is."""
    ascending = act.copy()
    for i in np.flatnonzero(np.diff(ptr)):
        ascending[ptr[i] : ptr[i + 1]].sort()  # numpy's vectorised sort is several times faster than numba's
    n = len(ptr) - 1
    mean, quantiles = np.full(n, np.nan), np.full((n, len(QUANTILES)), np.nan)
    largest, log_lo = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    counts = np.zeros((2, n, N_BINS), np.int32)
    _summarise(ptr, ascending, np.array(QUANTILES), mean, quantiles, largest, log_lo, counts)
    return ActSummary(mean, largest, quantiles, log_lo, counts[0], counts[1])


@njit(cache=True, nogil=True)
def _summarise(ptr, ascending, shares, mean, quantiles, largest, log_lo, counts):  # type: ignore[no-untyped-def]
    for i in range(len(ptr) - 1):
        act = ascending[ptr[i] : ptr[i + 1]]
        if len(act) == 0:
            continue
        total = 0.0
        for a in act:
            total += a
        mean[i] = total / len(act)
        largest[i] = act[-1]
        log_lo[i] = act[0] if act[0] < act[-1] else act[0] / np.float32(10)
        for k in range(len(shares)):
            quantiles[i, k] = _quantile(act, shares[k])
        hi = np.float64(act[-1])
        _count(act, _edges(0.0, hi, False), counts[0, i])
        _count(act, _edges(np.float64(log_lo[i]), hi, True), counts[1, i])


@njit(cache=True, nogil=True)
def _quantile(ascending, share):  # type: ignore[no-untyped-def]
    """numpy's default quantile of values that are sorted already."""
    at = share * (len(ascending) - 1)
    low = int(at)
    if low + 1 >= len(ascending):
        return np.float64(ascending[-1])
    below, above = np.float64(ascending[low]), np.float64(ascending[low + 1])
    return below + (above - below) * (at - low)


@njit(cache=True, nogil=True)
def _edges(lo, hi, ratio):  # type: ignore[no-untyped-def]
    edges = np.empty(N_BINS + 1)
    for k in range(N_BINS + 1):
        edges[k] = lo * (hi / lo) ** (k / N_BINS) if ratio else lo + (hi - lo) * (k / N_BINS)
    edges[0], edges[-1] = lo, hi  # exactly, so that no act is lost to rounding
    return edges


@njit(cache=True, nogil=True)
def _count(ascending, edges, out):  # type: ignore[no-untyped-def]
    """Histogram of sorted values, all of which lie between the outer edges."""
    start = 0
    for k in range(N_BINS):
        end = len(ascending) if k == N_BINS - 1 else np.searchsorted(ascending, edges[k + 1])
        out[k] = end - start
        start = end
