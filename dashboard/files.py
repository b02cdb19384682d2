"""Files to take away: buttons for a table in every form, and how charts are saved as pictures.

What a page offers is remembered, so that Share can offer it too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlencode, urlsplit

import pandas as pd
import streamlit as st

from core.store import Run
from dashboard import downloads, nav, subject

Frame = Callable[[], pd.DataFrame]
PICTURES = ("svg", "png")


def address() -> tuple[str, str]:
    """The dashboard's own address without a slash at its end, and the key of the page that is open."""
    url = urlsplit(st.context.url or "")
    base, _, last = url.path.rstrip("/").rpartition("/")
    known = last in [spec.key for spec in nav.PAGES]
    root = f"{url.scheme}://{url.netloc}" if url.netloc else ""
    return root + (base if known else url.path.rstrip("/")), last if known else nav.PAGES[0].key


def link(extra: dict[str, str] | None = None) -> str:
    """The whole address of this view."""
    base, page = address()
    path = "" if page == nav.PAGES[0].key else page
    query = urlencode(st.session_state.get("seen", {}) | (extra or {}))
    return f"{base}/{path}" + (f"?{query}" if query else "")


def offer(page: str, what: str, frame: Frame) -> None:
    """Remember what data the view at hand has to give, for as long as it is this view; the dialog hands it out."""
    state, view = st.session_state, subject.link_query()
    if state.get("offered_view") != view:
        state.offered_view, state.offered = view, {}
    state.offered[page] = (what, frame)


def picture_config(name: str) -> dict[str, object]:
    """For ``st.plotly_chart``: one button that saves the chart as a picture, made in the browser."""
    kind = st.session_state.get("picture_kind", PICTURES[0])
    return {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": kind, "filename": f"prism_{subject.run_name()}_{name}", "scale": 2},
    }


Form = tuple[str, str, str, str]
FORMS: tuple[Form, ...] = (
    ("csv", "csv", "text/csv", "exactly as it is: for programs"),
    ("csv for spreadsheets", "sheet.csv", "text/csv", "cells that a spreadsheet would compute get an apostrophe"),
    ("parquet", "parquet", "application/vnd.apache.parquet", "with types, checksums and its manifest inside"),
    ("manifest", "json", "application/json", "which run, recipe, tables and link it is from"),
)


def render_data_buttons(
    run: Run, page: str, what: str, frame: Frame, forms: Sequence[Form], key: str = "", shortcut: str | None = None
) -> None:
    """One table in some forms, the first under ``shortcut``; each file is made only when asked for."""
    stem, here = downloads.stem(run.name, page, what), link()

    def made(ending: str) -> bytes:
        rows = frame()
        manifest = downloads.manifest_of(run.manifest, page, what, here, len(rows))
        if ending == "csv":
            return downloads.csv_bytes(rows)
        if ending == "sheet.csv":
            return downloads.sheet_csv_bytes(rows)
        return downloads.manifest_bytes(manifest) if ending == "json" else downloads.parquet_bytes(rows, manifest)

    for i, (title, ending, kind, about) in enumerate(forms):
        st.download_button(
            title, partial(made, ending), f"{stem}.{ending}", kind, on_click="ignore", help=about,
            icon=":material/download:", key=f"{key}{page}_{ending}", shortcut=None if i else shortcut,
        )  # fmt: skip
