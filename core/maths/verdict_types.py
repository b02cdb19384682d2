"""What a decomposition test answers: frozen plain values, ready for JSON, tables and pages."""

from __future__ import annotations

from dataclasses import dataclass

from core.maths.verdict_rules import ALL_PARTS, LABEL_FAILS, SOME_PARTS, WHOLE_ONLY


@dataclass(frozen=True)
class GroupRate:
    """How often one group of phrases fires. ``None``: not measured, or no test is made of this group."""

    name: str
    n: int  # phrases measured
    fired: int
    rate: float | None  # None when n = 0
    lo: float  # two-sided 95 % Clopper-Pearson; 0 and 1 when n = 0
    hi: float
    upper: float  # one-sided 95 % limit, the one that ABSENT compares
    p: float | None = None  # rank among control groups of the same n
    adjusted_p: float | None = None  # over the parts (Hochberg); parts only
    up: bool | None = None
    absent: bool | None = None
    suspect: bool | None = None  # parts only: p <= .05 unadjusted, not UP

    @property
    def open(self) -> bool:
        """Neither shown to fire nor shown not to."""
        return not self.up and not self.absent


@dataclass(frozen=True)
class Reading:
    """One feature, one label, one threshold: act > ``theta`` is a firing. Rates and shares are 0 .. 1."""

    kind: str  # one of verdict_rules.CLASSES
    theta: float  # SAE units
    r0: float  # share of bank phrases that fire
    r0_held_out: float  # the same in one half of the groups at the threshold of the other half; at theta 0: all
    r0_lo: float  # 95 % of r0_held_out, bootstrap over groups
    r0_hi: float
    icc: float  # how much phrases of one control group resemble each other, 0 .. 1
    n_groups: int  # control groups
    absent_below: float  # ABSENT: upper limit below this rate
    parts: tuple[GroupRate, ...]
    pooled: GroupRate  # all parts' phrases together
    whole: GroupRate  # G+
    own: GroupRate  # P+
    hard: GroupRate  # near labels; in no rule, as the two that follow
    label: GroupRate
    shuffled: GroupRate
    differ_p: float  # permutation p that the parts have one rate
    n_needed: int | None  # phrases a part that would decide; None: decided, or 200 would not
    index: float | None  # DI; None unless the whole label fires
    index_lo: float | None  # 95 %, bootstrap over phrases inside their groups
    index_hi: float | None
    evenness: float | None  # 1 / parts .. 1; None when no part's phrase fired
    reason: str = ""

    @property
    def context_dependence(self) -> float | None:
        """1 - rP: share of the feature's own firings that are lost when text is cut to a phrase's length."""
        return None if self.own.rate is None else 1 - self.own.rate

    @property
    def n_firing_parts(self) -> int:
        """Parts with at least one firing phrase: what the published study's app looks at."""
        return sum(part.fired > 0 for part in self.parts)


@dataclass(frozen=True)
class Verdict:
    """The headline is the reading at theta5; the reading at theta 0 stands beside it."""

    kind: str
    reason: str
    theta5: float
    at_theta5: Reading
    at_theta0: Reading

    @property
    def depends_on_theta(self) -> bool:
        return self.at_theta5.kind != self.at_theta0.kind


EVERY_PART, SOME_PART, NO_PART = "every part activates", "some parts activate", "no part activates"
PUBLISHED = {ALL_PARTS: EVERY_PART, SOME_PARTS: SOME_PART, WHOLE_ONLY: NO_PART, LABEL_FAILS: NO_PART}


def published_class(kind: str) -> str | None:
    """Which of three classes of behaviour the published study would call this; None: it has no counterpart.

    The study speaks of three classes but no copy of its list survives, so the names are ours, after what its app
    shows: whether a part activates. It had no controls: WHOLE-ONLY and LABEL-FAILS are one class there.
    """
    return PUBLISHED.get(kind)


def published_count_class(n_firing_parts: int, n_parts: int) -> str:
    """The published reading of the same data: a part activates when any of its phrases does, without controls."""
    return NO_PART if not n_firing_parts else EVERY_PART if n_firing_parts == n_parts else SOME_PART


def is_opaque(kinds: list[str], fires_on_own_text: bool) -> bool:
    """Whether a feature may be called opaque: it fires on its own text and at least two independent labels all fail."""
    return fires_on_own_text and len(kinds) >= 2 and all(kind == LABEL_FAILS for kind in kinds)
