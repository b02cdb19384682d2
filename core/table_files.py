"""Tables as csv: exact, or for spreadsheets, which would compute what looks like a formula."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet compute a cell instead of showing it, full-width forms included."""


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The table exactly: UTF-8, texts as they are, lists as JSON. Spreadsheets would run cells with formulas.

    Lines end as RFC 4180 says, because Python quotes a cell with a carriage return only then.
    """
    return _written_lists(frame).to_csv(index=False, lineterminator="\r\n").encode()


def sheet_csv_bytes(frame: pd.DataFrame) -> bytes:
    """The table for spreadsheets: formula cells and column names get an apostrophe before them, every text is quoted.

    Text is changed by that, so the exact file stands beside it. Begins with a byte order mark, by which spreadsheets
    know UTF-8.
    """
    flat = _written_lists(frame)
    for column in flat.columns:
        if not pd.api.types.is_numeric_dtype(flat[column]):
            flat[column] = flat[column].map(_as_text)
    flat.columns = [_as_text(str(column)) for column in flat.columns]
    return flat.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").encode("utf-8-sig")


def _as_text(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not compute; what is no text stays."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith(FORMULA) or value.lstrip().startswith(FORMULA) else value


def _written_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy in which lists and arrays are JSON: numpy's own spelling leaves out the middle of long ones."""
    flat = frame.copy()
    for column in flat.columns:
        if flat[column].dtype == object:
            flat[column] = flat[column].map(_plain)
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple, dict)) else value
