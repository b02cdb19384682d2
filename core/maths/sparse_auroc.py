"""Areas under the ROC curve of many sparse columns at once: what is not stored is 0, and equal values share their rank.

``acts`` is CSC ``(n_rows, n_columns)`` with values > 0 only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import ndtr


@dataclass(frozen=True)
class SparseRanks:
    """Mid-ranks of each column less the rank its zeros share, so that zeros stay absent.

    ``shifted`` CSC like ``acts``; ``zero_rank [n_columns]`` is what was taken off; ``ties [n_columns]`` is
    sum(t^3 - t) over groups of equal values, zeros included.
    """

    shifted: sparse.csc_matrix
    zero_rank: np.ndarray
    ties: np.ndarray

    @classmethod
    def of(cls, acts: sparse.csc_matrix) -> SparseRanks:
        n, n_columns = acts.shape
        counts = np.diff(acts.indptr)
        column = np.repeat(np.arange(n_columns), counts)
        order = np.lexsort((acts.data, column))
        value, of = acts.data[order], column[order]
        first = np.ones(len(value), bool)
        first[1:] = (value[1:] != value[:-1]) | (of[1:] != of[:-1])
        start = np.flatnonzero(first)
        size = np.diff(np.append(start, len(value)))
        place = start - acts.indptr[:-1][of[start]]  # values of the column below
        n_zero = (n - counts).astype(float)
        shifted = np.empty(len(value))
        shifted[order] = np.repeat(place + (size + 1) / 2, size) + (n_zero[of] - 1) / 2
        ties = np.bincount(of[start], weights=size.astype(float) ** 3 - size, minlength=n_columns)
        matrix = sparse.csc_matrix((shifted, acts.indices, acts.indptr), shape=acts.shape)
        return cls(matrix, (n_zero + 1) / 2, ties + n_zero**3 - n_zero)

    def auroc(self, member: np.ndarray) -> np.ndarray:
        """``[n_columns, n]``: P(value of a member > value of another), ties half, for ``member [n_rows, n]`` bool.

        NaN where all rows, or none, are members.
        """
        n_in = member.sum(0).astype(float)
        n_out = len(member) - n_in
        above = self.shifted.T @ member.astype(np.float64) + np.outer(self.zero_rank, n_in) - n_in * (n_in + 1) / 2
        pairs = n_in * n_out
        return np.divide(above, pairs, out=np.full(above.shape, np.nan), where=pairs > 0)

    def mann_whitney_p(self, member: np.ndarray) -> np.ndarray:
        """``[n_columns]`` two-sided p of each column for ``member [n_rows]``: normal, corrected for ties and steps.

        1 for a column whose values are all equal. Good from 8 rows on either side.
        """
        n, n_in = len(member), float(member.sum())
        n_out = n - n_in
        u = self.auroc(member[:, None])[:, 0] * n_in * n_out
        spread = np.sqrt(n_in * n_out / 12 * (n + 1 - self.ties / (n * (n - 1))).clip(0))
        distance = np.maximum(np.abs(u - n_in * n_out / 2) - 0.5, 0)
        return 2 * ndtr(-np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0))


def auroc_interval(auroc: np.ndarray, n_in: float, n_out: float, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval ``(lo, hi)`` of areas: Newcombe 2006 (Statistics in Medicine 25), method 5.

    It needs the two numbers of rows only, never leaves 0..1, and does not shrink to a point at an area of 1.
    """
    area = np.asarray(auroc, float)
    half = (n_in + n_out) / 2 - 1

    def spread(t: np.ndarray) -> np.ndarray:
        return z * np.sqrt(t * (1 - t) * (1 + half * ((1 - t) / (2 - t) + t / (1 + t))) / (n_in * n_out))

    def solve(below: np.ndarray, above: np.ndarray, sign: float) -> np.ndarray:
        for _ in range(50):
            middle = (below + above) / 2
            high = middle + sign * spread(middle) > area
            below, above = np.where(high, below, middle), np.where(high, middle, above)
        return (below + above) / 2

    return solve(np.zeros_like(area), area, 1.0), solve(area, np.ones_like(area), -1.0)
