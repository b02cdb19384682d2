"""Filters of the feature table and their form in a link."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from dashboard import filters
from dashboard.filters import Range

FRAME = pd.DataFrame(
    {
        "feature": [0, 1, 2, 3],
        "flag": ["dead", "", "dense", ""],
        "density": [0.0, 0.1, 0.5, 0.2],
        "act_max": [np.nan, 2.0, 1.0, 3.0],
        "label": ["", "cats", "", "a(b"],
        "search_text": ["\n", "cats\n cat", "\n the", "a(b\n .*"],
    }
)
ENDS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**6), 10**6))


@given(st.lists(st.builds(Range, st.sampled_from(filters.RANGES), ENDS, ENDS), max_size=4))
def test_ranges_survive_the_link(ranges: list[Range]) -> None:
    assert filters.parse_where(filters.format_where(ranges)) == tuple(ranges)


@pytest.mark.parametrize("text", ["nope:1:2", "density:1", "density:a:2", "density:1:2:3", "density:nan:", "flag:1:2",
                                  "density:1e9999:", "__class__:0:1", "density:٣:"])  # fmt: skip
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        filters.parse_where(text)


def test_a_misspelt_column_names_its_neighbour() -> None:
    with pytest.raises(InputError, match="density"):
        filters.parse_where("densty:0:1")


@pytest.mark.parametrize(
    ("text", "flag", "ranges", "rows"),
    [
        ("", "any", (), [0, 1, 2, 3]),
        ("", "alive", (), [1, 2, 3]),
        ("", "none", (), [1, 3]),
        ("", "dense", (), [2]),
        ("", "any", (Range("density", 0.1, 0.2),), [1, 3]),
        ("", "any", (Range("act_max", None, None),), [1, 2, 3]),
        ("CATS", "any", (), [1]),
        ("(b", "any", (), [3]),
        (".*", "any", (), [3]),
        ("cat", "dense", (), []),
    ],
)
def test_rows_inside_all_filters(text: str, flag: str, ranges: tuple[Range, ...], rows: list[int]) -> None:
    assert filters.chosen(FRAME, text, flag, ranges).tolist() == rows


@pytest.mark.parametrize(
    ("column", "order", "rows"),
    [
        ("feature", "down", [3, 2, 1, 0]),
        ("act_max", "up", [2, 1, 3, 0]),
        ("act_max", "down", [3, 1, 2, 0]),
        ("label", "up", [3, 1, 0, 2]),
        ("label", "down", [1, 3, 0, 2]),
    ],
)
def test_absent_values_and_empty_labels_come_last_in_both_orders(column: str, order: str, rows: list[int]) -> None:
    assert filters.ordered(FRAME, np.arange(4), column, order).tolist() == rows  # type: ignore[arg-type]
