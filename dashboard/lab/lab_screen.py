"""The lab's page from top to bottom: task, prompts, how the model sees them, the answer, saving."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.errors import PrismError
from core.lab.prompt_sets import PromptSet
from core.lab.result import LabResult
from core.store import Run
from dashboard import facts, live, picker, subject, widgets
from dashboard.lab import (
    lab_account,
    lab_box,
    lab_contrast,
    lab_controls,
    lab_decode,
    lab_find,
    lab_jobs,
    lab_limits,
    lab_sets,
    lab_show,
    lab_state,
    lab_test,
)

DRAW: dict[str, Callable[[Run, LabResult], None]] = {
    "test": lab_test.render_stored,
    "find": lab_find.render_result,
    "contrast": lambda run, result: lab_contrast.render_result(result),
    "account": lab_account.render_result,
    "decode": lambda run, result: lab_decode.render_result(result),
}


def render(run: Run) -> None:
    lab_show.begin()
    lab_show.keep(f"<h1>Prompt lab: {lab_controls.TITLES[str(st.session_state.prompts_task)]}</h1>")
    st.segmented_control("Task", lab_controls.TASKS, key="prompts_task", required=True, on_change=_task, args=(run,),
                         format_func=lambda t: lab_controls.TITLES[t], label_visibility="collapsed")  # fmt: skip
    st.caption(lab_controls.ABOUT[str(st.session_state.prompts_task)])
    lab_sets.render_choice(run)
    if (error := st.session_state.pop("lab_error", None)) is not None:
        widgets.render_error(error)
    try:
        stored = lab_sets.opened(run)
    except PrismError as error:
        widgets.render_error(error)
        st.button("Go on without it", key="lab_set_without", on_click=partial(subject.remember, prompts_set=""))
        return
    picker.catch(lab_show.PAGE)
    if stored:
        render_stored(run, stored)
    elif refused := live.refusal(run):
        st.html(facts.message_html(refused.title, widgets.without_folders(refused.detail), refused.remedy, kind="note"))
    else:
        render_own(run, str(st.session_state.prompts_task))


def render_stored(run: Run, stored: PromptSet) -> None:
    """A saved answer as it was saved; needs no model."""
    lab_show.html(lab_sets.head_html(stored))
    lab_show.notes(stored.result.notes)
    DRAW[stored.result.task](run, stored.result)
    if "prompts" in stored.result.frames and live.refusal(run) is None:
        st.button("Go on with these prompts", icon=":material/edit_note:", key="lab_set_take",
                  on_click=lab_sets.take_over, args=(run,), help="the saved set stays")  # fmt: skip


def render_own(run: Run, task: str) -> None:
    """The visitor's prompts and the answer to the chosen task about them."""
    lab_box.render(run, task, lab_state.sent(run))
    sent = lab_state.sent(run)
    if task == "decode":
        lab_decode.render(run, sent)
        return
    viewed = lab_jobs.views(run, sent) if sent else None
    if sent is None or viewed is None:
        return
    lab_box.render_preview(run, sent, viewed)
    lab_limits.check_tokens(sum(len(v.str_tokens) for v in viewed.views))
    if task == "test":
        lab_test.render(run, sent, viewed)
        return
    result = {"find": lab_find, "contrast": lab_contrast, "account": lab_account}[task].ask(run, sent)
    if result is not None:
        lab_show.notes(result.notes)
        DRAW[task](run, result)
        lab_sets.render_save(run, lambda: result, viewed.about)


def _task(run: Run) -> None:
    """Another question: from its first page; about the prompts of a saved set, if one is open."""
    subject.acted("prompts_task")
    if st.session_state.prompts_set:
        lab_sets.take_over(run)
    subject.remember(prompts_page=1)
