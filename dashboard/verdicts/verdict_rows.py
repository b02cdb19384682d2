"""The list of a result's labels as an HTML table: judged beside controls, or counted where there were none. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from dashboard.tokens import visible
from dashboard.verdicts.verdict_plot import Plot, small_html
from dashboard.verdicts.verdict_summary import SCROLL, uncontrolled
from dashboard.verdicts.verdict_wording import badge_html, rate_text
from dashboard.wording import missing, one_line

Href = Callable[[Mapping[str, Any]], str]
HEAD = ("feature", "label", "class", "own text", "whole label", "parts above control", "failure", "dots")
BARE = ("feature", "label", "counting says", "parts that fire", "phrases that fire", "dots")
"""Without control phrases there is no class, no part above control and no failure: what was counted is all there is."""


def worst_text(tests: pd.DataFrame) -> str:
    """By what the list is ordered when the worst comes first."""
    return "Worst: fewest phrases fire" if uncontrolled(tests) else "Failure: own text - whole label"


def labels_html(
    tests: Sequence[Mapping[str, Any]], plots: Sequence[Plot], href: Href, title: str, controlled: bool = True
) -> str:
    """One row a test, in the order given; the number opens the verdict."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in (HEAD if controlled else BARE))
    said, names = (_judged, HEAD[2:-1]) if controlled else (_counted, BARE[2:-1])
    rows = "".join(
        _label_row(t, plot, href(t), dict(zip(names, said(t), strict=True)))
        for t, plot in zip(tests, plots, strict=True)
    )
    return (
        f'{SCROLL.format("all labels")}<table class="p-list p-labels-list"><caption>{escape(title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _label_row(t: Mapping[str, Any], plot: Plot, href: str, cells: Mapping[str, str]) -> str:
    """Each cell knows its column's name: where the window is narrow, a row stands for itself."""
    link = f'<a href="{escape(href)}" target="_self" data-feature="{int(t["test"])}">{int(t["feature"])}</a>'
    label = escape(visible(one_line(t["label"], 140))) or "<em>empty label</em>"
    return (
        f'<tr><th scope="row">{link}</th><td class="p-about" dir="auto">{label} '
        f"<small>{escape(visible(one_line(t['label_source'], 40)))}</small></td>"
        + "".join(f'<td data-h="{name}">{cell}</td>' for name, cell in cells.items())
        + f"<td>{small_html(plot)}</td></tr>"
    )


def _judged(t: Mapping[str, Any]) -> list[str]:
    """The cells of a label that was measured beside controls."""
    unmeasured = t["kind"] == "NOT-PROPOSED" or missing(t["n_parts_up"])
    parts = "not measured" if unmeasured else f"{int(t['n_parts_up'])} of {int(t['n_parts'])}"
    failure = "not measured" if missing(t["failure"]) else f"{100 * t['failure']:+.0f} points"
    return [badge_html(t["kind"]), rate_text(t["own_rate"]), rate_text(t["whole_rate"]), parts, failure]


def _counted(t: Mapping[str, Any]) -> list[str]:
    """The cells of a label without controls: the published reading and the counts behind it."""
    parts = f"{int(t['n_parts_firing'])} of {int(t['n_parts'])}"
    return [escape("not measured" if missing(t["published_count"]) else t["published_count"]), parts,
            rate_text(t["parts_rate"])]  # fmt: skip
