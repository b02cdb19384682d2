"""What a feature does: its numbers, histogram and neighbours, and contexts chosen in four ways."""

from __future__ import annotations

import streamlit as st

from core.store import Run
from dashboard import charts, controls, examples, facts, picker, readers, subject, tokens, try_it, widgets
from dashboard.patterns import pattern_facts, pattern_readers

COUNTS = {
    "top": ("Top", 50),
    "random": ("Uniformly random", 50),
    "band": ("Per quarter", 20),
    "near": ("Near misses", 20),
}


def render(run: Run, feature: int, header: str) -> None:
    """``header`` is HTML of ours that stands in one block with the numbers: a block more is a message more."""
    header += pattern_facts.mix_html(pattern_readers.mix_of(run, feature), subject.prototype_link)
    row, n_tokens = readers.feature_row(run, feature), run.manifest["corpus"].get("n_tokens")
    st.html(header + facts.facts_html(facts.feature_facts(row, n_tokens)))
    left, right = st.columns(2)
    with left:
        st.html(charts.bars_html(run.histograms(feature), f"feature {feature}", st.session_state.feature_scale))
    with right:
        render_neighbours(run, feature)
    render_contexts(run, feature)
    try_it.render_try(run, feature)


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


def render_neighbours(run: Run, feature: int) -> None:
    near = run.neighbours(feature)
    found = readers.feature_rows(run, near["neighbour"], cosine=near["cosine"].to_numpy())
    picker.render_listing(found, "Nearest by decoder cosine", ("cosine",))


def render_contexts(run: Run, feature: int) -> None:
    state, acts = st.session_state, readers.acts(run, feature)
    width = None if state.feature_width == "whole" else int(state.feature_width)
    counts = (state.feature_top, state.feature_random, state.feature_band, state.feature_near)
    groups = readers.example_groups(run, feature, state.feature_seed, width, *counts)
    act_max = acts.largest
    st.html(tokens.groups_html(groups, act_max))
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: examples.as_frame(groups, act_max), "feature", str(feature), shortcut="d")
