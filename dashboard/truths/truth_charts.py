"""Planted truth as figures and tables. No streamlit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analyses.truth_summary import OUTCOMES
from dashboard.truths.truth_data import chosen_forms
from dashboard.wording import interval, number, one_line

PATTERNS = dict(zip(OUTCOMES, ("", "/", "x", ".", "-"), strict=True))
HATCHING = {"fillmode": "overlay", "fgopacity": 0.3, "solidity": 0.15, "size": 7}  # faint: counts stand on it
MAX_SIDE = 120  # concepts, and features, in one heatmap


def concepts_table(concepts: pd.DataFrame, truth: pd.DataFrame, level: str) -> pd.DataFrame:
    """One row per concept: its best single feature with interval and null, then the best OR and AND of two."""
    of_level = truth[truth["level"] == level]
    forms = {form: of_level[of_level["form"] == form].set_index("concept") for form in ("single", "or", "and")}
    frame = concepts.set_index("concept")
    single = forms["single"].reindex(frame.index)
    best = chosen_forms(of_level).set_index("concept")["form"].reindex(frame.index)
    spans = [interval(lo, hi) for lo, hi in zip(single["f1_lo"], single["f1_hi"], strict=True)]
    table = pd.DataFrame(
        {
            "concept": frame.index,
            "kind": frame["kind"],
            "outcome": frame["outcome"].fillna("too rare to judge"),
            "by features": [", ".join(map(str, f)) for f in frame["features"]],
            "with": [", ".join(partners) for partners in frame["partners"]],
            "feature": single["feature"].astype("Int32"),
            "F1": single["f1"],
            "95 % interval": spans,
            "null": single["f1_null"],
            "precision": single["precision"],
            "recall": single["recall"],
        }
    )
    if level == "span":
        table["coverage"] = single["coverage"]
    table["best form"] = best
    for form in ("or", "and"):
        pair = forms[form].reindex(frame.index)
        table[f"{form.upper()} of"] = [
            "" if pd.isna(b) else f"{int(a)}, {int(b)}" for a, b in zip(pair["feature"], pair["feature_b"], strict=True)
        ]
        table[f"{form.upper()} F1"], table[f"{form.upper()} null"] = pair["f1"], pair["f1_null"]
    table["prevalence"] = frame["prevalence"]
    return table.reset_index(drop=True)


def outcome_bars(concepts: pd.DataFrame) -> go.Figure:
    """What became of the concepts of each kind, as shares of the kind; hatching and counts tell it without colour."""
    counts = concepts.groupby(["kind", "outcome"]).size().unstack(fill_value=0)
    totals, figure = counts.sum(axis=1), go.Figure()
    for outcome in OUTCOMES:
        n = counts[outcome] if outcome in counts else pd.Series(0, index=counts.index)
        hover = [f"{int(k)} of {int(total)} {outcome}" for k, total in zip(n, totals, strict=True)]
        figure.add_trace(
            go.Bar(
                y=counts.index.tolist(), x=n / totals, name=outcome, orientation="h", hovertext=hover,
                hoverinfo="text+y", text=[str(int(k)) if k else "" for k in n], textposition="inside",
                insidetextanchor="middle", textangle=0, textfont={"size": 13},
                marker={"pattern": HATCHING | {"shape": PATTERNS[outcome]}},
            )
        )  # fmt: skip
    figure.update_layout(
        barmode="stack", height=110 + 28 * len(counts), margin={"l": 0, "r": 8, "t": 48, "b": 0}, bargap=0.25,
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0, "traceorder": "normal"},
    )  # fmt: skip
    figure.update_xaxes(title="share of the kind's concepts", range=[0, 1], fixedrange=True, tickformat=".0%")
    figure.update_yaxes(autorange="reversed", fixedrange=True)
    return figure


def outcomes_alt(concepts: pd.DataFrame) -> str:
    """The bars in a sentence."""
    counts = concepts["outcome"].value_counts()
    return f"Of {len(concepts)} concepts: " + ", ".join(f"{int(counts.get(o, 0))} {o}" for o in OUTCOMES)


def short_name(concept: str, kind: str) -> str:
    """A concept without its kind, where the kind is said beside it: ``entity=Mara Veltin`` is Mara Veltin."""
    return concept.removeprefix(f"{kind}=")


def overlap_heatmap(overlap: pd.DataFrame, concepts: list[str], kind: str) -> go.Figure:
    """F1 of concepts of a kind (rows, as given) by features (columns, in the order of the concept they are best for).

    Invisible markers over the cells carry the feature as custom data, because heatmaps return no clicks.
    """
    some = overlap[overlap["concept"].isin(concepts)]
    rank = {concept: i for i, concept in enumerate(concepts)}
    features = _columns(some, rank)
    some = some[some["feature"].isin(features)]
    z = np.zeros((len(concepts), len(features)))
    column = {f: i for i, f in enumerate(features)}
    at = (some["concept"].map(rank).to_numpy(), some["feature"].map(column).to_numpy())
    z[at] = some["f1"]
    rows = [one_line(short_name(c, kind), 28) for c in concepts]
    columns = [str(f) for f in features]
    bar = {"title": {"text": "F1", "side": "right"}, "orientation": "h", "thickness": 10, "len": 0.5, "x": 0,
           "xanchor": "left", "y": 1, "yanchor": "bottom"}  # fmt: skip
    figure = go.Figure(
        go.Heatmap(z=z, x=columns, y=rows, zmin=0, zmax=1, colorbar=bar, hoverinfo="skip", xgap=1, ygap=1)
    )
    figure.add_trace(
        go.Scatter(
            x=[columns[i] for i in at[1]], y=[rows[i] for i in at[0]], mode="markers", opacity=0,
            hovertext=_hovers(some), hoverinfo="text", customdata=some["feature"].tolist(),
            marker={"size": 14, "symbol": "square"},
        )
    )  # fmt: skip
    figure.update_layout(height=130 + 18 * max(len(rows), 6), margin={"l": 0, "r": 0, "t": 60, "b": 0})
    figure.update_xaxes(
        title="feature",
        type="category",
        range=[-0.5, len(columns) - 0.5],
        showgrid=False,
        tickangle=-90,
        tickfont={"size": 11},
    )
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], type="category", showgrid=False, dtick=1, tickfont={"size": 11})
    return figure


def _columns(overlap: pd.DataFrame, rank: dict[str, int]) -> list[int]:
    """Features in the order of the concept that they are best for, so that what is found lies on a diagonal."""
    best = overlap.sort_values("f1", ascending=False).drop_duplicates("feature")
    kept = best.head(MAX_SIDE).assign(row=best["concept"].map(rank))
    return kept.sort_values(["row", "f1"], ascending=[True, False])["feature"].tolist()


def _hovers(overlap: pd.DataFrame) -> list[str]:
    columns = (overlap[n] for n in ("concept", "feature", "precision", "recall", "f1"))
    return [
        f"{one_line(c, 60)}<br>feature {f}<br>precision {number(p)}, recall {number(r)}, F1 {number(v)}"
        for c, f, p, r, v in zip(*columns, strict=True)
    ]
