"""Constructed features whose fate is known: exact, split, merged, absorbed, noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from core.maths import matching as m

N_DOCUMENTS, N_PER_DOCUMENT = 120, 25
N = N_DOCUMENTS * N_PER_DOCUMENT


def _units(features: list[np.ndarray], concepts: list[np.ndarray]) -> m.Units:
    acts = np.stack([np.asarray(f, dtype=np.float32) for f in features], axis=1)
    truth = np.stack(concepts, axis=1)
    return m.Units(
        sparse.csc_matrix(acts),
        sparse.csc_matrix(truth),
        np.repeat(np.arange(N_DOCUMENTS), N_PER_DOCUMENT),
        np.tile(np.arange(N_PER_DOCUMENT), N_DOCUMENTS),
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def _mask(rng: np.random.Generator, p: float) -> np.ndarray:
    return rng.random(N) < p


def _run(
    units: m.Units, names: list[str], kinds: list[str] | None = None
) -> tuple[pd.DataFrame, dict[str, tuple[str, list[int], list[str]]]]:
    truth = m.match_concepts(units, names, kinds or ["kind"] * len(names), "token", n_boot=50)
    frame = m.classify_concepts(units, truth, names)
    return truth, {r.concept: (r.outcome, r.features, r.partners) for r in frame.itertuples()}


def _single(truth: pd.DataFrame, concept: str) -> pd.Series:
    return truth[(truth.concept == concept) & (truth.form == "single")].iloc[0]


def test_exact_feature_is_found_with_f1_one_and_a_low_null(rng: np.random.Generator) -> None:
    a, b = _mask(rng, 0.05), _mask(rng, 0.1)
    truth, outcome = _run(_units([_mask(rng, 0.05), a, b], [a, b]), ["a", "b"])
    row = _single(truth, "a")
    assert (row.feature, row.f1, row.precision, row.recall) == (1, 1.0, 1.0, 1.0)
    assert row.f1_lo == row.f1_hi == 1.0
    assert row.f1_null < 0.15
    assert outcome["a"] == ("found", [1], [])


def test_threshold_is_chosen_on_one_half_and_helps_on_the_other(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.1)
    act = np.where(a, 2 + rng.random(N), 0) + np.where(_mask(rng, 0.3) & ~a, rng.random(N), 0)
    row = _single(_run(_units([act], [a]), ["a"])[0], "a")
    assert 1 <= row.threshold <= 2
    assert row.f1 > 0.99


def test_best_threshold_agrees_with_trying_every_cut(rng: np.random.Generator) -> None:
    for _ in range(20):
        acts = np.round(rng.random(40), 1) + 0.1
        true = rng.random(40) < acts
        n_true = int(true.sum()) + 3
        threshold, f1 = m.best_threshold(acts, true, n_true)
        cuts = [0.0, *np.unique(acts)]
        tried = [2 * (true & (acts > c)).sum() / ((acts > c).sum() + n_true) for c in cuts]
        assert f1 == pytest.approx(max(tried))
        fired = acts > threshold
        assert f1 == pytest.approx(2 * (true & fired).sum() / (fired.sum() + n_true))


def test_two_halves_of_a_concept_are_split_and_or_finds_it(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.1)
    part = _mask(rng, 0.5)
    truth, outcome = _run(_units([a & part, a & ~part, _mask(rng, 0.1)], [a]), ["a"])
    either = truth[(truth.form == "or")].iloc[0]
    assert {either.feature, either.feature_b} == {0, 1}
    assert either.f1 == 1.0
    assert _single(truth, "a").f1 < 0.8
    assert outcome["a"][0] == "split"
    assert set(outcome["a"][1]) == {0, 1}


def test_three_parts_are_split_though_no_pair_suffices(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.15)
    third = rng.integers(0, 3, N)
    truth, outcome = _run(_units([a & (third == i) for i in range(3)], [a]), ["a"])
    assert truth[truth.form == "or"].iloc[0].f1 < 0.85
    assert outcome["a"][0] == "split"
    assert len(outcome["a"][1]) == 3


def test_conjunction_is_found_by_and_of_two(rng: np.random.Generator) -> None:
    a, b = _mask(rng, 0.3), _mask(rng, 0.3)
    truth, _ = _run(_units([a, b, _mask(rng, 0.09)], [a & b]), ["both"])
    pair = truth[truth.form == "and"].iloc[0]
    assert {pair.feature, pair.feature_b} == {0, 1}
    assert pair.f1 == 1.0


def test_one_feature_for_two_concepts_of_a_kind_is_merged(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.1)
    b = _mask(rng, 0.1) & ~a
    outcome = _run(_units([a | b, _mask(rng, 0.1)], [a, b]), ["a", "b"])[1]
    assert outcome["a"] == ("merged", [0], ["b"])
    assert outcome["b"] == ("merged", [0], ["a"])


def test_general_feature_silent_where_a_particular_one_fires_is_absorbed(rng: np.random.Generator) -> None:
    general = _mask(rng, 0.2)
    particular = general & _mask(rng, 0.5)
    units = _units([general & ~particular, particular], [general, particular])
    outcome = _run(units, ["German", "Mara"], ["nationality", "entity"])[1]
    assert outcome["German"] == ("absorbed", [0, 1], ["Mara"])
    assert outcome["Mara"][0] == "found"


def test_noise_is_not_found_and_scores_like_its_null(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.1)
    truth, outcome = _run(_units([_mask(rng, 0.1) for _ in range(6)], [a]), ["a"])
    row = _single(truth, "a")
    assert outcome["a"][0] == "not found"
    assert abs(row.f1 - row.f1_null) < 0.1
    assert row.f1_lo <= row.f1 <= row.f1_hi


def test_scored_half_is_unseen_by_the_choice(rng: np.random.Generator) -> None:
    """A feature that is right in the selected half only must score badly."""
    a = _mask(rng, 0.1)
    even = np.repeat(np.arange(N_DOCUMENTS) % 2 == 0, N_PER_DOCUMENT)
    row = _single(_run(_units([a & even, a & ~even], [a]), ["a"])[0], "a")
    assert row.feature == 0
    assert row.f1 == 0.0


def test_shift_keeps_density_and_place_but_not_the_document(rng: np.random.Generator) -> None:
    units = _units([_mask(rng, 0.1)], [_mask(rng, 0.1)])
    moved = m.shift_documents(units, 7)
    before = units.acts.toarray().reshape(N_DOCUMENTS, N_PER_DOCUMENT)
    after = moved.acts.toarray().reshape(N_DOCUMENTS, N_PER_DOCUMENT)
    assert np.array_equal(np.roll(before, 7, axis=0), after)


def test_interval_covers_the_true_f1_of_a_noisy_feature(rng: np.random.Generator) -> None:
    """Hits 70 % of the concept and as many misses: F1 is .7 in expectation."""
    covered = 0
    for _ in range(40):
        a = _mask(rng, 0.1)
        f = np.where(a, rng.random(N) < 0.7, rng.random(N) < 0.1 * 0.3 / 0.9)
        row = _single(m.match_concepts(_units([f], [a]), ["a"], ["k"], "token", n_shifts=1), "a")
        covered += row.f1_lo <= 0.7 <= row.f1_hi
    assert covered >= 33


def test_unmatched_features_are_named_and_dead_ones_have_no_precision(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.1)
    everywhere = _mask(rng, 0.9)
    frame = m.unmatched_features(_units([a, _mask(rng, 0.1), np.zeros(N)], [a, everywhere]))
    assert frame.matched.tolist() == [True, False, False]
    assert frame.concept.tolist()[0] == 0
    assert frame.concept.tolist()[2] == -1
    assert np.isnan(frame.precision[2])


def test_concept_that_never_holds_has_no_rows(rng: np.random.Generator) -> None:
    truth, outcome = _run(_units([_mask(rng, 0.1)], [_mask(rng, 0.1), np.zeros(N, dtype=bool)]), ["a", "never"])
    assert set(truth.concept) == {"a"}
    assert "never" not in outcome
