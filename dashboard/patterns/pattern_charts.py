"""Spectra, distances and the conjecture's test as figures. No streamlit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.wording import number

MARKS = {"raw": "circle", "binary": "square", "unit": "diamond", "phi": "cross", "log1p": "x", "jaccard kernel": "star"}
LAYOUT = {"margin": {"l": 0, "r": 8, "t": 48, "b": 0}, "height": 380}
LINES = (
    ("centred_value", "this run", "solid"),
    ("null_q95", "shuffled columns, 95th percentile", "dash"),
    ("shift_q95", "circular shifts, 95th percentile", "dot"),
)
BASELINES = {"decoder cosine": "decoder cosine", "excess on the fitted half": "co-firing counted directly"}
GREY = "#808996"  # seen on light and on dark
LEGEND = {"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0}


def spectrum(table: pd.DataFrame, k: int) -> go.Figure:
    """Singular values of the centred matrix by component, beside the 95th percentile of its nulls."""
    x, figure = table["component"] + 1, go.Figure()
    for column, name, dash in LINES:
        if table[column].notna().any():
            figure.add_trace(go.Scatter(x=x, y=table[column], name=name, mode="lines+markers", line={"dash": dash}))
    if k:
        figure.add_vline(
            x=k + 0.5, line={"width": 1, "dash": "dot", "color": GREY}, annotation_text=f"k = {k}", annotation_xshift=4
        )
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
    """Beyond-density Spearman of every scale over k with intervals; full rank stands at the right.

    Lines say what the nulls reach and what needs no C, beyond density too.
    """
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
        figure.add_hline(
            y=ceiling, line={"dash": "dash", "width": 1, "color": GREY}, annotation_text="highest of shuffled columns"
        )
    for name, title in BASELINES.items():
        for value in scores.loc[(scores["scale"] == name) & (scores["similarity"] == "baseline"), "partial"].dropna():
            figure.add_hline(y=value, line={"dash": "dot", "width": 1, "color": GREY}, annotation_text=title,
                             annotation_position="top left")  # fmt: skip
    ticks = _apart(sorted(some["k"].dropna().astype(int).unique()))
    figure.update_layout(**LAYOUT, legend=LEGEND)
    figure.update_xaxes(
        title="components k", type="log", tickvals=[*ticks, full], ticktext=[*map(str, ticks), "all"], fixedrange=True
    )
    figure.update_yaxes(title="Spearman beyond density", fixedrange=True)
    return figure


def _apart(ticks: list[int]) -> list[int]:
    """Those that do not run into each other on a phone's logarithmic axis."""
    kept: list[int] = []
    for tick in ticks:
        if not kept or tick >= 1.4 * kept[-1]:
            kept.append(int(tick))
    return kept


def over_k_alt(scores: pd.DataFrame, similarity: str) -> str:
    """The curves in a sentence."""
    some = scores[scores["similarity"] == similarity]
    best = some.loc[some["partial"].idxmax()]
    k = "full rank" if pd.isna(best["k"]) else f"k = {int(best['k'])}"
    return f"By {similarity}: highest is {best['scale']} at {k}, {best['partial']:.2f}; all values in the table below"


NAMES = {
    "jaccard": "Jaccard", "dice": "Dice", "overlap": "overlap", "phi": "phi", "decoder_cosine": "decoder cosine",
    "c_cosine": "cosine of C", "c_euclid": "distance in C",
}  # fmt: skip
TITLES = {"real": "this run", "shuffled": "shuffled columns"}


def affinity_name(key: str) -> str:
    return NAMES[key]


