"""Saved prompt sets: one answer with its prompts under a name in the run, so that a link shows them to others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import streamlit as st

from core.errors import PrismError
from core.lab.prompt_sets import PromptSet, delete_set, save_set, set_names
from core.lab.result import LabResult
from core.store import Run
from dashboard import facts, subject, widgets
from dashboard.facts import Fact
from dashboard.lab import lab_controls, lab_frames, lab_readers, lab_state
from dashboard.lab.lab_state import Sent
from dashboard.tokens import visible
from dashboard.wording import one_line, plural

OFF = "Saved sets are written into the run, which is for the person at this machine; download the numbers instead."


def opened(run: Run) -> PromptSet | None:
    """The set that the link names; None without one. NotFoundError where the run has none of that name."""
    name = str(st.session_state.prompts_set)
    return lab_readers.prompt_set(run, name) if name else None


def head_html(found: PromptSet) -> str:
    """What the set is: its name, what was asked, of how many prompts, when, by which model."""
    said = found.manifest
    title = f'<p dir="auto">{escape(visible(one_line(said["title"], 300)))}</p>' if said.get("title") else ""
    n = len(found.result.frames["prompts"]) if "prompts" in found.result.frames else 0
    model, version = said.get("model") or {}, (said.get("packages") or {}).get("sae-prism", "?")
    lines = [
        Fact("saved set", found.name, lab_controls.TITLES[found.result.task]),
        Fact("prompts", f"{n:,}", "as they were sent"),
        Fact("saved", str(said.get("created_at", "?"))[:19], f"UTC; sae-prism {version}"),
        Fact("measured by", one_line(_model(model), 40), f"on {model.get('device', '?')}"),
    ]  # fmt: skip
    return title + facts.facts_html(lines)


def _model(about: Mapping[str, Any]) -> str:
    model = about.get("model")
    return str(model.get("name", "?")) if isinstance(model, Mapping) else str(about.get("source", "?"))


def take_over(run: Run) -> None:
    """The prompts of the opened set become the visitor's own, and the set is left. For callbacks."""
    try:
        if (found := opened(run)) and "prompts" in found.result.frames:
            table = lab_frames.table_of(found.result.table("prompts"))
            lab_state.send(run, Sent(table, f"from the set {found.name}"))
            if found.result.task == "test":
                subject.remember(prompts_features=",".join(map(str, found.result.params["features"][:50])))
    except PrismError as error:
        st.session_state.lab_error = error
    subject.remember(prompts_set="", prompts_page=1)


# --- saving ----------------------------------------------------------------------------------------------


def render_save(run: Run, made: Callable[[], LabResult], about: Mapping[str, Any]) -> None:
    """A name and a button; why not, where one may not write."""
    if not widgets.may_write():
        st.caption(f"Saving is off here. {OFF}")
        return
    with st.popover("Save as…", icon=":material/bookmark_add:", key="prompts_save"):
        st.caption("Prompts and numbers are stored in the run: whoever opens its dashboard can read them.")
        st.text_input("Name", key="lab_set_name", max_chars=64, placeholder="weather_words")
        st.text_input("What it shows (optional)", key="lab_set_title", max_chars=300)
        st.toggle("Replace the set of that name", key="lab_set_replace")
        st.button("Save", icon=":material/save:", type="primary", key="lab_set_save", on_click=_save,
                  args=(run, made, dict(about)))  # fmt: skip


def _save(run: Run, made: Callable[[], LabResult], about: dict[str, Any]) -> None:
    state = st.session_state
    try:
        if not widgets.may_write():
            raise widgets.refusal("Saving prompt sets") or PrismError("saving is off here", OFF)
        name = str(state.lab_set_name).strip()
        save_set(run, name, made(), about, str(state.lab_set_title), bool(state.lab_set_replace))
        subject.remember(prompts_set=name)
        state.lab_set_said = f"Saved as {name}: the link now shows it"
    except PrismError as error:
        state.lab_error = error


# --- choosing --------------------------------------------------------------------------------------------


def render_choice(run: Run) -> None:
    """The run's sets, to open; where one may write, the opened one can be deleted."""
    state, names = st.session_state, set_names(run)
    if said := state.pop("lab_set_said", ""):
        st.toast(said)
    if not names:
        return
    state.lab_set = state.prompts_set if state.prompts_set in names else None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(f"{plural(len(names), 'saved set')}", names, key="lab_set", placeholder="open one", width=280,
                     on_change=_open)  # fmt: skip
        if state.prompts_set:
            st.button("Close the set", icon=":material/close:", key="lab_set_close", on_click=_close)
            if widgets.may_write() and not st.context.is_embedded and state.prompts_set in names:
                st.button("Delete it", icon=":material/delete:", key="lab_set_delete", on_click=_delete, args=(run,))


def _open() -> None:
    if name := st.session_state.lab_set:
        subject.remember(prompts_set=name, prompts_page=1, prompts_cell="", prompts_sort="")


def _close() -> None:
    subject.remember(prompts_set="", prompts_page=1, prompts_cell="")


def _delete(run: Run) -> None:
    try:
        if widgets.may_write():
            delete_set(run, str(st.session_state.prompts_set))
            st.session_state.lab_set_said = "Deleted"
            _close()
    except PrismError as error:
        st.session_state.lab_error = error
