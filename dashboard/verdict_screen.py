"""The verdict on a feature's label: one sentence, one dot plot, the phrases that contradict it, a box to break it."""

from __future__ import annotations

import dataclasses
import shlex
from html import escape

import streamlit as st

from core.errors import PrismError
from core.llm.ledger import Exchange, Ledger
from core.store import Run
from dashboard import (
    controls,
    facts,
    readers,
    subject,
    try_it,
    verdict_data,
    verdict_phrases,
    verdict_plot,
    verdict_wording,
    widgets,
)
from dashboard.tokens import visible
from dashboard.verdict_data import TestRef
from dashboard.verdict_plot import Dot, Plot
from dashboard.wording import missing, number, plural

LEDGER = "ledger.jsonl"
MAX_ASKED = 12


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


def thresholds_differ(ref: TestRef) -> bool:
    """Whether theta5 is known and not 0."""
    return not missing(ref.row["theta5"]) and float(ref.row["theta5"]) > 0


def render_test_choice(run: Run, feature: int, ref: TestRef, page: str) -> None:
    """Which test, where there are several, and the threshold, where there are two."""
    refs = {ref.id: ref.title for ref in readers.tests_of(run, feature)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(refs) > 1:
            st.selectbox(
                f"Label ({len(refs)} tests)", list(refs), key=f"{page}_test", on_change=subject.acted,
                args=(f"{page}_test",), format_func=lambda ref: refs.get(ref, ref), width=420,
            )  # fmt: skip
        if not thresholds_differ(ref):
            return
        st.segmented_control(
            "A phrase fires above", verdict_wording.THETAS, key=f"{page}_theta", required=True, on_change=subject.acted,
            args=(f"{page}_theta",), format_func=lambda name: verdict_wording.THETA_TITLES[name],
        )  # fmt: skip


def render(run: Run, feature: int, ref: TestRef) -> None:
    """The whole screen for one test."""
    row, theta_name = ref.row, st.session_state.feature_theta
    others = [other.row for other in readers.tests_of(run, feature)]
    st.html(verdict_wording.verdict_html(row, theta_name, verdict_wording.opaque_text(others)))
    render_test_choice(run, feature, ref, "feature")
    if row["kind"] == "NOT-PROPOSED":
        _render_asked(run, ref)
        widgets.render_result_footer(run, ref.tested.result)
        return
    _render_plot(run, feature, ref, theta_name)
    _render_phrases(run, feature, ref, theta_name)
    widgets.render_result_footer(run, ref.tested.result)


def _render_plot(run: Run, feature: int, ref: TestRef, theta_name: str) -> None:
    """The dots, and under them the box whose phrases become one more."""
    theta, plot, here = threshold(ref, theta_name), ref.tested.plot(ref.test, theta_name), st.container()
    with st.expander("Try to break it: your own phrases, measured now, as a dot above", icon=":material/bolt:"):
        tried = try_it.render_try(run, feature)
    yours = [float(acts.max()) > theta for _, _, acts in tried if len(acts)]
    title = f"Share of phrases that make feature {feature} fire: some token's act is above {number(theta)} (SAE units)"
    with here:
        st.html(verdict_plot.plot_html(with_yours(plot, yours), title))


def _render_phrases(run: Run, feature: int, ref: TestRef, theta_name: str) -> None:
    """What contradicts the label, the feature's own text, and where the phrases come from and go."""
    theta, phrases = threshold(ref, theta_name), phrases_of(ref)
    groups = verdict_phrases.evidence(phrases, theta, st.session_state.feature_shown)
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
        _render_asked(run, ref)


def threshold(ref: TestRef, name: str) -> float:
    """SAE units; a phrase fires above it."""
    return float(ref.row["theta5"]) if name == "theta5" and thresholds_differ(ref) else 0.0


def phrases_of(ref: TestRef) -> list[verdict_phrases.Phrase]:
    """The phrases of a test, in the order of the plot."""
    groups = ref.tested.groups
    lo, hi = groups["test"].searchsorted([ref.test, ref.test + 1])
    parts = groups.iloc[lo:hi].query("group == 'part'").drop_duplicates("part_index").sort_values("part_index")
    return verdict_phrases.phrases_of(readers.phrases(ref), [str(name) for name in parts["name"]])


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


def _render_asked(run: Run, ref: TestRef) -> None:
    """Who wrote the phrases, and each question to a language model with its answer, as text."""
    row = ref.row
    keys = [str(k) for k in row["asked"]]
    with (panel := st.popover("Who wrote the phrases", icon=":material/chat:", key="feature_asked", on_change="rerun")):
        if not panel.open:
            return
        said = f"{row['proposer']}: {row['generator']}, style {row['style']}"
        st.html(f"<p>{escape(visible(said))}</p>")
        if not keys:
            st.html("<p>No language model was asked for them.</p>")
        ledger = Ledger(run.path / LEDGER)
        for key in keys[:MAX_ASKED]:
            try:
                st.html(exchange_html(ledger.exchange(key)))
            except PrismError as error:
                widgets.render_error(error)
        if len(keys) > MAX_ASKED:
            st.html(f"<p>{len(keys) - MAX_ASKED} more questions are in the run's {LEDGER}.</p>")


def exchange_html(asked: Exchange) -> str:
    """One question and its answer: strangers' text, escaped, line ends kept."""
    parts = "".join(f"<h4>{escape(role)}</h4><pre>{_text(text)}</pre>" for role, text in asked.messages)
    reply = asked.reply.refusal or asked.reply.text
    told = f"{asked.model} at {asked.asked_at} (UTC), temperature {asked.temperature}, sample {asked.sample}"
    return (
        f'<details class="p-asked"><summary>{escape(told)}</summary>{parts}'
        f"<h4>{'refused' if asked.reply.refusal else 'answer'}</h4><pre>{_text(reply)}</pre></details>"
    )


def _text(text: str) -> str:
    """Line ends stay line ends; every other invisible character is shown by its sign."""
    return "\n".join(escape(visible(line)) if line else "" for line in text.split("\n"))
