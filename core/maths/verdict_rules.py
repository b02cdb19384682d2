"""The rules that turn counts of firing phrases into a class, for any number of features at once.

UP       a group's rate lies in the top tail of control groups of the same n: rank p <= .05, adjusted over the parts.
ABSENT   the one-sided 95 % Clopper-Pearson limit of its rate lies below r0 + 1/4 * max(rP - r0, .2), a quarter of
         the way from the control rate r0 to the own text's rate rP. It is evidence of absence, not missing evidence.

    NO-FIRING    the feature never fires in the run's text
    UNTESTABLE   the same limit of rP is below 1/2: at a phrase's length not even its own text makes it fire
    ALL-PARTS    all parts UP
    SOME-PARTS   some parts UP, and parts differ (permutation p < .05)
    WHOLE-ONLY   no part UP, parts ABSENT (pooled), phrases for the whole label UP
    LABEL-FAILS  no part UP, parts and whole ABSENT
    UNDECIDED    anything else

The adjustment is Hochberg's: Holm's thresholds, taken from the largest p. With Holm a feature for which three of 300
control groups fire as a part does can have no part UP, whatever the parts do (the smallest p must be <= .01 first),
and a feature for which 3 % of other labels' phrases count would be undecidable: planted, 15 % of such features were
ALL-PARTS under Holm and 98 % under Hochberg, at the same error under the null. ``Rules.correction`` has both.

UP and ABSENT can both hold: with many phrases, or with a feature that hardly ever fires on controls, a rate may be
surely above control and surely small. Such a group does not carry the label. So a whole that is UP but ABSENT leads
to LABEL-FAILS, and ALL-PARTS and SOME-PARTS need parts that are not ABSENT by the same limit; otherwise UNDECIDED.
At r0 = .05 and 12 phrases a part this changes no verdict that rests on parts: five parts that are all UP pool far
above the limit.

What the pooled rule cannot see: one part that fires on 30 % of its phrases while four never do pools to under the
limit, and at 12 phrases is UP in a third of cases only; about half of such features end as WHOLE-ONLY. ``suspects``
names parts whose own p, unadjusted, is <= .05: the reason of a WHOLE-ONLY or LABEL-FAILS names them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from core.maths.control_bank import ControlBank
from core.maths.decomposition_index import parts_differ
from core.maths.rates import adjust, rate, upper_limit

CLASSES = ("ALL-PARTS", "SOME-PARTS", "WHOLE-ONLY", "LABEL-FAILS", "UNTESTABLE", "NO-FIRING", "UNDECIDED")
ALL_PARTS, SOME_PARTS, WHOLE_ONLY, LABEL_FAILS, UNTESTABLE, NO_FIRING, UNDECIDED = CLASSES
DECISIVE = (ALL_PARTS, SOME_PARTS, WHOLE_ONLY, LABEL_FAILS)
"""Classes that say something of the label; UNTESTABLE and NO-FIRING say something of the feature and the test."""


_BANKS = ("bank", "whole_bank")


@dataclass(frozen=True)
class Rules:
    """Every number that a class depends on."""

    share: float = 0.05  # theta5: share of bank phrases that fire
    alpha: float = 0.05  # of UP and of "parts differ"
    correction: str = "hochberg"  # over parts; or "holm"
    level: float = 0.95  # of the one-sided limits in ABSENT and UNTESTABLE
    absent_share: float = 0.25  # how far from r0 towards rP still counts as absent
    absent_floor: float = 0.2  # rP - r0 counts as at least this
    testable_rate: float = 0.5  # of own text

    def groups_needed(self, n_parts: int) -> int:
        """Control groups below which no part could ever be UP: the smallest p is 1 / (1 + groups)."""
        return int(np.ceil(n_parts / self.alpha - 1e-9)) - 1


@dataclass(frozen=True, eq=False)
class Counts:
    """Firing (``*_fired``) and tried (``*_n``) phrases of features at one threshold; ints, n = 0: not measured."""

    parts_fired: np.ndarray  # [n_features, n_parts]
    parts_n: np.ndarray
    whole_fired: np.ndarray  # [n_features]
    whole_n: np.ndarray
    own_fired: np.ndarray  # [n_features]
    own_n: np.ndarray
    bank: ControlBank
    whole_bank: ControlBank  # groups written for other whole labels; ``bank`` where there are none
    ever_fires: np.ndarray  # [n_features] bool: some stored activation in the run

    def take(self, rows: np.ndarray) -> Counts:
        """The counts of some of the features."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        picked: dict[str, Any] = {k: v.take(rows) if k in _BANKS else v[rows] for k, v in columns.items()}
        return Counts(**picked)


