"""HTML that the lab draws, kept for Share: a file of the view holds what its visitor saw, prompts included.

A link cannot give that, for prompts are in no link.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import controls, subject
from dashboard.tokens import visible

PAGE = "prompts"


def begin() -> None:
    """A page begins: nothing of the one before it is kept."""
    st.session_state.lab_sections = []


def html(section: str) -> None:
    """Draw escaped HTML and keep it."""
    st.html(section)
    keep(section)


def keep(section: str) -> None:
    """Only for the file: what the page draws by other means."""
    st.session_state.setdefault("lab_sections", []).append(section)


def sections(page: str) -> list[str]:
    """What the lab drew last, if ``page`` is the lab's."""
    return list(st.session_state.get("lab_sections", [])) if page == PAGE else []


def notes(said: Sequence[str]) -> None:
    """What whoever reads the numbers has to know."""
    if said:
        html('<ul class="p-notes">' + "".join(f"<li>{escape(visible(text))}</li>" for text in said) + "</ul>")


def opened(event: Any) -> None:
    """Open the feature of a point that was clicked. The plot's key moves on, so that Back does not open it again."""
    if points := event["selection"]["points"]:
        st.session_state.lab_plots = st.session_state.get("lab_plots", 0) + 1
        subject.choose(feature=int(points[0]["customdata"]))
        controls.open_page("feature")


def paged(rows: pd.DataFrame, per_page: int) -> pd.DataFrame:
    """The rows of the link's page."""
    n_pages = max(1, -(-len(rows) // per_page))
    first = (min(int(st.session_state.prompts_page), n_pages) - 1) * per_page
    return rows.iloc[first : first + per_page]


def pages(rows: pd.DataFrame, per_page: int) -> None:
    """The pager, where there is more than one page."""
    if (n_pages := -(-len(rows) // per_page)) > 1:
        st.pagination(n_pages, key="prompts_page", on_change=subject.acted, args=("prompts_page",))
