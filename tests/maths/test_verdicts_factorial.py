"""Logic of a feature: planted OR, AND, one facet, suppression and three-way conjunction are read as what they are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from core.maths.factorial import BOTH_NEEDED, NOTHING_MORE, OPEN, SUPPRESSED, factorial

R0, N = 0.05, 80


def planted(rng: np.random.Generator, rates, n: int = N, n_parts: int = 3):  # type: ignore[no-untyped-def]
    """Acts of phrases that hold a set of parts; ``rates(set)`` is the true firing rate."""

    def acts(parts: set[int], size: int) -> np.ndarray:
        return (rng.random(size) < rates(parts)).astype(float)

    return factorial(
        [acts({s}, n) for s in range(n_parts)],
        {pair: acts(set(pair), n) for pair in combinations(range(n_parts), 2)},
        acts(set(range(n_parts)), n),
        0.5,
        R0,
    )


def rate_or(parts: set[int]) -> float:
    return 1 - (1 - R0) * 0.15 ** len(parts)


CASES = {
    "OR": (rate_or, NOTHING_MORE),
    "AND of two": (lambda parts: 0.9 if {0, 1} <= parts else R0, BOTH_NEEDED),
    "facet": (lambda parts: 0.9 if 0 in parts else R0, NOTHING_MORE),
    "suppression": (lambda parts: 0.05 if {0, 1} <= parts else 0.9 if 0 in parts else R0, SUPPRESSED),
    "nothing": (lambda parts: R0, NOTHING_MORE),
}


@pytest.mark.parametrize("name", CASES)
def test_planted_logic_of_the_first_pair_is_read_in_at_least_90_percent(name: str) -> None:
    rates, expected = CASES[name]
    rng = np.random.default_rng(0)
    logic = [planted(rng, rates).pairs[0].logic for _ in range(100)]
    assert logic.count(expected) >= 90


@pytest.mark.parametrize("name", ["OR", "facet", "nothing"])
def test_pairs_without_interaction_are_rarely_read_as_one(name: str) -> None:
    rng = np.random.default_rng(1)
    runs = [planted(rng, CASES[name][0], n=12) for _ in range(200)]
    wrong = sum(any(p.logic in (BOTH_NEEDED, SUPPRESSED) for p in run.pairs) for run in runs)
    assert wrong <= 0.05 * 200


def test_intervals_cover_main_effects_and_interactions() -> None:
    rng = np.random.default_rng(2)
    inside = np.zeros(3)
    truth = rate_or({0, 1}) - 2 * rate_or({0}) + R0
    for _ in range(300):
        run = planted(rng, rate_or, n=20)
        pair, main = run.pairs[0], run.main[0]
        inside += (
            main.effect.lo <= rate_or({0}) - R0 <= main.effect.hi,
            pair.interaction.lo <= truth <= pair.interaction.hi,
            pair.beyond_either.lo <= 0 <= pair.beyond_either.hi,
        )
    assert np.all(inside / 300 > 0.93)


def test_two_sufficient_parts_have_a_negative_interaction_and_nothing_beyond_either() -> None:
    pair = planted(np.random.default_rng(3), rate_or, n=400).pairs[0]
    assert pair.interaction.hi < -0.5
    assert abs(pair.beyond_either.value) < 0.05


def test_three_way_conjunction_shows_only_beyond_pairs() -> None:
    run = planted(np.random.default_rng(4), lambda parts: 0.9 if len(parts) == 3 else R0)
    assert {p.logic for p in run.pairs} <= {NOTHING_MORE, OPEN}
    assert run.whole_beyond_pairs.lo > 0.5


def test_intervals_never_collapse_where_everything_or_nothing_fires() -> None:
    run = factorial([np.zeros(3), np.zeros(3)], {(0, 1): np.ones(3)}, np.ones(3), 0.5, R0)
    pair = run.pairs[0]
    assert pair.interaction.value == pytest.approx(1 + R0)
    assert pair.interaction.lo < 0.1
    assert pair.logic == OPEN  # three phrases are not enough to say that both are needed


def test_parts_and_pairs_without_phrases_are_left_out() -> None:
    nothing = np.full(4, np.nan)
    run = factorial([np.ones(4), nothing, np.zeros(4)], {(2, 0): np.ones(4), (0, 1): np.ones(4)}, nothing, 0.5, R0)
    assert [m.part for m in run.main] == [0, 2]
    assert [p.parts for p in run.pairs] == [(0, 2)]
    assert run.whole_beyond_pairs is None
    assert factorial([np.ones(4)], {}, np.ones(4), 0.5, R0).pairs == ()
