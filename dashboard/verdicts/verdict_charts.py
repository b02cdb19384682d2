"""Classes of decomposition tests against what else is known of feature and label. No streamlit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.verdicts.verdict_wording import KINDS, rate_text
from dashboard.wording import number, one_line

MAX_SVG = 2_000
FAMILY = re.compile(r"([a-z_]{2,30})=\S")
SYMBOLS = dict(zip(KINDS, ("circle", "circle-open-dot", "diamond", "x", "cross-thin-open", "line-ew-open",
                           "circle-open", "hash-open"), strict=True))  # fmt: skip
TONES = {"holds": "#1f9d7c", "partly": "#4a86e8", "fails": "#d9483b", "open": "#868b94"}
"""Colours of the classes' badges that stand out from a light and a dark ground (3:1); the mark says the class."""
AXES = {"density": ("density", "share of tokens on which the feature fires", "log"),
        "token R²": ("token_r2", "share of act that the token alone explains", "linear")}  # fmt: skip


def kinds_in(frame: pd.DataFrame) -> list[str]:
    return [k for k in KINDS if (frame["kind"] == k).any()]


def strip(frame: pd.DataFrame, by: str, seed: int = 0) -> go.Figure:
    """One mark per test: x the feature's density or token R2, y the class; height inside a class means nothing.

    Marks carry the row of ``tests`` as custom data. Left out: tests whose x was not measured, or is 0 on a log axis.
    """
    column, title, scale = AXES[by]
    kinds = kinds_in(frame)
    known = frame[frame[column].notna() & ((frame[column] > 0) | (scale == "linear"))]
    spread = np.random.default_rng(seed).uniform(-0.28, 0.28, len(known))
    trace = go.Scattergl if len(known) > MAX_SVG else go.Scatter  # thousands of SVG marks hold a browser up
    figure = go.Figure()
    for i, kind in enumerate(kinds):
        rows = (known["kind"] == kind).to_numpy()
        some = known[rows]
        hover = [
            f"feature {f}: {one_line(label, 60).replace('<', '&lt;')}<br>{by} {number(x)}"
            for f, label, x in zip(some["feature"], some["label"], some[column], strict=True)
        ]
        figure.add_trace(
            trace(
                x=some[column], y=i + spread[rows], mode="markers", name=kind, customdata=some["test"].tolist(),
                hovertext=hover, hoverinfo="text", marker=_mark(kind),
            )
        )  # fmt: skip
    figure.update_layout(height=90 + 46 * len(kinds), margin={"l": 0, "r": 0, "t": 8, "b": 0}, showlegend=False)
    figure.update_xaxes(title=title, type=scale, fixedrange=True)
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(kinds))), ticktext=kinds, autorange="reversed", fixedrange=True,
        showgrid=False, zeroline=False,
    )  # fmt: skip
    return figure


def _mark(kind: str) -> dict[str, Any]:
    colour = TONES[KINDS[kind].tone]
    return {"symbol": SYMBOLS[kind], "size": 9, "color": colour, "line": {"width": 1.5, "color": colour}}


def strip_alt(frame: pd.DataFrame, by: str) -> str:
    """The marks in a sentence: the median of every class."""
    column = AXES[by][0]
    said = [f"{k} {number(frame.loc[frame['kind'] == k, column].median())}" for k in kinds_in(frame)]
    return f"Median {by} by class: {', '.join(said)}"


def label_kind(label: str) -> str:
    """What sort of label it is: the family of one written ``family=member``, else its length in words."""
    family = FAMILY.match(label)
    if family:
        return family[1]
    n = len(label.split())
    return "no words" if not n else "one word" if n == 1 else "2 to 4 words" if n < 5 else "5 words or more"


def shares_table(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row per label kind or source, the largest first: how many labels, and how many of each class."""
    of = frame["label_source"] if by == "label source" else frame["label"].map(label_kind)
    counts = frame.groupby([of.rename(by), "kind"]).size().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    table = counts[[k for k in KINDS if k in counts]].reset_index()
    table.insert(1, "labels", counts.sum(axis=1).to_numpy())
    return table


def medians(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per class: labels, median density and token R2 of their features."""
    rows = [
        {
            "class": kind,
            "labels": int((frame["kind"] == kind).sum()),
            "median density": frame.loc[frame["kind"] == kind, "density"].median(),
            "median token R²": frame.loc[frame["kind"] == kind, "token_r2"].median(),
            "whole label fires": rate_text(frame.loc[frame["kind"] == kind, "whole_rate"].median()),
        }
        for kind in kinds_in(frame)
    ]
    return pd.DataFrame(rows)
