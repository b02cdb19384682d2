"""Firing at random: by length, by token, and means of rates."""

from __future__ import annotations

import numpy as np
import pytest

from core.maths.hypothesis_rates import by_length, mean_interval, token_share


def test_longer_texts_fire_more_and_all_together_as_often_as_seen() -> None:
    lengths = np.array([5, 5, 10, 20, 40, 80])
    expected = by_length(lengths, 3)
    assert expected.sum() == pytest.approx(3, abs=1e-6)
    assert (np.diff(expected[1:]) > 0).all()
    assert by_length(lengths, 6).tolist() == [1] * 6
    assert by_length(lengths, 0) == pytest.approx(np.zeros(6), abs=1e-6)


def test_by_length_gives_the_chances_of_random_tokens() -> None:
    rng = np.random.default_rng(0)
    lengths = np.repeat([4, 16, 64], 4000)
    fired = rng.random(len(lengths)) < 1 - (1 - 0.03) ** lengths
    expected = by_length(lengths, int(fired.sum())).reshape(3, -1)[:, 0]
    np.testing.assert_allclose(expected, fired.reshape(3, -1).mean(1), atol=0.03)


def test_the_mean_of_two_rates_is_surer_than_either() -> None:
    lo, hi = mean_interval(0.8, (0.7, 0.9), 0.6, (0.5, 0.7))
    assert (lo + hi) / 2 == pytest.approx(0.7)
    assert hi - lo == pytest.approx(0.2 / np.sqrt(2))


def test_token_shares_have_no_interval_below_ten_texts_and_none_is_a_point() -> None:
    assert np.isnan(token_share(np.array([1, 0, 2]), np.array([10, 10, 10]), 0)[1])
    share, lo, hi = token_share(np.full(30, 4), np.full(30, 4), 0)
    assert (share, hi) == (1, 1)
    assert lo == pytest.approx(1 - 3.7 / 30, abs=0.02)
    share, lo, hi = token_share(np.zeros(30, int), np.full(30, 4), 0)
    assert (share, lo) == (0, 0)
    assert hi > 0.05
    assert np.isnan(token_share(np.zeros(3, int), np.zeros(3, int), 0)).all()
