"""Spectra and the conjecture's test as figures. No streamlit."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

MARKS = {"raw": "circle", "binary": "square", "unit": "diamond", "phi": "cross", "log1p": "x", "jaccard kernel": "star"}
LAYOUT = {"margin": {"l": 0, "r": 8, "t": 48, "b": 0}, "height": 380}
LINES = (
    ("centred_value", "this run", "solid"),
    ("null_q95", "shuffled columns, 95th percentile", "dash"),
    ("shift_q95", "circular shifts, 95th percentile", "dot"),
)
LEGEND = {"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0}


def spectrum(table: pd.DataFrame, k: int) -> go.Figure:
    """Singular values of the centred matrix by component, beside the 95th percentile of its nulls."""
    x, figure = table["component"] + 1, go.Figure()
    for column, name, dash in LINES:
        if table[column].notna().any():
            figure.add_trace(go.Scatter(x=x, y=table[column], name=name, mode="lines+markers", line={"dash": dash}))
    if k:
        figure.add_vline(x=k + 0.5, line={"width": 1, "dash": "dot"}, annotation_text=f"k = {k}")
    figure.update_layout(**LAYOUT, legend=LEGEND)
    figure.update_xaxes(title="component", fixedrange=True)
    figure.update_yaxes(title="singular value, centred", rangemode="tozero", fixedrange=True)
    return figure


def spectrum_alt(table: pd.DataFrame, k: int) -> str:
    """The spectrum in a sentence."""
    first = table.iloc[0]
    return (
        f"{len(table)} components; the largest is {first['centred_value']:.3g}, shuffled columns reach "
        f"{first['null_q95']:.3g}; {k} stand above them without a gap"
    )


def over_k(scores: pd.DataFrame, similarity: str) -> go.Figure:
    """Beyond-density Spearman of every scale over k with intervals; full rank stands at the right."""
    some = scores[scores["similarity"] == similarity]
    last = some["k"].max()
    full = float(last) * 1.5 if last == last else 1.0
    figure = go.Figure()
    for scale, rows in some.groupby("scale", sort=False):
        rows = rows.assign(at=rows["k"].astype(float).fillna(full)).sort_values("at")
        bars = {"array": rows["partial_hi"] - rows["partial"], "arrayminus": rows["partial"] - rows["partial_lo"]}
        figure.add_trace(
            go.Scatter(
                x=rows["at"], y=rows["partial"], error_y=bars, name=str(scale), mode="lines+markers",
                marker={"symbol": MARKS.get(str(scale), "circle"), "size": 9},
            )
        )  # fmt: skip
    ceiling = some["partial_null_hi"].max()
    if ceiling == ceiling:
        figure.add_hline(y=ceiling, line={"dash": "dash", "width": 1}, annotation_text="highest of shuffled columns")
    ticks = sorted(some["k"].dropna().astype(int).unique())
    figure.update_layout(**LAYOUT, legend=LEGEND)
    figure.update_xaxes(
        title="components k", type="log", tickvals=[*ticks, full], ticktext=[*map(str, ticks), "all"], fixedrange=True
    )
    figure.update_yaxes(title="Spearman beyond density", fixedrange=True)
    return figure


def over_k_alt(scores: pd.DataFrame, similarity: str) -> str:
    """The curves in a sentence."""
    some = scores[scores["similarity"] == similarity]
    best = some.loc[some["partial"].idxmax()]
    k = "full rank" if pd.isna(best["k"]) else f"k = {int(best['k'])}"
    return f"By {similarity}: highest is {best['scale']} at {k}, {best['partial']:.2f}; all values in the table below"
