"""Largest eigenpairs of a symmetric positive semi-definite operator by block Lanczos with full reorthogonalisation.

A block lets one pass over a sparse matrix serve many vectors, which is what makes it faster than one vector at a time;
the basis is kept whole, so there are no restarts and no ghosts. Golub and Underwood 1977.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

BLOCK = 16
STEPS_BETWEEN_LOOKS = 3


def largest_eigenpairs(
    apply: Callable[[np.ndarray], np.ndarray], n: int, k: int, seed: int, tol: float, most: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """``values [k]`` descending and ``vectors [n, k]`` of the operator ``apply [n, b] -> [n, b]``.

    Stops when every residual norm is at most ``tol * sqrt(value * largest)``, which for a Gram matrix A'A is ``tol`` of
    the largest singular value in A'u - s v. None where a basis of ``most`` vectors, or all of the space that the start
    reaches, does not get there. Memory: the basis, ``most`` vectors at worst.
    """
    basis = np.empty((n, most), order="F")
    basis[:, :BLOCK] = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, BLOCK)))[0]
    small = np.zeros((most, most))  # the operator seen from the basis
    for step, end in enumerate(range(BLOCK, most + 1, BLOCK)):
        known, start = basis[:, :end], end - BLOCK
        following = apply(basis[:, start:end])
        projection = known.T @ following
        small[:end, start:end], small[start:end, :end] = projection, projection.T
        ahead, link = np.linalg.qr(following - known @ projection)
        if end >= k and step % STEPS_BETWEEN_LOOKS == 0:
            values, within = eigh(small[:end, :end], subset_by_index=(end - k, end - 1))
            residual = np.linalg.norm(link @ within[start:end], axis=0)
            if (residual <= tol * np.sqrt(np.maximum(values, 0) * values[-1])).all():
                return values[::-1], known @ within[:, ::-1]
        if end + BLOCK <= most:  # a second time, for what rounding put back
            basis[:, end : end + BLOCK] = np.linalg.qr(ahead - known @ (known.T @ ahead))[0]
    return None
