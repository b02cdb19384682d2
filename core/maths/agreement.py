"""How far verdicts can be trusted as a set: class shares, false positives on swapped labels, test-retest agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.maths.rates import clopper_pearson
from core.maths.verdict_rules import (
    ALL_PARTS,
    CLASSES,
    LABEL_FAILS,
    NO_FIRING,
    SOME_PARTS,
    UNDECIDED,
    UNTESTABLE,
    WHOLE_ONLY,
)

ANY = "any claim"
CLAIMS = (ALL_PARTS, SOME_PARTS, WHOLE_ONLY)
"""Classes that claim the label has something to do with the feature: wrong on a swapped label."""


@dataclass(frozen=True)
class ClassShare:
    """``count`` of ``n`` verdicts, with a 95 % interval. ``None``: n = 0, nothing is known."""

    kind: str
    count: int
    n: int
    share: float | None
    lo: float
    hi: float


def class_shares(kinds: Sequence[str]) -> list[ClassShare]:
    """Every class with its count, also those nobody got; exact intervals, a feature being one trial."""
    return [_share(kind, np.array([k == kind for k in kinds], bool)) for kind in CLASSES]


def swapped_label_rates(kinds: Sequence[str], features: Sequence[int] | None = None) -> list[ClassShare]:
    """What a feature gets when it is tested with the label of another: one row per claim, then ``any claim``,
    then LABEL-FAILS (the right answer) and UNDECIDED.

    ``kinds``: verdicts on swapped pairs. Pairs that test nothing (NO-FIRING, UNTESTABLE) are left out of n.
    ``features``: the feature of each pair; where one occurs repeatedly its pairs are alike, and the interval is a
    bootstrap over features. A swapped label that happens to be true raises these rates: they are upper bounds. They
    say nothing of how often LABEL-FAILS is wrong: that is measured on planted features.
    """
    ids = np.arange(len(kinds)) if features is None else np.asarray(features)
    tested = np.array([k not in (NO_FIRING, UNTESTABLE) for k in kinds], bool)
    kept, ids = [k for k, t in zip(kinds, tested, strict=True) if t], ids[tested]
    rows = [(kind, np.array([k == kind for k in kept], bool)) for kind in (*CLAIMS, LABEL_FAILS, UNDECIDED)]
    rows.insert(len(CLAIMS), (ANY, np.array([k in CLAIMS for k in kept], bool)))
    return [_share(kind, hit, ids) for kind, hit in rows]


def _share(kind: str, hit: np.ndarray, ids: np.ndarray | None = None) -> ClassShare:
    """Features are the trials: exact where each has one verdict, or where a bootstrap has nothing to vary."""
    n, count = len(hit), int(hit.sum())
    n_features = n if ids is None else len(np.unique(ids))
    if ids is not None and n_features < n and 0 < count < n:
        lo, hi = _bootstrap_over(ids, hit)
    else:
        trials = clopper_pearson(np.array(count * n_features // max(n, 1)), np.array(n_features))
        lo, hi = float(trials[0]), float(trials[1])
    return ClassShare(kind, count, n, count / n if n else None, lo, hi)


def _bootstrap_over(ids: np.ndarray, hit: np.ndarray, n_boot: int = 2000, seed: int = 0) -> tuple[float, float]:
    _, group = np.unique(ids, return_inverse=True)
    size, hits = np.bincount(group), np.bincount(group, weights=hit)
    weights = np.random.default_rng(seed).multinomial(len(size), np.full(len(size), 1 / len(size)), size=n_boot)
    lo, hi = np.quantile((weights @ hits) / (weights @ size), [0.025, 0.975])
    mean = float(hit.mean())
    return min(float(lo), mean), max(float(hi), mean)


@dataclass(frozen=True)
class Agreement:
    """Two verdicts on each of ``n`` features. ``kappa`` is None where one class fills both: chance agrees always."""

    n: int
    share: float | None  # that agree; None when n = 0
    kappa: float | None  # Cohen's: 0 = no better than two draws with the same class counts, 1 = always
    lo: float | None  # 95 %, bootstrap over features
    hi: float | None
    table: tuple[tuple[int, ...], ...]  # [CLASSES][CLASSES] counts: first test by row, second by column


def compare_verdicts(first: Sequence[str], second: Sequence[str], n_boot: int = 2000, seed: int = 0) -> Agreement:
    """Test-retest: Cohen's kappa of two verdicts per feature, by a second sample, another generator or threshold."""
    if len(first) != len(second):
        raise InputError(
            "the two tests cover different features", f"{len(first)} and {len(second)}", "give the same ones"
        )
    cells = np.zeros((len(CLASSES), len(CLASSES)), int)
    for a, b in zip(first, second, strict=True):
        cells[CLASSES.index(a), CLASSES.index(b)] += 1
    table = tuple(tuple(int(x) for x in row) for row in cells)
    n = len(first)
    if n == 0:
        return Agreement(0, None, None, None, None, table)
    share = float(np.trace(cells) / n)
    kappa = float(_kappa(cells[None])[0])
    if np.isnan(kappa):
        return Agreement(n, share, None, None, None, table)
    draws = np.random.default_rng(seed).multinomial(n, cells.ravel() / n, size=n_boot).reshape(-1, *cells.shape)
    boot = _kappa(draws)
    lo, hi = np.nanquantile(boot, [0.025, 0.975])
    return Agreement(n, share, kappa, min(float(lo), kappa), max(float(hi), kappa), table)


def _kappa(cells: np.ndarray) -> np.ndarray:
    """``[n_tables]`` from ``[n_tables, classes, classes]``; NaN where chance agreement is 1."""
    total = cells.sum((1, 2))
    chance = (cells.sum(1) * cells.sum(2)).sum(1) / total**2
    seen = np.trace(cells, axis1=1, axis2=2) / total
    return np.divide(seen - chance, 1 - chance, out=np.full(len(cells), np.nan), where=chance < 1 - 1e-12)
