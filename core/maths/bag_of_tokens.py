"""How well a component can be described without a language model: by the tokens around its firings.

From half of the documents learn which tokens stand near the component's rows; predict its rows among those of the
other half (AUROC). Beside it an intruder test: of five texts, four of the component, find the one that is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

SMOOTHING = 0.5
N_SHOWN = 4  # texts of the component in one intruder trial, beside one that is not


@dataclass(frozen=True)
class Rows:
    """Text around every row: ``bag`` CSR ``(n_rows, n_tokens)`` 1 where a token stands near it; ``document``."""

    bag: sparse.csr_matrix
    document: np.ndarray


def describe(rows: Rows, member: sparse.csc_matrix) -> np.ndarray:
    """Log odds of every token near each component's rows against all others, smoothed: ``[n_tokens, n_components]``.

    ``member`` ``(n_rows, n_components)`` 1 where a row is the component's.
    """
    near = np.asarray((rows.bag.T @ member).todense())
    everywhere = np.asarray(rows.bag.sum(0)).ravel()[:, None]
    n_in = np.asarray(member.sum(0)).ravel()[None, :]
    n_out = rows.bag.shape[0] - n_in
    inside = (near + SMOOTHING) / (n_in + 2 * SMOOTHING)
    outside = (everywhere - near + SMOOTHING) / (n_out + 2 * SMOOTHING)
    return np.log(inside / outside)


def auroc(scores: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each column of ``scores [n_rows, n]`` for ``member [n_rows, n]`` bool; ties half.

    NaN where all rows, or none, are members.
    """
    rank = rankdata(scores, axis=0)
    n_in = member.sum(0)
    n_out = len(member) - n_in
    area = ((rank * member).sum(0) - n_in * (n_in + 1) / 2) / np.where(n_in * n_out > 0, n_in * n_out, np.nan)
    return area


def held_out_auroc(fit: Rows, judge: Rows, fit_member: sparse.csc_matrix, member: sparse.csc_matrix) -> np.ndarray:
    """AUROC ``[n_components]`` of descriptions learnt on ``fit`` for the rows of ``judge``."""
    if not member.shape[1]:
        return np.empty(0)
    return auroc(np.asarray(judge.bag @ describe(fit, fit_member)), member.toarray() > 0)


def intruder_accuracy(
    vectors: np.ndarray, member: sparse.csc_matrix, document: np.ndarray, n_trials: int, rng: np.random.Generator
) -> np.ndarray:
    """Share of trials ``[n_components]`` in which the text farthest from the other four is the intruder; chance 1/5.

    ``vectors [n_rows, d]`` unit rows; texts of one trial are of different documents where there are enough. NaN where
    a component has fewer than four rows in different documents, or no other row exists.
    """
    out = np.full(member.shape[1], np.nan)
    for c in range(member.shape[1]):
        mine = member.indices[member.indptr[c] : member.indptr[c + 1]]
        others = np.setdiff1d(np.arange(len(vectors)), mine)
        of_one = np.unique(document[mine], return_index=True)[1]
        if len(of_one) < N_SHOWN or not len(others):
            continue
        hits = 0
        for _ in range(n_trials):
            shown = np.append(rng.permutation(mine[of_one])[:N_SHOWN], rng.choice(others))
            alike = vectors[shown] @ vectors[shown].T
            hits += int(np.argmin(alike.sum(1))) == N_SHOWN
        out[c] = hits / n_trials
    return out


def top_rows(scores: np.ndarray, sizes: np.ndarray) -> sparse.csc_matrix:
    """Member matrix of the ``sizes [n]`` highest rows of each column of ``scores [n_rows, n]``; ties by lower row."""
    order = np.argsort(-scores, axis=0, kind="stable")
    rows = [np.sort(order[:size, c]) for c, size in enumerate(sizes)]
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    data = np.ones(int(ptr[-1]))
    return sparse.csc_matrix((data, np.concatenate(rows) if rows else [], ptr), shape=scores.shape)


def mean_interval(values: np.ndarray, rng: np.random.Generator, n_boot: int = 1000) -> tuple[float, float, float]:
    """Mean over components that have a value, and its 95 % interval, bootstrap over components."""
    there = values[np.isfinite(values)]
    if not len(there):
        return np.nan, np.nan, np.nan
    draws = rng.choice(there, (n_boot, len(there))).mean(1)
    lo, hi = np.quantile(draws, [0.025, 0.975])
    return float(there.mean()), float(lo), float(hi)
