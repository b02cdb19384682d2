"""The same columns without what they share: every column permuted, or shifted around inside each document.

A column keeps its values, hence its density, its mean and its length.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import sparse


def shuffle_columns(
    matrix: sparse.spmatrix, rng: np.random.Generator, group: np.ndarray | None = None
) -> sparse.csc_matrix:
    """Every column's rows permuted independently; with ``group [n_rows]`` only among rows of the same group.

    Time and memory are those of the non-zeros, not of the columns' length.
    """
    csc = sparse.csc_matrix(matrix, copy=True)
    csc.sort_indices()
    labels = np.zeros(csc.shape[0], np.int64) if group is None else np.unique(group, return_inverse=True)[1]
    order = np.argsort(labels, kind="stable").astype(np.int32)
    start = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=1))])
    _shuffle(csc.indptr, csc.indices, labels, order, start, int(rng.integers(2**31 - 1)))
    csc.has_sorted_indices = False
    csc.sort_indices()
    return csc


@njit(cache=True, nogil=True)
def _shuffle(ptr, rows, labels, order, start, seed):  # type: ignore[no-untyped-def]
    """A partial Fisher-Yates per column and group; any permutation is as good a start as another, so none is reset."""
    np.random.seed(seed)
    used = np.zeros(len(start), np.int64)
    for j in range(len(ptr) - 1):
        for r in range(ptr[j], ptr[j + 1]):
            g = labels[rows[r]]
            here = start[g] + used[g]
            there = here + int(np.random.random() * (start[g + 1] - here))
            order[here], order[there] = order[there], order[here]
            used[g] += 1
        for r in range(ptr[j], ptr[j + 1]):
            used[labels[rows[r]]] = 0
        # the first drawn rows of each group, values in the order of drawing
        for r in range(ptr[j], ptr[j + 1]):
            g = labels[rows[r]]
            rows[r] = order[start[g] + used[g]]
            used[g] += 1
        for r in range(ptr[j], ptr[j + 1]):
            used[labels[rows[r]]] = 0


def random_directions(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` Gaussian vectors with the mean and the covariance of the directions of ``rows [m, d]``, lengths aside.

    What cosines between rows would be if the rows shared nothing but the directions that all of them prefer.
    """
    length = np.linalg.norm(rows.astype(np.float64), axis=1)
    unit = rows[length > 0] / length[length > 0, None]
    if not len(unit):
        return np.zeros((n, rows.shape[1]))
    mean, d = unit.mean(0), rows.shape[1]
    covariance = unit.T @ unit / len(unit) - np.outer(mean, mean)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(d))  # fewer rows than dimensions leave some at 0
    return mean + rng.normal(size=(n, d)) @ root.T


def shift_columns(matrix: sparse.spmatrix, document: np.ndarray, rng: np.random.Generator) -> sparse.csc_matrix:
    """Every column shifted around, inside each document by its own random step: runs of firings stay runs.

    ``document [n_rows]``: the rows of one document lie together, in order of position.
    """
    csc = sparse.csc_matrix(matrix, copy=True)
    csc.sort_indices()
    first = np.flatnonzero(np.concatenate([[True], document[1:] != document[:-1]]))
    span = np.cumsum(np.concatenate([[True], document[1:] != document[:-1]])) - 1
    _shift(csc.indptr, csc.indices, span, np.append(first, len(document)), int(rng.integers(2**31 - 1)))
    csc.has_sorted_indices = False
    csc.sort_indices()
    return csc


@njit(cache=True, nogil=True)
def _shift(ptr, rows, span, first, seed):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    for j in range(len(ptr) - 1):
        last, step = -1, 0
        for r in range(ptr[j], ptr[j + 1]):
            d = span[rows[r]]
            start, length = first[d], first[d + 1] - first[d]
            if d != last:
                last, step = d, int(np.random.random() * length)
            rows[r] = start + (rows[r] - start + step) % length
