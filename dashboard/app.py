"""The dashboard's frame: ``prism dashboard``, or ``python -m streamlit run dashboard/app.py``."""

from __future__ import annotations

import streamlit as st

from core.errors import PrismError
from dashboard import controls, nav, sidebar, style, subject, widgets

st.set_page_config(page_title="SAE Prism", page_icon=style.ICON, layout="wide")
page = st.navigation(nav.navigation(), position="hidden" if st.context.is_embedded else "sidebar")
controls.follow()
widgets.render_style()
try:
    subject.adopt_url()
    wrong = None
except PrismError as error:
    wrong = error
try:
    sidebar.render_sidebar()
    if wrong is None:
        page.run()
    else:
        widgets.render_error(wrong)
except PrismError as error:
    widgets.render_error(error)
