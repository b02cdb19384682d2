"""Rank p of a group among control groups: exactness, its extensions to other n, and its error under the null."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from core.maths.control_bank import ControlBank
from tests.maths.verdict_worlds import fired


def test_rank_p_counts_control_groups_that_fire_as_often() -> None:
    bank = ControlBank(np.array([[0, 0, 0, 1, 1, 2, 5, 12, 0]]), 12)
    n = np.full((1, 4), 12)
    assert np.allclose(bank.p(np.array([[0, 1, 5, 12]]), n), [[1.0, 6 / 10, 3 / 10, 2 / 10]])


def test_smaller_groups_equal_thinning_every_control_group_in_all_ways() -> None:
    groups = np.random.default_rng(0).random((7, 5)) < 0.4
    bank = ControlBank(groups.sum(1)[None], 5)
    for n in (1, 2, 3, 4):
        for k in range(n + 1):
            kept = [g[list(c)].sum() >= k for g in groups for c in combinations(range(5), n)]
            assert bank.tail(n)[0, k] == pytest.approx(np.mean(kept))


@pytest.mark.parametrize("icc", [0.0, 0.1, 0.5])
def test_larger_groups_follow_the_beta_binomial_of_the_banks_rate_and_icc(icc: float) -> None:
    rng = np.random.default_rng(1)
    bank = ControlBank(fired(rng, 0.2, (3, 5000), 12, icc), 12)
    assert bank.rate == pytest.approx(0.2, abs=0.02)
    assert bank.icc == pytest.approx(icc, abs=0.05)
    for feature in range(3):
        m, rho = bank.rate[feature], bank.icc[feature]
        if rho > 0:
            law = betabinom(40, m * (1 / rho - 1), (1 - m) * (1 / rho - 1))
        else:
            law = binom(40, m)
        assert np.allclose(bank.tail(40)[feature], law.sf(np.arange(41) - 1), atol=1e-8)


def test_silent_bank_ranks_any_firing_group_first_at_every_n() -> None:
    bank = ControlBank(np.zeros((1, 300), int), 12)
    for n in (3, 12, 40):
        p = bank.p_values(n)[0]
        assert p[0] == 1
        assert np.allclose(p[1:], 1 / 301)


def test_full_bank_ranks_nothing_first() -> None:
    bank = ControlBank(np.full((1, 300), 12), 12)
    for n in (3, 12, 40):
        assert np.allclose(bank.p_values(n), 1.0)


@pytest.mark.parametrize("icc", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("n", [8, 12, 40])
def test_rank_p_is_at_most_alpha_in_at_most_a_share_alpha_of_null_groups(icc: float, n: int) -> None:
    rng = np.random.default_rng(2)
    bank = ControlBank(fired(rng, 0.1, (3000, 300), 12, icc), 12)
    p = bank.p(fired(rng, 0.1, (3000,), n, icc), np.full(3000, n))
    for alpha in (0.01, 0.05, 0.2):
        # 40 lies beyond the bank, where its law is estimated: a little more error is allowed there
        allowed = alpha * (1.3 if n > 12 else 1.0) + 3 * np.sqrt(alpha / 3000)
        assert np.mean(p <= alpha) <= allowed


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(1, 30))
@settings(max_examples=60)
def test_p_lies_in_zero_one_falls_with_the_count_and_critical_agrees(groups: list[int], n: int) -> None:
    bank = ControlBank(np.array([groups]), 12)
    p = bank.p_values(n)[0]
    assert p[0] == 1
    assert np.all((p > 0) & (p <= 1))
    assert np.all(np.diff(p) <= 1e-12)
    assert np.allclose(bank.p(np.arange(n + 1)[None], np.full((1, n + 1), n))[0], p)
    for alpha in (0.01, 0.05, 0.5):
        critical = bank.critical(n, alpha)[0]
        assert np.all(p[critical:] <= alpha)
        assert np.all(p[:critical] > alpha)


@given(st.permutations(list(range(12))))
@settings(max_examples=20)
def test_order_of_control_groups_does_not_matter(order: list[int]) -> None:
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 5, 5, 8, 12, 12])
    for n in (5, 12, 20):
        assert np.allclose(ControlBank(groups[None], 12).tail(n), ControlBank(groups[order][None], 12).tail(n))
