"""The dot plot of a verdict as an HTML table: chart for eyes, table for screen readers. No streamlit.

Every row is one group of phrases on one axis, 0 to 100 % of phrases that fire. What a row says is told by shape and
words, not by colour: filled = above control, hollow = open, cross = shown absent; the line is the control rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dashboard.tokens import visible
from dashboard.verdicts.verdict_wording import badge_html, kind_of, range_text, rate_text
from dashboard.wording import missing, one_line

ORDER = ("own", "whole", "part", "pooled", "near", "other", "label", "shuffled", "yours")
RULED = ("own", "whole", "part", "pooled")
"""Groups that decide the class: one without phrases is shown as such."""
ABOUT = {
    "own": ("own text", "cut to a phrase's length"),
    "whole": ("whole label", "phrases for all of it"),
    "part": ("", ""),
    "pooled": ("all parts", "together"),
    "near": ("near labels", "of similar features"),
    "other": ("other labels", "the control bank"),
    "label": ("label itself", "as a text"),
    "shuffled": ("shuffled words", "of the label"),
    "yours": ("your phrases", "typed below"),
}


@dataclass(frozen=True)
class Dot:
    """One group of phrases. ``rate`` (0..1) is None when nothing was measured; ``state`` is the test's answer."""

    group: str  # one of ORDER
    name: str
    n: int
    fired: int
    rate: float | None
    lo: float | None
    hi: float | None
    state: str = ""  # up | absent | rare (both: it does not carry the label) | open | same | "" (no test is made of it)
    suspect: bool = False
    was: float | None = None  # the rate before a switch moved the dot


@dataclass(frozen=True)
class Plot:
    """The dots of one test at one threshold; ``r0`` is the control rate, None when not measured."""

    dots: tuple[Dot, ...]
    r0: float | None
    absent_below: float | None
    r0_checked: float | None = None  # the control rate on the half of the bank that did not set the threshold


def plot_of(groups: Iterable[Mapping[str, Any]], theta: str, r0_checked: Any = None) -> Plot:
    """From the rows of ``groups`` of one test at ``theta``; left out: unknown groups, unmeasured ones in no rule.

    The control rate is that of the control bank, with which the rules compare every other group.
    """
    rows = [g for g in groups if g["theta"] == theta and g["group"] in ORDER and (g["n"] or g["group"] in RULED)]
    rows.sort(key=lambda g: (ORDER.index(g["group"]), g["part_index"]))
    limits = [g["absent_below"] for g in rows if not missing(g["absent_below"])]
    r0 = next((_none(g["rate"]) for g in rows if g["group"] == "other"), None)
    dots = tuple(_dot(g, r0 is not None) for g in rows)
    return Plot(dots, r0, float(limits[0]) if limits else None, _none(r0_checked))


def _dot(g: Mapping[str, Any], controlled: bool) -> Dot:
    tested = controlled and g["group"] in ("part", "whole")
    up, absent = _true(g["up"]), _true(g["absent"])
    state = "rare" if up and absent else "up" if up else "absent" if absent else "open" if tested else ""
    if not g["n"] or (g["group"] == "own" and state != "up"):
        state = ""
    name = str(g["name"]) if g["group"] == "part" else ABOUT[g["group"]][0]
    measured = bool(g["n"])
    lo, hi = (_none(g[end]) if measured else None for end in ("lo", "hi"))
    return Dot(g["group"], name, int(g["n"]), int(g["fired"]), _none(g["rate"]), lo, hi, state, _true(g["suspect"]))


def _true(value: Any) -> bool:
    return not missing(value) and bool(value)


def _none(value: Any) -> float | None:
    return None if missing(value) else float(value)


# --- the large plot --------------------------------------------------------------------------------------

STATES = {"up": "above control", "absent": "absent", "rare": "above control, but rare", "open": "open",
          "same": "as the controls", "": ""}  # fmt: skip


def plot_html(plot: Plot, title: str) -> str:
    """The table: group, dot on the axis, counts with interval, the test's answer."""
    head = (
        '<thead><tr><th scope="col">phrases</th><th scope="col" class="p-ax">'
        '<span class="p-scale" aria-hidden="true"><i>0</i><i>25</i><i>50</i><i>75</i><i>100 %</i></span>'
        '<span class="p-hid">share that fires</span></th>'
        '<th scope="col">fire</th><th scope="col">test</th></tr></thead>'
    )
    rows = "".join(_row(dot, plot) for dot in plot.dots)
    return (
        f'<table class="p-dots"><caption>{escape(visible(title))}</caption>{head}<tbody>{rows}</tbody></table>'
        f"{legend_html(plot)}"
    )


