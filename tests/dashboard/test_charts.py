"""Figures by value."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from dashboard import charts

COUNTS = [4, 1, 0, 2]
FRAME = pd.DataFrame(
    {"feature": 1, "scale": ["linear", "log"], "lo": [0.0, 1.0], "hi": [8.0, 16.0], "counts": [COUNTS, COUNTS]}
)
EMPTY = FRAME.iloc[:0]


def test_edges_are_equal_in_width_or_in_ratio() -> None:
    assert charts.edges_of(FRAME.iloc[0], "linear").tolist() == [0, 2, 4, 6, 8]
    assert charts.edges_of(FRAME.iloc[1], "log").tolist() == pytest.approx([1, 2, 4, 8, 16])


def test_html_bars_are_as_high_as_their_share_of_the_fullest_bin() -> None:
    html = charts.bars_html(FRAME, "feature 1", "linear")
    assert re.findall(r"height:([\d.]+)%", html) == ["100.0", "25.0", "0.0", "50.0"]
    assert "act 0 to 2.00 · 4 firings" in html


def test_html_histogram_carries_its_alternative_and_its_axis() -> None:
    html = charts.bars_html(FRAME, 'f"1', "log")
    assert 'role="img"' in html
    assert "f&quot;1: 7 firings up to act 8.00, most between 0 and 2.00" in html
    assert "log axis" in html


def test_a_feature_without_firings_says_so() -> None:
    assert charts.bars_html(EMPTY, "feature 0", "linear") == (
        '<p class="p-none">feature 0 never fires, so there is no histogram</p>'
    )
    assert not charts.histogram([EMPTY, EMPTY], ["a", "b"], "log").data


def test_two_features_are_compared_as_shares_and_differ_without_colour() -> None:
    figure = charts.histogram([FRAME, FRAME], ["feature 1", "feature 2"], "linear")
    assert [sum(bar.y) for bar in figure.data] == pytest.approx([1, 1])
    assert [bar.marker.pattern.shape for bar in figure.data] == ["", "/"]
    assert figure.layout.showlegend


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_each_bar_spans_its_bin(scale: str) -> None:
    (bar,) = charts.histogram([FRAME], ["feature 1"], scale).data
    edges = charts.edges_of(FRAME.iloc[["linear", "log"].index(scale)], scale)
    assert np.allclose(bar.x, edges[:-1])
    assert np.allclose(np.array(bar.x) + np.array(bar.width), edges[1:])
    assert bar.offset == 0
    assert list(bar.y) == COUNTS
