"""Verdicts of decomposition tests: from the acts on phrases to a class, its reason and every number beside it.

One feature's acts go in as ``Evidence``, one ``Verdict`` comes out; ``judge`` does any number of features at once.
The rules are those of ``core.maths.verdict_rules``; intervals are two-sided 95 %, limits inside rules one-sided 95 %.
All numbers follow from the acts alone: not from the order of features, phrases, parts or control groups (except the
held-out check of theta5, which splits groups as they come), nor from the scale of the acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.maths import decomposition_index as di
from core.maths.control_bank import ControlBank
from core.maths.evidence import Evidence, StackedActs
from core.maths.phrases_needed import phrases_needed
from core.maths.rates import bank_threshold, clopper_pearson, group_interval, held_out_fired, rate, upper_limit
from core.maths.verdict_reasons import reason
from core.maths.verdict_rules import CLASSES, UNDECIDED, Counts, Decisions, Rules, decide
from core.maths.verdict_types import GroupRate, Reading, Verdict

CHUNK = 256  # features judged together: about 7 MB of control acts for 300 groups of 12


def judge(evidence: Sequence[Evidence], rules: Rules | None = None, seed: int = 0) -> list[Verdict]:
    """The verdicts, in order. Labels may differ in parts and phrases; a thousand features take seconds."""
    rules = rules or Rules()
    alike: dict[tuple, list[int]] = {}
    for i, e in enumerate(evidence):
        e.check(rules)
        alike.setdefault(e.shape, []).append(i)
    out: dict[int, Verdict] = {}
    for members in alike.values():
        for start in range(0, len(members), CHUNK):
            rows = members[start : start + CHUNK]
            acts = StackedActs.of([evidence[i] for i in rows])
            out.update(zip(rows, _judge_alike(acts, rules, seed), strict=True))
    return [out[i] for i in range(len(evidence))]


def _judge_alike(acts: StackedActs, rules: Rules, seed: int) -> list[Verdict]:
    theta5 = bank_threshold(acts.bank, rules.share)
    at5 = _readings(acts, theta5, held_out_fired(acts.bank, rules.share, seed), rules, seed)
    at0 = _readings(acts, np.zeros_like(theta5), (acts.bank > 0).sum(-1), rules, seed)
    return [Verdict(a.kind, a.reason, a.theta, a, b) for a, b in zip(at5, at0, strict=True)]


def _readings(acts: StackedActs, theta: np.ndarray, held_out: np.ndarray, rules: Rules, seed: int) -> list[Reading]:
    """Everything at one threshold per feature; ``held_out``: firing phrases of the groups that check it."""
    counts = _counts(acts, theta)
    decisions = decide(counts, rules)
    numbers = _Numbers.of(counts, decisions, held_out, rules, seed)
    groups = _groups(acts, theta, counts, decisions, rules)
    out = []
    for i in range(len(theta)):
        reading = Reading(
            kind=CLASSES[decisions.classes[i]],
            theta=float(theta[i]),
            absent_below=float(decisions.absent_below[i]),
            differ_p=float(decisions.differ_p[i]),
            n_groups=counts.bank.n_groups,
            **{name: column[i] for name, column in groups.items()},
            **numbers.row(i),
        )
        out.append(replace(reading, reason=reason(reading)))
    return out


def _fired(acts: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Firing and measured phrases over the last axis; NaN > theta is False."""
    above = acts > theta.reshape(-1, *[1] * (acts.ndim - 1))
    return above.sum(-1), np.isfinite(acts).sum(-1)


