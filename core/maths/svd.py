"""Truncated SVD of a sparse, perhaps centred, matrix, exact to a stated residual.

Randomised methods are fast and wrong in the tail of slowly falling spectra (1e-2 at the usual settings), so the
right singular vectors are eigenvectors of A'A: by LAPACK where that is small, else by block Lanczos, whose passes serve
many vectors at once. ARPACK takes over where that does not reach the residual asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from core.errors import InputError, PrismError
from core.maths.block_lanczos import BLOCK, largest_eigenpairs
from core.maths.deflated import Deflated

DENSE_COLUMNS = 1_536  # up to here A'A is formed: 19 MB, and all of its spectrum is exact
MAX_RESIDUAL = 1e-5
ROUGH = 3e-6  # of s_1: residuals asked of vectors, and what float32 passes can give
RANK_TOLERANCE = 1e-6  # of the largest singular value: A'A cannot tell smaller ones from 0
DEGENERATE_GAP = 1e-4  # of a singular value: directions closer than that are an arbitrary basis of their space


@dataclass(frozen=True)
class Svd:
    """``A ~ u @ diag(s) @ v.T``; columns sorted by ``s``, signs fixed so that v's largest entry is positive."""

    u: np.ndarray  # [n_rows, k] float64, orthonormal columns: prototypes
    s: np.ndarray  # [k]
    v: np.ndarray  # [n_columns, k], orthonormal columns
    residual: float  # largest ||A'u - s v||, of s[0]; A v = s u by construction
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
    n = min(k + 1, *a.shape)
    values, v = _eigen(a, n, seed, ROUGH)
    found = _triplets(a, k, values, v)
    if not _formed(a, n) and (found is None or found.residual > MAX_RESIDUAL):  # it falls too far for float32
        values, v = _arpack(a, n, seed)
        found = _triplets(a, k, values, v)
    if found is None:
        rank = _rank(np.sqrt(np.maximum(values, 0)))
        raise InputError(
            f"the matrix has rank {rank}, {k} components were asked for",
            "features that fire alike, or contexts that are alike, add no component",
            f"--param k={max(1, rank)}, or more contexts",
        )
    if found.residual > MAX_RESIDUAL:
        raise PrismError("the SVD did not converge", f"residual {found.residual:.1e}, allowed {MAX_RESIDUAL:.0e}")
    return found


def _triplets(a: Deflated, k: int, values: np.ndarray, v: np.ndarray) -> Svd | None:
    """The SVD from eigenpairs of A'A; None where the rank is below ``k``."""
    s = np.sqrt(np.maximum(values, 0))
    if _rank(s) < k:
        return None
    v = v[:, :k] * _signs(v[:, :k])
    u = a.dot(v)
    u /= s[:k]
    residual = np.linalg.norm(a.rdot(u) - v * s[:k], axis=0).max() / s[0]
    return Svd(u, s[:k], v, float(residual), _degenerate(s)[:k])


def _rank(s: np.ndarray) -> int:
    return int((s > RANK_TOLERANCE * s[0]).sum()) if s[0] > 0 else 0


def check_k(shape: tuple[int, int], k: int) -> None:
    """InputError where no matrix of that shape has ``k`` components."""
    if not 1 <= k <= min(shape):
        raise InputError(
            f"a matrix of {shape[0]} rows and {shape[1]} features has no {k} components",
            f"k must lie between 1 and {min(shape)}",
            f"--param k={min(shape)}, or more contexts",
        )


def singular_values(a: Deflated, k: int, seed: int = 0, tol: float = 1e-9) -> np.ndarray:
    """The ``k`` largest singular values ``[k]``, 0 where there are fewer; errors at most ``tol`` / 2 of the largest."""
    out = np.zeros(k)
    if a.matrix.nnz:
        values = _eigen(a, min(k, *a.shape), seed, tol, vectors=False)[0]
        out[: len(values)] = np.sqrt(np.maximum(values, 0))
    return out


def _eigen(a: Deflated, k: int, seed: int, tol: float, vectors: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues of A'A, descending, and their vectors, which may be missing where they are not asked for.

    ``tol`` of s_1 is the residual allowed where A'A is not formed.
    """
    if _formed(a, k):
        return _lapack(a, k, vectors)
    n = a.shape[1]
    dtype = np.float32 if tol >= ROUGH else np.float64
    most = min(n, a.shape[0], 8 * k + 512) // BLOCK * BLOCK
    found = largest_eigenpairs(lambda x: a.gram_dot(x, dtype), n, k, seed, tol, most)
    return _arpack(a, k, seed) if found is None else found


def _formed(a: Deflated, k: int) -> bool:
    """Whether A'A is formed: where it is small, or nearly all of its spectrum is asked for."""
    return a.shape[1] <= DENSE_COLUMNS or k >= a.shape[1] - 1


def _lapack(a: Deflated, k: int, vectors: bool = True) -> tuple[np.ndarray, np.ndarray]:
    n = a.shape[1]
    found = eigh(a.gram(), subset_by_index=(n - k, n - 1), eigvals_only=not vectors)
    values, v = found if vectors else (found, np.empty((n, 0)))
    return values[::-1], v[:, ::-1]


def _arpack(a: Deflated, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    n = a.shape[1]
    start = np.random.default_rng(seed).normal(size=n)  # ARPACK's own start is random: results must not be
    operator = LinearOperator((n, n), matvec=lambda x: a.gram_dot(x.ravel()), dtype=np.float64)
    values, v = eigsh(operator, k=k, v0=start, ncv=min(n, max(2 * k + 16, 40)), tol=1e-10)
    order = np.argsort(-values)
    return values[order], v[:, order]


def _signs(v: np.ndarray) -> np.ndarray:
    """+-1 per column so that the entry of largest size is positive; the first of equals decides."""
    size = np.abs(v)
    first = np.argmax(size >= size.max(axis=0) * (1 - 1e-9), axis=0)
    return np.where(v[first, np.arange(v.shape[1])] < 0, -1.0, 1.0)


def _degenerate(s: np.ndarray) -> np.ndarray:
    near = np.abs(np.diff(s)) <= DEGENERATE_GAP * s[:-1]
    return np.concatenate([near, [False]]) | np.concatenate([[False], near])
