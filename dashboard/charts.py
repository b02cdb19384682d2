"""Tables to figures. No streamlit: colours come from the page's theme, figures are tested by value."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.wording import number

PATTERNS = ("", "/")  # the second feature is hatched, so that the two differ without colour


def edges_of(row: Any, scale: str) -> np.ndarray:
    """``[n_bins + 1]`` bin edges of one row of ``histograms``: equal in width (linear) or in ratio (log)."""
    n = len(row["counts"]) + 1
    if scale == "log":
        return np.geomspace(row["lo"], row["hi"], n)
    return np.linspace(row["lo"], row["hi"], n)


def bars_html(frame: pd.DataFrame, name: str, scale: str) -> str:
    """The histogram of one feature as 40 HTML bars: a hundredth of a chart library's work, redrawn at every click.

    Hover names each bar's range and count; the whole carries the chart in a sentence for those who cannot see it.
    """
    rows = frame[frame["scale"] == scale]
    alt = histogram_alt(frame, name)
    if not len(rows):
        return f'<p class="p-none">{escape(alt)}</p>'
    edges, counts = edges_of(rows.iloc[0], scale), np.asarray(rows.iloc[0]["counts"])
    top = max(int(counts.max()), 1)
    bars = "".join(
        f'<i style="height:{100 * n / top:.1f}%" title="act {number(lo)} to {number(hi)} · {n:,} firings"></i>'
        for lo, hi, n in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    )
    ticks = "".join(f"<span>{number(edges[i])}</span>" for i in (0, len(edges) // 2, -1))
    return (
        f'<figure class="p-hist" role="img" aria-label="{escape(alt)}"><small>{top:,} firings</small>'
        f"<div>{bars}</div><figcaption>{ticks}</figcaption>"
        f"<small>act (SAE units, {escape(scale)} axis)</small></figure>"
    )


def histogram(histograms: Sequence[pd.DataFrame], names: Sequence[str], scale: str) -> go.Figure:
    """Firings per bin of act for one feature, or shares of its firings per bin for several to be compared.

    ``histograms`` are rows of the table of that name; a feature without firings has none and gives no bars.
    """
    compare = len(histograms) > 1
    figure = go.Figure()
    for i, (frame, name) in enumerate(zip(histograms, names, strict=True)):
        rows = frame[frame["scale"] == scale]
        if len(rows):
            figure.add_trace(_bars(rows.iloc[0], name, scale, compare, PATTERNS[i % 2]))
    figure.update_layout(
        height=220,
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        bargap=0,
        barmode="overlay",
        showlegend=compare,
        legend={"orientation": "h", "y": 1.15},
        hovermode="x" if compare else "closest",
    )
    figure.update_xaxes(title="act (SAE units)", type=scale, fixedrange=True)
    figure.update_yaxes(title="share of firings" if compare else "firings", rangemode="tozero", fixedrange=True)
    return figure


def _bars(row: Any, name: str, scale: str, compare: bool, pattern: str) -> go.Bar:
    edges, counts = edges_of(row, scale), np.asarray(row["counts"])
    heights = counts / counts.sum() if compare else counts
    text = [
        f"act {number(lo)} to {number(hi)}<br>{n:,} firings"
        for lo, hi, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return go.Bar(
        x=edges[:-1],
        y=heights,
        offset=0,  # from its left edge: on a log axis a centred bar would not span its bin
        width=np.diff(edges),
        name=name,
        opacity=0.65 if compare else 1,
        marker={"pattern": {"shape": pattern}, "line": {"width": 0}},
        hovertext=text,
        hoverinfo="text+name" if compare else "text",
    )


def histogram_alt(frame: pd.DataFrame, name: str) -> str:
    """The chart in a sentence, for those who cannot see it."""
    rows = frame[frame["scale"] == "linear"]
    if not len(rows):
        return f"{name} never fires, so there is no histogram"
    row = rows.iloc[0]
    edges, counts = edges_of(row, "linear"), np.asarray(row["counts"])
    fullest = int(counts.argmax())
    between = f"{number(edges[fullest])} and {number(edges[fullest + 1])}"
    return f"Histogram of {name}: {counts.sum():,} firings up to act {number(row['hi'])}, most between {between}"
