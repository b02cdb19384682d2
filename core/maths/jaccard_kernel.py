"""The statement about distances that is exact: the factor of the Jaccard kernel, and dendrograms of samples.

J is positive semi-definite, so J = C'C with C = L^(1/2) Q', and ||c_i - c_j||^2 = 2 (1 - J_ij) at full rank. The
distance 1 - J itself has no such embedding; its square root has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.linalg import eigh
from scipy.spatial.distance import squareform

from core.maths.affinities import affinity_block

ORDERED = 2_000  # optimal leaf ordering is cubic at worst


@dataclass(frozen=True)
class KernelFactor:
    """``values [n]`` eigenvalues, descending; ``coefficients [n_features, n]`` with inner products J."""

    values: np.ndarray
    coefficients: np.ndarray
    kernel: np.ndarray


def jaccard_factor(binary: sparse.spmatrix, columns: np.ndarray) -> KernelFactor:
    """Factor of the Jaccard kernel of the columns named: dense ``len(columns)`` squared."""
    kernel = affinity_block(binary, columns, columns, "jaccard")
    values, q = eigh(kernel)
    values, q = values[::-1], q[:, ::-1]
    return KernelFactor(values, q * np.sqrt(np.maximum(values, 0)), kernel)


def kernel_error(factor: KernelFactor, k: int | None = None) -> float:
    """Largest gap between squared distances of the factor's first ``k`` coordinates and 2 (1 - J)."""
    c = factor.coefficients[:, :k]
    squares = (c**2).sum(1)
    return float(np.abs(squares[:, None] + squares[None, :] - 2 * c @ c.T - 2 * (1 - factor.kernel)).max(initial=0))


def dendrogram(affinity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average linkage of 1 - affinity: scipy's linkage ``[n - 1, 4]`` and the order of the leaves ``[n]``.

    Leaves are ordered so that neighbours are alike, up to 2,000 of them. NaN counts as an affinity of 0.
    """
    if len(affinity) < 2:
        return np.empty((0, 4)), np.arange(len(affinity))
    gap = 1 - np.nan_to_num(affinity)
    np.fill_diagonal(gap, 0)
    condensed = squareform(np.maximum((gap + gap.T) / 2, 0), checks=False)
    tree = linkage(condensed, "average")
    if len(affinity) <= ORDERED:
        tree = optimal_leaf_ordering(tree, condensed)
    return tree, leaves_list(tree)
