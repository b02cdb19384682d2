"""How many components stand above chance: parallel analysis against nulls, and the elbow beside it.

Only the centred matrix is judged: the first component of an uncentred one is its mean, and equals the null's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from core.maths.deflated import Deflated
from core.maths.svd import singular_values

LEVEL = 0.95
NULL_TOLERANCE = 1e-4  # of a null singular value squared: copies differ by far more


@dataclass(frozen=True)
class NullSpectrum:
    """Singular values of null matrices, ``values [n_null, k]``."""

    values: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return self.values.mean(0)

    @property
    def q95(self) -> np.ndarray:
        return np.quantile(self.values, LEVEL, axis=0)


def null_spectrum(
    acts: sparse.spmatrix,
    prepare: Callable[[sparse.spmatrix], Deflated],
    draw: Callable[[sparse.spmatrix, np.random.Generator], sparse.csc_matrix],
    k: int,
    n_null: int,
    seed: int | list[int],
) -> NullSpectrum:
    """Spectra of ``prepare(draw(acts))`` over ``n_null`` draws, in one order whatever the machine."""
    rngs = np.random.default_rng(seed).spawn(n_null)
    return NullSpectrum(np.stack([singular_values(prepare(draw(acts, rng)), k, tol=NULL_TOLERANCE) for rng in rngs]))


def parallel_k(s: np.ndarray, null: NullSpectrum) -> int:
    """Components before the first that is not above the null's 95th percentile (Horn's parallel analysis)."""
    above = s > null.q95[: len(s)]
    return len(s) if above.all() else int(np.argmin(above))


def elbow_k(s: np.ndarray) -> int:
    """Components up to the elbow of log s: the place farthest below the chord of the curve (after kneedle).

    0 with fewer than three positive singular values, which have no elbow.
    """
    positive = s[s > 0]
    if len(positive) < 3 or positive[0] <= positive[-1]:
        return 0
    x = np.linspace(0, 1, len(positive))
    log = np.log(positive)
    y = (log - log[-1]) / (log[0] - log[-1])
    return int(np.argmax((1 - x) - y)) + 1
