"""Planted truth: how much of what is known to be in the text the SAE found, concept by concept."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.analyses.truth import ANALYSIS
from core.results import require_result
from dashboard import facts, nav, subject, truth_charts, widgets
from dashboard.facts import Fact
from dashboard.wording import count, interval, number, percent

LEVELS = ("token", "span")


def controls(kinds: list[str]) -> tuple[subject.Control, ...]:
    return (
        subject.choice("truth_kind", kinds[0] if kinds else "", kinds or [""]),
        subject.choice("truth_level", "token", LEVELS),
    )


def open_feature(feature: int) -> None:
    subject.choose(feature=feature)
    st.switch_page(nav.script("feature"))


def render_summary(truth: pd.DataFrame, concepts: pd.DataFrame, features: pd.DataFrame) -> None:
    judged = concepts.dropna(subset="outcome")
    found = judged[judged["outcome"] == "found"]
    singles = truth[(truth["form"] == "single") & (truth["level"] == "token")]
    cells = [
        Fact("concepts found", f"{len(found)} of {len(judged)}", "one feature, F1 ≥ 0.8 on documents not chosen on"),
        Fact("median F1", number(singles["f1"].median()), f"on shuffled firings {number(singles['f1_null'].median())}"),
        Fact("features matched", f"{count(features['matched'].sum())} of {len(features)}", "precision ≥ 0.7 for one"),
        Fact("prevalence", percent(concepts["prevalence"].median()), "of tokens, median over concepts"),
    ]
    st.html(facts.facts_html(cells))


def render_kinds(truth: pd.DataFrame, concepts: pd.DataFrame) -> None:
    left, right = st.columns(2)
    judged = concepts.dropna(subset="outcome")
    with left:
        st.subheader("By kind of concept")
        table = truth_charts.by_kind(truth, concepts)
        shares = [c for c in map(str, table) if c.endswith(".8")]
        numbers = [c for c in map(str, table.columns[2:]) if c not in shares]
        config = {c: st.column_config.NumberColumn(format="%.2f") for c in numbers}
        config |= {c: st.column_config.NumberColumn(format="percent", help="share of concepts") for c in shares}
        st.dataframe(table, hide_index=True, column_config=config, key="truth_kinds", alt="Median F1 by kind")
        st.caption("F1 of the best single feature, median over concepts; null: the same choice on shuffled firings.")
    with right:
        st.subheader("What became of them")
        alt = truth_charts.outcomes_alt(judged)
        st.plotly_chart(truth_charts.outcome_bars(judged), key="truth_bars", alt=alt, config={"displayModeBar": False})


def render_map(overlap: pd.DataFrame, concepts: pd.DataFrame) -> None:
    st.subheader("Concepts by features")
    st.selectbox("Kind", sorted(concepts["kind"].unique()), key="truth_kind", on_change=subject.acted, width=220)
    names = concepts.loc[concepts["kind"] == st.session_state.truth_kind, "concept"].tolist()[: truth_charts.MAX_SIDE]
    figure = truth_charts.overlap_heatmap(overlap, names)
    event = st.plotly_chart(
        figure, key=f"truth_map_{subject.link_digest()}", on_select="rerun", selection_mode="points",
        alt=f"F1 of {len(names)} concepts by the features that overlap them most; the table below has every number",
    )  # fmt: skip
    st.caption("F1 of every firing (threshold 0) against the concept, all documents. Click a cell to open its feature.")
    if points := event["selection"]["points"]:
        open_feature(int(points[0]["customdata"]))


def render_table(truth: pd.DataFrame, concepts: pd.DataFrame) -> None:
    st.subheader("Every concept")
    st.segmented_control("Judged on", LEVELS, key="truth_level", required=True, on_change=subject.acted)
    level = st.session_state.truth_level
    best = truth[truth["level"] == level].sort_values("f1", ascending=False).drop_duplicates("concept")
    joined = concepts.merge(best.drop(columns="kind"), on="concept", how="left")
    shown = pd.DataFrame(
        {
            "concept": joined["concept"],
            "kind": joined["kind"],
            "outcome": joined["outcome"].fillna("too rare to judge"),
            "best": joined["form"],
            "feature": joined["feature"].astype("Int32"),
            "and / or": joined["feature_b"].astype("Int32"),
            "F1": joined["f1"],
            "95 % interval": [interval(lo, hi) for lo, hi in zip(joined["f1_lo"], joined["f1_hi"], strict=True)],
            "null": joined["f1_null"],
            "precision": joined["precision"],
            "recall": joined["recall"],
            "prevalence": joined["prevalence"],
            "with": [", ".join(partners) for partners in joined["partners"]],
        }
    )
    two = {c: st.column_config.NumberColumn(format="%.2f") for c in ("F1", "null", "precision", "recall")}
    three = {"prevalence": st.column_config.NumberColumn(format="%.3g", help="share of tokens")}
    event = st.dataframe(
        shown, hide_index=True, column_config=two | three, on_select="rerun", selection_mode="single-cell",
        key=f"truth_table_{subject.link_digest()}", alt="Every concept with its best feature; click a row to open it",
    )  # fmt: skip
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: shown, "truth", level)
    if cells := event["selection"]["cells"]:
        feature = shown["feature"].iloc[cells[0][0]]
        if not pd.isna(feature):
            open_feature(int(feature))


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
result = require_result(run, ANALYSIS)
tables = {spec.name: result.table(spec.name) for spec in ANALYSIS.tables}
widgets.render_notes(subject.settle(("run",), controls(sorted(tables["concepts"]["kind"].unique()))))
render_summary(tables["truth"], tables["concepts"], tables["feature_truth"])
render_kinds(tables["truth"], tables["concepts"])
render_map(tables["overlap"], tables["concepts"])
render_table(tables["truth"], tables["concepts"])
widgets.render_footer(run)