@dataclass(frozen=True, eq=False)
class Decisions:
    """What the rules make of ``Counts``; arrays over features (and parts)."""

    classes: np.ndarray  # [n_features] index into CLASSES
    p: np.ndarray  # [n_features, n_parts] rank p
    adjusted_p: np.ndarray
    up: np.ndarray  # bool
    absent: np.ndarray  # bool, each part on its own
    suspect: np.ndarray  # bool: p <= alpha unadjusted, not UP
    pooled_absent: np.ndarray  # [n_features] bool
    whole_p: np.ndarray  # [n_features]
    whole_up: np.ndarray  # bool
    whole_absent: np.ndarray  # bool
    differ_p: np.ndarray  # [n_features]
    absent_below: np.ndarray  # [n_features] the rate below which a limit means ABSENT


def absent_below(r0: np.ndarray, own_rate: np.ndarray, rules: Rules) -> np.ndarray:
    """The rate that separates absent from present; without own text (NaN) the strictest one."""
    gain = np.fmax(own_rate - r0, rules.absent_floor)
    return r0 + rules.absent_share * gain


def decide(counts: Counts, rules: Rules) -> Decisions:
    """Apply the rules of this module."""
    limit = absent_below(counts.bank.rate, rate(counts.own_fired, counts.own_n), rules)
    p = counts.bank.p(counts.parts_fired, counts.parts_n)
    adjusted_p = adjust(p, rules.correction)
    whole_p = counts.whole_bank.p(counts.whole_fired, counts.whole_n)
    up = adjusted_p <= rules.alpha
    absent = upper_limit(counts.parts_fired, counts.parts_n, rules.level) < limit[:, None]
    pooled = upper_limit(counts.parts_fired.sum(1), counts.parts_n.sum(1), rules.level)
    pooled_absent = (pooled < limit) & (counts.parts_n > 0).all(axis=1)
    whole_up = whole_p <= rules.alpha
    whole_absent = upper_limit(counts.whole_fired, counts.whole_n, rules.level) < limit
    differ_p = parts_differ(counts.parts_fired, counts.parts_n)
    classes = classify(up, absent, pooled_absent, whole_up, whole_absent, differ_p < rules.alpha)
    untestable = upper_limit(counts.own_fired, counts.own_n, rules.level) < rules.testable_rate
    classes = np.where(untestable, CLASSES.index(UNTESTABLE), classes)
    classes = np.where(counts.ever_fires, classes, CLASSES.index(NO_FIRING))
    suspect = (p <= rules.alpha) & ~up
    return Decisions(
        classes, p, adjusted_p, up, absent, suspect, pooled_absent, whole_p, whole_up, whole_absent, differ_p, limit
    )


def classify(
    up: np.ndarray,
    absent: np.ndarray,
    pooled_absent: np.ndarray,
    whole_up: np.ndarray,
    whole_absent: np.ndarray,
    differ: np.ndarray,
) -> np.ndarray:
    """Index into CLASSES from the flags alone; ``up`` and ``absent`` have parts as last axis, the others lack it."""
    none_up, all_up = ~up.any(-1), up.all(-1)
    rules = {
        ALL_PARTS: all_up & ~pooled_absent,
        SOME_PARTS: ~none_up & ~all_up & differ & (up & ~absent).any(-1),
        LABEL_FAILS: none_up & pooled_absent & whole_absent,
        WHOLE_ONLY: none_up & pooled_absent & whole_up & ~whole_absent,
    }
    return np.select(list(rules.values()), [CLASSES.index(c) for c in rules], CLASSES.index(UNDECIDED))
