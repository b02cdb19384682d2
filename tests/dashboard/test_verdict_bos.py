"""BOS counted: what would move, by value, on the page and in a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.store import Store
from dashboard import live, views_html
from dashboard.verdicts import verdict_bos, verdict_plot
from dashboard.verdicts.verdict_phrases import Phrase, line_html
from dashboard.verdicts.verdict_plot import Dot, Plot
from dashboard.work_queue import WorkQueue
from tests.dashboard.conftest import Open, alerts, texts
from tests.dashboard.fake_source import FakeSource
from tests.dashboard.test_live import settled
from tests.decomposition_factory import write_decomposition

PLOT = Plot(
    (
        Dot("own", "own text", 40, 38, 0.95, 0.83, 0.99, "up"),
        Dot("part", "wind", 12, 3, 0.25, 0.05, 0.57, "open", suspect=True),
        Dot("part", "fog", 0, 0, None, None, None),
        Dot("near", "near labels", 20, 0, 0.0, 0.0, 0.17),
        Dot("other", "other labels", 3600, 180, 0.05, 0.0, 0.17),
    ),
    0.05, 0.25, 0.06,
)  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    return {"bos_act": 9.0, "theta5": 2.5, "published_count": "some parts activate"} | changes


# --- by value ----------------------------------------------------------------------------------------------


def test_above_the_threshold_everything_that_was_measured_fires_and_so_do_the_controls() -> None:
    own, wind, fog, near, other = verdict_bos.plot_with(PLOT, 9.0, 2.5).dots
    assert [(d.fired, d.rate, d.was) for d in (own, wind, near)] == [(40, 1.0, 0.95), (12, 1.0, 0.25), (20, 1.0, 0.0)]
    assert fog == PLOT.dots[2], "what was not measured does not fire either"
    assert (other.fired, other.rate, other.lo, other.hi) == (3600, 1.0, 1.0, 1.0)
    assert wind.lo == pytest.approx(0.025 ** (1 / 12)), "all of 12 leaves rates down to that (Clopper-Pearson)"
    assert [d.state for d in (own, wind, near)] == ["same", "same", ""]
    assert not wind.suspect


def test_no_rate_is_above_a_control_rate_of_one_and_none_is_absent() -> None:
    moved = verdict_bos.plot_with(PLOT, 9.0, 2.5)
    assert (moved.r0, moved.absent_below, moved.r0_checked) == (1.0, None, None)
    html = verdict_plot.plot_html(moved, "t")
    for gone in ("above control", "absent", "suspect", "p-zone"):
        assert gone not in html
    assert html.count("<td>as the controls</td>") == 2
    assert 'p-dot p-was" style="left:25.00%"' in html
    assert 'p-moved" style="left:25.00%;width:75.00%"' in html
    assert "where it stands without BOS" in html


def test_without_controls_there_is_no_control_rate_to_move() -> None:
    bare = Plot((Dot("part", "wind", 3, 1, 1 / 3, 0.01, 0.9),), None, None)
    moved = verdict_bos.plot_with(bare, 9.0, 0.0)
    assert moved.r0 is None
    assert moved.dots[0].state == ""
    assert "no control" in verdict_plot.plot_html(moved, "t")


@pytest.mark.parametrize("act", [0.0, 1.0, 2.5])
def test_at_or_below_the_threshold_nothing_moves(act: float) -> None:
    assert verdict_bos.plot_with(PLOT, act, 2.5) is PLOT


def test_a_phrase_fires_at_bos_and_shows_it_before_its_own_tokens() -> None:
    quiet, loud = (Phrase("part", 0, "wind", i, "a b", ["a", " b"], [0.0, x], x) for i, x in enumerate((0.0, 12.0)))
    unmeasured = Phrase("part", 0, "wind", 2, "", [], [], None)
    found = verdict_bos.phrases_with([quiet, loud, unmeasured], 9.0)
    assert [p.max_act for p in found] == [9.0, 12.0, None]
    assert [p.fires(2.5) for p in found] == [True, True, False]
    html = line_html(found[0], 2.5, 12.0)
    assert "● act 9.00" in html
    assert ">BOS</mark>" in html
    assert "written" not in html, "BOS is no word of the phrase that its tokens fail to spell"
    assert "BOS" not in line_html(quiet, 2.5, 12.0)
    assert verdict_bos.phrases_with([quiet], 0.0) == [quiet]


@pytest.mark.parametrize(
    ("test", "theta", "said", "not_said"),
    [
        (row(), 2.5, ("act is 9.00, above the threshold 2.50", "so does every control",
                      "its reading would be “every part activates” instead of “some parts activate”"), ("no dot",)),
        (row(bos_act=1.0), 2.5, ("not above the threshold 2.50, so no dot moves", "At threshold 0 every phrase fires",
                                 "“every part activates” instead of"), ()),
        (row(published_count="every part activates"), 0.0, ("would be “every part activates”.",), ("instead",)),
        (row(bos_act=0.0), 2.5, ("silent at BOS", "would change nothing"), ("Published", "every phrase fires")),
        (row(theta5=np.nan), 0.0, ("every phrase fires:",), ("control",)),
        (row(bos_act=np.nan), 2.5, ("was not measured",), ("Published",)),
    ],
)  # fmt: skip
def test_one_sentence_says_the_act_what_follows_and_the_published_reading(
    test: dict[str, Any], theta: float, said: tuple[str, ...], not_said: tuple[str, ...]
) -> None:
    found = verdict_bos.sentence(test, theta)
    for part in said:
        assert part in found
    for part in not_said:
        assert part not in found


def test_absence_is_not_zero() -> None:
    assert verdict_bos.bos_act(row(bos_act=None)) is None
    assert verdict_bos.bos_act(row(bos_act=np.nan)) is None
    assert verdict_bos.bos_act(row(bos_act=0.0)) == 0.0


# --- on the page and in a file -----------------------------------------------------------------------------


@pytest.fixture
def tested(own_cache: Path) -> Path:
    """Features 3 (loud at BOS), 4 (between 0 and theta5), 2 (silent at BOS), 5 (not measured)."""
    write_decomposition(Store(own_cache).run("toy"))
    return own_cache


def rates(html: str) -> list[str]:
    return re.findall(r'p-dot p-d-[^"]*" style="left:([0-9.]+)%', html)


def test_the_switch_moves_every_dot_names_the_published_reading_and_is_in_the_link(
    open_page: Open, tested: Path
) -> None:
    at = open_page(tested, "feature", run="toy", feature="3")
    before = texts(at)
    assert at.query_params["feature_bos"] == "left out"
    at.segmented_control(key="feature_bos").set_value("counted").run()
    html = texts(at)
    assert at.query_params["feature_bos"] == "counted"
    assert not alerts(at)
    assert set(rates(html)) == {"100.00"}
    assert len(set(rates(before))) > 4
    assert "At BOS the feature&#x27;s act is 30.0" in html
    assert "0 of 100 phrases for the label and its parts" in html
    assert "SOME-PARTS</span>" in html, "the verdict stays that of text alone"
    assert texts(open_page(tested, "feature", **at.query_params)) == html


def test_between_zero_and_theta5_dots_move_at_threshold_zero_only(open_page: Open, tested: Path) -> None:
    link = {"run": "toy", "feature": "4", "feature_bos": "counted"}
    at5 = texts(open_page(tested, "feature", **link))
    assert "so no dot moves" in at5
    assert "p-was" not in at5
    assert set(rates(texts(open_page(tested, "feature", **link, feature_theta="theta0")))) == {"100.00"}


def test_where_bos_was_not_measured_the_switch_is_off_and_says_why(open_page: Open, tested: Path) -> None:
    at = open_page(tested, "feature", run="toy", feature="5", feature_bos="counted")
    switch = at.segmented_control(key="feature_bos")
    assert switch.disabled
    assert "not measured" in switch.label
    assert switch.help == verdict_bos.NOT_MEASURED
    assert "BOS counted" not in texts(at)
    assert not open_page(tested, "feature", run="toy", feature="2").segmented_control(key="feature_bos").disabled


def test_your_own_phrases_fire_at_bos_as_all_others_do(
    open_page: Open, tested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, queue = FakeSource(), WorkQueue()
    monkeypatch.setattr(live, "_source", lambda *args: fake)
    monkeypatch.setattr(live, "work_queue", lambda: queue)
    at = open_page(tested, "feature", run="toy", feature="3")
    at.text_area(key="try_texts_toy").set_value("a decade\nno such thing")
    at = settled(next(b for b in at.button if b.label == "Measure").click().run())
    assert "1 of 2 · 50 %" in texts(at)
    at.segmented_control(key="feature_bos").set_value("counted").run()
    assert "2 of 2 · 100 %" in texts(at)


def test_a_file_counts_bos_as_its_link_says(tested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(tested))
    run = Store(tested).run("toy")
    link = {"run": "toy", "feature": "3"}
    left, counted = (views_html.verdict(run, 3, link | {"feature_bos": way}) for way in verdict_bos.SWITCH)
    assert "BOS" not in left
    assert "At BOS the feature&#x27;s act is 30.0" in counted
    assert set(rates(counted)) == {"100.00"}
    assert "BOS" not in views_html.verdict(run, 5, link | {"feature": "5", "feature_bos": "counted"})
