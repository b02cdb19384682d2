"""The held-out test on a simulated world whose answer is known, and a 6 x 5 example worked by hand."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import spearmanr

from core.maths import cofiring_excess as module
from core.maths.affinities import jaccard
from core.maths.cofiring_excess import (
    Judge,
    choose_pairs,
    density_baseline,
    excess_of,
    full_rank_similarity,
    pair_similarity,
    ranks,
    target_of,
)
from core.maths.column_nulls import shuffle_columns
from core.maths.conjecture_scores import coefficients_at_most, jaccard_distance, sample_pairs, variants
from core.maths.scaling import scale_acts
from core.maths.svd import truncated_svd
from tests.maths.pattern_worlds import binary, random_acts, topics_world

SCALES = ("raw", "unit", "phi")


@pytest.fixture(scope="module")
def halves():  # type: ignore[no-untyped-def]
    acts = topics_world()[0].tocsr()
    return acts[:3_000], acts[3_000:]


def _scores(fit: sparse.csr_matrix, test: sparse.csr_matrix, n_boot: int = 0) -> dict[tuple[str, str, int], dict]:
    target = target_of(binary(test), np.arange(test.shape[0]), 10**6, n_boot, np.random.default_rng(0))
    judge = Judge.of(target, np.diff(binary(fit).indptr))
    return {v.name: judge.score(v.values) for v in variants(fit, target.pairs, SCALES, [24])}


def test_cosine_in_unit_and_phi_space_predicts_held_out_cofiring_and_raw_distance_does_not(halves) -> None:  # type: ignore[no-untyped-def]
    found = _scores(*halves, n_boot=30)
    assert found["unit", "cosine", 24]["spearman"] > 0.4
    assert found["phi", "cosine", 24]["spearman"] > 0.4
    assert found["phi", "euclid", 0]["spearman"] > 0.35
    assert abs(found["raw", "euclid", 0]["spearman"]) < 0.1
    best = found["unit", "cosine", 24]
    assert best["lo"] < best["spearman"] < best["hi"] < best["lo"] + 0.1
    assert best["partial"] == pytest.approx(best["spearman"], abs=0.1)  # density says nothing here


def test_shuffled_columns_predict_nothing(halves) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(4)
    found = _scores(*(shuffle_columns(half, rng).tocsr() for half in halves))
    for scores in found.values():
        assert abs(scores["spearman"]) < 0.08
        assert abs(scores["partial"]) < 0.05


def test_the_raw_correlation_with_jaccard_is_reproduced_by_shuffled_columns() -> None:
    acts = topics_world()[0]
    pairs = sample_pairs(acts.shape[1], 10**6, np.random.default_rng(0))
    twin = shuffle_columns(acts, np.random.default_rng(1))
    found = {}
    for side, of in (("real", acts), ("twin", twin)):
        distance = ranks(jaccard_distance(binary(of), pairs))[0]
        for v in variants(of.tocsr(), pairs, ("raw", "binary", "unit"), [24]):
            found[side, *v.name] = float(ranks(-v.values)[0] @ distance)
    for scale, stated in (("raw", -0.46), ("binary", -0.64), ("unit", 0.93)):
        assert found["real", scale, "euclid", 0] == pytest.approx(stated, abs=0.1)
        assert found["twin", scale, "euclid", 0] == pytest.approx(found["real", scale, "euclid", 0], abs=0.05)


def test_density_is_taken_off_by_partial_scores() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(20, 2_000, 80)
    pairs = np.stack(np.triu_indices(80, 1), 1)
    density = np.log(n[pairs]).sum(1)
    noise = rng.normal(size=(2, len(pairs)))
    target = module.Target(pairs, density + noise[0], np.empty((0, len(pairs))), len(pairs))
    judge = Judge.of(target, n)
    only_density = judge.score(density + noise[1])
    assert only_density["spearman"] > 0.4
    assert abs(only_density["partial"]) < 0.06
    assert judge.score(noise[0])["partial"] > 0.9
    predicted = density_baseline(n, target.excess, pairs, pairs)
    assert spearmanr(predicted, density).statistic > 0.95


def test_the_interval_is_about_as_wide_as_scores_of_other_documents_spread() -> None:
    acts = topics_world(n_rows=16_000, n_features=200, least=100)[0].tocsr()
    c = truncated_svd(scale_acts(acts[:2_000], "unit"), 24).coefficients
    n, points, widths = np.diff(binary(acts[:2_000]).indptr), [], []
    for b in range(7):
        test = acts[2_000 * (b + 1) : 2_000 * (b + 2)]
        target = target_of(binary(test), np.arange(2_000), 10**6, 60, np.random.default_rng(b))
        found = Judge.of(target, n).score(pair_similarity(c, target.pairs, "cosine"))
        points.append(found["spearman"])
        widths.append(found["hi"] - found["lo"])
    assert 0.4 < np.mean(widths) / (4 * np.std(points, ddof=1)) < 2.5


def test_pairs_are_those_with_more_than_one_firing_together_expected() -> None:
    n = np.random.default_rng(0).integers(1, 200, 50)
    pairs, total = choose_pairs(n, 1_000, 10**6, np.random.default_rng(0))
    expected = {(i, j) for i in range(50) for j in range(i + 1, 50) if n[i] * n[j] / 1_000 > 1}
    assert {tuple(p) for p in pairs.tolist()} == expected
    assert total == len(expected)
    some, still = choose_pairs(n, 1_000, 100, np.random.default_rng(0))
    assert still == total
    assert {tuple(p) for p in some.tolist()} <= expected
    assert 60 < len(some) <= 100


def test_spearman_equals_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 300), rng.integers(0, 5, 300) + rng.integers(0, 2, 300)
    assert ranks(x)[0] @ ranks(y)[0] == pytest.approx(spearmanr(x, y).statistic)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("scale", ["raw", "unit", "phi"])
def test_full_rank_similarities_are_those_of_the_columns(
    scale: str, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not few:
        monkeypatch.setattr(module, "DENSE_COLUMNS", 0)
    a = scale_acts(random_acts(), scale)
    pairs = np.stack(np.triu_indices(30, 1), 1)
    columns = a.dense().T
    found = full_rank_similarity(a, pairs)
    np.testing.assert_allclose(found["euclid"], pair_similarity(columns, pairs, "euclid"), atol=1e-7)
    np.testing.assert_allclose(found["cosine"], pair_similarity(columns, pairs, "cosine"), atol=1e-9)


def test_a_rank_below_every_k_gives_the_coefficients_there_are() -> None:
    one = sparse.csr_matrix(np.outer(np.ones(9), np.arange(1.0, 6)))
    assert coefficients_at_most(scale_acts(one, "raw"), 4).shape == (5, 1)


# Six contexts, five features: 0 fires in contexts {0, 1}, 1 in {1, 2}, 2 and 3 in {3, 4}, 4 in {5}.
EXAMPLE = sparse.csc_matrix(
    np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
)


def test_the_example_worked_by_hand() -> None:
    """A'A has the blocks [[2, 1], [1, 2]], [[2, 2], [2, 2]] and [1]: eigenvalues 4, 3, 1, 1, 0.

    So s = 2, sqrt 3, 1, 1: two prototypes, then a degenerate pair. Features 0 and 1 share one of three contexts:
    J = 1/3, squared distance 2 = union 3 x (1 - J). At k = 2 both are sqrt(3/2) along the second prototype: their
    distance is 0, and feature 4, which no prototype holds, sits at the origin. E3 is tight: 2 - 0 = 2 s_3^2.
    """
    a = scale_acts(EXAMPLE, "raw")
    full = truncated_svd(a, 4)
    np.testing.assert_allclose(full.s, [2, np.sqrt(3), 1, 1])
    assert full.degenerate.tolist() == [False, False, True, True]
    pairs = np.array([[0, 1], [2, 3], [0, 2], [0, 4], [2, 4]])
    exact = np.sqrt([2, 0, 4, 3, 3])
    np.testing.assert_allclose(-pair_similarity(full.coefficients, pairs, "euclid"), exact, atol=1e-12)
    np.testing.assert_allclose(-full_rank_similarity(a, pairs)["euclid"], exact, atol=1e-12)
    c = full.first(2).coefficients
    root = np.sqrt(1.5)
    expected = [[0, root], [0, root], [np.sqrt(2), 0], [np.sqrt(2), 0], [0, 0]]
    np.testing.assert_allclose(c, expected, atol=1e-12)
    at_two = [0, 0, np.sqrt(3.5), root, np.sqrt(2)]
    np.testing.assert_allclose(-pair_similarity(c, pairs, "euclid"), at_two, atol=1e-12)
    np.testing.assert_allclose(jaccard(np.array([1, 2, 0]), np.array([2, 2, 2]), np.array([2, 2, 1])), [1 / 3, 1, 0])
    np.testing.assert_allclose(jaccard_distance(binary(EXAMPLE), pairs), [2 / 3, 0, 1, 1, 1])
    assert excess_of(np.array(1), np.array(2 * 2 / 6)) == pytest.approx(np.log(1.5 / (2 / 3 + 0.5)))
