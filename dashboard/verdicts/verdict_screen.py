"""The verdict on a feature's label: one sentence, one dot plot, the phrases that contradict it, a box to break it."""

from __future__ import annotations

import dataclasses
import shlex

import streamlit as st

from core.store import Run
from dashboard import controls, facts, readers, subject, try_it, widgets
from dashboard.verdicts import (
    verdict_asked,
    verdict_bos,
    verdict_data,
    verdict_phrases,
    verdict_plot,
    verdict_wording,
)
from dashboard.verdicts.verdict_data import TestRef
from dashboard.verdicts.verdict_plot import Dot, Plot
from dashboard.wording import number, plural


def chosen(run: Run, feature: int, key: str) -> TestRef | None:
    """The test that the page's control names; None without any."""
    refs = readers.tests_of(run, feature)
    return next((ref for ref in refs if ref.id == st.session_state[key]), refs[0] if refs else None)


def render_no_test(run: Run, feature: int) -> None:
    """What to do where no label of the feature was tested."""
    tested = {int(f) for result in readers.decompositions(run) for f in result.tests["feature"]}
    near = sorted(sorted(tested), key=lambda f: abs(f - feature))[:5]
    others = f"Tested in this run: {plural(len(tested), 'feature')}" if tested else "No feature of this run was tested"
    nearest = f"; nearest numbers: {', '.join(map(str, sorted(near)))}." if near else "."
    st.html(
        facts.message_html(
            f"No label of feature {feature} has been tested",
            f"A test takes a label apart, writes phrases for each part and measures the feature on them. "
            f"{others}{nearest}",
            f"Without a language model: {verdict_data.command(shlex.quote(run.name), feature)}, then reload this page.",
            kind="note",
        )
    )


