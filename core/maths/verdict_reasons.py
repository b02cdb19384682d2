"""One plain sentence that says why a verdict is what it is. Part names come from outside: escape before showing."""

from __future__ import annotations

from core.maths import verdict_rules as rules
from core.maths.verdict_types import GroupRate, Reading


def reason(reading: Reading) -> str:
    """The reading's reason; every number in it is one of the reading's own."""
    return _REASONS[reading.kind](reading)


def _all_parts(r: Reading) -> str:
    weakest = min(r.parts, key=lambda g: (g.rate or 0.0, g.name))
    if len(r.parts) == 1:
        return f"Its one part, {_quoted(weakest)}, makes it fire: {_of(weakest)} ({_control(r)})."
    return (
        f"Each of the {len(r.parts)} parts alone makes it fire; the weakest, {_quoted(weakest)}, on {_of(weakest)} "
        f"({_control(r)})."
    )


def _some_parts(r: Reading) -> str:
    up = [g for g in r.parts if g.up]
    text = f"{_listed(up, counts=True)} {_make(up)} it fire ({_control(r)}), and parts differ (p {_p(r.differ_p)})"
    silent, unsure = [g for g in r.parts if not g.up and g.absent], [g for g in r.parts if g.open]
    if silent:
        text += f"; {_listed(silent)} {'do' if len(silent) > 1 else 'does'} not"
    if unsure:
        text += f"; {_listed(unsure, counts=True)} {'are' if len(unsure) > 1 else 'is'} not decided"
    return text + "."


def _whole_only(r: Reading) -> str:
    return (
        f"No part alone makes it fire ({_of(r.pooled)}, {_control(r)}), phrases for the whole label do "
        f"({_of(r.whole)}): it needs parts together, or it is atomic.{_seldom(r)}{_doubt(r)}"
    )


def _seldom(r: Reading) -> str:
    """Says so where the whole label is above control and yet tells little of when the feature fires."""
    own, whole = r.own.rate or 0.0, r.whole.rate or 0.0
    if whole >= 0.5 * own:
        return ""
    return f" But its own text makes it fire far more often ({_of(r.own)}): the label is too broad, or right in part."


def _label_fails(r: Reading) -> str:
    own = f", though its own text does ({_of(r.own)})" if r.own.n else ""
    return (
        f"Neither the parts ({_of(r.pooled)}) nor phrases for the whole label ({_of(r.whole)}) make it fire more than "
        f"phrases for other labels do ({_control(r)}){own}: the label fails, not the feature.{_doubt(r)}"
    )


def _untestable(r: Reading) -> str:
    cut = f"Cut to the length of a phrase, even its own text makes it fire in only {r.own.fired} of {r.own.n} cases"
    if r.theta > 0:
        return f"{cut} (above {r.theta:.3g}, which {_percent(r.r0)} of controls exceed): no phrase can test it."
    return f"{cut}: phrases are too short to test it."


def _no_firing(r: Reading) -> str:
    return "It never fires in this run's text, so there is nothing to test a label against."


def _undecided(r: Reading) -> str:
    return f"{_what_is_open(r)} {_what_would_decide(r)}"


def _what_is_open(r: Reading) -> str:
    """The first requirement of a class that is neither met nor refuted."""
    empty = [g for g in r.parts if not g.n]
    if empty:
        return f"No phrase of {_listed(empty)} could be measured."
    if not r.whole.n:
        return "No phrase for the whole label could be measured."
    up = [g for g in r.parts if g.up]
    if r.pooled.absent and up:
        return (
            f"{_listed(up, counts=True)} {'rank' if len(up) > 1 else 'ranks'} above control ({_control(r)}), "
            f"but all parts together fire too rarely ({_of(r.pooled)}) to carry the label."
        )
    if up:
        rest = [g for g in r.parts if not g.up]
        return (
            f"{_listed(up, counts=True)} {_make(up)} it fire ({_control(r)}), but whether {_listed(rest, counts=True)} "
            f"{'do' if len(rest) > 1 else 'does'} is not settled.{_broad(r)}"
        )
    if not r.pooled.absent:
        strict = "" if r.own.n else " (the strictest limit, as its own text was not measured)"
        return (
            f"No part is surely above control ({_control(r)}) and the parts are not surely absent: {_of(r.pooled)}, "
            f"which leaves up to {_percent(r.pooled.upper)} possible where absence means less than "
            f"{_percent(r.absent_below)}{strict}.{_broad(r)}"
        )
    return (
        f"The parts do not make it fire ({_of(r.pooled)}), but phrases for the whole label, {_of(r.whole)}, are "
        f"neither surely above control ({_control(r)}) nor surely absent."
    )


def _broad(r: Reading) -> str:
    """Says so where parts fire often and yet not more than many phrases for other labels do."""
    loud = [g for g in r.parts if g.suspect and (g.rate or 0) >= 0.5]
    if not loud:
        return ""
    share = max(g.p or 0.0 for g in loud)
    return f" Up to {_percent(share)} of control groups fire as often as {_listed(loud)}: it answers to much else too."


def _what_would_decide(r: Reading) -> str:
    if any(not g.n for g in (*r.parts, r.whole)):
        return "Add phrases there."
    if r.n_needed is None:
        return "At these rates more phrases would not decide it, up to 200 a part."
    return f"About {r.n_needed} phrases a part would decide it if these rates hold."


def _doubt(r: Reading) -> str:
    """Parts that this class may have overlooked."""
    suspects = [g for g in r.parts if g.suspect]
    if not suspects:
        return ""
    return f" A weak effect of {_listed(suspects, counts=True)} is not excluded."


def _of(g: GroupRate) -> str:
    return f"{g.fired} of {g.n} phrases" if g.name != "own text" else f"{g.fired} of {g.n} excerpts"


def _control(r: Reading) -> str:
    return f"control {_percent(r.r0)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _make(groups: list[GroupRate]) -> str:
    return "make" if len(groups) > 1 else "makes"


def _quoted(g: GroupRate) -> str:
    return f"'{g.name if len(g.name) <= 60 else g.name[:59] + '…'}'"


def _listed(groups: list[GroupRate], counts: bool = False) -> str:
    names = [f"{_quoted(g)} ({g.fired} of {g.n})" if counts else _quoted(g) for g in groups]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_REASONS = {
    rules.ALL_PARTS: _all_parts,
    rules.SOME_PARTS: _some_parts,
    rules.WHOLE_ONLY: _whole_only,
    rules.LABEL_FAILS: _label_fails,
    rules.UNTESTABLE: _untestable,
    rules.NO_FIRING: _no_firing,
    rules.UNDECIDED: _undecided,
}
