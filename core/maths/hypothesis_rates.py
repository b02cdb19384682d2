"""Sensitivity, specificity and what firing at random places would give, for texts and for their tokens."""

from __future__ import annotations

import numpy as np

from core.maths.bootstrap import DocumentBootstrap
from core.maths.statistics import rule_of_three


def by_length(n_tokens: np.ndarray, n_fired: int) -> np.ndarray:
    """Chance ``[n_texts]`` that a feature fires on each text if its firing depends on nothing but the text's length.

    1 - exp(-h n_tokens) with the rate h that lets ``n_fired`` texts fire in all.
    """
    lengths = np.asarray(n_tokens, float)
    if n_fired >= len(lengths):
        return np.ones(len(lengths))
    lo, hi = 0.0, 1.0
    while (1 - np.exp(-hi * lengths)).sum() < n_fired:
        hi *= 2
    for _ in range(100):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if (1 - np.exp(-middle * lengths)).sum() < n_fired else (lo, middle)
    return 1 - np.exp(-hi * lengths)


def mean_interval(
    first: float, one: tuple[float, float], second: float, other: tuple[float, float]
) -> tuple[float, float]:
    """Interval of the mean of two independent rates from their own intervals (Zou and Donner 2008, MOVER)."""
    lo = float(np.hypot(first - one[0], second - other[0])) / 2
    hi = float(np.hypot(one[1] - first, other[1] - second)) / 2
    return (first + second) / 2 - lo, (first + second) / 2 + hi


def token_share(counts: np.ndarray, lengths: np.ndarray, seed: int) -> tuple[float, float, float]:
    """sum(counts) / sum(lengths) over texts and its 95 % interval, bootstrap over texts; NaN where not defined.

    Texts of length 0 are none. The interval needs ten texts (``DocumentBootstrap``).
    """
    there = lengths > 0
    counts, lengths = counts[there].astype(np.int64), lengths[there]
    if not len(lengths):
        return np.nan, np.nan, np.nan
    if (counts == lengths).all():  # no resample differs: what n texts without one exception leave possible
        return 1.0, 1 - rule_of_three(len(lengths)), 1.0
    fired = np.flatnonzero(counts).astype(np.int32)
    drawn = DocumentBootstrap.over(lengths, [seed, 24])
    lo, hi = drawn.intervals(np.array([0, len(fired)]), fired, counts[fired])[0]
    return float(counts.sum() / lengths.sum()), float(lo), float(min(hi, 1.0))
