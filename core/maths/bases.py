"""Prototypes by three methods on one matrix, and how stable they are: halves of the documents, resamples, seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.maths.deflated import Deflated
from core.maths.rotations import cosines, matched_cosines, nmf, varimax
from core.maths.svd import truncated_svd

Method = Literal["svd", "varimax", "nmf"]
METHODS: tuple[str, ...] = get_args(Method)
#: row numbers -> A of those rows, scaled anew
Rows = Callable[[np.ndarray], Deflated]


@dataclass(frozen=True)
class Basis:
    """``A ~ u @ c.T``: prototypes ``u [n_rows, k]`` with columns of length 1, coefficients ``c [n_features, k]``.

    svd: c = V S, columns by singular value. varimax: the same subspace, loadings V R. nmf: both >= 0.
    ``residual`` and ``degenerate [k]`` are of the SVD behind it; NaN and False for nmf.
    """

    u: np.ndarray
    c: np.ndarray
    residual: float
    degenerate: np.ndarray


def find_basis(a: Deflated, method: str, k: int, seed: int = 0) -> Basis:
    """Prototypes by ``method``; ``seed`` starts nmf and varimax (0: varimax starts from the SVD itself)."""
    if method == "nmf":
        u, c = nmf(a, k, seed)
        return Basis(u, c, np.nan, np.zeros(k, bool))
    svd = truncated_svd(a, k)
    if method == "svd":
        return Basis(svd.u, svd.coefficients, svd.residual, svd.degenerate)
    rotation = varimax(svd.v, seed or None)
    loadings, scores = svd.v @ rotation, (svd.u * svd.s) @ rotation
    length = np.linalg.norm(scores, axis=0)
    largest = np.abs(loadings).argmax(0)
    sign = np.where(loadings[largest, np.arange(k)] < 0, -1.0, 1.0)
    order = np.argsort(-length, kind="stable")
    u, c = scores / length * sign, loadings * length * sign
    return Basis(u[:, order], c[:, order], svd.residual, np.zeros(k, bool))


def explained(a: Deflated, basis: Basis) -> np.ndarray:
    """R^2 at k of every feature ``[n_features]``: share of its column's sum of squares; NaN for an empty column."""
    squares = a.column_squares()
    cross = (a.rdot(basis.u) * basis.c).sum(1)
    own = np.einsum("ij,jk,ik->i", basis.c, basis.u.T @ basis.u, basis.c)
    return np.where(squares > 0, (2 * cross - own) / np.where(squares > 0, squares, 1), np.nan)


def split_half(rows: Rows, halves: tuple[np.ndarray, np.ndarray], full: np.ndarray, method: str) -> np.ndarray:
    """How alike each prototype's loadings are when found on either half of the documents ``[k]``, |cosine|.

    The halves' prototypes are matched to those of all rows one to one, and compared with each other. NaN where a half
    has too few rows.
    """
    k = full.shape[1]
    if min(len(halves[0]), len(halves[1]), full.shape[0]) <= k:
        return np.full(k, np.nan)
    found = [_ordered(find_basis(rows(half), method, k).c, full) for half in halves]
    lengths = [np.maximum(np.linalg.norm(c, axis=0), 1e-300) for c in found]
    return np.abs((found[0] / lengths[0] * found[1] / lengths[1]).sum(0))


def _ordered(c: np.ndarray, full: np.ndarray) -> np.ndarray:
    """Columns of ``c`` in the order of the columns of ``full`` that they match best, one to one."""
    return c[:, linear_sum_assignment(-cosines(full, c))[1]]


def bootstrap_stability(
    rows: Rows, document: np.ndarray, full: np.ndarray, method: str, n_boot: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean |cosine| of each prototype's loadings with its match on documents drawn with replacement ``[k]``."""
    of_document = [np.flatnonzero(document == d) for d in range(int(document.max()) + 1)] if n_boot else []
    found = []
    for _ in range(n_boot):
        drawn = np.concatenate([of_document[d] for d in rng.integers(0, len(of_document), len(of_document))])
        found.append(matched_cosines(full, find_basis(rows(drawn), method, full.shape[1]).c))
    return np.mean(found, axis=0) if found else np.full(full.shape[1], np.nan)


def seed_stability(a: Deflated, full: np.ndarray, method: str, n_seeds: int) -> np.ndarray:
    """Mean |cosine| of each prototype's loadings with its match under other seeds ``[k]``; NaN for svd: it has none."""
    if method == "svd" or n_seeds < 1:
        return np.full(full.shape[1], np.nan)
    k = full.shape[1]
    return np.mean([matched_cosines(full, find_basis(a, method, k, 1 + s).c) for s in range(n_seeds)], axis=0)
