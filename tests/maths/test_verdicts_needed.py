"""The n that would decide: above the present n, smaller for clearer rates, and borne out by fresh tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.maths.control_bank import ControlBank
from core.maths.phrases_needed import SIZES, _adjusted_up, _present_from, phrases_needed
from core.maths.rates import adjust, upper_limit
from core.maths.verdict_rules import CLASSES, DECISIVE, Counts, Rules, decide
from tests.maths.verdict_worlds import Profile, counts, fired


def with_counts(parts: list[int], whole: int, n: int = 12, n_features: int = 1) -> Counts:
    base = counts(Profile((0.05,) * 5, 0.05, ""), n_features)
    return replace(
        base,
        parts_fired=np.tile(parts, (n_features, 1)),
        parts_n=np.full((n_features, 5), n),
        whole_fired=np.full(n_features, whole),
        own_fired=np.full(n_features, 36),
    )


@pytest.mark.parametrize("correction", ["hochberg", "holm"])
def test_planning_on_counts_adjusts_as_verdicts_do_on_p(correction: str) -> None:
    rng = np.random.default_rng(0)
    bank = ControlBank(fired(rng, 0.1, (40, 300), 12, 0.1), 12)
    hits = rng.integers(0, 9, (40, 50, 5))
    p = bank.p_values(12)
    critical = np.stack([(p > 0.05 / (5 - j)).sum(axis=1) for j in range(5)], axis=1)
    expected = adjust(np.take_along_axis(p, hits.reshape(40, -1), 1).reshape(hits.shape), correction) <= 0.05
    assert np.array_equal(_adjusted_up(hits, critical, correction), expected)
    assert 0.02 < expected.mean() < 0.98


@pytest.mark.parametrize("n", [12, 60, 1000])
def test_planning_calls_absent_what_the_limit_of_verdicts_calls_absent(n: int) -> None:
    for limit in (0.1, 0.2625, 0.5, 1.0):
        absent = upper_limit(np.arange(n + 1), np.full(n + 1, n)) < limit
        assert np.array_equal(np.arange(n + 1) < _present_from(n, np.array([limit]), Rules())[0], absent)


def test_clearer_rates_need_fewer_phrases() -> None:
    needed = [int(phrases_needed(with_counts([k] * 5, 30), Rules())[0]) for k in (6, 4, 3)]
    assert 12 < needed[0] <= needed[1] <= needed[2] <= 200
    assert needed[0] < needed[2]


def test_part_rates_that_many_controls_reach_and_that_are_not_absent_are_not_decided_by_any_n() -> None:
    bank = ControlBank(np.r_[np.zeros(240, int), np.full(60, 5)][None], 12)  # a fifth of the controls fires at 5 of 12
    assert phrases_needed(replace(with_counts([4] * 5, 30), bank=bank), Rules())[0] == -1


def test_no_phrases_in_a_part_or_for_the_whole_have_no_answer() -> None:
    c = with_counts([6] * 5, 30)
    assert phrases_needed(replace(c, parts_n=np.array([[12, 12, 12, 12, 0]])), Rules())[0] == -1
    assert phrases_needed(replace(c, whole_n=np.array([0]), whole_fired=np.array([0])), Rules())[0] == -1


def test_answer_is_above_the_present_n_and_the_same_in_any_company_and_order_of_parts() -> None:
    c = with_counts([7, 6, 5, 4, 3], 30, n=20)
    alone = phrases_needed(c, Rules())[0]
    assert alone in SIZES
    assert alone > 20
    three = replace(
        with_counts([7, 6, 5, 4, 3], 30, n=20, n_features=3),
        parts_fired=np.array([[3, 4, 5, 6, 7], [1] * 5, [7, 6, 5, 4, 3]]),
        bank=ControlBank(np.repeat(c.bank.fired, 3, axis=0), 12),
        whole_bank=ControlBank(np.repeat(c.whole_bank.fired, 3, axis=0), 40),
    )
    company = phrases_needed(three, Rules())
    assert company[0] == company[2] == alone


@pytest.mark.parametrize("parts", [(5 / 12,) * 5, (3 / 12,) * 5, (6 / 12, 4 / 12, 0, 0, 0)])
def test_fresh_tests_at_the_answer_decide_in_at_least_75_percent_and_with_half_the_phrases_less(
    parts: tuple[float, ...],
) -> None:
    needed = int(phrases_needed(with_counts([round(12 * p) for p in parts], 32), Rules())[0])
    assert needed > 0

    def decisive(n: int) -> float:
        rng = np.random.default_rng(7)
        size, n_whole = 200, int(np.ceil(n * 40 / 12))
        fresh = Counts(
            parts_fired=fired(rng, np.array(parts), (size, 5), n, 0.0),
            parts_n=np.full((size, 5), n),
            whole_fired=rng.binomial(n_whole, 0.8, size),
            whole_n=np.full(size, n_whole),
            own_fired=np.full(size, 36),
            own_n=np.full(size, 40),
            bank=ControlBank(fired(rng, 0.05, (size, 300), n, 0.0), n),  # real control groups of that size
            whole_bank=ControlBank(fired(rng, 0.05, (size, 300), n_whole, 0.0), n_whole),
            ever_fires=np.ones(size, bool),
        )
        return float(np.isin(decide(fresh, Rules()).classes, [CLASSES.index(c) for c in DECISIVE]).mean())

    assert decisive(needed) >= 0.75
    assert decisive(max(needed // 2, 5)) < decisive(needed)
