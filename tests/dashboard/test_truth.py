"""Planted truth in words and figures, by value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.truths import truth_charts, truth_facts
from dashboard.truths.truth_data import Known, Rule, chosen_forms
from tests.dashboard.conftest import HOSTILE

NAN = float("nan")


def _truth(rows: list[tuple[str, str, str, int, int | None, float, float]]) -> pd.DataFrame:
    """Rows of the table from (concept, level, form, feature, feature_b, F1, F1 on the half chosen on)."""
    columns = ["concept", "level", "form", "feature", "feature_b", "f1", "f1_chosen"]
    frame = pd.DataFrame(rows, columns=columns).astype({"feature_b": "Int32"})
    known = {"kind": "colour", "f1_lo": 0.1, "f1_hi": 0.99, "f1_null": 0.02, "precision": 0.5, "recall": 0.5}
    return frame.assign(coverage=np.where(frame["level"] == "span", 0.25, NAN), **known)


@pytest.fixture
def truth() -> pd.DataFrame:
    return _truth(
        [
            ("colour=red", "token", "single", 1, None, 0.9, 0.8),
            ("colour=red", "token", "or", 1, 2, 0.7, 0.85),
            ("colour=blue", "token", "single", 3, None, 0.5, 0.5),
            ("colour=red", "span", "single", 4, None, 1.0, 1.0),
        ]
    )


@pytest.fixture
def concepts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "concept": ["colour=red", "colour=blue", "colour=grey"],
            "kind": "colour",
            "prevalence": 0.01,
            "outcome": ["found", "merged", None],
            "outcome_null": ["not found", "found", None],
            "features": [[1], [3], []],
            "partners": [[], ["colour=red"], []],
        }
    )


def _known(**changes: object) -> Known:
    values = {"concept": "colour=red", "precision": 0.9, "recall": 0.8, "f1": 0.85, "matched": True,
              "n_documents": 40, "outcomes": (), "rules": ()} | changes  # fmt: skip
    return Known(**values)  # type: ignore[arg-type]


def test_a_matched_feature_names_its_concept_and_scores() -> None:
    rule = Rule("colour=red", "token", "single", None, 0.85, 0.8, 0.9, 0.01, NAN)
    html = truth_facts.feature_html(_known(rules=(rule,)))
    assert "stands for colour=red (precision 0.900, recall 0.800, F1 0.850)" in html
    assert "best for colour=red: F1 0.850 [0.800, 0.900], chance 0.0100, by token" in html


def test_an_unmatched_feature_is_said_to_be_unmatched() -> None:
    assert "unmatched; of all planted concepts it is nearest to colour=red" in truth_facts.feature_html(
        _known(matched=False)
    )


@pytest.mark.parametrize(("n", "said"), [(0, "silent"), (4, "too few documents (4 of the scored half)")])
def test_a_feature_that_cannot_be_judged_says_why(n: int, said: str) -> None:
    assert said in truth_facts.feature_html(_known(concept=None, matched=False, n_documents=n))


def test_a_run_without_truth_says_nothing() -> None:
    assert truth_facts.feature_html(None) == ""


def test_a_pair_names_the_other_feature_and_a_span_its_coverage() -> None:
    text = truth_facts.rule_text(Rule("x", "span", "or", 12, 0.9, 0.8, 1.0, 0.1, 0.25))
    assert text.startswith("best for x with feature 12 (OR): F1 0.900 [0.800, 1.00], chance 0.100, ")
    assert text.endswith(", by span, firing on 25 % of its tokens")


def test_concepts_of_strangers_are_escaped() -> None:
    rule = Rule(HOSTILE, "token", "single", None, 0.8, 0.8, 0.8, 0.0, NAN)
    html = truth_facts.feature_html(_known(concept=HOSTILE, rules=(rule,), outcomes=(("split", HOSTILE),)))
    assert "<img" not in html
    assert "\u202e" not in html


def test_long_lists_are_cut_with_their_number() -> None:
    rules = tuple(Rule(f"c{i}", "token", "single", None, 0.8, 0.8, 0.8, 0.0, NAN) for i in range(9))
    assert "and 5 more, see Planted truth" in truth_facts.feature_html(_known(rules=rules))


def test_the_form_is_chosen_by_the_half_it_was_chosen_on(truth: pd.DataFrame, concepts: pd.DataFrame) -> None:
    """Not by its score, which would choose what happened to score well."""
    assert chosen_forms(truth).set_index(["concept", "level"])["form"]["colour=red", "token"] == "or"
    table = truth_charts.concepts_table(concepts, truth, "token").set_index("concept")
    assert table.loc["colour=red", ["feature", "F1", "best form", "OR of", "OR F1"]].tolist() == [
        1,
        0.9,
        "or",
        "1, 2",
        0.7,
    ]
    assert table.loc["colour=grey", "outcome"] == "too rare to judge"
    assert pd.isna(table.loc["colour=grey", "F1"])


def test_coverage_stands_beside_span_scores_only(truth: pd.DataFrame, concepts: pd.DataFrame) -> None:
    assert truth_charts.concepts_table(concepts, truth, "span")["coverage"].iloc[0] == 0.25
    assert "coverage" not in truth_charts.concepts_table(concepts, truth, "token")
    html = truth_facts.kinds_html(truth)
    assert "<td>25\u00a0%</td></tr>" in html
    assert html.count(">chance<") == 4


def test_no_judged_concept_gives_an_empty_table_and_a_sentence(truth: pd.DataFrame, concepts: pd.DataFrame) -> None:
    rare = concepts.assign(outcome=None, outcome_null=None)
    assert "none frequent enough to judge" in truth_facts.says(rare)
    assert "<tbody></tbody>" in truth_facts.kinds_html(truth.head(0))
    assert truth_charts.concepts_table(rare, truth.head(0), "token")["F1"].isna().all()


def test_the_sentence_counts_outcomes_and_chance(concepts: pd.DataFrame) -> None:
    said = truth_facts.says(concepts)
    assert "Of 2 concepts: 1 found, 1 merged." in said
    assert "1 concept would seem to be there" in said
    assert "1 more are too rare" in said


def test_bars_carry_counts_as_text_and_hatching(concepts: pd.DataFrame) -> None:
    figure = truth_charts.outcome_bars(concepts.dropna(subset="outcome"))
    assert {bar.name: bar.text for bar in figure.data}["found"] == ("1",)
    assert len({bar.marker.pattern.shape for bar in figure.data}) == len(figure.data)
    assert sum(bar.x[0] for bar in figure.data) == pytest.approx(1)


def test_heatmap_names_rows_without_their_kind_and_carries_features() -> None:
    overlap = pd.DataFrame(
        {"concept": ["colour=red", "colour=red", "colour=blue"], "feature": [7, 3, 3], "precision": 0.5, "recall": 0.5,
         "f1": [0.9, 0.2, 0.6]}
    )  # fmt: skip
    figure = truth_charts.overlap_heatmap(overlap, ["colour=red", "colour=blue"], "colour")
    heat, points = figure.data
    assert heat.y == ("red", "blue")
    assert heat.x == ("7", "3")  # in the order of the concept each is best for
    assert heat.z.tolist() == [[0.9, 0.2], [0, 0.6]]
    assert list(zip(points.y, points.x, points.customdata, strict=True)) == [
        ("red", "7", 7),
        ("red", "3", 3),
        ("blue", "3", 3),
    ]
