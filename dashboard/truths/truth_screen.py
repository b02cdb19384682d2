"""The parts of the page on planted truth: by kind, what became of the concepts, the map, every concept and feature."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.analyses.truth_summary import by_kind
from dashboard import controls, facts, files, subject, widgets
from dashboard.truths import truth_charts, truth_facts
from dashboard.truths.truth_data import Truth

COVERAGE = (
    "A feature hits a span if it fires anywhere inside: a single marker token is enough, so a high F1 by span does not "
    "make a feature of a region. Coverage is the share of the concept's tokens on which it fires."
)


def open_feature(feature: int) -> None:
    subject.choose(feature=feature)
    controls.open_page("feature")


def heading(title: str) -> None:
    st.html(f'<h3 class="p-h" style="font-size:1.2rem;margin-top:.6rem">{escape(title)}</h3>')


def columns_of(table: pd.DataFrame) -> dict[str, Any]:
    """Formats by what a column holds: two digits, and shares of tokens as they are."""
    config: dict[str, Any] = {}
    for name in map(str, table.columns):
        if name == "coverage":
            config[name] = st.column_config.NumberColumn(format="percent")
        elif name == "prevalence":
            config[name] = st.column_config.NumberColumn(format="%.3g", help="share of tokens")
        elif pd.api.types.is_float_dtype(table[name]):
            config[name] = st.column_config.NumberColumn(format="%.2f")
    return config


def downloads(table: pd.DataFrame, name: str, what: str) -> None:
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: table, f"truth_{name}", what)


def render_kinds(found: Truth) -> None:
    heading("By kind of concept")
    st.html(truth_facts.kinds_html(found.truth))
    st.caption(
        "Median over a kind's concepts of the F1 of the best single feature, chosen with its threshold on one half of "
        "the documents and scored on the other, and the share of the concepts with F1 of 0.8 or more. Chance: all "
        f"choices made again on firings moved to other documents. {COVERAGE}"
    )
    downloads(by_kind(found.truth), "kinds", "kinds")


def render_outcomes(found: Truth) -> None:
    st.html(f"<p>{escape(truth_facts.says(found.concepts))}</p>")
    st.html(facts.facts_html(truth_facts.outcome_facts(found.concepts)))
    judged = found.concepts.dropna(subset="outcome")
    if len(judged):
        st.plotly_chart(truth_charts.outcome_bars(judged), key="truth_bars", alt=truth_charts.outcomes_alt(judged),
                        config=files.picture_config("outcomes"))  # fmt: skip


def render_map(found: Truth, kinds: list[str]) -> None:
    heading("Concepts by features")
    st.selectbox("Kind", kinds, key="truth_kind", on_change=subject.acted, width=220)
    kind = st.session_state.truth_kind
    of_kind = found.concepts.loc[found.concepts["kind"] == kind, "concept"].tolist()
    names = of_kind[: truth_charts.MAX_SIDE]
    figure = truth_charts.overlap_heatmap(found.overlap, names, kind)
    event = st.plotly_chart(
        figure, key=f"truth_map_{subject.link_digest()}", on_select="rerun", selection_mode="points",
        config=files.picture_config("concepts"),
        alt=f"F1 of {len(names)} concepts by the features that overlap them most; the table below has every number",
    )  # fmt: skip
    cut = f" The first {len(names)} of {len(of_kind)} concepts." if len(names) < len(of_kind) else ""
    st.caption(
        f"F1 by token at the threshold that suits the pair, on the scored half. Click a cell to open its feature.{cut}"
    )
    if points := event["selection"]["points"]:
        open_feature(int(points[0]["customdata"]))


def render_concepts(found: Truth, levels: tuple[str, ...]) -> None:
    heading("Every concept")
    st.segmented_control("Judged by", levels, key="truth_level", required=True, on_change=subject.acted)
    level = st.session_state.truth_level
    table = truth_charts.concepts_table(found.concepts, found.truth, level)
    event = st.dataframe(
        table, hide_index=True, column_config=columns_of(table), on_select="rerun", selection_mode="single-cell",
        key=f"truth_table_{subject.link_digest()}", alt="Every concept with its best feature; click a row to open it",
    )  # fmt: skip
    about = "The outcome is always by token. Best form: single, OR or AND, whichever was best on the half chosen on."
    st.caption(f"{about} Click a row to open its feature." + (f" {COVERAGE}" if level == "span" else ""))
    downloads(table, "concepts", level)
    if cells := event["selection"]["cells"]:
        feature = table["feature"].iloc[cells[0][0]]
        if not pd.isna(feature):
            open_feature(int(feature))


def render_features(found: Truth) -> None:
    heading("Every feature")
    st.html(facts.facts_html(truth_facts.match_facts(found.features)))
    table = found.features.rename(columns={"n_documents": "documents", "f1": "F1", "matched_null": "by chance"})
    event = st.dataframe(
        table, hide_index=True, column_config=columns_of(table), on_select="rerun", selection_mode="single-cell",
        key=f"truth_features_{subject.link_digest()}", alt="Every feature with the concept it stands for best",
    )  # fmt: skip
    st.caption(
        "The concept that each feature stands for best; unmatched ones show the nearest. Click a row to open it."
    )
    downloads(table, "features", "features")
    if cells := event["selection"]["cells"]:
        open_feature(int(table["feature"].iloc[cells[0][0]]))
