"""Which contexts are shown: top, uniform draws, quarters, near misses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from core.store import FeatureActs
from dashboard import examples


class Row(NamedTuple):
    context: int
    document: int
    source: str
    token_ids: np.ndarray


def acts(rows: list[tuple[int, int, float]]) -> FeatureActs:
    context, pos, act = (np.array(c) for c in zip(*rows, strict=True)) if rows else (np.empty(0),) * 3
    return FeatureActs(context.astype(np.int32), pos.astype(np.int16), act.astype(np.float32))


MANY = acts([(c, 3, 1.0 + c) for c in range(40)])


def test_a_peak_is_the_first_position_of_the_largest_act_of_its_context() -> None:
    peaks = examples.peaks_of(acts([(2, 1, 5), (2, 4, 7), (2, 9, 7), (5, 0, 1), (9, 3, 2), (9, 4, 1)]))
    assert peaks.context.tolist() == [2, 5, 9]
    assert peaks.pos.tolist() == [4, 0, 3]
    assert peaks.act.tolist() == [7, 1, 2]


def test_a_feature_that_never_fires_has_no_peaks_and_no_groups_but_near_misses() -> None:
    peaks = examples.peaks_of(acts([]))
    misses = pd.DataFrame({"rank": [0], "context": [1], "pos": [2], "hidden_pre": [-0.5]})
    picked = examples.choose(peaks, misses, (0, 0), 3, 3, 2, 3)
    assert [len(p.context) for p in picked] == [0, 0, 1]


def test_top_is_the_strongest_contexts_in_order() -> None:
    top = examples.pick_top(examples.peaks_of(MANY), 3)
    assert top.context.tolist() == [39, 38, 37]
    assert top.about == "3 strongest of 40 firing contexts"


def test_uniform_draws_are_uniform_over_contexts() -> None:
    peaks = examples.peaks_of(MANY)
    drawn = np.concatenate([examples.pick_uniform(peaks, 4, (seed, 1)).context for seed in range(500)])
    assert chisquare(np.bincount(drawn, minlength=40)).pvalue > 0.001


def test_uniform_draws_differ_from_top_and_repeat_with_the_seed() -> None:
    peaks = examples.peaks_of(MANY)
    first, again, other = (examples.pick_uniform(peaks, 8, (seed, 1)).context.tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first != examples.pick_top(peaks, 8).context.tolist()
    assert len(set(first)) == 8


def test_quarters_split_the_firing_contexts_evenly_and_in_order() -> None:
    bands = examples.pick_bands(examples.peaks_of(MANY), 10, (0, 1))
    assert [sorted(b.context.tolist()) for b in bands] == [list(range(lo, lo + 10)) for lo in (30, 20, 10, 0)]
    assert bands[0].about == "10 drawn of 10 contexts with act 31.0 to 40.0"


def test_near_misses_come_highest_first_with_their_pre_activation() -> None:
    frame = pd.DataFrame({"rank": [1, 0, 2], "context": [4, 5, 6], "pos": [7, 8, 9], "hidden_pre": [-0.2, -0.1, -0.3]})
    picked = examples.pick_misses(frame, 2)
    assert picked.misses
    assert picked.context.tolist() == [5, 4]
    assert picked.value.tolist() == [-0.1, -0.2]


def test_acts_along_a_context_are_zero_where_it_does_not_fire() -> None:
    along = examples.acts_of(acts([(1, 0, 9), (2, 1, 5), (2, 3, 7), (3, 1, 8)]), 2, 5)
    assert along.tolist() == [0, 5, 0, 7, 0]


@pytest.mark.parametrize(
    ("width", "start", "n", "cut_before", "cut_after"),
    [(2, 4, 5, True, True), (8, 0, 10, False, False), (None, 0, 10, False, False), (4, 2, 8, True, False)],
)
def test_a_window_is_cut_around_its_peak(
    width: int | None, start: int, n: int, cut_before: bool, cut_after: bool
) -> None:
    found = acts([(0, 6, 2.0)])
    words = np.array([f" w{i}" for i in range(11)], dtype=object)
    picked = [examples.pick_top(examples.peaks_of(found), 1)]
    rows = [Row(0, 3, "row 3", np.arange(1, 11))]
    ((shown,),) = (g.examples for g in examples.groups_of(picked, found, lambda ids: rows, words, {1}, width))
    assert (shown.start, len(shown.tokens)) == (start, n)
    assert (shown.cut_before, shown.cut_after) == (cut_before, cut_after)
    assert shown.acts[shown.peak - start] == 2.0
    assert shown.tokens[0] == f" w{start + 1}"
    assert shown.special.tolist() == [start == 0 and i == 0 for i in range(n)]


def test_the_table_for_download_has_a_row_per_context_and_marks_the_peak() -> None:
    found = acts([(0, 1, 2.0)])
    words = np.array([" a", " b", " c"], dtype=object)
    groups = examples.groups_of([examples.pick_top(examples.peaks_of(found), 1)], found,
                                lambda ids: [Row(0, 0, "row 0", np.arange(3))], words, (), None)  # fmt: skip
    (row,) = examples.as_frame(groups, 4.0).to_dict("records")
    assert row["text"] == " a« b» c"
    assert (row["value"], row["value_is"], row["share_of_max"]) == (2.0, "act", 0.5)
