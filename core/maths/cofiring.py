"""Co-firing of all pairs of features in one pass: nearest features and histograms, without the matrix of all pairs.

Scattering costs the sum of squared row sizes and is cheap; looking at every counter is what takes time. So a float32
pass over all of them marks the few that could be among the nearest or lie outside the bin that nearly all pairs share,
and only these are computed exactly. Memory: the matrix once more by rows, one row of counters, and what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

RANKED = ("jaccard", "overlap", "phi")
N_BINS = 20
HALF = N_BINS // 2  # the bin of phi = 0
CHUNK = 512  # counters looked at with one set of thresholds
SLACK = 1e-5  # of what float32 may get wrong, far more than it does


@dataclass(frozen=True)
class CofiringPass:
    """``index [3, n, k]`` int32: nearest columns by ``RANKED``, best first, equal ones by lower number, -1 where fewer
    co-fire; ``histograms [3, n, 20]`` int32 over all other columns: 0..1 for jaccard and overlap, -1..1 for phi.
    """

    index: np.ndarray
    histograms: np.ndarray


def cofiring_pass(binary: sparse.spmatrix, k: int = 20) -> CofiringPass:
    """One pass over co-firing counts; ``binary`` is ``(n_units, n_features)``, stored where a feature fires."""
    csc = sparse.csc_matrix(binary)
    n_units, n = csc.shape
    counts = np.diff(csc.indptr).astype(np.int64)
    row_ptr = np.concatenate([[0], np.cumsum(np.bincount(csc.indices, minlength=n_units))])
    row_columns = np.empty(csc.nnz, _unsigned(n - 1))
    _by_rows(csc.indptr, csc.indices, row_ptr[:-1].copy(), row_columns)
    most_shared = int(np.sort(counts)[-2:][0]) if n else 0
    both = np.zeros(-(-n // 8) * 8, _unsigned(most_shared))  # small counters stay in the nearest cache
    index, histograms = np.full((3, n, k), -1, np.int32), np.zeros((3, n, N_BINS), np.int32)
    _pass(csc.indptr, csc.indices, row_ptr, row_columns, counts, n_units, both, index, histograms)
    return CofiringPass(index, histograms)


def _unsigned(largest: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if largest < 2**16 else np.uint32


@njit(cache=True, nogil=True)
def _by_rows(col_ptr, col_rows, place, out):  # type: ignore[no-untyped-def]
    """The columns of every row; ``place`` is where each row begins, and is moved on."""
    for j in range(len(col_ptr) - 1):
        for r in range(col_ptr[j], col_ptr[j + 1]):
            out[place[col_rows[r]]] = j
            place[col_rows[r]] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _pass(col_ptr, col_rows, row_ptr, row_columns, counts, n_units, both, index, histograms):  # type: ignore[no-untyped-def]
    n, size, k = len(counts), len(both), index.shape[2]
    odds, spread, number = np.zeros(size), np.zeros(size), np.ones(size, np.float32)
    number[:n] = counts
    for j in range(n):
        if 0 < counts[j] < n_units:  # phi of a pair is n_both spread_i spread_j - odds_i odds_j
            share = counts[j] / n_units
            odds[j], spread[j] = np.sqrt(share / (1 - share)), 1 / np.sqrt(share * (1 - share) * n_units)
    rough_odds, rough_spread, sorted_odds = odds.astype(np.float32), spread.astype(np.float32), np.sort(odds[:n])
    value, notable = np.empty((3, k)), np.zeros(CHUNK, np.uint8)
    for i in range(n):
        _count(col_ptr[i], col_ptr[i + 1], col_rows, row_ptr, row_columns, both)
        both[i] = 0
        value[:] = -2.0
        bins, nearest = histograms[:, i], index[:, i]
        _as_if_apart(odds[i], sorted_odds, bins[2])
        for lo in range(0, size, CHUNK):  # ascending, so that of equals the lower number comes first
            hi = min(size, lo + CHUNK)
            bins[2, HALF] += _mark(
                both[lo:hi], number[lo:hi], rough_odds[lo:hi], rough_spread[lo:hi],
                number[i], rough_odds[i], rough_spread[i], value[:, k - 1], notable[: hi - lo],
            )  # fmt: skip
            _settle(i, lo, hi, notable, both, counts, odds, spread, value, nearest, bins)
        both[:] = 0
        for m in range(2):
            bins[m, 0] += n - 1 - bins[m].sum()
        bins[2, HALF - 1] += n - 1 - bins[2].sum()  # those that _mark found in the bin above


@njit(cache=True, nogil=True)
def _count(first, last, col_rows, row_ptr, row_columns, both):  # type: ignore[no-untyped-def]
    """Add up who else fires in the rows of one column; unsigned places, since numba tests others for being negative."""
    for r in range(np.uint64(first), np.uint64(last)):
        row = np.uint64(col_rows[r])
        for c in range(np.uint64(row_ptr[row]), np.uint64(row_ptr[row + np.uint64(1)])):
            both[np.uint64(row_columns[c])] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(i, lo, hi, notable, both, counts, odds, spread, value, nearest, bins):  # type: ignore[no-untyped-def]
    """The marked pairs exactly: into the lists of the nearest, and out of the bins they were taken to be in."""
    eights, last = notable.view(np.uint64), value.shape[1] - 1
    for e in range((hi - lo) // 8):
        if eights[e] == 0:
            continue
        for j in range(lo + 8 * e, lo + 8 * e + 8):
            if not notable[j - lo] or both[j] == 0:
                continue
            shared, apart = np.float64(both[j]), odds[i] * odds[j]
            found = shared / (counts[i] + counts[j] - shared)
            bins[0, min(N_BINS - 1, int(found * N_BINS))] += 1
            if found > value[0, last]:  # insert would see it too, for the price of a call
                insert(value[0], nearest[0], found, j)
            found = shared / min(counts[i], counts[j])
            bins[1, min(N_BINS - 1, int(found * N_BINS))] += 1
            if found > value[1, last]:
                insert(value[1], nearest[1], found, j)
            found = shared * (spread[i] * spread[j]) - apart
            bins[2, _phi_bin(-apart)] -= 1
            bins[2, _phi_bin(found)] += 1
            if found > value[2, last]:
                insert(value[2], nearest[2], found, j)


@njit(cache=True, nogil=True)
def _phi_bin(phi):  # type: ignore[no-untyped-def]
    return min(N_BINS - 1, max(0, int((phi + 1) * HALF)))


@njit(cache=True, nogil=True)
def _as_if_apart(odds, sorted_odds, out):  # type: ignore[no-untyped-def]
    """Bins of phi if the feature never fired with another: nearly all pairs are in the one below 0."""
    n = len(sorted_odds)
    n_zero = n if odds == 0 else np.searchsorted(sorted_odds, 0.0, side="right")
    out[HALF - 1], out[HALF] = n - n_zero, n_zero
    j = n - 1
    while j >= 0 and odds * sorted_odds[j] > (1 - 1e-3) / HALF:
        out[HALF - 1] -= 1
        out[_phi_bin(-odds * sorted_odds[j])] += 1
        j -= 1
    out[_phi_bin(-odds * odds)] -= 1  # its own


@njit(cache=True, nogil=True, error_model="numpy")
def _mark(both, number, odds, spread, n_i, odds_i, spread_i, least, out):  # type: ignore[no-untyped-def]
    """Mark pairs near enough, or in an unusual bin; how many of the others have a phi above 0. All in float32.

    Written without branches, so that compilers work on several counters at once.
    """
    one = np.float32(1)
    times = one + one / np.float32(max(0.0, min(least[0], 1 / N_BINS) * (1 - SLACK)))
    share = np.float32(max(0.0, min(least[1], 1 / N_BINS) * (1 - SLACK)))
    phi, far = np.float32(min(least[2], 1 / HALF) - SLACK), np.float32((1 - 1e-3) / HALF)
    of_own, above = share * n_i, np.int32(0)
    for j in range(len(both)):
        c, apart = np.float32(both[j]), odds_i * odds[j]
        found, unsure = c * (spread_i * spread[j]) - apart, np.float32(SLACK) * apart
        marked = (c * times > n_i + number[j]) | (c > of_own) | (c > share * number[j])
        marked |= (found > phi) | (apart > far) | ((found <= unsure) & (found >= -unsure))
        out[j] = marked
        above += np.int32((found > unsure) & (not marked))
    return above


@njit(cache=True, nogil=True)
def insert(value, index, new, j):  # type: ignore[no-untyped-def]
    """Keep the best in order, in place; equal ones by lower number."""
    k = len(value)
    if new < value[k - 1] or (new == value[k - 1] and j > index[k - 1] >= 0):
        return
    at = k - 1
    while at > 0 and (value[at - 1] < new or (value[at - 1] == new and index[at - 1] > j)):
        value[at], index[at] = value[at - 1], index[at - 1]
        at -= 1
    value[at], index[at] = new, j
