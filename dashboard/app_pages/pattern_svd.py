"""Prototypes: how many patterns of features stand above chance, how stable they are, what they are made of."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.analyses.pattern_svd import ANALYSIS
from core.maths.bases import METHODS
from core.results import Result, require_result
from core.store import Run
from dashboard import files, pattern_charts, subject, widgets

BEFORE = 12  # tokens shown before a row


def controls(result: Result) -> tuple[subject.Control, ...]:
    k = int(result.table("matrix")["k"].iloc[0])
    found = [m for m in METHODS if m in set(result.table("prototypes", ["method"])["method"])]
    default = "varimax" if "varimax" in found else ""
    return (
        subject.choice("pattern_svd_method", default, found or [""]),
        subject.whole("pattern_svd_number", 0, 0, max(0, k - 1)),
    )


def render_spectrum(result: Result) -> None:
    matrix, spectrum = result.table("matrix").iloc[0], result.table("spectrum")
    ranks = result.table("ranks")
    k = int(ranks["k"].iloc[0])
    st.plotly_chart(
        pattern_charts.spectrum(spectrum, k), key="pattern_svd_spectrum",
        alt=pattern_charts.spectrum_alt(spectrum, k), config=files.picture_config("spectrum"),
    )  # fmt: skip
    st.caption(
        f"{int(matrix['n_rows']):,} rows x {int(matrix['n_features']):,} features; left out: {int(matrix['n_rare']):,} "
        f"that fire too rarely, {int(matrix['n_constant'])} that always fire, {int(matrix['n_short'])} short contexts. "
        f"{matrix['punctuation_share']:.0%} of the rows end in punctuation. Stable rank {matrix['stable_rank']:.1f}, "
        f"of shuffled columns {matrix['stable_rank_null']:.1f}."
    )
    st.dataframe(ranks, hide_index=True, alt="How many components, by criterion")


def texts(run: Run, rows: pd.DataFrame) -> list[str]:
    """What stands before each row, its own token in brackets."""
    contexts, out = run.contexts(rows["context"].to_numpy()), []
    for ids, pos in zip(contexts["token_ids"], rows["pos"], strict=True):
        words = [run.str_tokens[i] for i in ids[max(0, pos - BEFORE) : pos + 1] if i not in run.special_ids]
        out.append("".join(words[:-1]) + f"⟦{words[-1]}⟧" if words else "")
    return out


def _of(result: Result, name: str, method: str, number: int | None = None) -> pd.DataFrame:
    """The rows of a table that are of one method, and of one prototype where it is given."""
    table = result.table(name)
    mine = table["method"] == method
    return table[mine if number is None else mine & (table["prototype"] == number)]


def render_prototype(run: Run, result: Result) -> None:
    left, right = st.columns(2)
    with left:
        st.segmented_control(
            "Method", [m for m in METHODS if m in set(result.table("prototypes", ["method"])["method"])],
            key="pattern_svd_method", required=True, on_change=subject.acted,
        )  # fmt: skip
    method = st.session_state.pattern_svd_method
    table = _of(result, "prototypes", method).drop(columns=["method"])
    with right:
        st.number_input(
            "Prototype", 0, len(table) - 1, key="pattern_svd_number", on_change=subject.acted, width=160
        )
    number = st.session_state.pattern_svd_number
    st.dataframe(table, hide_index=True, alt="Every prototype with its numbers and their nulls")
    st.caption(
        "Columns ending in _null are the same number on shuffled columns (token_r2_null: tokens permuted); a prototype "
        "whose split_half is not above its null is not to be read."
    )
    loadings = _of(result, "loadings", method, number)
    labels = run.labels().drop_duplicates("feature").set_index("feature")["label"]
    loadings = loadings.assign(label=loadings["feature"].map(labels).astype(object))[["feature", "loading", "label"]]
    rows = _of(result, "prototype_rows", method, number)
    rows = rows.assign(text=texts(run, rows))[["end", "score", "text", "context", "pos"]]
    one, other = st.columns([1, 2])
    one.dataframe(loadings, hide_index=True, alt="Features that make up the prototype")
    other.dataframe(rows, hide_index=True, alt="Rows at both ends of the prototype, their last token in brackets")
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: table, "pattern_svd", "prototypes")


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
result = require_result(run, ANALYSIS)
widgets.render_notes(subject.settle(("run",), controls(result)))
render_spectrum(result)
if int(result.table("matrix")["k"].iloc[0]):
    render_prototype(run, result)
else:
    st.html("<p>No component stands above shuffled columns: there are no prototypes to read.</p>")
widgets.render_result_footer(run, result)
widgets.render_footer(run)
