"""Ranked features as a table of dots with intervals and what chance reaches, and as a figure. No streamlit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dashboard.tokens import visible
from dashboard.wording import interval, missing, number, one_line

SHOWN = 15


@dataclass(frozen=True)
class Axis:
    """What the dots of a table stand for: its name, its ends, and the value of nothing at all."""

    name: str
    lo: float
    hi: float
    chance: float | None = None

    def at(self, value: float) -> float:
        """Where a value stands, 0..100."""
        return 100 * min(1.0, max(0.0, (value - self.lo) / (self.hi - self.lo))) if self.hi > self.lo else 0.0


@dataclass(frozen=True)
class Row:
    """One feature: the dot with its interval, what chance reaches for it, further numbers in words.

    ``holds``: its q says that chance does not do this; hollow dots are the others.
    """

    feature: int
    label: str
    value: float
    lo: float
    hi: float
    chance: float | None
    cells: tuple[str, ...]
    holds: bool


Href = Callable[[int], str]


def ranks_html(rows: Sequence[Row], axis: Axis, heads: Sequence[str], caption: str, href: Href) -> str:
    """The table; each feature links to its page."""
    body = "".join(_row(row, axis, href) for row in rows)
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in ("feature", axis.name, "", *heads, "label"))
    return (
        '<div class="p-scroll" tabindex="0" role="group" aria-label="table">'
        f'<table class="p-list p-ranks"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Row, axis: Axis, href: Href) -> str:
    cells = "".join(f"<td>{spans(cell)}</td>" for cell in row.cells)
    name = escape(visible(one_line(row.label, 90))) if row.label else "<small>no label</small>"
    said = f"{number(row.value)} {interval(row.lo, row.hi)}"
    return (
        f'<tr><th scope="row"><a href="{escape(href(row.feature))}" data-feature="{row.feature}">{row.feature}</a></th>'
        f"<td>{_bar(row, axis)}</td><td>{spans(said)}</td>{cells}"
        f'<td class="p-about" dir="auto">{name}</td></tr>'
    )


def spans(text: str) -> str:
    """A number with its interval set smaller behind it, escaped."""
    value, bracket, rest = text.partition(" [")
    return escape(value) + (f" <small>[{escape(rest)}</small>" if bracket else "")


def _bar(row: Row, axis: Axis) -> str:
    chance = axis.chance if row.chance is None else row.chance
    line = "" if missing(chance) else f'<u style="left:{axis.at(float(chance or 0)):.1f}%"></u>'
    width = "" if missing(row.lo) or missing(row.hi) else (
        f'<i style="left:{axis.at(row.lo):.1f}%;width:{max(0.5, axis.at(row.hi) - axis.at(row.lo)):.1f}%"></i>'
    )  # fmt: skip
    said = f"{axis.name} {number(row.value)} {interval(row.lo, row.hi)}"
    said += "" if missing(chance) else f", by chance {number(chance)}"
    kind = "p-bar" if row.holds else "p-bar p-no"
    dot = f'<b style="left:{axis.at(row.value):.1f}%"></b>'
    return (
        f'<span class="{kind}" role="img" aria-label="{escape(said)}" title="{escape(said)}">{line}{width}{dot}</span>'
    )


def said_p(p: Any) -> str:
    """A q- or p-value as people read it: never 0."""
    return "" if missing(p) else "< 0.001" if float(p) < 0.001 else number(p, 2)
