"""Limits of this host: what is off and why, how much one visitor gets, which text may be shown."""

from __future__ import annotations

import streamlit as st

from dashboard import limits_screen

for section in limits_screen.sections():
    st.html(section)
st.caption(
    "Seconds, queue and prompts are counted per open page. What is typed or uploaded stays in the memory of the server "
    "until the page is closed, in no file, no link and no log. Owners: the README's chapter Hosting says how to change "
    "these limits; `prism host-check` says what would fail."
)
