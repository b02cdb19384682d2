"""One feature: the verdict on what it is said to mean, and what it does: numbers, and contexts chosen in four ways."""

from __future__ import annotations

import streamlit as st

from core.errors import PrismError
from core.store import Run
from dashboard import activation_screen, controls, facts, label_box, picker, readers, stepping, subject, widgets
from dashboard.lab import lab_verdict
from dashboard.truths import truth_facts
from dashboard.verdicts import verdict_screen


def render_toolbar(run: Run, feature: int) -> None:
    through_list, on_list = st.session_state.feature_step == "list", feature in subject.features()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control("View", controls.VIEWS, key="feature_view", required=True, on_change=subject.acted,
                             args=("feature_view",), format_func=str.capitalize,
                             label_visibility="collapsed")  # fmt: skip
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
        label_box.render_label_box(run, feature)
        if url := facts.neuronpedia_url(run.manifest, feature):
            st.link_button("Neuronpedia", url, icon=":material/open_in_new:", key="neuronpedia")
        if st.session_state.feature_view == "activations":
            activation_screen.render_choices()
        picker.catch("feature")


def header(run: Run, feature: int) -> str:
    labels = [(str(r.label), str(r.source)) for r in readers.labels_of(run, feature).itertuples()]
    header = facts.header_html(feature, labels, readers.feature_row(run, feature)["flag"])
    return header + truth_facts.feature_html(readers.truth_of(run, feature))


def render_verdict(run: Run, feature: int) -> bool:
    """The verdict, or why there is none; whether there was one."""
    try:
        ref = verdict_screen.chosen(run, feature, "feature_test")
        if ref is None:
            verdict_screen.render_no_test(run, feature)
            return False
        verdict_screen.render(run, feature, ref)
    except PrismError as error:
        widgets.render_error(error)
        return False
    return True


@widgets.part
def render_page() -> None:
    run = widgets.require_run()
    feature = widgets.require_feature(run)
    widgets.render_notes(subject.settle(*controls.of("feature")))
    render_toolbar(run, feature)
    head = header(run, feature)
    if st.session_state.feature_view == "verdict":
        st.html(f'<div class="p-brief">{head}</div>')
        tested = render_verdict(run, feature)
        lab_verdict.render(run, feature)
        if tested:
            return
        head = ""
    activation_screen.render(run, feature, head)


run = widgets.require_run()
render_page()
widgets.render_footer(run)
