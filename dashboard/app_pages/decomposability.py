"""Decomposability: which labels of a run hold when they are tested, and which fail, worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.store import Run
from dashboard import controls, facts, links, readers, subject, widgets
from dashboard.verdicts import verdict_export, verdict_list, verdict_rows, verdict_summary
from dashboard.verdicts.verdict_data import Tested, command
from dashboard.verdicts.verdict_plot import card_html, gallery_html

PER_PAGE = 24


def render_head(result: Tested) -> None:
    """What the result says as a whole, beside its null."""
    st.html("".join(verdict_export.head(result)))


def render_filters(result: Tested) -> None:
    first, sources = verdict_list.first_page, sorted(result.tests["label_source"].unique())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Search labels", key="decomposability_q", max_chars=60, on_change=first,
                      args=("decomposability_q",), width=200)  # fmt: skip
        for title, key, options, width in (
            ("Class", "kind", ("any", *controls.KINDS), 170),
            ("Label source", "source", ("any", *sources), 190),
            ("Order", "sort", controls.SORTS, 160),
        ):
            st.selectbox(title, options, key=f"decomposability_{key}", on_change=first,
                         args=(f"decomposability_{key}",), width=width)  # fmt: skip
        verdict_list.render_range()
        st.segmented_control("Draw", ("list", "plots"), key="decomposability_show", required=True, on_change=first,
                             args=("decomposability_show",))  # fmt: skip


def render_labels(result: Tested, found: pd.DataFrame, run: Run) -> None:
    """A page of the labels inside the filters: as rows, or as a gallery of dot plots."""
    state = st.session_state
    n_pages = max(1, -(-len(found) // PER_PAGE))
    first = (min(state.decomposability_page, n_pages) - 1) * PER_PAGE
    rows = [{str(k): v for k, v in r.items()} for r in found.iloc[first : first + PER_PAGE].to_dict("records")]
    plots = [result.plot(int(r["test"]), "theta5") for r in rows]
    worst, bare = verdict_rows.worst_text(result.tests), verdict_summary.uncontrolled(result.tests)
    title = f"{len(found)} of {len(result.tests)} labels, {state.decomposability_sort}. {worst}"

    def href(row: Mapping[str, Any]) -> str:
        return verdict_export.address(run, result, row)

    title += ". Dots: " + ("parts" if bare else "own text, whole label, parts, near labels; line: control")
    if state.decomposability_show == "list":
        st.html(verdict_rows.labels_html(rows, plots, href, title, not bare))
    else:
        st.caption(f"{title}.")
        st.html(gallery_html([card_html(r, p, href(r)) for r, p in zip(rows, plots, strict=True)]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if n_pages > 1:
            st.pagination(n_pages, key="decomposability_page", on_change=subject.acted,
                          args=("decomposability_page",))  # fmt: skip
        widgets.render_downloads(lambda: found, "decomposability", result.key, shortcut="d")


def open_test(result: Tested, test: int) -> None:
    """The verdict of a row that was clicked."""
    if 0 <= test < len(result.tests):
        subject.choose(feature=int(result.row(test)["feature"]))
        subject.remember(feature_view="verdict", feature_test=f"{result.key}-{test}")
        controls.go("feature")


@widgets.part
def render_page() -> None:
    run = widgets.require_run()
    results = {r.key: r for r in readers.decompositions(run)}
    widgets.render_notes(subject.settle(*controls.of("decomposability")))
    if not results:
        what = "A test takes a label apart, has phrases written for each part, and measures the feature on them."
        todo = f"{command(run.name, 'random:200')} needs no language model. Then reload this page."
        st.html(facts.message_html("No label of this run has been tested", what, todo, kind="note"))
        return
    if len(results) > 1:
        verdict_list.render_result_choice(results)
    result = results[st.session_state.decomposability_result]
    render_head(result)
    st.html('<h2 class="p-h">All labels</h2>')
    render_filters(result)
    found = verdict_list.chosen(run, result)
    render_labels(result, found, run)
    verdict_list.render_against(found)
    widgets.render_result_footer(run, result.result)
    links.catch_links("decomposability_links", lambda test: open_test(result, test), lambda: None)


run = widgets.require_run()
st.html('<h1 class="p-h">Decomposability</h1>Which labels hold when they are tested, and which fail?')
render_page()
widgets.render_footer(run)
