"""Beside every page: which run, sharing the view, the list of keys."""

from __future__ import annotations

import streamlit as st

from dashboard import keyboard, limits_screen, readers, share, subject


def render_sidebar() -> None:
    """The run picker, unbound: what it shows follows the subject, never the other way round.

    A page inside another page (``?embed=true``) has no room for it, and shows what its address says.
    """
    if st.context.is_embedded:
        return
    with st.sidebar:
        if names := readers.run_names():
            now = subject.run_name()
            st.session_state.run_picker = now if now in names else None
            st.selectbox("Run", names, key="run_picker", on_change=_pick_run, placeholder="choose a run")
        if st.button("Share this view", shortcut="s", icon=":material/link:", key="share"):
            share.render_share()
        keyboard.render_button()
        limits_screen.render_note()


def _pick_run() -> None:
    if name := st.session_state.run_picker:
        subject.choose(run=name)
