"""Prototypes: how many patterns of features stand above chance, how stable they are, what they are made of."""

from __future__ import annotations

from html import escape

import streamlit as st

from core.analyses.pattern_svd import ANALYSIS
from core.store import Run
from dashboard import controls, facts, files, picker, readers, subject, tokens, widgets
from dashboard.patterns import pattern_charts, pattern_data, pattern_facts, pattern_readers
from dashboard.patterns.pattern_data import Prototypes


def render_spectrum(found: Prototypes) -> None:
    matrix, k = found.matrix, int(found.ranks["k"].iloc[0])
    left, right = st.columns([3, 2])
    left.plotly_chart(
        pattern_charts.spectrum(found.spectrum, k), key="pattern_svd_spectrum",
        alt=pattern_charts.spectrum_alt(found.spectrum, k), config=files.picture_config("spectrum"),
    )  # fmt: skip
    right.html(pattern_facts.ranks_html(found.ranks))
    right.caption(
        f"{pattern_facts.matrix_said(found.result.manifest['params'])}. "
        f"{int(matrix['n_rows']):,} rows x {int(matrix['n_features']):,} features; left out: {int(matrix['n_rare']):,} "
        f"that fire too rarely, {int(matrix['n_constant'])} that always fire, {int(matrix['n_short'])} short contexts. "
        f"{matrix['punctuation_share']:.0%} of the rows end in punctuation. Stable rank {matrix['stable_rank']:.1f}, "
        f"of shuffled columns {matrix['stable_rank_null']:.1f}. "
        f"Participation ratio {matrix['participation_ratio']:.1f}, of shuffled columns "
        f"{matrix['participation_ratio_null']:.1f}. "
        f"{pattern_facts.explained_said(found.spectrum, matrix['stable_rank'], k)}"
    )


def step(by: int, k: int) -> None:
    subject.remember(pattern_svd_number=(st.session_state.pattern_svd_number + by) % k)


def render_choice(found: Prototypes) -> None:
    k = int(found.matrix["k"])
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control("Method", found.methods, key="pattern_svd_method", required=True, on_change=subject.acted)
        st.number_input(f"Prototype, of {k}", 0, k - 1, key="pattern_svd_number", on_change=subject.acted, width=160)
        for title, key, by in (("Previous", "Left", -1), ("Next", "Right", 1)):
            st.button(title, shortcut=key, on_click=step, args=(by, k), key=f"pattern_svd_{title.lower()}")


def render_card(run: Run, found: Prototypes, method: str, number: int) -> None:
    """One prototype: may it be read, its numbers beside their nulls, the features it is made of, both ends."""
    row = found.of(found.prototypes, method, number).iloc[0].to_dict()
    said = escape(pattern_facts.standing({str(k): v for k, v in row.items()}))
    title = f'<h3 class="p-h" style="font-size:1.2rem">Prototype {number}, {escape(method)}</h3><p>{said}</p>'
    st.html(title + facts.facts_html(pattern_facts.prototype_facts(row)))
    groups = pattern_readers.card(run, found, method, number)
    loadings = found.of(found.loadings, method, number).set_index("feature")["loading"]
    listed = readers.feature_rows(run, loadings.index, loading=loadings.to_numpy())
    left, right = st.columns([2, 3])
    with left:
        picker.render_listing(listed, f"The {len(listed)} largest loadings", ("loading",))
    with right:
        st.html(tokens.groups_html(groups, pattern_data.largest_pull(groups), columns=False, level=4))
        st.caption("A token is marked by how much of the loadings at left, of this end's sign, fires on it.")
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: listed[["feature", "loading", "label"]], "pattern_svd", "loadings")


def render_all(found: Prototypes, method: str) -> None:
    table = found.of(found.prototypes, method).drop(columns=["method"])
    with st.expander(f"Every prototype of {method} with its numbers and their nulls"):
        st.dataframe(table, hide_index=True, alt="Every prototype with its numbers and their nulls")
        st.caption(
            "Columns ending in _null are the same number on shuffled columns (token_r2_null: tokens permuted); a "
            "prototype whose split_half is not above its null is not to be read."
        )
        with st.container(horizontal=True):
            widgets.render_downloads(lambda: table, "pattern_svd_all", "prototypes")


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
found = pattern_readers.require_prototypes(run)
widgets.render_notes(subject.settle(*controls.of("pattern_svd")))
render_spectrum(found)
if found.methods:
    render_choice(found)
    method, number = st.session_state.pattern_svd_method, st.session_state.pattern_svd_number
    render_card(run, found, method, number)
    render_all(found, method)
    sentence = escape(pattern_facts.compared_sentence(found.groups))
    st.html((f"<p>{sentence}</p>" if sentence else "") + pattern_facts.compared_html(found.groups, run.name))
else:
    st.html("<p>No component stands above shuffled columns: there are no prototypes to read.</p>")
picker.catch("pattern_svd")
widgets.render_result_footer(run, found.result)
widgets.render_footer(run)
