"""How many phrases a part would decide an UNDECIDED verdict, if the rates seen so far were the true ones."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, chi2

from core.maths.rates import rate
from core.maths.verdict_rules import CLASSES, DECISIVE, Counts, Rules, absent_below, classify

SIZES = (13, 14, 15, 16, 18, 20, 22, 24, 27, 30, 34, 38, 43, 48, 54, 60, 70, 80, 100, 120, 150, 200)
"""Phrases a part that are tried; beyond 200 the answer is "not by more phrases"."""
WANTED, N_DRAWS, CHUNK = 0.8, 400, 128
_DECISIVE = [CLASSES.index(c) for c in DECISIVE]


def phrases_needed(counts: Counts, rules: Rules, seed: int = 0) -> np.ndarray:
    """``[n_features]``: smallest n in SIZES above the present one that gives a decisive class in >= 80 % of draws.

    400 draws each. Every part gets n phrases and the whole label 40 for every 12 of them; each group fires at its
    observed rate; the own text stays as measured, for its number is not bound to phrases; control groups of n phrases
    follow the bank's rate and ICC (``ControlBank.tail``); "parts differ" is taken from chi-square. -1 where no n up
    to 200 does, or where a part or the whole has no phrase. It is a plan, not a promise: observed rates err, so fewer
    than 80 % will decide at that n.
    """
    n_now = counts.parts_n.max(axis=1)
    out = np.full(len(n_now), -1)
    possible = (counts.parts_n > 0).all(axis=1) & (counts.whole_n > 0)
    for n in SIZES:
        todo = np.flatnonzero(possible & (out < 0) & (n_now < n))
        for start in range(0, len(todo), CHUNK):
            rows = todo[start : start + CHUNK]
            decided = _decisive_share(counts.take(rows), n, rules, seed) >= WANTED
            out[rows[decided]] = n
    return out


def _decisive_share(counts: Counts, n: int, rules: Rules, seed: int) -> np.ndarray:
    """Share of draws that end in a decisive class when every part has ``n`` phrases."""
    limit = absent_below(counts.bank.rate, rate(counts.own_fired, counts.own_n), rules)
    n_parts = counts.parts_n.shape[1]
    n_whole = int(np.ceil(n * 40 / 12))
    # sorted, so that parts named in another order draw the same numbers
    pairs = np.sort(counts.parts_n * 100_000 + counts.parts_fired, axis=1)
    parts = np.stack([_draws(pairs[:, s], n, seed + s) for s in range(n_parts)], axis=2)
    whole = _draws(counts.whole_n * 100_000 + counts.whole_fired, n_whole, seed + n_parts)

    p = counts.bank.p_values(n)
    critical = [(p > rules.alpha / (n_parts - j)).sum(axis=1) for j in range(n_parts)]
    up = _adjusted_up(parts, np.stack(critical, axis=1), rules.correction)
    absent = parts < _present_from(n, limit, rules)[:, None, None]
    pooled_absent = parts.sum(2) < _present_from(n * n_parts, limit, rules)[:, None]
    whole_up = whole >= counts.whole_bank.critical(n_whole, rules.alpha)[:, None]
    whole_absent = whole < _present_from(n_whole, limit, rules)[:, None]
    classes = classify(up, absent, pooled_absent, whole_up, whole_absent, _differ(parts, n, rules))
    return np.isin(classes, _DECISIVE).mean(axis=1)


def _draws(pairs: np.ndarray, n: int, seed: int) -> np.ndarray:
    """``[n_features, N_DRAWS]`` firing phrases of n at the rates coded in ``pairs``; equal pairs draw equal numbers."""
    unique, inverse = np.unique(pairs, return_inverse=True)
    rates = (unique % 100_000) / (unique // 100_000)
    seeds = ([seed, int(pair), n] for pair in unique)
    streams = [np.random.default_rng(s).binomial(n, r, N_DRAWS) for s, r in zip(seeds, rates, strict=True)]
    return np.array(streams)[inverse]


def _present_from(n: int, limit: np.ndarray, rules: Rules) -> np.ndarray:
    """Smallest count of n whose upper limit is not below ``limit``: P(X <= count | limit) >= 1 - level."""
    return binom.ppf(1 - rules.level, n, np.minimum(limit, 1.0))


def _adjusted_up(fired: np.ndarray, critical: np.ndarray, correction: str) -> np.ndarray:
    """``rates.adjust`` on counts: ``critical [n_features, n_parts]`` is what the j-th largest count must reach."""
    order = np.argsort(-fired, axis=2, kind="stable")
    passed = np.take_along_axis(fired, order, 2) >= critical[:, None, :]
    if correction == "holm":
        passed = np.logical_and.accumulate(passed, axis=2)
    else:
        passed = np.logical_or.accumulate(passed[:, :, ::-1], axis=2)[:, :, ::-1]
    up = np.empty_like(passed)
    np.put_along_axis(up, order, passed, 2)
    return up


def _differ(fired: np.ndarray, n: int, rules: Rules) -> np.ndarray:
    """Chi-square of homogeneity with the permutation variance; False where none or all phrases fired."""
    n_parts = fired.shape[2]
    if n_parts < 2:
        return np.zeros(fired.shape[:2], bool)
    share = fired.mean(axis=2) / n
    spread = ((fired / n - share[:, :, None]) ** 2).sum(axis=2) * n
    limit = chi2.ppf(1 - rules.alpha, n_parts - 1) * n * n_parts / (n * n_parts - 1)
    return spread > limit * share * (1 - share)
