"""Counting sort and merge against numpy's own sorts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.maths.sorting import copy_runs, counting_order, merge_starts, offsets

keys_of = st.lists(st.integers(0, 11), max_size=60).map(lambda v: np.array(v, np.int32))


@settings(deadline=None)
@given(keys_of)
def test_counting_order_equals_a_stable_sort(keys: np.ndarray) -> None:
    order, ptr = counting_order(keys, 12)
    assert order.tolist() == np.argsort(keys, kind="stable").tolist()
    assert ptr.tolist() == np.searchsorted(np.sort(keys), np.arange(13)).tolist()


def test_counting_order_refuses_a_key_beyond_the_last() -> None:
    with pytest.raises(ValueError, match="a key is 12"):
        counting_order(np.array([3, 12], np.int32), 12)


@settings(deadline=None)
@given(st.lists(keys_of, min_size=1, max_size=5))
def test_merging_sorted_parts_equals_sorting_them_together(parts: list[np.ndarray]) -> None:
    numbers = np.arange(sum(map(len, parts)))  # what is carried along; ascends from part to part as contexts do
    carried = np.split(numbers, np.cumsum([len(p) for p in parts])[:-1])
    sorted_parts = [(k[o], c[o]) for k, c in zip(parts, carried, strict=True) for o in [np.argsort(k, kind="stable")]]
    counts = np.stack([np.bincount(k, minlength=12) for k, _ in sorted_parts])
    starts, target = merge_starts(counts), np.full(len(numbers), -1)
    for i, (_, c) in enumerate(sorted_parts):
        copy_runs(c, counts[i], starts[i], target)
    assert target.tolist() == np.argsort(np.concatenate(parts), kind="stable").tolist()


def test_offsets_begin_at_zero_and_end_at_the_sum() -> None:
    assert offsets(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert offsets(np.array([], np.int64)).tolist() == [0]
