"""The controls of every page of a run, in the order in which they stand in its link, and how to open a page.

They stand together because opening a page writes its whole link at once: a second, longer address for the same view
would make the Back button stop twice.
"""

from __future__ import annotations

import streamlit as st

from dashboard import filters, nav, subject
from dashboard.subject import Control, choice, text, whole

WIDTHS = ("8", "16", "32", "64", "whole")
SCALES = ("linear", "log")
SHOWN = {"home": ("run", "features"), "feature": ("run", "feature", "features"), "lists": ("run", "features")}

HOME = (
    text("home_find", 200),
    text("home_q", 60),
    choice("home_flag", "any", filters.FLAGS),
    text("home_where", 160, filters.parse_where),
    choice("home_sort", "feature", filters.SORTS),
    choice("home_order", "up", ("up", "down")),
    whole("home_page", 1, 1, 100_000),
)
FEATURE = (
    choice("feature_step", "all", ("all", "list")),
    choice("feature_scale", "linear", SCALES),
    choice("feature_width", "16", WIDTHS),
    whole("feature_top", 8, 0, 50),
    whole("feature_random", 8, 0, 50),
    whole("feature_band", 2, 0, 20),
    whole("feature_near", 5, 0, 20),
    whole("feature_seed", 0, 0, 999_999),
)


def lists() -> tuple[Control, ...]:
    """The two features compared come from the list; they are its first two unless chosen."""
    options = [str(f) for f in subject.features()] or [""]
    return (
        choice("lists_a", options[0], options),
        choice("lists_b", options[min(1, len(options) - 1)], options),
        choice("lists_scale", "linear", SCALES),
        whole("lists_n", 6, 1, 30),
    )


def of(page: str) -> tuple[tuple[str, ...], tuple[Control, ...]]:
    """What the link of a page names: parts of the subject, and its controls."""
    return SHOWN[page], {"home": HOME, "feature": FEATURE}[page] if page != "lists" else lists()


def open_page(page: str) -> None:
    """Leave for another page of the same subject, with its whole link; not from a callback."""
    st.switch_page(nav.script(page), query_params=subject.link(*of(page)))


def go(page: str) -> None:
    """The same from a callback: the next run of the script leaves before it draws anything."""
    st.session_state.going = page


def follow() -> None:
    """Leave for where a callback said, if one did."""
    if "going" in st.session_state:
        open_page(st.session_state.pop("going"))
