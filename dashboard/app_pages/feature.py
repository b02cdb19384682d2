"""One feature: what it is said to mean, its numbers, and contexts chosen in four ways."""

from __future__ import annotations

import streamlit as st

from core.store import Run
from dashboard import charts, controls, examples, facts, picker, readers, stepping, subject, tokens, widgets

COUNTS = {
    "top": ("Top", 50),
    "random": ("Uniformly random", 50),
    "band": ("Per quarter", 20),
    "near": ("Near misses", 20),
}


def render_toolbar(run: Run, feature: int) -> None:
    through_list, on_list = st.session_state.feature_step == "list", feature in subject.features()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for title, key, by in (("Previous", "Left", -1), ("Next", "Right", 1)):
            args = (run, feature, by, through_list)
            st.button(title, shortcut=key, on_click=stepping.move, args=args, key=title.lower())
        st.button("Random", shortcut="x", on_click=stepping.move_anywhere, args=(run,), key="random")
        picker.render_find_button()
        title = "Take off list" if on_list else "Add to list"
        st.button(title, shortcut="l", on_click=stepping.keep, args=(feature,), key="keep")
        if subject.features():
            st.segmented_control("Step through", ("all", "list"), key="feature_step", required=True,
                                 on_change=subject.acted, args=("feature_step",),
                                 label_visibility="collapsed")  # fmt: skip
        if url := facts.neuronpedia_url(run.manifest, feature):
            st.link_button("Neuronpedia", url, icon=":material/open_in_new:", key="neuronpedia")
        render_choices()
        picker.catch("feature")


def draw_again() -> None:
    subject.remember(feature_seed=(st.session_state.feature_seed + 1) % 1_000_000)


def render_choices() -> None:
    """What is shown of the feature; these controls exist only while this is open, so that a step costs less."""
    with (panel := st.popover("Show", icon=":material/tune:", key="feature_choices", on_change="rerun")):
        if not panel.open:
            return
        st.segmented_control("Act axis of the histogram", controls.SCALES, key="feature_scale", required=True,
                             on_change=subject.acted, args=("feature_scale",))  # fmt: skip
        st.selectbox("Tokens either side of the peak", controls.WIDTHS, key="feature_width", on_change=subject.acted,
                     args=("feature_width",))  # fmt: skip
        for key, (title, most) in COUNTS.items():
            st.number_input(title, 0, most, key=f"feature_{key}", on_change=subject.acted, args=(f"feature_{key}",))
        st.button("Draw again", on_click=draw_again, key="draw", icon=":material/casino:")


def render_numbers(run: Run, feature: int) -> None:
    row = readers.feature_row(run, feature)
    labels = [(str(r.label), str(r.source)) for r in readers.labels_of(run, feature).itertuples()]
    n_tokens = run.manifest["corpus"].get("n_tokens")
    header = facts.header_html(feature, labels, row["flag"])
    st.html(header + facts.facts_html(facts.feature_facts(row, n_tokens)))


def render_neighbours(run: Run, feature: int) -> None:
    near = run.neighbours(feature)
    table = readers.feature_table(run).frame
    found = table.iloc[table["feature"].searchsorted(near["neighbour"])].assign(cosine=near["cosine"].to_numpy())
    picker.render_listing(found, "Nearest by decoder cosine", ("cosine",))


def render_contexts(run: Run, feature: int) -> None:
    state, acts = st.session_state, readers.acts(run, feature)
    width = None if state.feature_width == "whole" else int(state.feature_width)
    counts = (state.feature_top, state.feature_random, state.feature_band, state.feature_near)
    groups = readers.example_groups(run, feature, state.feature_seed, width, *counts)
    act_max = float(acts.act.max()) if len(acts.act) else 0.0
    st.html(tokens.groups_html(groups, act_max))
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: examples.as_frame(groups, act_max), "feature", str(feature), shortcut="d")


@widgets.part
def render_page() -> None:
    run = widgets.require_run()
    feature = widgets.require_feature(run)
    widgets.render_notes(subject.settle(*controls.of("feature")))
    render_toolbar(run, feature)
    render_numbers(run, feature)
    left, right = st.columns(2)
    with left:
        st.html(charts.bars_html(run.histograms(feature), f"feature {feature}", st.session_state.feature_scale))
    with right:
        render_neighbours(run, feature)
    render_contexts(run, feature)


run = widgets.require_run()
render_page()
widgets.render_footer(run)
