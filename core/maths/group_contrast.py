"""What tells two groups of texts apart: per feature effects, p, held-out ranking, and the best of shuffled groups.

``acts`` is CSC ``(n_texts, n_features)``, values > 0 where a feature fires; ``member [n_texts]`` bool is group a;
``unit [n_texts]`` int numbers what is exchangeable, from 0 without gaps: each text, or its document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from core.maths.firing_lift import fisher_differs
from core.maths.sparse_auroc import SparseRanks

N_BEST = 10
MIN_MANN_WHITNEY = 8
CHUNK = 250  # shuffles at once


@dataclass(frozen=True)
class Shuffled:
    """``best [n_shuffles]`` ascending: largest |AUROC - .5| of shuffled groups; ``p`` and ``p_max`` ``[n_features]``.

    ``p`` compares each feature with itself, ``p_max`` with the best of all features (so it holds for all together).
    """

    best: np.ndarray
    p: np.ndarray
    p_max: np.ndarray


def exact_p(acts: sparse.csc_matrix, ranks: SparseRanks, member: np.ndarray) -> np.ndarray:
    """Two-sided p ``[n_features]`` where texts are independent.

    A feature that fires on at most half of all texts: Fisher's exact test of where it fires. One that fires on more, in
    groups of 8 and more: Mann-Whitney's test of how strongly. Which one is decided by the number of firing texts of
    both groups together, which says nothing about their difference.
    """
    n, n_a = len(member), int(member.sum())
    total = np.diff(acts.indptr)
    in_a = _counts(acts, member)
    p = fisher_differs(in_a, n_a, total - in_a, n - n_a)
    if min(n_a, n - n_a) < MIN_MANN_WHITNEY:
        return p
    return np.where(2 * total > n, ranks.mann_whitney_p(member), p)


def _counts(acts: sparse.csc_matrix, member: np.ndarray) -> np.ndarray:
    column = np.repeat(np.arange(acts.shape[1]), np.diff(acts.indptr))
    return np.bincount(column, weights=member[acts.indices], minlength=acts.shape[1]).astype(np.int64)


def shuffles(member: np.ndarray, unit: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``[n_texts, n]`` bool: groups as they could have been.

    Units of one group each are shuffled whole; where a unit has texts of both, texts are shuffled inside units.
    """
    n_units = int(unit.max()) + 1
    share = np.bincount(unit, weights=member, minlength=n_units) / np.bincount(unit, minlength=n_units)
    out = np.empty((len(member), n), bool)
    pure = bool(((share == 0) | (share == 1)).all())
    order = np.argsort(unit, kind="stable")
    for k in range(n):
        if pure:
            out[:, k] = rng.permutation(share > 0.5)[unit]
        else:
            mixed = np.lexsort((rng.random(len(unit)), unit))
            out[order, k] = member[mixed]
    return out


def compare_shuffled(ranks: SparseRanks, member: np.ndarray, unit: np.ndarray, n: int, seed: int) -> Shuffled:
    """AUROC of every feature for the groups and for ``n`` shuffled ones; a p is at least 1 / (n + 1)."""
    rng = np.random.default_rng([seed, 21])
    away = np.abs(ranks.auroc(member[:, None])[:, 0] - 0.5) - 1e-12
    best, beaten = np.empty(n), np.zeros(len(away), np.int64)
    for start in range(0, n, CHUNK):
        drawn = shuffles(member, unit, min(CHUNK, n - start), rng)
        apart = np.abs(np.nan_to_num(ranks.auroc(drawn), nan=0.5) - 0.5)
        best[start : start + drawn.shape[1]] = apart.max(0, initial=0.0)
        beaten += (apart >= away[:, None]).sum(1)
    best.sort()
    n_beyond = n - np.searchsorted(best, away)
    return Shuffled(best, (1 + beaten) / (n + 1), (1 + n_beyond) / (n + 1))


@dataclass(frozen=True)
class HeldOut:
    """``auroc [n_features]``: mean over folds, turned the way the other folds point; NaN where no fold can tell.

    ``n_best [n_features]``: folds whose others have the feature among their ten best. ``chosen`` one row a fold: (fold,
    feature column, AUROC on the others, AUROC on the fold, texts of a, texts of b).
    """

    auroc: np.ndarray
    n_best: np.ndarray
    chosen: tuple[tuple[int, int, float, float, int, int], ...]


def held_out(acts: sparse.csc_matrix, member: np.ndarray, unit: np.ndarray, n_folds: int, seed: int) -> HeldOut:
    """Choose on all folds but one, judge on that one; whole units, both groups in every fold as evenly as they go."""
    fold, rows = folds(member, unit, n_folds, seed), acts.tocsr()
    sums, counted = np.zeros(acts.shape[1]), np.zeros(acts.shape[1])
    n_best = np.zeros(acts.shape[1], np.int64)
    chosen = []
    for k in range(n_folds):
        there, out = fold != k, fold == k
        n_a, n_b = int(member[out].sum()), int((~member[out]).sum())
        if not n_a or not n_b or member[there].all() or not member[there].any():
            continue
        fit, judge = (SparseRanks.of(rows[r].tocsc()).auroc(member[r][:, None])[:, 0] for r in (there, out))
        way = np.sign(fit - 0.5)
        turned = 0.5 + way * (judge - 0.5)
        sums, counted = sums + turned, counted + 1
        best = np.argsort(-np.abs(fit - 0.5), kind="stable")
        n_best[best[:N_BEST]] += 1
        chosen.append((k, int(best[0]), float(np.abs(fit[best[0]] - 0.5) + 0.5), float(turned[best[0]]), n_a, n_b))
    mean = np.divide(sums, counted, out=np.full(len(sums), np.nan), where=counted > 0)
    return HeldOut(mean, n_best, tuple(chosen))


def folds(member: np.ndarray, unit: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """int ``[n_texts]``: the fold of each text; units stay whole, and those of each group are dealt out in turn."""
    rng = np.random.default_rng([seed, 22])
    n_units = int(unit.max()) + 1
    mostly_a = np.bincount(unit, weights=member, minlength=n_units) * 2 > np.bincount(unit, minlength=n_units)
    of_unit = np.empty(n_units, np.int64)
    dealt = 0
    for group in (True, False):
        mine = rng.permutation(np.flatnonzero(mostly_a == group))
        of_unit[mine] = (np.arange(len(mine)) + dealt) % n_folds
        dealt += len(mine)
    return of_unit[unit]


def difference_intervals(
    fires: sparse.csc_matrix, member: np.ndarray, unit: np.ndarray, seed: int, n_draws: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval ``(lo, hi)`` ``[n_features]`` of share in a minus share in b, by the Bayesian bootstrap over units.

    Each end is taken with one more unit of usual size in either group that speaks for that end, as ``core.maths.
    bootstrap`` does: a difference of 1 between two groups of three texts does not look certain.
    """
    rng = np.random.default_rng([seed, 23])
    n_units = int(unit.max()) + 1
    weights = rng.exponential(1.0, (n_units, n_draws))[unit]
    size = len(unit) / n_units
    ends = []
    sides = []
    for group in (member, ~member):
        extra = size * rng.exponential(1.0, n_draws)
        fired = fires[np.flatnonzero(group)].T @ weights[group]
        total = weights[group].sum(0) + extra
        sides.append((fired / total, (fired + extra) / total))
    (a_lo, a_hi), (b_lo, b_hi) = sides
    for values, share in ((a_lo - b_hi, 0.025), (a_hi - b_lo, 0.975)):
        ends.append(np.quantile(values, share, axis=1))
    return ends[0], ends[1]
