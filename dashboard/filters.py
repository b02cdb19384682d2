"""The feature table's filters as plain values that fit in a link. No streamlit.

In a link ``where`` reads ``density:0.001:0.1~act_max:5:`` - column, lower end, upper end (either may be empty).
Column names are looked up, never evaluated, and searched text is literal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.errors import InputError, did_you_mean
from core.tables import FEATURES
from dashboard.wording import number

RANGES = tuple(c.name for c in FEATURES.columns if c.name not in ("feature", "flag", "top_tokens"))
SORTS = ("feature", *RANGES, "label")
FLAGS = ("any", "alive", "none", "dead", "ultra-rare", "dense")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.I | re.A)


@dataclass(frozen=True)
class Range:
    """``lo <= column <= hi``; None is open. A feature whose value is absent is never inside."""

    column: str
    lo: float | None
    hi: float | None


def parse_where(text: str) -> tuple[Range, ...]:
    """The ranges of a link; InputError names the first part that is none."""
    ranges = []
    for part in filter(None, text.split("~")):
        column, *ends = part.split(":")
        if column not in RANGES:
            near = did_you_mean(column, RANGES) or f"Columns: {', '.join(RANGES)}"
            raise InputError(f"no column {column!r} can be filtered", near)
        if len(ends) != 2 or not all(e == "" or NUMBER.fullmatch(e) for e in ends):
            raise InputError(f"{part!r} is not column:lower:upper")
        lo, hi = (float(e) if e else None for e in ends)
        ranges.append(Range(column, lo, hi))
    return tuple(ranges)


def format_where(ranges: Sequence[Range]) -> str:
    """The text that ``parse_where`` reads back to the same ranges."""
    return "~".join(f"{r.column}:{_end(r.lo)}:{_end(r.hi)}" for r in ranges)


def _end(value: float | None) -> str:
    return "" if value is None else repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def said(r: Range) -> str:
    """A range in words, begun with a comma: column names are ours, ends are numbers."""
    lower = "" if r.lo is None else f" from {number(r.lo)}"
    upper = "" if r.hi is None else f" to {number(r.hi)}"
    return f", {r.column.replace('_', ' ')}{lower}{upper}"


def chosen(frame: pd.DataFrame, text: str, flag: str, ranges: Sequence[Range]) -> np.ndarray:
    """Row numbers inside all filters; ``text`` is looked for in labels and top tokens, letter case ignored."""
    keep = np.ones(len(frame), bool)
    if flag == "alive":
        keep &= (frame["flag"] != "dead").to_numpy()
    elif flag == "none":
        keep &= (frame["flag"] == "").to_numpy()
    elif flag != "any":
        keep &= (frame["flag"] == flag).to_numpy()
    for r in ranges:
        values = frame[r.column].to_numpy(dtype=float, na_value=np.nan)
        keep &= (values >= (-np.inf if r.lo is None else r.lo)) & (values <= (np.inf if r.hi is None else r.hi))
    if text:
        keep &= frame["search_text"].str.contains(text.lower(), regex=False).to_numpy(dtype=bool)
    return np.flatnonzero(keep)


def ordered(frame: pd.DataFrame, rows: np.ndarray, column: str, order: Literal["up", "down"]) -> np.ndarray:
    """``rows`` in order of one column, absent values and empty labels last, ties by feature number."""
    values = frame[column].to_numpy()[rows]
    if column == "label":
        absent = values == ""
        values = np.unique(values, return_inverse=True)[1].astype(float)
    else:
        values = values.astype(float)
        absent = np.isnan(values)
    key = np.where(absent, np.inf, values if order == "up" else -values)
    return rows[np.argsort(key, kind="stable")]
