"""Other bases of the same matrix, varimax and NMF, and how concentrated and how stable any basis is."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from core.maths.deflated import Deflated


def varimax(loadings: np.ndarray, seed: int | None = None, tol: float = 1e-9, max_steps: int = 500) -> np.ndarray:
    """Rotation ``[k, k]`` that maximises sum over columns of mean L^4 - (mean L^2)^2, L = ``loadings`` @ rotation.

    ``seed``: start from a random rotation instead of none. SVD iteration; rotates a subspace and leaves it as it is.
    """
    k = loadings.shape[1]
    rotation = np.eye(k) if seed is None else np.linalg.qr(np.random.default_rng(seed).normal(size=(k, k)))[0]
    before = 0.0
    for _ in range(max_steps):
        turned = loadings @ rotation
        u, s, vt = np.linalg.svd(loadings.T @ (turned**3 - turned * (turned**2).mean(0)))
        rotation = u @ vt
        if s.sum() - before <= tol * s.sum():
            break
        before = s.sum()
    return rotation


def varimax_criterion(loadings: np.ndarray) -> float:
    """What varimax maximises."""
    return float(((loadings**4).mean(0) - (loadings**2).mean(0) ** 2).sum())


def nmf(a: Deflated, k: int, seed: int, max_steps: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """``A ~ w @ h.T`` with w ``[n_rows, k]``, h ``[n_columns, k]`` >= 0, columns of w of length 1, largest h first.

    Frobenius loss with an l1 penalty on h alone; random start. ``a`` must be non-negative and not deflated.
    """
    scale = np.sqrt(a.matrix.multiply(a.matrix).mean()) or 1.0
    model = NMF(
        k, init="random", random_state=seed, max_iter=max_steps, alpha_W=0.0, alpha_H=1e-4 * scale, l1_ratio=1.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a stationary point in the small matters to nobody here
        w = model.fit_transform(a.matrix)
    h = model.components_.T
    length = np.linalg.norm(w, axis=0)
    w, h = w / np.where(length > 0, length, 1), h * length
    order = np.argsort(-(h**2).sum(0), kind="stable")
    return w[:, order], h[:, order]


def hoyer(columns: np.ndarray) -> np.ndarray:
    """Hoyer sparsity of each column, 0 (all equal) to 1 (one entry): (sqrt n - l1 / l2) / (sqrt n - 1). NaN if 0."""
    n = len(columns)
    if n < 2:
        return np.full(columns.shape[1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(columns).sum(0) / np.linalg.norm(columns, axis=0)
    return (np.sqrt(n) - ratio) / (np.sqrt(n) - 1)


def top_mass(columns: np.ndarray, n_top: int = 10) -> np.ndarray:
    """Share of each column's squares that its ``n_top`` largest entries hold."""
    squares = np.sort(columns**2, axis=0)[::-1]
    total = squares.sum(0)
    return squares[:n_top].sum(0) / np.where(total > 0, total, np.nan)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|cosine| of every column of ``a [n, k]`` with every column of ``b [n, m]``; 0 for a column without length."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=0), 1e-300) for x in (a, b))
    return np.abs(a.T @ b)


def matched_cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|cosine| of each column of ``a`` with its own column of ``b`` in the best one-to-one matching ``[k]``.

    0 for columns of ``a`` that get none, when ``b`` has fewer.
    """
    similar = cosines(a, b)
    out = np.zeros(a.shape[1])
    rows, columns = linear_sum_assignment(-similar)
    out[rows] = similar[rows, columns]
    return out


def held_out_r2(scores: np.ndarray, group: np.ndarray, half: np.ndarray) -> np.ndarray:
    """How much of each column of ``scores [n_rows, k]`` the row's group (its token) explains on held-out rows.

    1 - squared error / squared deviation from the half's own mean, over both halves; means of a group come from the
    other half, and that half's overall mean stands in for groups it lacks. Below 0: the groups mislead. NaN for a
    constant column.
    """
    of_group = np.unique(group, return_inverse=True)[1]
    n_groups = int(of_group.max()) + 1
    error, spread = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for side in (0, 1):
        fit, judge = half != side, half == side
        if not fit.any() or not judge.any():
            return np.full(scores.shape[1], np.nan)
        n = np.bincount(of_group[fit], minlength=n_groups)
        sums = np.zeros((n_groups, scores.shape[1]))
        np.add.at(sums, of_group[fit], scores[fit])
        means = np.where(n[:, None] > 0, sums / np.maximum(n, 1)[:, None], scores[fit].mean(0))
        error += ((scores[judge] - means[of_group[judge]]) ** 2).sum(0)
        spread += ((scores[judge] - scores[judge].mean(0)) ** 2).sum(0)
    return 1 - error / np.where(spread > 0, spread, np.nan)