def pair_histogram(whole: pd.DataFrame, own: pd.DataFrame, affinity: str, feature: int) -> go.Figure:
    """Shares of pairs by affinity: of all pairs, of chance where it was computed, of one feature."""
    figure, chance = go.Figure(), "random directions" if affinity == "decoder_cosine" else "shuffled columns"
    total, mine = whole[whole["affinity"] == affinity], own[own["affinity"] == affinity]
    lines = [("all pairs", total, "counts", "solid"), (chance, total, "null_counts", "dash")]
    for name, table, column, dash in [*lines, (f"pairs of feature {feature}", mine, "counts", "dot")]:
        counts = table[column].iloc[0] if len(table) else None
        if counts is None or not np.sum(counts):
            continue
        edges = np.linspace(table["lo"].iloc[0], table["hi"].iloc[0], len(counts) + 1)
        shares = np.asarray(counts, np.float64) / np.sum(counts)
        figure.add_trace(
            go.Scatter(x=(edges[:-1] + edges[1:]) / 2, y=np.where(shares > 0, shares, np.nan), name=name,
                       mode="lines+markers", line={"dash": dash, "shape": "hvh"})
        )  # fmt: skip
    figure.update_layout(**LAYOUT | {"height": 300}, legend=LEGEND)
    figure.update_xaxes(title=NAMES[affinity], fixedrange=True)
    figure.update_yaxes(title="share of pairs", type="log", dtick=1, exponentformat="power", fixedrange=True)
    return figure


def pair_histogram_alt(whole: pd.DataFrame, affinity: str) -> str:
    """Where most pairs lie, in a sentence."""
    rows = whole[whole["affinity"] == affinity]
    if not len(rows):
        return f"No pairs were compared by {NAMES[affinity]}"
    row = rows.iloc[0]
    edges = np.linspace(row["lo"], row["hi"], len(row["counts"]) + 1)
    at = int(np.argmax(row["counts"]))
    return f"Most pairs of features have a {NAMES[affinity]} of {number(edges[at])} to {number(edges[at + 1])}"


def pair_density(scatter: pd.DataFrame, variant: str) -> go.Figure:
    """Pairs by distance in C and Jaccard distance beside the same of shuffled columns, as log counts."""
    figure = make_subplots(1, 2, subplot_titles=list(TITLES.values()), shared_yaxes=True, horizontal_spacing=0.03)
    for column, side in enumerate(TITLES, 1):
        row = scatter[(scatter["variant"] == variant) & (scatter["side"] == side)].iloc[0]
        counts = np.asarray(row["counts"], np.float64)
        n = round(len(counts) ** 0.5)
        counts = counts.reshape(n, n).T
        centres = (np.arange(n) + 0.5) / n
        with np.errstate(divide="ignore"):
            z = np.where(counts > 0, np.log10(counts), np.nan)
        figure.add_trace(
            go.Heatmap(
                z=z, x=centres * row["distance_max"], y=centres, customdata=counts, coloraxis="coloraxis",
                hovertemplate="distance %{x:.3g}, Jaccard distance %{y:.2f}<br>%{customdata:,} pairs<extra></extra>",
            ), 1, column,
        )  # fmt: skip
    figure.update_layout(height=400, margin={"l": 0, "r": 0, "t": 32, "b": 0})
    figure.update_layout(coloraxis={"colorbar": {"title": {"text": "log10 pairs", "side": "right"}, "thickness": 10}})
    figure.update_xaxes(title="distance in C", fixedrange=True, showgrid=False)
    figure.update_yaxes(fixedrange=True, showgrid=False)
    figure.update_yaxes(title="Jaccard distance", col=1)
    return figure


def pair_density_alt(raw: pd.DataFrame, variant: str) -> str:
    """Spearman of the drawn pairs beside that of shuffled columns."""
    scale, _, rank = variant.partition(", ")
    k = None if rank == "all" else int(rank.removeprefix("k = "))
    at = (raw["scale"] == scale) & (raw["similarity"] == "euclid")
    at &= raw["k"].isna() if k is None else (raw["k"] == k).fillna(False)
    if not at.any():
        return f"Pairs by distance in C ({variant}) and Jaccard distance"
    row = raw[at].iloc[0]
    return (
        f"Distance in C ({variant}) with Jaccard distance: Spearman {number(row['spearman'])}, of shuffled columns "
        f"{number(row['spearman_shuffled'])}"
    )
