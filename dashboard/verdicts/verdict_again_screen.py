"""The page's part of testing changed phrases again: the button, the wait, and what came out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.errors import InputError
from core.proposals.proposal import Style
from core.store import Run
from dashboard import facts, live, subject, widgets
from dashboard.verdicts import verdict_again, verdict_data, verdict_phrases, verdict_plot
from dashboard.verdicts.verdict_again import Again, Asked
from dashboard.verdicts.verdict_data import TestRef
from dashboard.verdicts.verdict_wording import rate_text, verdict_html
from dashboard.wording import number


def render_button(feature: int, ref: TestRef, edited: pd.DataFrame) -> None:
    """Send the table; the caller has seen that the model can be asked from here."""
    keep = widgets.may_write()
    about = "a new result in this run; the one above stays" if keep else "shown here and not stored: this host reads"
    if st.button("Measure again", icon=":material/replay:", key="phrases_again", type="primary", help=about):
        row = ref.row
        style: Style = "published" if row["style"] == "published" else "isolated"
        data = verdict_again.file_of(edited, feature, str(row["label"]))
        st.session_state.phrases_asked = Asked(ref.id, feature, data, style, keep)
        _forget_ended(st.session_state.phrases_asked)


def _forget_ended(asked: Asked) -> None:
    """The same phrases sent once more are measured once more where the last attempt was cancelled or failed."""
    jobs = st.session_state.get("live_jobs", {})
    for identity in [i for i, job in jobs.items() if i[-1] == asked and job.ended and job.state != "done"]:
        del jobs[identity]


def render_outcome(run: Run, ref: TestRef) -> None:
    """Progress of what was sent from this test, then what came out: opened where it is stored, else drawn here."""
    asked: Asked | None = st.session_state.get("phrases_asked")
    if asked is None or asked.ref != ref.id:
        return
    identity = ("test_again", str(run.path), run.manifest["digest"], run.manifest["created_at"], asked)
    again: Again | None = live.render_job(
        identity, lambda progress: verdict_again.measure(run, asked, progress), lambda: _check(run, asked)
    )
    if again is None:
        return
    if not again.id:
        _render_unstored(asked, ref, again)
        return
    del st.session_state.phrases_asked
    st.session_state.phrases_came = (again.id, came_html(ref.row, again))
    subject.remember(phrases_test=again.id, phrases_page=1)
    st.rerun()


def render_came(ref: TestRef) -> None:
    """Beside a test that was just made from here: what it was before."""
    name, said = st.session_state.get("phrases_came", ("", ""))
    if name == ref.id:
        st.html(said)


def _check(run: Run, asked: Asked) -> None:
    """Refuse before the queue; a session outlives the settings that allowed its button."""
    if error := live.refusal(run):
        raise error
    if asked.keep and not widgets.may_write():
        raise InputError("storing a result is off here", "it was allowed when this page was opened", "reload the page")
    verdict_again.require_phrases(asked)


def _render_unstored(asked: Asked, ref: TestRef, again: Again) -> None:
    """The new verdict with its dots and phrases, which only this visitor sees."""
    theta_name = st.session_state.phrases_theta
    theta = verdict_data.threshold(again.row, theta_name)
    plot = verdict_data.plot_at(again.row, again.groups, theta_name)
    phrases = verdict_phrases.phrases_of(again.phrases, verdict_data.part_names(again.groups))
    largest = max((p.max_act or 0.0 for p in phrases), default=0.0)
    title = f"Share of your phrases that make feature {asked.feature} fire: act above {number(theta)} (SAE units)"
    st.html(
        came_html(ref.row, again)
        + verdict_html(again.row, theta_name)
        + verdict_plot.plot_html(plot, title)
        + verdict_phrases.heat_html(phrases, theta, largest, "Your version with its controls; framed = fires")
    )


def came_html(before: dict[str, Any], again: Again) -> str:
    """Both classes in a sentence, and where the old and the new one are."""
    kind, old = str(again.row["kind"]), str(before["kind"])
    said = f"the class is still {kind}" if kind == old else f"{old} became {kind}"
    rates = "; ".join(
        f"{what}: {rate_text(again.row[column])} fire, before {rate_text(before[column])}"
        for what, column in (("phrases of parts", "parts_rate"), ("of the whole label", "whole_rate"))
    )
    where = f"{rates[0].upper()}{rates[1:]}. " + (
        "It is a result of its own: the test before is still in the choice of tests."
        if again.id
        else "It is not stored: download the phrases and run the command below on your own machine to keep it."
    )
    left = f"Rows left out: {again.left_out}." if again.left_out else ""
    return facts.message_html(f"Measured again: {said}", where, left, kind="note")