def _row(dot: Dot, plot: Plot) -> str:
    about = ABOUT[dot.group][1]
    small = f" <small>{escape(about)}</small>" if about else ""
    name = f"“{escape(visible(one_line(dot.name, 60)))}”" if dot.group == "part" else escape(dot.name)
    said = STATES[dot.state] + (" (suspect)" if dot.suspect and dot.state in ("open", "absent") else "")
    if plot.r0 is None and dot.group == "part":
        said = "no control"
    was = "" if dot.was is None else f'<span class="p-hid"> without BOS {rate_text(dot.was)}</span>'
    return (
        f'<tr class="p-r-{dot.group}"><th scope="row" dir="auto">{name}{small}</th>'
        f'<td class="p-ax" aria-hidden="true">{track_html(dot, plot)}</td>'
        f"<td>{escape(value_text(dot))}{was}</td><td>{escape(said)}</td></tr>"
    )


def value_text(dot: Dot) -> str:
    """``38 of 40 · 95 % [83, 99]``; of a single phrase only whether it fires."""
    if not dot.n or dot.rate is None:
        return "not measured"
    if dot.n == 1:
        return "fires" if dot.fired else "does not fire"
    counts = "" if dot.group == "other" else f"{dot.fired} of {dot.n:,} · "
    return f"{counts}{rate_text(dot.rate)} {range_text(dot.lo, dot.hi)}".strip()


def track_html(dot: Dot, plot: Plot) -> str:
    """One row of the axis: reference lines, interval, dot. Positions are percent of the axis' width."""
    parts = ""
    if plot.absent_below is not None:
        parts += f'<i class="p-zone" style="width:{_at(plot.absent_below)}"></i>'
    if plot.r0 is not None:
        parts += f'<i class="p-r0" style="left:{_at(plot.r0)}"></i>'
    if dot.rate is not None and dot.lo is not None and dot.hi is not None and dot.n > 1:
        parts += f'<i class="p-iv" style="left:{_at(dot.lo)};width:{_at(max(dot.hi - dot.lo, 0.0))}"></i>'
    if dot.was is not None and dot.rate is not None:
        lo, hi = sorted((dot.was, dot.rate))
        parts += f'<i class="p-moved" style="left:{_at(lo)};width:{_at(hi - lo)}"></i>'
        parts += f'<b class="p-dot p-was" style="left:{_at(dot.was)}"></b>'
    if dot.rate is not None:
        parts += f'<b class="p-dot p-d-{dot.group} p-s-{dot.state or "none"}" style="left:{_at(dot.rate)}"></b>'
    return f'<span class="p-track">{parts}</span>'


def _at(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def legend_html(plot: Plot) -> str:
    """What the lines and marks mean."""
    lines = []
    if plot.r0 is not None:
        said = f"control rate r0: {rate_text(plot.r0)} of phrases for others fire"
        if plot.r0_checked is not None:
            said += f" ({rate_text(plot.r0_checked)} of the half that did not set θ5)"
        lines.append(f'<span><i class="p-k-r0"></i>{said}</span>')
    if plot.absent_below is not None:
        lines.append(f'<span><i class="p-k-zone"></i>absent: upper limit below {rate_text(plot.absent_below)}</span>')
    states = {dot.state for dot in plot.dots}
    lines += [f'<span><b class="p-dot p-s-{s}"></b>{said}</span>' for s, said in STATES.items() if s and s in states]
    if any(dot.was is not None for dot in plot.dots):
        lines.append('<span><b class="p-dot p-was"></b>where it stands without BOS</span>')
    interval = '<span><i class="p-k-iv"></i>95 % interval</span>'
    return f'<p class="p-legend" aria-hidden="true">{"".join(lines)}{interval}</p>'


# --- the small plot --------------------------------------------------------------------------------------

SMALL = ("own", "whole", "part", "near")


def small_html(plot: Plot) -> str:
    """The same dots in a few lines without words; the sentence for those who cannot see it is ``plot_alt``."""
    rows = "".join(track_html(dot, plot) for dot in plot.dots if dot.group in SMALL)
    return f'<span class="p-small" role="img" aria-label="{escape(plot_alt(plot))}">{rows}</span>'


def plot_alt(plot: Plot) -> str:
    """The plot in a sentence."""
    said = [f"{one_line(visible(d.name), 40)} {rate_text(d.rate)}" for d in plot.dots if d.group in SMALL]
    control = "" if plot.r0 is None else f"; control {rate_text(plot.r0)}"
    return f"Share of phrases that fire: {', '.join(said)}{control}" if said else "Nothing measured"


def card_html(test: Mapping[str, Any], plot: Plot, href: str) -> str:
    """One label of the gallery: what it is, its class, its dots, the way to its verdict."""
    label = escape(visible(one_line(test["label"], 90))) or "<em>empty label</em>"
    kind = kind_of(test["kind"])
    link = f'<a href="{escape(href)}" target="_self" data-feature="{int(test["test"])}">{int(test["feature"])}</a>'
    return (
        f'<li class="p-card" title="{escape(kind.short)}">{badge_html(test["kind"])} {link}'
        f'<span class="p-cl" dir="auto">{label}</span>{small_html(plot)}</li>'
    )


def gallery_html(cards: Sequence[str]) -> str:
    return f'<ul class="p-gallery">{"".join(cards)}</ul>'
