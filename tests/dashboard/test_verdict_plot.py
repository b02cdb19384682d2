"""The dot plot of a verdict by value: every dot where its rate is, said in words, nothing but text from strangers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from dashboard.verdicts import verdict_plot, verdict_wording
from dashboard.verdicts.verdict_plot import Dot, Plot, plot_of
from dashboard.verdicts.verdict_style import RULES


def group(name: str, fired: int, n: int, part: int = -1, theta: str = "theta5", **tests: Any) -> dict[str, Any]:
    row = {"theta": theta, "group": name, "part_index": part, "name": tests.pop("word", name), "n": n, "fired": fired,
           "rate": fired / n if n else np.nan, "lo": max(fired / n - 0.1, 0) if n else 0.0,
           "hi": min(fired / n + 0.1, 1) if n else 1.0, "absent_below": 0.25, "up": None, "absent": None,
           "suspect": None}  # fmt: skip
    return row | tests


ROWS = [
    group("shuffled", 0, 0),
    group("part", 9, 12, 1, word="wind", up=True, absent=False),
    group("part", 0, 12, 0, word="<b>rain</b>", up=False, absent=True, suspect=False),
    group("part", 2, 12, 2, word="fog", up=False, absent=False, suspect=True),
    group("whole", 2, 40, up=True, absent=True),
    group("own", 38, 40, up=True),
    group("own", 40, 40, theta="theta0", up=True),
    group("pooled", 11, 36, absent=False),
    group("label", 1, 1),
    group("other", 180, 3600),
    group("other", 1080, 3600, theta="theta0"),
    group("martian", 1, 1),
]


@pytest.fixture
def plot() -> Plot:
    return plot_of(ROWS, "theta5", 0.063)


def test_rows_come_in_the_order_of_the_story_and_of_one_threshold_only(plot: Plot) -> None:
    assert [d.name for d in plot.dots] == [
        "own text",
        "whole label",
        "<b>rain</b>",
        "wind",
        "fog",
        "all parts",
        "other labels",
        "label itself",
    ]
    assert plot.absent_below == 0.25
    (own,) = [d for d in plot_of(ROWS, "theta0").dots if d.group == "own"]
    assert own.rate == 1.0


def test_a_dot_stands_at_its_rate_its_interval_and_the_lines_at_theirs(plot: Plot) -> None:
    html = verdict_plot.track_html(plot.dots[3], plot)
    assert re.search(r'p-dot p-d-part p-s-up" style="left:75.00%"', html)
    assert 'class="p-iv" style="left:65.00%;width:20.00%"' in html
    assert 'class="p-r0" style="left:5.00%"' in html
    assert 'class="p-zone" style="width:25.00%"' in html


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("wind", "up", "above control"),
        ("<b>rain</b>", "absent", "absent"),
        ("fog", "open", "open (suspect)"),
        ("whole label", "rare", "above control, but rare"),
        ("all parts", "", ""),
        ("label itself", "", ""),
    ],
)
def test_the_answer_of_the_test_is_a_shape_and_a_word(plot: Plot, name: str, state: str, said: str) -> None:
    (dot,) = [d for d in plot.dots if d.name == name]
    assert dot.state == state
    assert f"<td>{said}</td></tr>" in verdict_plot._row(dot, plot)


def test_what_was_not_measured_has_no_dot_and_says_so() -> None:
    empty = plot_of([group("part", 0, 0, 0, word="fog")], "theta5")
    html = verdict_plot.plot_html(empty, "title")
    assert "not measured" in html
    assert "p-track" in html
    assert "p-d-part" not in html
    assert "p-r0" not in html


def test_the_control_rate_is_the_one_that_the_rules_use_and_its_check_stands_beside_it(plot: Plot) -> None:
    html = verdict_plot.plot_html(plot, "title")
    assert plot.r0 == 0.05
    assert "control rate r0: 5.0 % of phrases for others fire (6.3 % of the half that did not set θ5)" in html
    at0 = verdict_plot.plot_html(plot_of(ROWS, "theta0"), "title")
    assert "control rate r0: 30 % of phrases for others fire<" in at0


def test_without_controls_nothing_is_called_open_or_above_control() -> None:
    bare = plot_of([group("part", 2, 3, 0, "theta0", word="fog"), group("pooled", 2, 3, theta="theta0")], "theta0")
    html = verdict_plot.plot_html(bare, "title")
    assert "2 of 3" in html
    assert "<td>no control</td>" in html
    for word in (">open<", "above control", "control rate", "p-s-up", "p-s-open", "p-s-absent"):
        assert word not in html
    assert "95 % interval" in html


def test_a_dot_of_which_no_test_is_made_is_not_drawn_as_above_control(plot: Plot) -> None:
    (pooled,) = [d for d in plot.dots if d.name == "all parts"]
    assert "p-d-pooled p-s-none" in verdict_plot.track_html(pooled, plot)
    assert ".p-d-pooled.p-s-none{background:color-mix" in RULES


def test_an_axis_never_leaves_its_ends() -> None:
    wild = Dot("part", "x", 3, 3, 1.2, -0.5, 1.7)
    html = verdict_plot.track_html(wild, Plot((), None, None))
    assert "left:100.00%" in html
    assert "left:0.00%;width:100.00%" in html


def test_names_of_strangers_are_text_in_both_sizes_and_in_the_sentence(plot: Plot) -> None:
    large, small = verdict_plot.plot_html(plot, "<i>t"), verdict_plot.small_html(plot)
    assert "“&lt;b&gt;rain&lt;/b&gt;”" in large
    assert "<i>t" not in large
    assert "<b>rain" not in large + small
    assert "wind 75 %" in verdict_plot.plot_alt(plot)
    assert 'role="img"' in small


def test_counts_and_intervals_are_read_out() -> None:
    dot = Dot("whole", "whole label", 40, 38, 0.95, 0.83, 0.99)
    assert verdict_plot.value_text(dot) == "38 of 40 · 95 % [83, 99]"
    assert verdict_plot.value_text(Dot("label", "label itself", 1, 0, 0.0, 0.0, 0.975)) == "does not fire"
    assert verdict_wording.rate_text(0.051) == "5.1 %"
    assert verdict_wording.rate_text(0.0) == "0 %"


def verdict(**changes: Any) -> dict[str, Any]:
    row = {"label": "cats", "label_source": "a person", "kind": "LABEL-FAILS", "reason": "no part fires",
           "kind_theta0": "ALL-PARTS", "reason_theta0": "all parts fire", "theta5": 1.5, "index": np.nan,
           "published_count": "every part activates", "n_parts_firing": 5, "n_parts": 5, "problems": []}  # fmt: skip
    return row | changes


def test_a_verdict_names_class_reason_and_what_the_other_threshold_and_counting_would_say() -> None:
    html = verdict_wording.verdict_html(verdict(), "theta5")
    for part in ("LABEL-FAILS", "the label fails", "“cats”", "no part fires", "At threshold 0 the class is ALL-PARTS",
                 "every part activates (5 of 5 parts"):  # fmt: skip
        assert part in html
    switched = verdict_wording.verdict_html(verdict(), "theta0")
    assert "all parts fire" in switched
    assert "At θ5 = 1.50, the headline, the class is LABEL-FAILS" in switched


def test_without_controls_nothing_is_said_of_thresholds() -> None:
    html = verdict_wording.verdict_html(verdict(theta5=np.nan, kind="UNDECIDED"), "theta5")
    assert "No control phrases were measured" in html
    assert "At threshold 0" not in html
    assert "θ5 is 0 here" in verdict_wording.verdict_html(verdict(theta5=0.0), "theta5")


def test_labels_and_reasons_of_strangers_are_text() -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e**b**"
    html = verdict_wording.verdict_html(verdict(label=hostile, reason=hostile, problems=[hostile]), "theta5")
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;&lt;U+202E&gt;**b**") == 3


def test_a_class_of_another_version_is_shown_by_its_name() -> None:
    html = verdict_wording.verdict_html(verdict(kind="NEW-CLASS"), "theta5")
    assert "NEW-CLASS" in html


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ([verdict(own_rate=0.9), verdict(label="dogs", own_rate=0.9)], "2 labels were tested and all fail"),
        ([verdict(own_rate=0.9), verdict(own_rate=0.9)], "Only where at least two independent labels fail"),
        ([verdict(own_rate=0.1), verdict(label="dogs", own_rate=0.2)], ""),
        ([verdict(own_rate=0.9), verdict(label="dogs", kind="ALL-PARTS", own_rate=0.9)], ""),
    ],
)
def test_a_feature_is_opaque_only_when_two_labels_fail_and_its_own_text_fires(
    tests: list[dict[str, Any]], said: str
) -> None:
    found = verdict_wording.opaque_text(tests)
    assert said in found
    assert bool(found) == bool(said)


def test_every_class_of_the_rules_has_its_words() -> None:
    from core.maths.verdict_rules import CLASSES

    assert {*CLASSES, "NOT-PROPOSED"} == set(verdict_wording.KINDS)
    assert len({k.sign for k in verdict_wording.KINDS.values()}) == len(verdict_wording.KINDS)
