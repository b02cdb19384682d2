"""Intervals of a density against Clopper-Pearson, against planted truth, and in their edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from core.maths import bootstrap
from core.maths.bootstrap import DocumentBootstrap, document_counts
from core.maths.statistics import rule_of_three


def intervals(boot: DocumentBootstrap, counts: np.ndarray) -> np.ndarray:
    """Intervals of dense ``counts [n_features, n_documents]``."""
    feature, document = np.nonzero(counts)
    ptr = np.searchsorted(feature, np.arange(len(counts) + 1))
    return boot.intervals(ptr, document.astype(np.int32), counts[feature, document].astype(np.int64))


def lengths_of(n: int, rng: np.random.Generator) -> np.ndarray:
    """Documents of very unequal length: lognormal, 10 to 2000 positions."""
    return np.clip(rng.lognormal(5, 0.8, n), 10, 2000).astype(int)


def simulate(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Counts ``[100 features, n]``, lengths and the true density of a planted kind of feature."""
    lengths = lengths_of(n, rng)
    if kind == "poisson":
        return rng.poisson(0.01 * lengths, (100, n)), lengths, 0.01
    if kind == "rare":
        return rng.poisson(0.0005 * lengths, (100, n)), lengths, 0.0005
    if kind == "dense":
        return rng.binomial(lengths, rng.beta(3, 3, (100, n))), lengths, 0.5
    burst = rng.random((100, n)) < 0.3
    return burst * rng.binomial(lengths, rng.beta(1, 4, (100, n))), lengths, 0.3 * 0.2


def coverage(kind: str, n: int, repeats: int) -> tuple[float, float]:
    """Shares of intervals that lie wholly above and wholly below the truth."""
    rng, above, below = np.random.default_rng([n, len(kind)]), 0.0, 0.0
    for seed in range(repeats):
        counts, lengths, truth = simulate(kind, n, rng)
        got = intervals(DocumentBootstrap.over(lengths, seed), counts)
        above += (got[:, 0] > truth).mean() / repeats
        below += (got[:, 1] < truth).mean() / repeats
    return above, below


@pytest.mark.parametrize("kind", ["poisson", "rare", "dense", "burst"])
def test_intervals_hold_the_planted_density_in_about_95_percent(kind):
    above, below = coverage(kind, 100, 20)
    assert above < 0.045
    assert below < 0.06
    assert above + below > 0.002, "intervals that never miss are too wide to say anything"


def test_an_interval_of_positions_would_miss_bursts_which_that_of_documents_holds():
    rng = np.random.default_rng(1)
    counts, lengths, truth = simulate("burst", 100, rng)
    by_position = np.array([binomtest(int(c.sum()), int(lengths.sum())).proportion_ci(0.95) for c in counts])
    held = ((by_position[:, 0] <= truth) & (truth <= by_position[:, 1])).mean()
    got = intervals(DocumentBootstrap.over(lengths, 0), counts)
    assert held < 0.5
    assert ((got[:, 0] <= truth) & (truth <= got[:, 1])).mean() > 0.85


@pytest.mark.parametrize("k", [1, 3, 20, 200, 400])
def test_interval_of_a_share_of_equal_documents_is_nearly_clopper_pearson(k):
    n = 400
    counts = np.zeros((1, n), int)
    counts[0, :k] = 1
    got = intervals(DocumentBootstrap.over(np.ones(n), 0, 20_000), counts)[0]
    exact = binomtest(k, n).proportion_ci(0.95)
    np.testing.assert_allclose(got, [exact.low, exact.high], rtol=0.06)


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 40), st.data())
def test_interval_contains_the_observed_density_and_stays_between_0_and_1(n, data):
    lengths = np.array(data.draw(st.lists(st.integers(1, 50), min_size=n, max_size=n)))
    counts = np.array([[data.draw(st.integers(0, int(length))) for length in lengths]])
    low, high = intervals(DocumentBootstrap.over(lengths, 3), counts)[0]
    assert 0 <= low <= counts.sum() / lengths.sum() <= high <= 1


def test_without_firings_the_upper_end_is_the_rule_of_three_over_documents():
    for n in (1, 9, 10, 500):
        got = intervals(DocumentBootstrap.over(np.full(n, 100), 0), np.zeros((1, n), int))
        assert got.tolist() == [[0.0, rule_of_three(n)]]


def test_below_ten_documents_a_firing_feature_has_no_interval():
    counts = np.ones((1, 9), int)
    assert np.isnan(intervals(DocumentBootstrap.over(np.full(9, 100), 0), counts)).all()
    assert np.isfinite(intervals(DocumentBootstrap.over(np.full(10, 100), 0), np.ones((1, 10), int))).all()


def test_intervals_follow_from_the_seed_and_not_from_the_features_beside():
    rng = np.random.default_rng(0)
    counts, lengths, _ = simulate("burst", 60, rng)
    boot = DocumentBootstrap.over(lengths, 7)
    whole = intervals(boot, counts)
    np.testing.assert_array_equal(whole, intervals(DocumentBootstrap.over(lengths, 7), counts))
    np.testing.assert_array_equal(whole[40:50], intervals(boot, counts[40:50]))
    assert (whole != intervals(DocumentBootstrap.over(lengths, 8), counts)).any()


def test_documents_weighted_in_groups_give_intervals_of_the_same_width(monkeypatch):
    rng = np.random.default_rng(0)
    counts, lengths, _ = simulate("poisson", 2000, rng)
    whole = intervals(DocumentBootstrap.over(lengths, 0), counts)
    monkeypatch.setattr(bootstrap, "MAX_GROUPS", 500)
    grouped = DocumentBootstrap.over(lengths, 0)
    assert grouped.weights.shape == (501, bootstrap.N_DRAWS)
    ratio = np.diff(intervals(grouped, counts)) / np.diff(whole)
    assert ratio.mean() == pytest.approx(1, abs=0.05)


def test_document_counts_gather_a_documents_contexts_wherever_they_lie():
    document = np.array([2, 0, 2, 1])
    context = np.array([0, 0, 2, 3, 1, 3, 3], np.int32)
    ptr, documents, counts = document_counts(np.array([0, 4, 4, 7]), context, document)
    assert ptr.tolist() == [0, 2, 2, 4]
    assert documents.tolist() == [2, 1, 0, 1]
    assert counts.tolist() == [3, 1, 1, 2]
