"""Inner products of some pairs of columns of a sparse matrix: how often two features fire together."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import sparse

FEW_COLUMNS = 1_536  # counts of all pairs at once: 19 MB


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
