"""Planted truth as figures and facts. No streamlit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.wording import number, one_line

OUTCOMES = ("found", "split", "merged", "absorbed", "not found")
PATTERNS = dict(zip(OUTCOMES, ("", "/", "x", ".", "-"), strict=True))
MAX_SIDE = 120  # concepts, and features, in one heatmap


def by_kind(truth: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """One row per kind: how many concepts, and at each level median F1 of the best single feature, null, share found.

    A level at which a kind is not judged has missing values.
    """
    singles = truth[truth["form"] == "single"]
    rows = []
    for kind, of_kind in concepts.groupby("kind", sort=True):
        row: dict[str, object] = {"kind": kind, "concepts": len(of_kind)}
        for level in ("token", "span"):
            scored = singles[(singles["kind"] == kind) & (singles["level"] == level)]
            row[f"{level} F1"] = scored["f1"].median()
            row[f"{level} null"] = scored["f1_null"].median()
            row[f"{level} ≥ .8"] = float((scored["f1"] >= 0.8).mean()) if len(scored) else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def outcome_bars(concepts: pd.DataFrame) -> go.Figure:
    """What became of the concepts of each kind, as shares of the kind; hatching tells outcomes without colour."""
    counts = concepts.groupby(["kind", "outcome"]).size().unstack(fill_value=0)
    kinds = counts.index.tolist()
    figure = go.Figure()
    for outcome in OUTCOMES:
        n = counts[outcome] if outcome in counts else pd.Series(0, index=counts.index)
        text = [f"{int(k)} of {int(total)} {outcome}" for k, total in zip(n, counts.sum(axis=1), strict=True)]
        figure.add_trace(
            go.Bar(
                y=kinds, x=n / counts.sum(axis=1), name=outcome, orientation="h", hovertext=text, hoverinfo="text+y",
                marker={"pattern": {"shape": PATTERNS[outcome]}},
            )
        )  # fmt: skip
    figure.update_layout(
        barmode="stack", height=60 + 30 * len(kinds), margin={"l": 0, "r": 0, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.12, "traceorder": "normal"},
    )  # fmt: skip
    figure.update_xaxes(title="share of the kind's concepts", range=[0, 1], fixedrange=True, tickformat=".0%")
    figure.update_yaxes(autorange="reversed", fixedrange=True)
    return figure


def outcomes_alt(concepts: pd.DataFrame) -> str:
    """The bars in a sentence."""
    counts = concepts["outcome"].value_counts()
    return f"Of {len(concepts)} concepts: " + ", ".join(f"{int(counts.get(o, 0))} {o}" for o in OUTCOMES)


def overlap_heatmap(overlap: pd.DataFrame, concepts: list[str]) -> go.Figure:
    """F1 of concepts (rows, as given) by features (columns, in the order of the concept they are best for).

    Invisible markers over the cells carry ``(concept, feature)`` as custom data, because heatmaps return no clicks.
    """
    some = overlap[overlap["concept"].isin(concepts)]
    rank = {concept: i for i, concept in enumerate(concepts)}
    best = some.sort_values("f1", ascending=False).drop_duplicates("feature")
    best = best.assign(row=best["concept"].map(rank)).sort_values(["row", "f1"], ascending=[True, False])
    features = best["feature"].head(MAX_SIDE).tolist()
    some = some[some["feature"].isin(features)]
    z = np.zeros((len(concepts), len(features)))
    at = (some["concept"].map(rank).to_numpy(), some["feature"].map({f: i for i, f in enumerate(features)}).to_numpy())
    z[at] = some["f1"]
    names = [one_line(c, 40) for c in concepts]
    columns = [str(f) for f in features]
    figure = go.Figure(
        go.Heatmap(z=z, x=columns, y=names, zmin=0, zmax=1, colorscale=None, colorbar={"title": "F1"}, hoverinfo="skip")
    )
    hover = [
        f"{one_line(c, 60)}<br>feature {f}<br>precision {number(p)}, recall {number(r)}, F1 {number(v)}"
        for c, f, p, r, v in zip(*(some[n] for n in ("concept", "feature", "precision", "recall", "f1")), strict=True)
    ]
    figure.add_trace(
        go.Scatter(
            x=[columns[i] for i in at[1]], y=[names[i] for i in at[0]], mode="markers", opacity=0, hovertext=hover,
            hoverinfo="text", customdata=some["feature"].tolist(), marker={"size": 12, "symbol": "square"},
        )
    )  # fmt: skip
    figure.update_layout(height=120 + 18 * max(len(names), 6), margin={"l": 0, "r": 0, "t": 8, "b": 0})
    figure.update_xaxes(title="feature", type="category", showgrid=False)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure
