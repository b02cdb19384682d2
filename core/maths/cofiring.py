"""Co-firing of all pairs of features in one pass: nearest features and histograms, without the matrix of all pairs.

Work is the sum of squared row sizes; memory one row of counters and what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import sparse

RANKED = ("jaccard", "overlap", "phi")
N_BINS = 20
FEW_COLUMNS = 1_536  # counts of all pairs at once: 19 MB


@dataclass(frozen=True)
class CofiringPass:
    """``index [3, n, k]`` int32: nearest columns by ``RANKED``, best first, equal ones by lower number, -1 where fewer
    co-fire; ``histograms [3, n, 20]`` int32 over all other columns: 0..1 for jaccard and overlap, -1..1 for phi.
    """

    index: np.ndarray
    histograms: np.ndarray


def cofiring_pass(binary: sparse.spmatrix, k: int = 20) -> CofiringPass:
    """One pass over co-firing counts; ``binary`` is ``(n_units, n_features)``, stored where a feature fires."""
    csc, csr = sparse.csc_matrix(binary), sparse.csr_matrix(binary)
    n = csc.shape[1]
    index, histograms = np.full((3, n, k), -1, np.int32), np.zeros((3, n, N_BINS), np.int32)
    counts = np.diff(csc.indptr).astype(np.int64)
    _pass(csc.indptr, csc.indices, csr.indptr, csr.indices, counts, csc.shape[0], index, histograms)
    return CofiringPass(index, histograms)


@njit(cache=True, nogil=True, error_model="numpy")
def _pass(col_ptr, col_rows, row_ptr, row_cols, counts, n_units, index, histograms):  # type: ignore[no-untyped-def]
    n, k = len(counts), index.shape[2]
    both, value = np.zeros(n, np.int32), np.empty((3, k))
    share = counts / np.float64(n_units)
    inverse = 1.0 / np.maximum(counts, 1)
    odds, spread = np.zeros(n), np.zeros(n)  # phi of a pair that never co-fires is -odds_i odds_j
    for j in range(n):
        if 0 < counts[j] < n_units:
            odds[j] = np.sqrt(share[j] / (1 - share[j]))
            spread[j] = 1 / np.sqrt(share[j] * (1 - share[j]))
    for i in range(n):
        for r in range(col_ptr[i], col_ptr[i + 1]):
            row = col_rows[r]
            for c in range(row_ptr[row], row_ptr[row + 1]):
                both[row_cols[c]] += 1
        both[i] = 0
        value[:] = -2.0
        n_never = 0
        for j in range(n):  # ascending, so that of equals the lower number comes first
            if both[j] == 0:
                n_never += 1
                histograms[2, i, int((1 - odds[i] * odds[j]) * (N_BINS // 2))] += 1
                continue
            shared = np.float64(both[j])
            both[j] = 0
            found = shared / (counts[i] + counts[j] - shared)
            histograms[0, i, min(N_BINS - 1, int(found * N_BINS))] += 1
            if found > value[0, k - 1]:
                _insert(value[0], index[0, i], found, j)
            found = shared * max(inverse[i], inverse[j])
            histograms[1, i, min(N_BINS - 1, int(found * N_BINS))] += 1
            if found > value[1, k - 1]:
                _insert(value[1], index[1, i], found, j)
            found = (shared / n_units - share[i] * share[j]) * spread[i] * spread[j]
            histograms[2, i, min(N_BINS - 1, max(0, int((found + 1) * (N_BINS // 2))))] += 1
            if found > value[2, k - 1]:
                _insert(value[2], index[2, i], found, j)
        histograms[0, i, 0] += n_never - 1
        histograms[1, i, 0] += n_never - 1
        histograms[2, i, int((1 - odds[i] * odds[i]) * (N_BINS // 2))] -= 1  # its own


@njit(cache=True, nogil=True)
def _insert(value, index, new, j):  # type: ignore[no-untyped-def]
    """Keep the best in order; equal ones by lower number."""
    k = len(value)
    if new < value[k - 1] or (new == value[k - 1] and j > index[k - 1] >= 0):
        return
    at = k - 1
    while at > 0 and (value[at - 1] < new or (value[at - 1] == new and index[at - 1] > j)):
        value[at], index[at] = value[at - 1], index[at - 1]
        at -= 1
    value[at], index[at] = new, j


def pair_counts(binary: sparse.spmatrix, pairs: np.ndarray) -> np.ndarray:
    """Units where both columns of each pair ``[n_pairs, 2]`` fire, int64."""
    csc = sparse.csc_matrix(binary)
    csc.sort_indices()
    ones = np.ones(csc.nnz)
    if csc.shape[1] <= FEW_COLUMNS:
        of_all = sparse.csc_matrix((ones, csc.indices, csc.indptr), shape=csc.shape)
        return np.rint((of_all.T @ of_all).toarray()[pairs[:, 0], pairs[:, 1]]).astype(np.int64)
    return pair_dots(csc.indptr, csc.indices, ones, np.ascontiguousarray(pairs)).astype(np.int64)


@njit(cache=True, nogil=True)
def pair_dots(ptr, rows, data, pairs):  # type: ignore[no-untyped-def]
    """Inner product of each pair of columns of a CSC matrix with sorted rows."""
    out = np.zeros(len(pairs))
    for p in range(len(pairs)):
        a, a_end = ptr[pairs[p, 0]], ptr[pairs[p, 0] + 1]
        b, b_end = ptr[pairs[p, 1]], ptr[pairs[p, 1] + 1]
        while a < a_end and b < b_end:
            if rows[a] == rows[b]:
                out[p] += data[a] * data[b]
                a += 1
                b += 1
            elif rows[a] < rows[b]:
                a += 1
            else:
                b += 1
    return out


@dataclass(frozen=True)
class DenseNeighbours:
    """``index [n, k]`` int32 nearest rows, -1 where fewer; ``histograms [n, 20]`` int32 over all other rows."""

    index: np.ndarray
    histograms: np.ndarray
    lo: float
    hi: float


def dense_neighbours(vectors: np.ndarray, by: str, k: int = 20, block: int = 512) -> DenseNeighbours:
    """Nearest rows of ``vectors [n, d]`` by ``cosine`` or ``euclid`` in blocks; rows of length 0 have no cosine.

    Histograms: cosine -1..1; euclid 0 to twice the longest row.
    """
    v = np.ascontiguousarray(vectors, np.float32)
    length = np.linalg.norm(v.astype(np.float64), axis=1)
    usable = length > 0 if by == "cosine" else np.ones(len(v), bool)
    lo, hi = (-1.0, 1.0) if by == "cosine" else (0.0, float(2 * length.max(initial=0)) or 1.0)
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
            _insert(best, index[i], sign * x, j)
