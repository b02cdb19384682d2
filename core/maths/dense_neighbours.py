"""Nearest rows of a dense matrix by cosine or distance, and histograms over all pairs, in blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from core.maths.cofiring import N_BINS, insert


@dataclass(frozen=True)
class DenseNeighbours:
    """``index [n, k]`` int32 nearest rows, -1 where fewer; ``histograms [n, 20]`` int32 over all other rows."""

    index: np.ndarray
    histograms: np.ndarray
    lo: float
    hi: float


def dense_neighbours(
    vectors: np.ndarray, by: str, k: int = 20, block: int = 512, farthest: float | None = None
) -> DenseNeighbours:
    """Nearest rows of ``vectors [n, d]`` by ``cosine`` or ``euclid`` in blocks; rows of length 0 have no cosine.

    Histograms: cosine -1..1; euclid 0 to ``farthest``, or to twice the longest row.
    """
    v = np.ascontiguousarray(vectors, np.float32)
    length = np.linalg.norm(v.astype(np.float64), axis=1)
    usable = length > 0 if by == "cosine" else np.ones(len(v), bool)
    lo, hi = (-1.0, 1.0) if by == "cosine" else (0.0, farthest or float(2 * length.max(initial=0)) or 1.0)
    if by == "cosine":
        v = (v / np.where(length > 0, length, 1)[:, None]).astype(np.float32)
    squares = (v.astype(np.float64) ** 2).sum(1).astype(np.float32)
    index, histograms = np.full((len(v), k), -1, np.int32), np.zeros((len(v), N_BINS), np.int32)
    for start in range(0, len(v), block):
        values = v[start : start + block] @ v.T
        if by == "euclid":
            gap = squares[start : start + block, None] + squares[None, :] - 2 * values
            values = np.sqrt(np.maximum(gap, 0))
        sign = 1.0 if by == "cosine" else -1.0
        stop = start + len(values)
        _dense(values, start, usable, sign, lo, hi, index[start:stop], histograms[start:stop])
    return DenseNeighbours(index, histograms, lo, hi)


@njit(cache=True, nogil=True)
def _dense(values, start, usable, sign, lo, hi, index, histograms):  # type: ignore[no-untyped-def]
    best = np.empty(index.shape[1])
    for i in range(len(values)):
        if not usable[start + i]:
            continue
        best[:] = -np.inf
        for j in range(values.shape[1]):
            if j == start + i or not usable[j]:
                continue
            x = float(values[i, j])
            histograms[i, min(N_BINS - 1, max(0, int((x - lo) / (hi - lo) * N_BINS)))] += 1
            insert(best, index[i], sign * x, j)
