"""The test of the conjecture: does similarity from C predict which features fire together on other documents?

Target: e_ij = log((I_ij + .5) / (E_ij + .5)) with E_ij = p_i q_j / N on held-out rows, over pairs with E_ij > 1.
Statistic: Spearman between similarity and e. A correlation with Jaccard over raw pairs measures density, not
structure: shuffled columns score the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from core.maths.cofiring import pair_counts, pair_dots
from core.maths.deflated import Deflated

LEAST_EXPECTED = 1.0


@dataclass(frozen=True)
class Target:
    """Held-out co-firing of some pairs. ``pairs [n, 2]`` columns, ``excess [n]``, ``draws [n_boot, n]`` the same under
    resampled documents; ``n_possible`` pairs had E > 1.
    """

    pairs: np.ndarray
    excess: np.ndarray
    draws: np.ndarray
    n_possible: int


def excess_of(n_both: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """log((I + .5) / (E + .5)): 0 when a pair fires together as often as its densities say."""
    return np.log((n_both + 0.5) / (expected + 0.5))


def choose_pairs(n_firings: np.ndarray, n_rows: int, n_most: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Pairs i < j with E > 1, all or ``n_most`` drawn uniformly, and how many there are.

    Counted feature by feature over sorted densities, so that nothing of the size of all pairs is made.
    """
    order = np.argsort(n_firings, kind="stable")
    ascending = n_firings[order].astype(np.float64)
    need = LEAST_EXPECTED * n_rows / np.maximum(ascending, 1e-300)
    first = np.maximum(np.searchsorted(ascending, need, side="right"), np.arange(len(order)) + 1)
    each = len(order) - np.minimum(first, len(order))
    total, ends = int(each.sum()), np.cumsum(each)
    at = np.arange(total) if total <= n_most else np.unique(rng.integers(0, total, n_most))
    a = np.searchsorted(ends, at, side="right")
    b = first[a] + at - (ends[a] - each[a])
    return np.sort(np.stack([order[a], order[b]], 1), axis=1).astype(np.int64), total


def target_of(
    binary: sparse.csc_matrix, document: np.ndarray, n_most: int, n_boot: int, rng: np.random.Generator
) -> Target:
    """Excess on these rows over pairs with E > 1, with ``n_boot`` Bayesian bootstraps over documents."""
    n_firings, n_rows = np.diff(binary.indptr), binary.shape[0]
    pairs, n_possible = choose_pairs(n_firings, n_rows, n_most, rng)
    both = pair_counts(binary, pairs)
    excess = excess_of(both, n_firings[pairs[:, 0]] * n_firings[pairs[:, 1]] / n_rows)
    of_document = np.unique(document, return_inverse=True)[1]
    weights = rng.exponential(size=(n_boot, int(of_document.max()) + 1 if len(document) else 0))
    draws = np.stack([_reweighted(binary, pairs, w[of_document]) for w in weights]) if n_boot else excess[None, :0]
    return Target(pairs, excess, draws, n_possible)


def _reweighted(binary: sparse.csc_matrix, pairs: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The excess where rows count ``weight`` each; weights are rescaled to the number of rows."""
    weight = weight * (len(weight) / weight.sum())
    root = np.sqrt(weight)[binary.indices]
    both = pair_dots(binary.indptr, binary.indices, root, pairs)
    n_firings = np.bincount(np.repeat(np.arange(binary.shape[1]), np.diff(binary.indptr)), root**2, binary.shape[1])
    return excess_of(both, n_firings[pairs[:, 0]] * n_firings[pairs[:, 1]] / len(weight))


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of each row of ``values [m, n]``, centred and of length 1: inner products are Spearman correlations."""
    out = rankdata(np.atleast_2d(values), axis=1)
    out -= out.mean(1, keepdims=True)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return out / np.where(length > 0, length, np.nan)


def pair_similarity(c: np.ndarray, pairs: np.ndarray, by: str) -> np.ndarray:
    """Similarity of rows of ``c [n_features, k]`` for each pair: cosine (0 without length) or minus Euclid."""
    if by == "cosine":
        length = np.linalg.norm(c, axis=1, keepdims=True)
        c = c / np.where(length > 0, length, 1)
        return np.einsum("ij,ij->i", c[pairs[:, 0]], c[pairs[:, 1]])
    return -np.sqrt(((c[pairs[:, 0]] - c[pairs[:, 1]]) ** 2).sum(1))


def full_rank_similarity(a: Deflated, pairs: np.ndarray, by: str) -> np.ndarray:
    """What C would give at full rank, from the columns of A themselves: cosine or minus Euclid of each pair."""
    csc = a.matrix.tocsc()
    csc.sort_indices()
    dots = pair_dots(csc.indptr, csc.indices, csc.data, pairs)
    if a.left.shape[1]:
        right = a.right.toarray() if a.right.shape[0] <= 4 else None
        if right is None:
            raise ValueError("full rank is for plain or centred matrices")
        cross = (a.left.T @ a.matrix).toarray()
        square = (a.left.T @ a.left).toarray() @ right
        i, j = pairs.T
        dots -= (cross[:, i] * right[:, j]).sum(0) + (right[:, i] * cross[:, j]).sum(0)
        dots += (right[:, i] * square[:, j]).sum(0)
    squares = a.column_squares()
    own = squares[pairs[:, 0]], squares[pairs[:, 1]]
    if by == "cosine":
        length = np.sqrt(own[0] * own[1])
        return dots / np.where(length > 0, length, 1)
    return -np.sqrt(np.maximum(own[0] + own[1] - 2 * dots, 0))


def density_baseline(
    n_fit: np.ndarray, fitted_excess: np.ndarray, fit_pairs: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """What densities alone say of the excess: least squares on both log densities of the fitted half's own pairs.

    ``n_fit [n_features]`` firings on the fitted half, which is all that the prediction for ``pairs`` uses.
    """

    def design(of: np.ndarray) -> np.ndarray:
        logs = np.log(n_fit[of] + 1.0)
        total, gap = logs.sum(1), np.abs(logs[:, 0] - logs[:, 1])
        return np.stack([np.ones(len(of)), total, gap, total**2, gap**2, total * gap], 1)

    if len(fit_pairs) < 10:
        return np.zeros(len(pairs))
    weights = np.linalg.lstsq(design(fit_pairs), fitted_excess, rcond=None)[0]
    return design(pairs) @ weights
