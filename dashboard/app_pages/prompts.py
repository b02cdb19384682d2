"""Prompt lab: features on one's own text, five ways of asking."""

from __future__ import annotations

import streamlit as st

from dashboard import controls, subject, widgets
from dashboard.lab import lab_screen

run = widgets.require_run()
widgets.render_notes(subject.settle(*controls.of("prompts")))
st.html('<h1 class="p-h">Prompt lab</h1>What do features do on your own text?')
lab_screen.render(run)
widgets.render_footer(run)