def _counts(acts: StackedActs, theta: np.ndarray) -> Counts:
    bank = ControlBank(_fired(acts.bank, theta)[0], acts.bank.shape[-1])
    whole_bank = bank
    if acts.whole_bank is not None:
        whole_bank = ControlBank(_fired(acts.whole_bank, theta)[0], acts.whole_bank.shape[-1])
    parts, whole, own = (_fired(a, theta) for a in (acts.parts, acts.whole, acts.own))
    return Counts(
        parts_fired=parts[0],
        parts_n=parts[1],
        whole_fired=whole[0],
        whole_n=whole[1],
        own_fired=own[0],
        own_n=own[1],
        bank=bank,
        whole_bank=whole_bank,
        ever_fires=acts.ever_fires,
    )


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Columns of ``Reading`` that are numbers, ``[n_features]``; NaN becomes None."""

    r0: np.ndarray
    r0_held_out: np.ndarray
    r0_lo: np.ndarray
    r0_hi: np.ndarray
    icc: np.ndarray
    index: np.ndarray
    index_lo: np.ndarray
    index_hi: np.ndarray
    evenness: np.ndarray
    n_needed: np.ndarray

    @classmethod
    def of(cls, c: Counts, d: Decisions, held_out: np.ndarray, rules: Rules, seed: int) -> _Numbers:
        parts = (c.parts_fired, c.parts_n)
        intervals = di.index_interval(*parts, c.whole_fired, c.whole_n, c.bank.rate, seed=seed)
        # without a whole that fires there is nothing the parts could be a share of
        defined = d.whole_up & ~d.whole_absent & (c.parts_n > 0).any(axis=1)
        index, lo, hi = (np.where(defined, x, np.nan) for x in intervals)
        r0_lo, r0_hi = group_interval(held_out, c.bank.n, seed=seed)
        held_out_rate = held_out.mean(axis=1) / c.bank.n
        needed = np.full(len(d.classes), np.nan)
        rows = np.flatnonzero(d.classes == CLASSES.index(UNDECIDED))
        needed[rows] = phrases_needed(c.take(rows), rules, seed)
        return cls(c.bank.rate, held_out_rate, r0_lo, r0_hi, c.bank.icc, index, lo, hi, di.evenness(*parts), needed)

    def row(self, i: int) -> dict[str, Any]:
        values: dict[str, Any] = {k: _or_none(v[i]) for k, v in vars(self).items()}
        needed = values["n_needed"]
        values["n_needed"] = None if needed is None or needed < 0 else int(needed)
        return values


def _groups(acts: StackedActs, theta: np.ndarray, c: Counts, d: Decisions, rules: Rules) -> dict[str, list]:
    """Columns of ``Reading`` that are groups of phrases, each a list over features."""

    def rates(name: str, fired: np.ndarray, n: np.ndarray, **tests: np.ndarray) -> list[GroupRate]:
        return _group_rates([name] * len(theta), fired, n, rules, tests)

    parts = []
    for s in range(c.parts_n.shape[1]):
        tests = {"p": d.p, "adjusted_p": d.adjusted_p, "up": d.up, "absent": d.absent, "suspect": d.suspect}
        column = {key: values[:, s] for key, values in tests.items()}
        parts.append(
            _group_rates([names[s] for names in acts.names], c.parts_fired[:, s], c.parts_n[:, s], rules, column)
        )
    own_p = c.whole_bank.p(c.own_fired, c.own_n)
    whole = {"p": d.whole_p, "up": d.whole_up, "absent": d.whole_absent}
    return {
        "parts": list(zip(*parts, strict=True)),
        "pooled": rates("all parts", c.parts_fired.sum(1), c.parts_n.sum(1), absent=d.pooled_absent),
        "whole": rates("whole label", c.whole_fired, c.whole_n, **whole),
        "own": rates("own text", c.own_fired, c.own_n, p=own_p, up=own_p <= rules.alpha),
        "hard": rates("near labels", *_fired(acts.hard, theta)),
        "label": rates("label", *_fired(acts.label, theta)),
        "shuffled": rates("label shuffled", *_fired(acts.shuffled, theta)),
    }


def _group_rates(
    names: list[str], fired: np.ndarray, n: np.ndarray, rules: Rules, tests: dict[str, np.ndarray]
) -> list[GroupRate]:
    lo, hi = clopper_pearson(fired, n)
    upper, shares = upper_limit(fired, n, rules.level), rate(fired, n)
    return [
        GroupRate(
            name=names[i],
            n=int(n[i]),
            fired=int(fired[i]),
            rate=_or_none(shares[i]),
            lo=float(lo[i]),
            hi=float(hi[i]),
            upper=float(upper[i]),
            **{key: values[i].item() for key, values in tests.items()},
        )
        for i in range(len(names))
    ]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
