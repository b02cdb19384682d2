"""Truncated SVD of a sparse, perhaps centred, matrix, exact to a stated residual.

Randomised methods are fast and wrong in the tail of slowly falling spectra (1e-2 at the usual settings), so the
right singular vectors are eigenvectors of A'A: by LAPACK where that is small, by ARPACK where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from core.errors import InputError, PrismError
from core.maths.deflated import Deflated

DENSE_COLUMNS = 1_536  # up to here A'A is formed: 19 MB, and all of its spectrum is exact
MAX_RESIDUAL = 1e-5
RANK_TOLERANCE = 1e-6  # of the largest singular value: A'A cannot tell smaller ones from 0
DEGENERATE_GAP = 1e-4  # of a singular value: directions closer than that are an arbitrary basis of their space


@dataclass(frozen=True)
class Svd:
    """``A ~ u @ diag(s) @ v.T``; columns sorted by ``s``, signs fixed so that v's largest entry is positive."""

    u: np.ndarray  # [n_rows, k] float64, orthonormal columns: prototypes
    s: np.ndarray  # [k]
    v: np.ndarray  # [n_columns, k], orthonormal columns
    residual: float  # largest ||A'u - s v|| and ||A v - s u||, of s[0]
    degenerate: np.ndarray  # [k] bool: shares its singular value with another, so its direction is arbitrary

    @property
    def coefficients(self) -> np.ndarray:
        """C = S V' transposed: ``[n_columns, k]``, one row per feature."""
        return self.v * self.s

    def first(self, k: int) -> Svd:
        return Svd(self.u[:, :k], self.s[:k], self.v[:, :k], self.residual, self.degenerate[:k])


def truncated_svd(a: Deflated, k: int, seed: int = 0) -> Svd:
    """The ``k`` largest singular triplets. InputError where the matrix has fewer, or holds NaN."""
    if not np.isfinite(a.matrix.data).all():
        raise InputError(
            "the matrix holds values that are not finite", "activations must be numbers", "encode the run again"
        )
    check_k(a.shape, k)
    values, v = _eigen(a, min(k + 1, *a.shape), seed)
    s = np.sqrt(np.maximum(values, 0))
    rank = int((s > RANK_TOLERANCE * s[0]).sum()) if s[0] > 0 else 0
    if rank < k:
        raise InputError(
            f"the matrix has rank {rank}, {k} components were asked for",
            "features that fire alike, or contexts that are alike, add no component",
            f"--param k={max(1, rank)}, or more contexts",
        )
    v = v[:, :k] * _signs(v[:, :k])
    u = a.dot(v) / s[:k]
    residual = _residual(a, u, s[:k], v)
    if residual > MAX_RESIDUAL:
        raise PrismError("the SVD did not converge", f"residual {residual:.1e}, allowed {MAX_RESIDUAL:.0e}")
    return Svd(u, s[:k], v, residual, _degenerate(s)[:k])


def check_k(shape: tuple[int, int], k: int) -> None:
    """InputError where no matrix of that shape has ``k`` components."""
    if not 1 <= k <= min(shape):
        raise InputError(
            f"a matrix of {shape[0]} rows and {shape[1]} features has no {k} components",
            f"k must lie between 1 and {min(shape)}",
            f"--param k={min(shape)}, or more contexts",
        )


def singular_values(a: Deflated, k: int, seed: int = 0, tol: float = 1e-10) -> np.ndarray:
    """The ``k`` largest singular values ``[k]``, 0 where there are fewer; relative error at most ``tol`` / 2."""
    out = np.zeros(k)
    if a.matrix.nnz:
        values = _eigen(a, min(k, *a.shape), seed, False, tol)[0]
        out[: len(values)] = np.sqrt(np.maximum(values, 0))
    return out


def _eigen(a: Deflated, k: int, seed: int, vectors: bool = True, tol: float = 1e-10) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues of A'A, descending, and their vectors."""
    n = a.shape[1]
    if n <= DENSE_COLUMNS or k >= n - 1:
        found = eigh(a.gram(), subset_by_index=(n - k, n - 1), eigvals_only=not vectors)
        values, v = found if vectors else (found, np.empty((n, 0)))
        return values[::-1], v[:, ::-1]
    start = np.random.default_rng(seed).normal(size=n)  # ARPACK's own start is random: results must not be
    operator = LinearOperator((n, n), matvec=lambda x: a.gram_dot(x.ravel()), dtype=np.float64)
    basis = min(n, max(2 * k + 16, 40))
    found = eigsh(operator, k=k, v0=start, ncv=basis, tol=tol, return_eigenvectors=vectors)
    values, v = found if vectors else (found, np.empty((n, 0)))
    order = np.argsort(-values)
    return values[order], v[:, order] if vectors else v


def _signs(v: np.ndarray) -> np.ndarray:
    """+-1 per column so that the entry of largest size is positive; the first of equals decides."""
    size = np.abs(v)
    first = np.argmax(size >= size.max(axis=0) * (1 - 1e-9), axis=0)
    return np.where(v[first, np.arange(v.shape[1])] < 0, -1.0, 1.0)


def _residual(a: Deflated, u: np.ndarray, s: np.ndarray, v: np.ndarray) -> float:
    back = np.linalg.norm(a.rdot(u) - v * s, axis=0).max()
    there = np.linalg.norm(a.dot(v) - u * s, axis=0).max()
    return float(max(back, there) / s[0])


def _degenerate(s: np.ndarray) -> np.ndarray:
    near = np.abs(np.diff(s)) <= DEGENERATE_GAP * s[:-1]
    return np.concatenate([near, [False]]) | np.concatenate([[False], near])