def render_test_choice(run: Run, feature: int, ref: TestRef, page: str) -> None:
    """Which test, where there are several, and the threshold, where there are two."""
    refs = {ref.id: ref.title for ref in readers.tests_of(run, feature)}
    if len(refs) > 1:
        st.selectbox(
            f"Label ({len(refs)} tests)", list(refs), key=f"{page}_test", on_change=subject.acted,
            args=(f"{page}_test",), format_func=lambda ref: refs.get(ref, ref),
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if verdict_data.thresholds_differ(ref.row):
            st.segmented_control(
                "A phrase fires above", verdict_wording.THETAS, key=f"{page}_theta", required=True,
                on_change=subject.acted, args=(f"{page}_theta",),
                format_func=lambda name: verdict_wording.THETA_TITLES[name],
            )  # fmt: skip
        if page == "feature" and ref.row["kind"] != "NOT-PROPOSED":
            _render_bos_switch(ref)


def _render_bos_switch(ref: TestRef) -> None:
    """Whether the act at BOS counts; where there is none to count the switch is off and says why."""
    absent = verdict_bos.bos_act(ref.row) is None
    st.segmented_control(
        "BOS, not measured here" if absent else "BOS", verdict_bos.SWITCH, key="feature_bos", required=True,
        on_change=subject.acted, args=("feature_bos",), disabled=absent,
        help=verdict_bos.NOT_MEASURED if absent else "published work counted the act at the token before every text",
    )  # fmt: skip


def render(run: Run, feature: int, ref: TestRef) -> None:
    """The whole screen for one test."""
    row, theta_name = ref.row, st.session_state.feature_theta
    others = [other.row for other in readers.tests_of(run, feature)]
    st.html(verdict_wording.verdict_html(row, theta_name, verdict_wording.opaque_text(others)))
    render_test_choice(run, feature, ref, "feature")
    if row["kind"] == "NOT-PROPOSED":
        verdict_asked.render_asked(run, ref)
        widgets.render_result_footer(run, ref.tested.result)
        return
    _render_plot(run, feature, ref, theta_name)
    _render_phrases(run, feature, ref, theta_name)
    widgets.render_result_footer(run, ref.tested.result)


def _render_plot(run: Run, feature: int, ref: TestRef, theta_name: str) -> None:
    """The dots, and under them the box whose phrases become one more."""
    theta, here = threshold(ref, theta_name), st.container()
    plot, _, note = shown(ref, theta_name, st.session_state.feature_bos)
    floor = verdict_bos.bos_act(ref.row) or 0.0 if note else 0.0
    with st.expander("Try to break it: your own phrases, measured now, as a dot above", icon=":material/bolt:"):
        tried = try_it.render_try(run, feature)
    yours = [max(float(acts.max()), floor) > theta for _, _, acts in tried if len(acts)]
    with here:
        st.html(note + verdict_plot.plot_html(with_yours(plot, yours), plot_title(feature, theta)))


def plot_title(feature: int, theta: float) -> str:
    """What the dots are shares of."""
    return f"Share of phrases that make feature {feature} fire: some token's act is above {number(theta)} (SAE units)"


def shown(ref: TestRef, theta_name: str, bos: str) -> tuple[Plot, list[verdict_phrases.Phrase], str]:
    """Dots and phrases of a test at a threshold, BOS counted or left out, and the note that says what counting did."""
    theta, plot, phrases = threshold(ref, theta_name), ref.tested.plot(ref.test, theta_name), phrases_of(ref)
    act = verdict_bos.bos_act(ref.row)
    if act is None or bos != verdict_bos.SWITCH[1]:
        return plot, phrases, ""
    return (
        verdict_bos.plot_with(plot, act, theta),
        verdict_bos.phrases_with(phrases, act),
        verdict_bos.note_html(ref.row, theta),
    )


def _render_phrases(run: Run, feature: int, ref: TestRef, theta_name: str) -> None:
    """What contradicts the label, the feature's own text, and where the phrases come from and go."""
    theta, phrases = threshold(ref, theta_name), phrases_of(ref)
    _, counted, _ = shown(ref, theta_name, st.session_state.feature_bos)
    groups = verdict_phrases.evidence(counted, theta, st.session_state.feature_shown)
    st.html(verdict_phrases.groups_html(groups, theta, act_scale(run, feature, phrases)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input("Phrases of each kind", 0, 50, key="feature_shown", on_change=subject.acted,
                        args=("feature_shown",), width=160)  # fmt: skip
        if st.button("All phrases", icon=":material/format_quote:", key="feature_phrases"):
            subject.remember(phrases_test=ref.id, phrases_theta=theta_name)
            controls.open_page("phrases")
        widgets.render_downloads(
            lambda: verdict_phrases.as_frame(phrases, theta), "verdict", str(feature), shortcut="d"
        )
        verdict_asked.render_asked(run, ref)


def threshold(ref: TestRef, name: str) -> float:
    """SAE units; a phrase fires above it."""
    return verdict_data.threshold(ref.row, name)


def phrases_of(ref: TestRef) -> list[verdict_phrases.Phrase]:
    """The phrases of a test, in the order of the plot."""
    return verdict_phrases.phrases_of(readers.phrases(ref), verdict_data.part_names(ref.tested.groups_of(ref.test)))


def act_scale(run: Run, feature: int, phrases: list[verdict_phrases.Phrase]) -> float:
    """What counts as full strength in highlights: the feature's largest act in the run, or on the phrases."""
    largest = readers.feature_row(run, feature)["act_max"]
    return float(largest) if largest == largest and largest else max((p.max_act or 0.0 for p in phrases), default=0.0)


def with_yours(plot: Plot, fires: list[bool]) -> Plot:
    """The plot with a row for what the visitor typed."""
    if not fires:
        return plot
    share = sum(fires) / len(fires)
    mine = Dot("yours", verdict_plot.ABOUT["yours"][0], len(fires), sum(fires), share, None, None)
    return dataclasses.replace(plot, dots=(*plot.dots, mine))
