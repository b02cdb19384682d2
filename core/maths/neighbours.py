"""Nearest directions by cosine, without the matrix of all cosines in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

BLOCK = 512
SPARE = 6  # candidates beyond k: rank is decided by float64 cosines, not by the float32 matrix product


@dataclass(frozen=True)
class Neighbours:
    """``index [n, k]`` int32, -1 where there are fewer; ``cosine [n, k]`` float32, NaN there."""

    index: np.ndarray
    cosine: np.ndarray


def nearest_by_cosine(
    directions: np.ndarray, k: int = 10, progress: Callable[[float], None] | None = None
) -> Neighbours:
    """The ``k`` other rows of ``directions [n, d]`` with the highest cosine, best first; equal cosines by lower row.

    A row without length has no neighbours and is nobody's. Memory: a copy of ``directions`` and 512 rows of cosines.
    """
    directions = np.ascontiguousarray(directions, np.float32)
    norm = np.sqrt(np.einsum("ij,ij->i", directions, directions, dtype=np.float64))
    unit = (directions / np.where(norm > 0, norm, 1)[:, None]).astype(np.float32)
    index = np.full((len(unit), k), -1, np.int32)
    cosine = np.full((len(unit), k), np.nan, np.float32)
    for start in range(0, len(unit), BLOCK):
        stop = min(start + BLOCK, len(unit))
        coarse = unit[start:stop] @ unit.T
        candidates = _largest(coarse, start, norm > 0, k + SPARE)
        _rank(directions, norm, start, candidates, index[start:stop], cosine[start:stop])
        if progress:
            progress(stop / len(unit))
    return Neighbours(index, cosine)


@njit(cache=True, nogil=True)
def _largest(coarse, start, usable, k):  # type: ignore[no-untyped-def]
    """Columns of the ``k`` largest values of each row, own and unusable ones excluded; -1 where fewer."""
    out = np.full((len(coarse), k), -1, np.int32)
    value = np.empty(k, np.float32)
    for i in range(len(coarse)):
        if not usable[start + i]:
            continue
        n, row = 0, coarse[i]
        for j in range(len(row)):
            if (n == k and row[j] <= value[k - 1]) or j == start + i or not usable[j]:
                continue
            at = min(n, k - 1)
            while at > 0 and value[at - 1] < row[j]:
                value[at], out[i, at] = value[at - 1], out[i, at - 1]
                at -= 1
            value[at], out[i, at] = row[j], j
            n = min(n + 1, k)
    return out


@njit(cache=True, nogil=True)
def _rank(directions, norm, start, candidates, index, cosine):  # type: ignore[no-untyped-def]
    """Exact cosines of the candidates, rounded to float32, and the best of them in order."""
    k = index.shape[1]
    for i in range(len(candidates)):
        for j in candidates[i]:
            if j < 0:
                break
            value = np.float32(_dot(directions[start + i], directions[j]) / (norm[start + i] * norm[j]))
            at = k
            while at > 0 and (index[i, at - 1] < 0 or _worse(cosine[i, at - 1], index[i, at - 1], value, j)):
                if at < k:
                    cosine[i, at], index[i, at] = cosine[i, at - 1], index[i, at - 1]
                at -= 1
            if at < k:
                cosine[i, at], index[i, at] = value, j


@njit(cache=True, nogil=True)
def _worse(value, j, other, other_j):  # type: ignore[no-untyped-def]
    return value < other or (value == other and j > other_j)


@njit(cache=True, nogil=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(len(a)):
        total += np.float64(a[c]) * np.float64(b[c])  # float() would keep float32
    return total
