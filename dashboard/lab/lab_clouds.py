"""Features as a cloud of points, as a figure and as plain HTML for files without scripts. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from dashboard.tokens import visible
from dashboard.wording import number, one_line

GREY = "#808892"
"""Seen on both themes."""


@dataclass(frozen=True)
class Cloud:
    """Features as points: ``x``, ``y`` float ``[n]``; ``holds`` bool ``[n]``; ``names`` for hover, not escaped."""

    features: np.ndarray
    x: np.ndarray
    y: np.ndarray
    holds: np.ndarray
    names: Sequence[str]
    titles: tuple[str, str]
    what: tuple[str, str]  # of those that hold, of the others


def figure(
    points: Cloud, lines: Mapping[str, float] | None = None, diagonal: bool = False, log_x: bool = False
) -> go.Figure:
    """A point a feature, those beyond chance filled, each with its number as custom data; ``lines`` across at y."""
    drawn = go.Figure()
    for on, name in zip((False, True), reversed(points.what), strict=True):
        at = np.flatnonzero(points.holds == on)
        drawn.add_trace(
            go.Scatter(
                x=points.x[at], y=points.y[at], mode="markers", name=name, customdata=points.features[at].tolist(),
                hovertext=[hover(points, int(i)) for i in at], hoverinfo="text",
                marker={"size": 11, "symbol": "circle", "opacity": 0.85} if on else
                {"size": 7, "symbol": "circle-open", "opacity": 0.55},
            )
        )  # fmt: skip
    if diagonal and len(points.x):
        ends = np.geomspace(max(points.x.min(), 1e-5), 1, 60) if log_x else np.linspace(0, 1, 60)
        drawn.add_trace(go.Scatter(x=ends, y=ends, mode="lines", name="no more than elsewhere", hoverinfo="skip",
                                    line={"dash": "dash", "width": 1}))  # fmt: skip
    for name, y in (lines or {}).items():
        drawn.add_hline(
            y=y,
            line={"dash": "dash", "width": 1.5, "color": GREY},
            annotation_text=name,
            annotation_position="top left",
        )
    drawn.update_layout(
        height=420, margin={"l": 0, "r": 8, "t": 48, "b": 0}, hovermode="closest",
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
    )  # fmt: skip
    drawn.update_xaxes(title=points.titles[0], type="log" if log_x else "linear")
    drawn.update_yaxes(title=points.titles[1])
    return drawn


def hover(points: Cloud, i: int) -> str:
    """What a point says; plotly reads some HTML, so it is escaped."""
    name = escape(visible(one_line(points.names[i], 60)))
    return (
        f"feature {int(points.features[i])}<br>{name}<br>{points.titles[1]} {number(points.y[i])}<br>"
        f"{points.titles[0]} {number(points.x[i])}"
    )


def dots_html(points: Cloud, reach: float | None = None, log_x: bool = False) -> str:
    """The cloud without a script: a dot a feature, named on hover; ``reach``: what chance reaches around .5."""
    if not len(points.x):
        return ""
    x, y = (np.log10(points.x) if log_x else points.x), points.y
    x_lo, x_hi = float(x.min()), float(x.max())
    y_lo, y_hi = min(0.0, float(y.min())), max(1.0, float(y.max()))
    dots = "".join(
        f'<i class="{"" if points.holds[i] else "p-no"}" style="left:{_at(x[i], x_lo, x_hi):.1f}%;'
        f'bottom:{_at(y[i], y_lo, y_hi):.1f}%" title="{escape(_said(points, i))}"></i>'
        for i in range(len(x))
    )
    lines = "" if reach is None else "".join(
        f'<u style="bottom:{_at(0.5 + side * reach, y_lo, y_hi):.1f}%"></u>' for side in (-1, 1)
    )  # fmt: skip
    ends = [number(10**v if log_x else v) for v in (x_lo, x_hi)]
    return (
        f'<figure class="p-cloud"><small>{escape(points.titles[1])}, {number(y_lo)} to {number(y_hi)}</small>'
        f"<div>{lines}{dots}</div><figcaption><span>{ends[0]}</span><span>{escape(points.titles[0])}"
        f"{' (log)' if log_x else ''}</span><span>{ends[1]}</span></figcaption>"
        f"<small>filled: {escape(points.what[0])}; hollow: {escape(points.what[1])}</small></figure>"
    )


def _said(points: Cloud, i: int) -> str:
    return f"feature {int(points.features[i])} {points.names[i]}: {number(points.y[i])} against {number(points.x[i])}"


def _at(value: float, lo: float, hi: float) -> float:
    return 100 * (float(value) - lo) / (hi - lo) if hi > lo else 50.0
