"""A list of features: change it, step through it, keep it under a name, export it, compare two of it."""

from __future__ import annotations

import json

import streamlit as st

from core.errors import PrismError
from core.store import Run
from dashboard import (
    charts,
    compare,
    controls,
    facts,
    files,
    named_lists,
    picker,
    readers,
    subject,
    tokens,
    widgets,
    wording,
)

COLUMNS = ("flag", "density", "act_max", "token_r2", "top_divergence_p")


def typed(run: Run) -> None:
    try:
        subject.choose(features=subject.read_features(run, st.session_state.lists_typed))
    except PrismError as error:
        st.session_state.list_error = error


def clear() -> None:
    subject.choose(features=())


def step_through() -> None:
    subject.remember(feature_step="list")
    subject.choose(feature=subject.features()[0])
    controls.open_page("feature")


def render_list(run: Run) -> None:
    state, now = st.session_state, subject.features()
    state.lists_typed = ", ".join(map(str, now))
    st.text_input("Features", key="lists_typed", on_change=typed, args=(run,), placeholder="12, 40")
    if not now:
        what = "Type numbers above, tick rows of the table on Home, or press l on a feature's page."
        st.html(facts.message_html("The list is empty", "", what, kind="note"))
        return
    found = readers.feature_rows(run, now)
    picker.render_listing(found, wording.plural(len(found), "feature"), COLUMNS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Step through", key="lists_step", icon=":material/play_arrow:"):
            step_through()
        st.button("Clear", key="lists_clear", on_click=clear)
        text = json.dumps({"run": run.name, "features": list(now)})
        st.download_button("json", text, f"prism_{run.name}_list.json", "application/json", on_click="ignore",
                           icon=":material/download:", key="lists_json")  # fmt: skip
        widgets.render_downloads(lambda: found.drop(columns=["search_text", "tokens"]), "lists", "features")


def render_compare(run: Run) -> None:
    state, options = st.session_state, [str(f) for f in subject.features()]
    st.html('<h2 class="p-h">Compare two</h2>')
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Left", options, key="lists_a", on_change=subject.acted, args=("lists_a",), width=150)
        st.selectbox("Right", options, key="lists_b", on_change=subject.acted, args=("lists_b",), width=150)
        st.segmented_control("Histogram of act", controls.SCALES, key="lists_scale", required=True,
                             on_change=subject.acted, args=("lists_scale",))  # fmt: skip
        st.number_input(
            "Contexts of each kind", 1, 30, key="lists_n", on_change=subject.acted, args=("lists_n",), width=150
        )
    pair = [int(state.lists_a), int(state.lists_b)]
    acts, corpus = [readers.acts(run, f) for f in pair], run.manifest["corpus"]
    st.html(facts.facts_html(compare.compare_facts(acts[0], acts[1], corpus["n_tokens"], corpus["n_contexts"])))
    histograms = [run.histograms(f) for f in pair]
    names = [f"feature {f}" for f in pair]
    alt = "; ".join(charts.histogram_alt(h, n) for h, n in zip(histograms, names, strict=True))
    figure = charts.histogram(histograms, names, state.lists_scale)
    st.plotly_chart(figure, key="lists_histogram", alt=alt, config=files.picture_config("compare"))
    for side, feature, found in zip(st.columns(2), pair, acts, strict=True):
        with side:
            render_side(run, feature, found)


def render_side(run: Run, feature: int, acts: readers.FeatureActs) -> None:
    row = readers.feature_row(run, feature)
    labels = [(str(r.label), str(r.source)) for r in readers.labels_of(run, feature).itertuples()]
    n = st.session_state.lists_n
    groups = readers.example_groups(run, feature, 0, 16, n, n, 0, 0)
    act_max = acts.largest
    st.html(
        facts.header_html(feature, labels, row["flag"], level=3)
        + facts.facts_html(facts.feature_facts(row, run.manifest["corpus"]["n_tokens"]))
        + tokens.groups_html(groups, act_max, columns=False, level=4)
    )


run = widgets.require_run()
widgets.render_notes(subject.settle(*controls.of("lists")))
st.html('<h1 class="p-h">Feature list</h1>')
render_list(run)
named_lists.render_named_lists(run)
if subject.features():
    render_compare(run)
widgets.render_footer(run)
picker.catch("lists")
