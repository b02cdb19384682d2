"""Named lists of features: choose, save, delete. Writing is off where others can connect (``widgets.may_write``)."""

from __future__ import annotations

import streamlit as st

from core import feature_lists
from core.errors import PrismError
from core.store import Run
from dashboard import subject, widgets


def render_named_lists(run: Run) -> None:
    """A picker of the run's saved lists, and where writing is allowed a name to save this one under."""
    state, names = st.session_state, feature_lists.list_names(run)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if names:
            state.saved_list = None
            st.selectbox("Saved lists", names, key="saved_list", placeholder="open one", on_change=_load, args=(run,),
                         width=220)  # fmt: skip
        if not widgets.may_write():
            st.caption(
                "Lists cannot be saved here, where others can connect: keep the list by its link, or download it."
            )
        else:
            st.text_input("Name of this list", key="list_name", max_chars=64, placeholder="animals", width=220)
            st.button("Save", key="list_save", on_click=_save, args=(run,), disabled=not subject.features())
            st.button("Delete", key="list_delete", on_click=_delete, args=(run,), disabled=not names)
    if (error := state.pop("list_error", None)) is not None:
        widgets.render_error(error)
    if said := state.pop("list_said", ""):
        st.toast(said)


def _load(run: Run) -> None:
    state = st.session_state
    try:
        if state.saved_list:
            subject.choose(features=feature_lists.load_list(run, state.saved_list))
            state.list_name = state.saved_list
    except PrismError as error:
        state.list_error = error


def _save(run: Run) -> None:
    state = st.session_state
    try:
        feature_lists.save_list(run, state.list_name, subject.features())
        state.list_said = "saved"
    except PrismError as error:
        state.list_error = error


def _delete(run: Run) -> None:
    state = st.session_state
    try:
        feature_lists.load_list(run, state.list_name)
        feature_lists.delete_list(run, state.list_name)
        state.list_said = "deleted"
    except PrismError as error:
        state.list_error = error
