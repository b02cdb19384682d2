"""The feature table of a run: filters, order, pages of rows, selection, downloads. All of it is in the link.

Sorting and paging happen here, not in the browser: the link then says what is shown, and a click costs a page of rows
whatever the width of the SAE.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.store import Run
from dashboard import controls, filters, readers, subject, widgets
from dashboard.wording import count

ROWS = 250
COLUMNS = ["feature", "label", "tokens", "flag", "density", "n_firings", "n_contexts", "act_max", "token_r2",
           "token_r2_null", "top_divergence", "top_divergence_null", "top_divergence_p", "nearest_cosine"]  # fmt: skip
MADE_HERE = ["search_text", "tokens"]  # for the page only; not part of what is downloaded


def render_filters() -> None:
    """Search, flag, order, and ranges on any numeric column."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        title = "Search labels and top tokens"
        st.text_input(title, key="home_q", max_chars=60, on_change=_first_page, args=("home_q",), width=260)
        st.selectbox("Flag", filters.FLAGS, key="home_flag", on_change=_first_page, args=("home_flag",), width=130)
        st.selectbox("Sort by", filters.SORTS, key="home_sort", on_change=_first_page, args=("home_sort",), width=190)
        st.segmented_control("Order", ("up", "down"), key="home_order", required=True, on_change=_first_page,
                             args=("home_order",))  # fmt: skip
        with (panel := st.popover("Ranges", icon=":material/filter_alt:", key="home_ranges", on_change="rerun")):
            if panel.open:
                _render_ranges(filters.parse_where(st.session_state.home_where))


def _render_ranges(ranges: tuple[filters.Range, ...]) -> None:
    state = st.session_state
    state.where_columns = [r.column for r in ranges]
    st.multiselect(
        "Columns to filter by", filters.RANGES, key="where_columns", on_change=_keep_ranges, max_selections=4
    )
    for r in ranges:
        lo, hi = st.columns(2)
        for side, title, end, value in ((lo, f"{r.column} from", "lo", r.lo), (hi, "to", "hi", r.hi)):
            state[f"{end}_{r.column}"] = value
            side.number_input(title, key=f"{end}_{r.column}", value=None, format="%g", on_change=_keep_ranges)


def _keep_ranges() -> None:
    """The range widgets into the one value that is in the link."""
    state = st.session_state
    ranges = [filters.Range(c, state.get(f"lo_{c}"), state.get(f"hi_{c}")) for c in state.where_columns]
    subject.remember(home_where=filters.format_where(ranges))
    _first_page()


def _first_page(*keys: str) -> None:
    """A filter or the order changed: begin at the first row."""
    if keys:
        subject.acted(*keys)
    subject.remember(home_page=1)
    _untick()


def _turn_page() -> None:
    subject.acted("home_page")
    _untick()


def _untick() -> None:
    """Ticks are by row number: with other rows in the table they would mean other features."""
    st.session_state.home_table = {"selection": {"rows": [], "columns": [], "cells": []}}


def render_table(run: Run) -> None:
    """One page of the features inside the filters."""
    state, table = st.session_state, readers.feature_table(run)
    ranges = filters.parse_where(state.home_where)
    found = filters.chosen(table.frame, state.home_q, state.home_flag, ranges)
    shown = filters.ordered(table.frame, found, state.home_sort, state.home_order)
    n_pages = max(1, -(-len(shown) // ROWS))
    first = (min(state.home_page, n_pages) - 1) * ROWS
    part = table.frame.iloc[shown[first : first + ROWS]]
    st.caption(
        f"{count(len(found))} of {count(len(table.frame))} features{''.join(filters.said(r) for r in ranges)}, "
        f"rows {min(first + 1, len(found))} to "
        f"{first + len(part)}. A number opens its feature; ticked rows go on a list; – is not measured."
    )
    columns = COLUMNS if len(table.labels) else [c for c in COLUMNS if c != "label"]
    event = st.dataframe(
        part[columns].assign(feature=part["feature"].astype(str)), hide_index=True, key="home_table", height=460,
        on_select="rerun", selection_mode="multi-row", placeholder="–", alt=f"Features of run {run.name}",
        column_config=widgets.column_config(columns) | {"feature": _open_column()},
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if n_pages > 1:
            st.pagination(n_pages, key="home_page", on_change=_turn_page)
        widgets.render_downloads(
            lambda: table.frame.iloc[shown].drop(columns=MADE_HERE), "home", "features", shortcut="d"
        )
        _render_add(part, event["selection"]["rows"])


def _render_add(part: pd.DataFrame, rows: list[int]) -> None:
    ticked = tuple(int(part["feature"].iloc[r]) for r in rows if r < len(part))
    if ticked and st.button(f"Put {len(ticked)} on the list", key="home_add", icon=":material/playlist_add:"):
        subject.choose(features=(*subject.features(), *ticked))
        controls.open_page("lists")


def _open_column() -> Any:
    """The feature numbers as buttons that open the feature."""
    return st.column_config.ButtonColumn("feature", type="tertiary", key="home_table_click", on_click=_open_clicked,
                                         help="opens the feature", pinned=True)  # fmt: skip


def _open_clicked() -> None:
    click = st.session_state.home_table_click
    if click and (label := str(click["label"])).isdecimal():
        subject.choose(feature=int(label))
        controls.go("feature")
