"""Headline, classes, agreement and order of a run's tests, by value."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from core.maths.verdict_types import EVERY_PART, NO_PART, SOME_PART
from dashboard.verdicts import verdict_charts, verdict_list, verdict_rows, verdict_summary
from dashboard.verdicts.verdict_plot import Plot

KINDS = ["ALL-PARTS", "LABEL-FAILS", "LABEL-FAILS", "SOME-PARTS", "UNDECIDED", "WHOLE-ONLY", "NOT-PROPOSED"]
COUNTED = [EVERY_PART, EVERY_PART, SOME_PART, EVERY_PART, EVERY_PART, NO_PART, None]


@pytest.fixture
def tests() -> pd.DataFrame:
    n = len(KINDS)
    return pd.DataFrame(
        {
            "test": range(n), "feature": range(n), "label": [f"<b>label {i}" for i in range(n)], "kind": KINDS,
            "label_source": ["x"] * 3 + ["y"] * 4, "published_count": COUNTED, "n_parts": 5, "n_parts_up": 1,
            "failure": [0.0, 0.9, 0.5, 0.1, np.nan, -0.2, np.nan], "own_rate": 0.9, "whole_rate": 0.4,
            "density": [0.1, 0.2, 0.0, 0.001, 0.3, np.nan, 0.01], "token_r2": 0.5,
        }
    )  # fmt: skip


def test_the_headline_counts_what_survives_of_what_counting_calls_decomposable(tests: pd.DataFrame) -> None:
    said = verdict_summary.headline(tests)
    assert "calls 4 of 6 labels decomposable" in said
    assert "1 of these 4 survive (25 % [1, 81])" in said
    assert "1 hold only in part or as a whole, 1 fail outright, 1 are not decided" in said
    assert said.endswith("Of 1 in which no part fires, 1 hold as a whole.")


def test_without_any_such_label_the_headline_says_so(tests: pd.DataFrame) -> None:
    assert "calls none of 2 labels" in verdict_summary.headline(tests[tests["published_count"] != EVERY_PART])
    assert "No label" in verdict_summary.headline(tests.iloc[6:])


def test_the_cross_table_adds_up_to_the_labels_measured(tests: pd.DataFrame) -> None:
    html = verdict_summary.crosstab_html(tests)
    assert "NOT-PROPOSED" not in html
    rows = [[int(c) for c in re.findall(r"<td>(\d+)</td>", row)] for row in html.split("<tr>")[2:]]
    assert [row[-1] for row in rows] == [sum(row[:-1]) for row in rows] == [4, 1, 1]


def test_a_class_shows_its_share_and_that_of_swapped_labels() -> None:
    rates = pd.DataFrame(
        {
            "kind": ["LABEL-FAILS", "UNTESTABLE"], "n": [3, 1], "share": [0.3, 0.1], "share_lo": [0.1, 0.0],
            "share_hi": [0.6, 0.4], "n_swapped": [18, 2], "swapped_share": [0.9, np.nan],
            "swapped_lo": [0.7, np.nan], "swapped_hi": [1.0, np.nan],
        }
    )  # fmt: skip
    html = verdict_summary.classes_html(rates)
    assert "<td>3 · 30 % [10, 60]</td><td>18 · 90 % [70, 100]</td>" in html
    assert "<td>2, left out</td>" in html
    assert 'p-s-up" style="left:30.00%"' in html
    assert 'p-s-open" style="left:90.00%"' in html


def test_agreement_is_kappa_with_its_interval_or_nothing() -> None:
    kinds = ["ALL-PARTS", "LABEL-FAILS"] * 10
    twice = pd.DataFrame({"test": range(20), "kind": kinds, "kind_again": kinds})
    assert "20 labels, 100 % agree, kappa 1.0 [" in verdict_summary.agreement_text(twice)
    assert verdict_summary.agreement_text(twice.iloc[:0]) == ""


def test_false_claims_stand_beside_what_holds(tests: pd.DataFrame) -> None:
    rates = pd.DataFrame({"kind": ["ALL-PARTS"], "swapped_share": [0.02], "swapped_lo": [0.0], "swapped_hi": [0.1]})
    facts = verdict_summary.summary_facts(tests, rates, {"n": 50, "share": 0.04, "lo": 0.005, "hi": 0.14})
    by_label = {f.label: f for f in facts}
    assert by_label["false claims"].value == "4.0 % [0, 14]"
    assert by_label["labels that hold"].value == "1 of 6"
    assert "swapped labels: 2.0 % [0, 10]" in by_label["labels that hold"].note
    assert verdict_summary.summary_facts(tests, rates)[1].value == "not measured"


def test_without_controls_no_fact_or_table_speaks_of_them(tests: pd.DataFrame) -> None:
    bare = tests.assign(kind="UNDECIDED", theta5=np.nan)
    rates = pd.DataFrame({"kind": ["UNDECIDED"], "n": [7], "share": [1.0], "share_lo": [0.6], "share_hi": [1.0],
                          "n_swapped": [0], "swapped_share": [np.nan], "swapped_lo": [np.nan],
                          "swapped_hi": [np.nan]})  # fmt: skip
    facts = verdict_summary.summary_facts(bare, rates)
    assert [f.label for f in facts] == ["labels tested", "labels that hold or fail"]
    assert facts[1].value == "not measured"
    assert "swap" not in str(facts) + verdict_summary.classes_html(rates)
    table = verdict_summary.crosstab_html(bare)
    assert "no control phrases were measured" in table
    assert "with controls" not in table


def test_labels_of_which_none_got_phrases_are_not_called_uncontrolled(tests: pd.DataFrame) -> None:
    failed = tests.assign(kind="NOT-PROPOSED", theta5=np.nan)
    assert not verdict_summary.uncontrolled(failed)
    assert verdict_summary.headline(tests.iloc[6:]) == "No label of this result was measured."
    said = verdict_summary.headline(tests.iloc[6:].assign(reason="key refused: 401"))
    assert said == "No label of this result was measured: key refused: 401."


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [("worst first", 1, 6), ("best first", 5, 6), ("feature", 0, 6), ("densest first", 4, 5), ("class", 0, 6)],
)
def test_orders_put_what_was_not_measured_last(tests: pd.DataFrame, order: str, first: int, last: int) -> None:
    found = verdict_list.ordered(tests, order)["test"].tolist()
    assert (found[0], found[-1], len(found)) == (first, last, len(tests))


def test_filters_are_literal_and_ranges_leave_out_what_was_not_measured(tests: pd.DataFrame) -> None:
    def ids(*args: object) -> list[int]:
        return verdict_list.inside(tests, *args)["test"].tolist()  # type: ignore[arg-type]

    assert ids("LABEL-FAILS", "any", "", None, None) == [1, 2]
    assert ids("any", "y", "", None, None) == [3, 4, 5, 6]
    assert ids("any", "any", "LABEL 3", None, None) == [3]
    assert ids("any", "any", ".*", None, None) == []
    assert ids("any", "any", "", 0.01, 0.2) == [0, 1, 6]


def test_rows_escape_labels_and_link_by_test(tests: pd.DataFrame) -> None:
    rows = [{str(k): v for k, v in r.items()} for r in tests.to_dict("records")]
    html = verdict_rows.labels_html(rows, [Plot((), None, None)] * 7, lambda r: f"feature?x={r['test']}&y", "t")
    assert "<b>label" not in html
    assert '<a href="feature?x=3&amp;y" target="_self" data-feature="3">3</a>' in html
    assert "+90 points" in html
    assert "not measured" in html


@pytest.mark.parametrize(
    ("label", "kind"),
    [("region=code", "region"), ("cats", "one word"), ("the word on", "2 to 4 words"), ("", "no words"),
     ("words about the weather in spring", "5 words or more"), ("x = y + z", "5 words or more")],
)  # fmt: skip
def test_labels_are_of_a_kind(label: str, kind: str) -> None:
    assert verdict_charts.label_kind(label) == kind


def test_the_strip_has_every_measured_test_once_with_its_number(tests: pd.DataFrame) -> None:
    figure = verdict_charts.strip(tests, "density")
    marks = sorted(int(i) for trace in figure.data for i in trace.customdata)
    assert marks == [0, 1, 3, 4, 6]  # 2 has density 0, which a log axis cannot show; 5 was not measured
    assert "&lt;b>" in figure.data[0].hovertext[0]
    assert "Median density by class" in verdict_charts.strip_alt(tests, "density")
    assert verdict_charts.shares_table(tests, "label source")["labels"].tolist() == [4, 3]
