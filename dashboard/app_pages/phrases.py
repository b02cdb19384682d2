"""Every phrase of one test: parts and controls by phrase, their tokens, and a table to add to and test again."""

from __future__ import annotations

import streamlit as st

from core.store import Run
from dashboard import controls, subject, widgets
from dashboard.verdicts import verdict_edit, verdict_phrases, verdict_screen, verdict_wording
from dashboard.verdicts.verdict_data import TestRef
from dashboard.verdicts.verdict_phrases import Phrase

PER_PAGE = 60


def render_filters() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Group", controls.GROUPS, key="phrases_group", on_change=first_page, args=("phrases_group",),
                     width=160)  # fmt: skip
        st.segmented_control("Show", ("all", "fires", "silent"), key="phrases_show", required=True,
                             on_change=first_page, args=("phrases_show",))  # fmt: skip


def first_page(*keys: str) -> None:
    subject.acted(*keys)
    subject.remember(phrases_page=1)


def render_list(phrases: list[Phrase], theta: float, act_max: float) -> None:
    """Tokens of the phrases inside the filters, a page of them, under the part or control they are for."""
    state = st.session_state
    kept = [p for p in phrases if state.phrases_group in ("all", p.group)]
    if state.phrases_show != "all":
        kept = [p for p in kept if p.max_act is not None and p.fires(theta) == (state.phrases_show == "fires")]
    n_pages = max(1, -(-len(kept) // PER_PAGE))
    first = (min(state.phrases_page, n_pages) - 1) * PER_PAGE
    shown = kept[first : first + PER_PAGE]
    st.caption(f"{len(kept)} of {len(phrases)} phrases; ● fires, ○ does not. Shade and line: act; hover for numbers.")
    st.html(verdict_phrases.groups_html(verdict_phrases.by_group(shown, theta), theta, act_max, heading=3))
    if n_pages > 1:
        st.pagination(n_pages, key="phrases_page", on_change=subject.acted, args=("phrases_page",))


def render_page(run: Run, feature: int, ref: TestRef) -> None:
    name = st.session_state.phrases_theta
    theta, phrases = verdict_screen.threshold(ref, name), verdict_screen.phrases_of(ref)
    st.html(verdict_wording.verdict_html(ref.row, name))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Verdict", icon=":material/target:", key="phrases_back"):
            subject.remember(feature_view="verdict", feature_test=ref.id, feature_theta=name)
            controls.open_page("feature")
        widgets.render_downloads(lambda: verdict_phrases.as_frame(phrases, theta), "phrases", str(feature), "d")
    verdict_screen.render_test_choice(run, feature, ref, "phrases")
    if not phrases:
        return
    act_max = verdict_screen.act_scale(run, feature, phrases)
    st.html(verdict_phrases.heat_html(phrases, theta, act_max, verdict_phrases.HEAT))
    verdict_edit.render(run, feature, ref, phrases, theta, act_max)
    st.html('<h2 class="p-h">The phrases</h2>')
    render_filters()
    render_list(phrases, theta, act_max)
    widgets.render_result_footer(run, ref.tested.result)


run = widgets.require_run()
feature = widgets.require_feature(run)
widgets.render_notes(subject.settle(*controls.of("phrases")))
st.html(f'<h1 class="p-h">Phrases of feature {feature}</h1>')
if found := verdict_screen.chosen(run, feature, "phrases_test"):
    render_page(run, feature, found)
else:
    verdict_screen.render_no_test(run, feature)
widgets.render_footer(run)
