"""A sparse matrix less a product of two sparse ones: centring and token means without ever filling the zeros."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from core.maths.parts import run_parts

N_PARTS = 4  # of the rows: whatever the number of cores, so that sums are rounded alike everywhere


@dataclass(frozen=True)
class Deflated:
    """``matrix - left @ right``, never formed. Rows are contexts or positions, columns are features.

    ``matrix`` CSR ``(n_rows, n_columns)`` float64, ``left`` CSR ``(n_rows, r)``, ``right`` CSR ``(r, n_columns)``;
    ``r`` may be 0.
    """

    matrix: sparse.csr_matrix
    left: sparse.csr_matrix
    right: sparse.csr_matrix

    @classmethod
    def plain(cls, matrix: sparse.spmatrix) -> Deflated:
        """The matrix itself."""
        n_rows, n_columns = matrix.shape
        none = sparse.csr_matrix((n_rows, 0)), sparse.csr_matrix((0, n_columns))
        return cls(sparse.csr_matrix(matrix, dtype=np.float64), *none)

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    def less(self, left: sparse.spmatrix, right: sparse.spmatrix) -> Deflated:
        """With another product taken off."""
        return Deflated(
            self.matrix,
            sparse.csr_matrix(sparse.hstack([self.left, left], format="csr")),
            sparse.csr_matrix(sparse.vstack([self.right, right], format="csr")),
        )

    def centred(self) -> Deflated:
        """Less every column's mean."""
        mean = self.column_sums() / self.shape[0]
        return self.less(sparse.csr_matrix(np.ones((self.shape[0], 1))), sparse.csr_matrix(mean[None, :]))

    def times_columns(self, factors: np.ndarray) -> Deflated:
        """Every column times its factor ``[n_columns]``."""
        by = sparse.diags(factors)
        return Deflated((self.matrix @ by).tocsr(), self.left, (self.right @ by).tocsr())

    def dot(self, x: np.ndarray) -> np.ndarray:
        """``self @ x`` for ``x [n_columns]`` or ``[n_columns, b]``."""
        out = self.matrix @ x
        return out - self.left @ (self.right @ x) if self.left.shape[1] else out

    def rdot(self, y: np.ndarray) -> np.ndarray:
        """``self.T @ y`` for ``y [n_rows]`` or ``[n_rows, b]``."""
        out = self._transposed @ y
        return out - self.right.T @ (self.left.T @ y) if self.left.shape[1] else out

    @cached_property
    def _transposed(self) -> sparse.csc_matrix:
        return self.matrix.T

    @cached_property
    def _cross(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """left' matrix ``[r, n_columns]`` and left' left right ``[r, n_columns]``, both sparse."""
        return (self.left.T @ self.matrix).tocsr(), ((self.left.T @ self.left) @ self.right).tocsr()

    def gram_dot(self, x: np.ndarray, dtype: type[np.floating[Any]] = np.float64) -> np.ndarray:
        """``self.T @ (self @ x)`` for ``x [n_columns]`` or ``[n_columns, b]`` in one pass over the rows.

        Without anything of the rows' number; on all cores, with the same sums on any number of them. ``dtype`` float32
        halves what the pass moves, and leaves errors of about 1e-7 of the result.
        """
        wide = np.ascontiguousarray(x.reshape(len(x), -1), dtype)
        of_parts = run_parts(lambda part: self._gram_part(part, wide), N_PARTS)
        out = np.stack(of_parts).sum(axis=0, dtype=np.float64).reshape(x.shape)
        if self.left.shape[1]:
            with_matrix, with_left = self._cross
            out -= with_matrix.T @ (self.right @ x) + self.right.T @ (with_matrix @ x - with_left @ x)
        return out

    def _gram_part(self, part: int, x: np.ndarray) -> np.ndarray:
        """``gram_dot`` of one part of the rows, with as many non-zeros as the others."""
        ptr = self.matrix.indptr
        first, last = np.searchsorted(ptr, [int(ptr[-1]) * p // N_PARTS for p in (part, part + 1)])
        out = np.zeros_like(x)
        _gram_dot(ptr[first : last + 1], self.matrix.indices, self.matrix.data, x, out)
        return out

    def column_sums(self) -> np.ndarray:
        """``[n_columns]``."""
        return self.rdot(np.ones(self.shape[0]))

    def column_squares(self) -> np.ndarray:
        """Sum of squares of each column ``[n_columns]``; never below 0."""
        own = np.asarray(self.matrix.multiply(self.matrix).sum(0)).ravel()
        if self.left.shape[1]:
            with_matrix, with_left = self._cross
            own = own - 2 * np.asarray(self.right.multiply(with_matrix).sum(0)).ravel()
            own = own + np.asarray(self.right.multiply(with_left).sum(0)).ravel()
        return np.maximum(own, 0.0)

    def gram(self, columns: slice = slice(None)) -> np.ndarray:
        """``self.T @ self[:, columns]`` dense ``[n_columns, n]``: for blocks of columns, or all of few."""
        out = (self._transposed @ self.matrix[:, columns]).toarray()
        if self.left.shape[1]:
            with_matrix, with_left = self._cross
            out -= (with_matrix.T @ self.right[:, columns]).toarray()
            out -= (self.right.T @ (with_matrix[:, columns] - with_left[:, columns])).toarray()
        return out

    def dense(self) -> np.ndarray:
        """The whole of it: for tests and tiny examples only."""
        return self.matrix.toarray() - (self.left @ self.right).toarray()


@njit(cache=True, nogil=True)
def _gram_dot(ptr, columns, data, x, out):  # type: ignore[no-untyped-def]
    b, value = x.shape[1], np.empty_like(x[0])
    for i in range(len(ptr) - 1):
        value[:] = 0
        first, last = np.uint64(ptr[i]), np.uint64(ptr[i + 1])
        for r in range(first, last):
            weight, row = x.dtype.type(data[r]), x[np.uint64(columns[r])]  # unsigned: no test for negative places
            for c in range(b):
                value[c] += weight * row[c]
        for r in range(first, last):
            weight, row = x.dtype.type(data[r]), out[np.uint64(columns[r])]
            for c in range(b):
                row[c] += weight * value[c]


def squared_gram_norm(a: Deflated, block: int = 512) -> float:
    """Sum of all fourth powers of the singular values, ``||A'A||_F^2``, in blocks of columns."""
    starts = range(0, a.shape[1], block)
    return float(sum((a.gram(slice(s, min(s + block, a.shape[1]))) ** 2).sum() for s in starts))
