"""How alike two features fire, from counts: Jaccard, Dice, overlap, phi.

``n_both`` units (positions or contexts) where both fire, ``n_a`` and ``n_b`` where each does, ``n`` units in all.
Features fire somewhere and not everywhere, otherwise phi is NaN. Arrays broadcast.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy import sparse

Affinity = Literal["jaccard", "dice", "overlap", "phi"]
AFFINITIES: tuple[str, ...] = get_args(Affinity)


def jaccard(n_both: np.ndarray, n_a: np.ndarray, n_b: np.ndarray) -> np.ndarray:
    """Both / either, 0..1."""
    return n_both / (np.asarray(n_a, np.float64) + n_b - n_both)


def dice(n_both: np.ndarray, n_a: np.ndarray, n_b: np.ndarray) -> np.ndarray:
    """2 both / (a + b), 0..1: 2 J / (1 + J), so it orders pairs as Jaccard does."""
    return 2 * n_both / (np.asarray(n_a, np.float64) + n_b)


def overlap(n_both: np.ndarray, n_a: np.ndarray, n_b: np.ndarray) -> np.ndarray:
    """Both / the rarer, 0..1: 1 when one fires only where the other does."""
    return n_both / np.minimum(n_a, n_b).astype(np.float64)


def phi(n_both: np.ndarray, n_a: np.ndarray, n_b: np.ndarray, n: int) -> np.ndarray:
    """Pearson correlation of the two firing patterns, -1..1; NaN where one always fires."""
    a, b = np.asarray(n_a, np.float64), np.asarray(n_b, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * np.asarray(n_both, np.float64) - a * b) / np.sqrt(a * (n - a) * b * (n - b))


def affinity_block(binary: sparse.spmatrix, rows: np.ndarray, columns: np.ndarray, affinity: str) -> np.ndarray:
    """One affinity between features ``rows`` and ``columns`` (column numbers), dense ``[len(rows), len(columns)]``.

    ``binary``: CSC ``(n_units, n_features)``, 1 where a feature fires. The block a heatmap draws, never all of them.
    """
    b = sparse.csc_matrix(binary)
    counts = np.diff(b.indptr)
    both = (b[:, rows].T @ b[:, columns]).toarray()
    n_a, n_b = counts[rows][:, None], counts[columns][None, :]
    if affinity == "phi":
        return phi(both, n_a, n_b, b.shape[0])
    return {"jaccard": jaccard, "dice": dice, "overlap": overlap}[affinity](both, n_a, n_b)
