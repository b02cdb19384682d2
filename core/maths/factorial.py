"""The logic of a feature: what parts do alone, what two do together, what only the whole label does.

From firing rates of isolated parts, of pairs and of the whole, on the scale of probabilities, r0 being the control
rate at the same threshold (taken as exact: it rests on thousands of phrases):

    main effect of s        rate_s - r0
    interaction of s, t     rate_st - rate_s - rate_t + r0        (0 where effects add)
    beyond either           rate_st - (1 - (1 - rate_s)(1 - rate_t) / (1 - r0))   (0 for independent causes, an OR)

Effects on probabilities cannot add beyond 1: two parts that each suffice have a *negative* interaction. Hence
``beyond_either``, which is 0 for them and positive only where two parts do what neither chance nor either does.
Pairs leave orders above two unobserved: these are no Shapley values and do not sum to the whole. Intervals combine
the exact intervals of the rates (MOVER, Zou & Donner 2008); none collapses where all phrases fire or none does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from core.maths.rates import clopper_pearson

BOTH_NEEDED = "both together do more than either alone explains"
SUPPRESSED = "one suppresses the other"
NOTHING_MORE = "together nothing beyond what each does alone"
OPEN = "not decided"
MARGIN = 0.25  # a pair surely within this of what each part explains alone does nothing more


@dataclass(frozen=True)
class Estimate:
    """A difference of rates, -1 .. 1 (sums may exceed it), with its two-sided 95 % interval."""

    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Main:
    part: int
    effect: Estimate


@dataclass(frozen=True)
class Pair:
    """``logic`` is read off intervals that hold for all pairs at once (Bonferroni); the estimates' are 95 % each."""

    parts: tuple[int, int]
    rate: float
    interaction: Estimate
    beyond_either: Estimate
    logic: str


@dataclass(frozen=True)
class Factorial:
    """Parts and pairs without phrases are left out. ``whole_beyond_pairs``: rate of the whole - best pair's rate;
    above 0 it takes more than two parts, or words of the label that no part has. None without pairs or whole."""

    main: tuple[Main, ...]
    pairs: tuple[Pair, ...]
    whole_beyond_pairs: Estimate | None


@dataclass(frozen=True)
class _Rate:
    value: float
    lo: float
    hi: float


def factorial(
    parts: Sequence[np.ndarray],
    pairs: Mapping[tuple[int, int], np.ndarray],
    whole: np.ndarray,
    theta: float,
    r0: float,
) -> Factorial:
    """Effects of a feature's parts from max acts: per part, per pair of part numbers, and for the whole label.

    NaN is a phrase that was not measured. ``theta`` and ``r0`` are those of the verdict's reading.
    """
    alone = {s: rate for s, acts in enumerate(parts) if (rate := _rate(acts, theta)) is not None}
    tried = {(s, t): pairs.get((s, t), pairs.get((t, s))) for s, t in combinations(sorted(alone), 2)}
    measured = {key: acts for key, acts in tried.items() if acts is not None and np.isfinite(acts).any()}
    both = tuple(_pair(key, acts, parts, theta, r0, len(measured)) for key, acts in measured.items())
    main = tuple(Main(s, _combine([(1.0, rate)], -r0)) for s, rate in alone.items())
    return Factorial(main, both, _beyond_pairs(measured, whole, theta))


def _pair(
    key: tuple[int, int], acts: np.ndarray, parts: Sequence[np.ndarray], theta: float, r0: float, n_pairs: int
) -> Pair:
    def estimates(level: float) -> tuple[Estimate, Estimate, Estimate]:
        rates = [_rate(a, theta, level) for a in (acts, parts[key[0]], parts[key[1]])]
        two, one, other = (r for r in rates if r is not None)
        strongest = max(one, other, key=lambda r: r.value)
        return (
            _combine([(1.0, two), (-1.0, one), (-1.0, other)], r0),
            _beyond_either(two, one, other, r0),
            _combine([(1.0, two), (-1.0, strongest)], 0.0),
        )

    interaction, beyond, _ = estimates(0.95)
    _, beyond_all, over_strongest = estimates(1 - 0.05 / n_pairs)
    if beyond_all.lo > 0:
        logic = BOTH_NEEDED
    elif over_strongest.hi < 0:
        logic = SUPPRESSED
    elif beyond_all.lo > -MARGIN and beyond_all.hi < MARGIN:
        logic = NOTHING_MORE
    else:
        logic = OPEN
    rate = _rate(acts, theta)
    return Pair(key, rate.value if rate else 0.0, interaction, beyond, logic)


def _beyond_pairs(measured: Mapping[tuple[int, int], np.ndarray], whole: np.ndarray, theta: float) -> Estimate | None:
    """Against the best pair, which chance favours: the claim that more than two are needed errs on the safe side."""
    all_parts = _rate(whole, theta)
    rates = [rate for acts in measured.values() if (rate := _rate(acts, theta)) is not None]
    if all_parts is None or not rates:
        return None
    return _combine([(1.0, all_parts), (-1.0, max(rates, key=lambda r: r.value))], 0.0)


def _rate(acts: np.ndarray, theta: float, level: float = 0.95) -> _Rate | None:
    n, fired = int(np.isfinite(acts).sum()), int((acts > theta).sum())
    if not n:
        return None
    lo, hi = clopper_pearson(np.array(fired), np.array(n), level)
    return _Rate(fired / n, float(lo), float(hi))


def _combine(terms: list[tuple[float, _Rate]], constant: float) -> Estimate:
    """constant + sum of signed rates: MOVER, whose each side adds the squared distances to the limits that matter."""
    value = constant + sum(sign * r.value for sign, r in terms)
    down = sum((r.value - (r.lo if sign > 0 else r.hi)) ** 2 for sign, r in terms)
    up = sum((r.value - (r.hi if sign > 0 else r.lo)) ** 2 for sign, r in terms)
    return Estimate(value, value - down**0.5, value + up**0.5)


def _beyond_either(two: _Rate, one: _Rate, other: _Rate, r0: float) -> Estimate:
    """MOVER with each rate moved to its limits in turn, because the expectation is a product."""

    def value(p: float, q: float, r: float) -> float:
        return p - (1 - (1 - q) * (1 - r) / max(1 - r0, 1e-9))

    here = value(two.value, one.value, other.value)
    lower = (
        value(two.lo, one.value, other.value),
        value(two.value, one.hi, other.value),
        value(two.value, one.value, other.hi),
    )
    upper = (
        value(two.hi, one.value, other.value),
        value(two.value, one.lo, other.value),
        value(two.value, one.value, other.lo),
    )
    return Estimate(
        here, here - sum((here - x) ** 2 for x in lower) ** 0.5, here + sum((x - here) ** 2 for x in upper) ** 0.5
    )
