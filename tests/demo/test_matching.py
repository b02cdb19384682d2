"""Constructed features whose fate is known: exact, split, merged, absorbed, noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from core.maths import matching as m
from core.maths import matching_outcomes as outcomes
from core.maths.matching_thresholds import apply_thresholds, choose_thresholds
from core.maths.matching_units import Units, fires_above, shift_documents

N_DOCUMENTS, N_PER_DOCUMENT = 120, 25
N = N_DOCUMENTS * N_PER_DOCUMENT


def _units(features: list[np.ndarray], concepts: list[np.ndarray]) -> Units:
    acts = np.stack([np.asarray(f, dtype=np.float32) for f in features], axis=1)
    truth = np.stack(concepts, axis=1)
    return Units(
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
    units: Units, names: list[str], kinds: list[str] | None = None
) -> tuple[pd.DataFrame, dict[str, tuple[str, list[int], list[str]]]]:
    truth = m.match_concepts(units, names, kinds or ["kind"] * len(names), "token", n_boot=50)
    frame = outcomes.classify_concepts(units.half(0), units.half(1), truth, names)
    return truth, {r.concept: (r.outcome, r.features, r.partners) for r in frame.itertuples()}


def _single(truth: pd.DataFrame, concept: str) -> pd.Series:
    return truth[(truth.concept == concept) & (truth.form == "single")].iloc[0]


def test_exact_feature_is_found_with_f1_one_and_a_low_null(rng: np.random.Generator) -> None:
    a, b = _mask(rng, 0.05), _mask(rng, 0.1)
    truth, outcome = _run(_units([_mask(rng, 0.05), a, b], [a, b]), ["a", "b"])
    row = _single(truth, "a")
    assert (row.feature, row.f1, row.precision, row.recall) == (1, 1.0, 1.0, 1.0)
    assert 0.9 < row.f1_lo < row.f1_hi == 1.0  # no error seen is not no error
    assert row.f1_null < 0.15
    assert outcome["a"] == ("found", [1], [])


def test_threshold_is_chosen_on_one_half_and_helps_on_the_other(rng: np.random.Generator) -> None:
    a = _mask(rng, 0.1)
    act = np.where(a, 2 + rng.random(N), 0) + np.where(_mask(rng, 0.3) & ~a, rng.random(N), 0)
    row = _single(_run(_units([act], [a]), ["a"])[0], "a")
    assert 1 <= row.threshold <= 2
    assert row.f1 > 0.99


def test_thresholds_agree_with_trying_every_cut(rng: np.random.Generator) -> None:
    """Also where acts are tied, and for the scores of the other half."""
    concepts = [_mask(rng, p) for p in (0.02, 0.1, 0.6)]
    features = [np.round(rng.random(N) * _mask(rng, 0.2), 1) + np.where(concepts[1], 0.3, 0) for _ in range(3)]
    units = _units(features, concepts)
    chosen = choose_thresholds(units.half(0))
    scored = apply_thresholds(units.half(1), chosen.threshold)
    for half, found in ((units.half(0), chosen), (units.half(1), scored)):
        acts, truth = half.acts.toarray().astype(float), half.truth.toarray()
        for c in range(3):
            for j in range(3):
                fired = acts[:, j] > chosen.threshold[c, j]
                tp = (fired & truth[:, c]).sum()
                assert found.f1[c, j] == pytest.approx(2 * tp / (fired.sum() + truth[:, c].sum()))
                assert found.precision[c, j] == pytest.approx(tp / fired.sum())
                assert found.recall[c, j] == pytest.approx(tp / truth[:, c].sum())
                assert np.array_equal(fired, fires_above(half, j, chosen.threshold[c, j]))
                if found is chosen:
                    cuts = (acts[:, j] > t for t in [0.0, *np.unique(acts[:, j])])
                    assert found.f1[c, j] == pytest.approx(
                        max(2 * (x & truth[:, c]).sum() / (x.sum() + truth[:, c].sum()) for x in cuts)
                    )


def test_a_feature_is_read_at_its_own_threshold_however_often_it_fires_weakly(rng: np.random.Generator) -> None:
    """Found among many denser rivals, as a part of a split, and as what the feature stands for."""
    a, part = _mask(rng, 0.05), _mask(rng, 0.5)
    weak = [np.where(_mask(rng, 0.8), rng.random(N), 0) for _ in range(2)]
    rivals = [_mask(rng, 0.02 + 0.1 * a) for _ in range(30)]
    halves = [np.where(a & part, 5 + rng.random(N), weak[0]), np.where(a & ~part, 5 + rng.random(N), weak[1])]
    units = _units([*rivals, *halves], [a])
    truth, outcome = _run(units, ["a"])
    assert outcome["a"] == ("split", [30, 31], []) or outcome["a"] == ("split", [31, 30], [])
    assert truth[truth.form == "or"].f1.item() > 0.99
    frame = outcomes.match_features(units.half(0), units.half(1))
    assert frame.matched.tolist() == [False] * 30 + [True, True]


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


def test_two_general_features_are_a_split_even_where_a_particular_one_fires(rng: np.random.Generator) -> None:
    """The second general feature fires where the first is silent: nothing took its place."""
    general = _mask(rng, 0.2)
    particular = general & _mask(rng, 0.5)
    other = general & (particular ^ _mask(rng, 0.05))
    units = _units([general & ~particular, other, particular], [general, particular])
    outcome = _run(units, ["German", "Mara"], ["nationality", "entity"])[1]
    assert outcome["German"][0] == "split"
    assert set(outcome["German"][1]) == {0, 1}


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
    moved = shift_documents(units, 7)
    before = units.acts.toarray().reshape(N_DOCUMENTS, N_PER_DOCUMENT)
    after = moved.acts.toarray().reshape(N_DOCUMENTS, N_PER_DOCUMENT)
    assert np.array_equal(np.roll(before, 7, axis=0), after)


@pytest.mark.parametrize(("prevalence", "recall"), [(0.1, 0.7), (0.005, 0.98)])
def test_interval_covers_the_true_f1_of_a_noisy_feature(
    rng: np.random.Generator, prevalence: float, recall: float
) -> None:
    """Hits a share of the concept and as many misses: F1 is that share in expectation. Also where few are true."""
    covered = 0
    for _ in range(60):
        a = _mask(rng, prevalence)
        f = np.where(a, rng.random(N) < recall, rng.random(N) < prevalence * (1 - recall) / (1 - prevalence))
        found = m.match_concepts(_units([f], [a]), ["a"], ["k"], "token", n_shifts=0, n_boot=400)
        if len(found):
            row = _single(found, "a")
            covered += row.f1_lo <= recall <= row.f1_hi
        else:
            covered += 1
    assert covered >= 54


def test_null_makes_every_choice_again(rng: np.random.Generator) -> None:
    """Pairs have one too; a concept that holds nearly everywhere has a null to match, and is then not found."""
    often = _mask(rng, 0.9)
    truth, outcome = _run(_units([_mask(rng, 0.95), _mask(rng, 0.9)], [often]), ["often"])
    assert (truth.f1 > 0.8).all()
    assert np.allclose(truth.f1, truth.f1_null, atol=0.02)
    assert outcome["often"][0] == "not found"


def test_feature_that_fires_everywhere_merges_nothing(rng: np.random.Generator) -> None:
    """It has every concept of a partition, and says nothing."""
    kind = rng.integers(0, 3, N)
    outcome = _run(_units([np.ones(N), _mask(rng, 0.1)], [kind == k for k in range(3)]), ["a", "b", "c"])[1]
    assert {o[0] for o in outcome.values()} == {"not found"}


def test_general_feature_that_misses_at_random_is_not_absorbed(rng: np.random.Generator) -> None:
    """The particular feature fires where the general one is silent, and as often where it is not."""
    general = _mask(rng, 0.2)
    particular = general & _mask(rng, 0.8)
    units = _units([general & _mask(rng, 0.5), particular], [general, particular])
    assert _run(units, ["German", "Mara"], ["nationality", "entity"])[1]["German"][0] != "absorbed"


def test_unmatched_features_are_named_and_silent_ones_have_no_precision(rng: np.random.Generator) -> None:
    a, everywhere = _mask(rng, 0.1), _mask(rng, 0.9)
    once = np.zeros(N)
    once[np.flatnonzero(a)[:3]] = 1
    units = _units([a, _mask(rng, 0.1), np.zeros(N), once, a & _mask(rng, 0.02)], [a, everywhere])
    frame = outcomes.match_features(units.half(0), units.half(1))
    assert frame.matched.tolist() == [True, False, False, False, False]
    assert frame.concept.tolist()[0] == 0
    assert frame.concept.tolist()[2:4] == [-1, -1]  # dead; in too few documents
    assert frame.precision[[2, 3]].isna().all()
    assert frame.n_documents[2] == 0


def test_concept_in_too_few_documents_has_no_rows(rng: np.random.Generator) -> None:
    never, seldom = np.zeros((2, N), dtype=bool)
    seldom[: 15 * N_PER_DOCUMENT : N_PER_DOCUMENT] = True  # 15 documents, 8 and 7 in the halves
    truth, outcome = _run(_units([_mask(rng, 0.1), seldom], [_mask(rng, 0.1), never, seldom]), ["a", "never", "seldom"])
    assert set(truth.concept) == {"a"}
    assert set(outcome) == {"a"}
