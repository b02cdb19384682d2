"""Conjecture: whether distances between coefficients say which features fire together, over k, with nulls."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.analyses.conjecture import ANALYSIS
from core.analyses.conjecture_tables import PLANTED, RAW, SCORES
from core.results import Result
from core.tables import TableSpec
from dashboard import controls, facts, files, subject, widgets
from dashboard.patterns import pattern_charts, pattern_data, pattern_facts, pattern_readers, pattern_worked


def _table(frame: pd.DataFrame, spec: TableSpec, alt: str) -> None:
    """A table of the result: numbers to two places, full rank in words, what each column is on hover."""
    if "k" in frame:
        frame = frame.assign(k=["all" if pd.isna(k) else str(int(k)) for k in frame["k"]])
    about, floats = {c.name: c.about for c in spec.columns}, set(frame.select_dtypes("floating").columns)
    config: dict[str, Any] = {}
    for name in frame.columns:
        title = name.replace("_", " ")
        number = st.column_config.NumberColumn(title, help=about.get(name), format="%.2f")
        config[name] = number if name in floats else st.column_config.Column(title, help=about.get(name))
    st.dataframe(frame, hide_index=True, column_config=config, alt=alt)


def render_test(result: Result) -> None:
    scores, verdict = result.table("scores"), result.table("verdict").iloc[0].to_dict()
    st.html(
        facts.facts_html(pattern_facts.verdict_facts(scores, {str(k): v for k, v in verdict.items()}))
        + f"<p>{escape(str(verdict['sentence']))}</p>"
    )
    st.segmented_control(
        "Similarity", controls.SIMILARITIES, key="conjecture_similarity", required=True, on_change=subject.acted
    )
    similarity = st.session_state.conjecture_similarity
    st.plotly_chart(
        pattern_charts.over_k(scores, similarity), key="conjecture_chart",
        alt=pattern_charts.over_k_alt(scores, similarity), config=files.picture_config("conjecture"),
    )  # fmt: skip
    params = result.manifest["params"]
    st.caption(
        f"Rows: {pattern_facts.ROWS[params['rows']]}. C is fitted on half of the documents; "
        "Spearman with how much more pairs fire together on the other half than their densities say, with what both "
        "densities explain taken off. Bars: 95 % intervals over documents. Dotted: baselines, which need no C."
        f"{pattern_facts.left_out_said(params, scores)}"
    )
    _table(scores, SCORES, "Every variant and baseline with intervals and nulls")
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: scores, "conjecture", "scores")


def render_pairs(result: Result) -> None:
    """The raw scatter beside its shuffled twin: what looks like agreement in both is density."""
    pairs = pattern_readers.scatters(run)
    if not pairs:
        return
    st.selectbox("Pair by pair", pairs, key="conjecture_pairs", on_change=subject.acted, width=260)
    variant = st.session_state.conjecture_pairs
    said = pattern_charts.pair_density_alt(result.table("raw"), variant)
    st.plotly_chart(
        pattern_charts.pair_density(pattern_readers.scatter(run), variant), key="conjecture_scatter", alt=said,
        config=files.picture_config("pairs"),
    )  # fmt: skip
    st.caption(f"{said}. A shape that both halves share is made by densities alone.")


def render_rest(result: Result) -> None:
    st.html('<h3 class="p-h">Distance and Jaccard over all pairs: a measure of density</h3>')
    _table(result.table("raw"), RAW, "Spearman with Jaccard distance beside shuffled columns")
    st.caption("Read each value beside its shuffled twin; the Jaccard kernel at full rank is exact by construction.")
    render_pairs(result)
    planted = result.table("planted")
    if len(planted):
        st.html('<h3 class="p-h">Features of one planted concept</h3>')
        _table(planted, PLANTED, "Share of pairs with one prototype, beside density-matched pairs")


def render_worked() -> None:
    with st.expander("The conjecture by hand: 6 contexts, 5 features, every step"):
        st.html(pattern_worked.worked_html(pattern_worked.worked()))


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
result = pattern_data.require_newest(run, ANALYSIS)
widgets.render_notes(subject.settle(*controls.of("conjecture")))
render_test(result)
render_rest(result)
render_worked()
widgets.render_result_footer(run, result)
widgets.render_footer(run)
