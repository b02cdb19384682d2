import numpy as np
import pytest

from core.maths.bases import bootstrap_stability, explained, find_basis, seed_stability, split_half
from core.maths.column_nulls import shuffle_columns
from core.maths.rotations import (
    held_out_r2,
    hoyer,
    matched_cosines,
    nmf,
    top_mass,
    varimax,
    varimax_criterion,
)
from core.maths.scaling import scale_acts
from tests.maths.pattern_worlds import topics_world


@pytest.fixture(scope="module")
def world():  # type: ignore[no-untyped-def]
    return topics_world(n_rows=1_500, n_features=120, n_topics=6, least=20)


def test_varimax_reaches_the_criterion_of_statsmodels() -> None:
    rotation = pytest.importorskip("statsmodels.multivariate.factor_rotation")
    loadings = np.random.default_rng(0).normal(size=(100, 4)) * [3, 2, 1.5, 1]
    theirs = rotation.rotate_factors(loadings, "varimax")[0]
    ours = varimax(loadings)
    assert varimax_criterion(loadings @ ours) == pytest.approx(varimax_criterion(theirs), rel=1e-7)
    np.testing.assert_allclose(ours.T @ ours, np.eye(4), atol=1e-12)
    assert varimax_criterion(loadings @ ours) > varimax_criterion(loadings)


def test_varimax_finds_the_axes_that_a_rotation_hid() -> None:
    rng = np.random.default_rng(1)
    axes = np.kron(np.eye(5), np.ones((20, 1))) * (1 + rng.random((100, 1)))
    hidden = axes @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert matched_cosines(axes, hidden @ varimax(hidden)).min() > 0.999
    assert matched_cosines(axes, hidden @ varimax(hidden, seed=4)).min() > 0.999


def test_every_basis_gives_back_the_same_subspace_or_less(world) -> None:  # type: ignore[no-untyped-def]
    a = scale_acts(world[0], "unit")
    svd, turned, parts = (find_basis(a, method, 6) for method in ("svd", "varimax", "nmf"))
    dense = a.dense()

    def error(basis) -> float:  # type: ignore[no-untyped-def]
        return float(((dense - basis.u @ basis.c.T) ** 2).sum())

    assert error(turned) == pytest.approx(error(svd), rel=1e-9)
    assert error(svd) < error(parts) < 1.2 * error(svd)
    for basis in (svd, turned, parts):
        np.testing.assert_allclose(np.linalg.norm(basis.u, axis=0), 1)
        expected = 1 - ((dense - basis.u @ basis.c.T) ** 2).sum(0) / (dense**2).sum(0)
        np.testing.assert_allclose(explained(a, basis), expected, atol=1e-9)
    assert (parts.u >= 0).all()
    assert (parts.c >= 0).all()
    u, c = nmf(a, 6, 0)
    np.testing.assert_array_equal(u, parts.u)
    np.testing.assert_array_equal(c, parts.c)


def test_planted_topics_are_stable_over_halves_resamples_and_seeds_and_shuffled_columns_are_not(world) -> None:  # type: ignore[no-untyped-def]
    acts, loadings = world
    document = np.arange(acts.shape[0]) // 5
    halves = np.flatnonzero(document % 2 == 0), np.flatnonzero(document % 2 == 1)
    found = {}
    for name, of in (("real", acts), ("null", shuffle_columns(acts, np.random.default_rng(2)))):
        rows = of.tocsr()
        basis = find_basis(scale_acts(of, "unit"), "varimax", 6)

        def some(at: np.ndarray, rows=rows):  # type: ignore[no-untyped-def]
            return scale_acts(rows[at], "unit")

        found[name] = [
            np.median(split_half(some, halves, basis.c, "varimax")),
            np.median(bootstrap_stability(some, document, basis.c, "varimax", 3, np.random.default_rng(0))),
        ]
        if name == "real":
            assert matched_cosines(loadings, basis.c).mean() > 0.75
            assert seed_stability(scale_acts(of, "unit"), basis.c, "varimax", 2).min() > 0.99
            assert np.isnan(seed_stability(scale_acts(of, "unit"), basis.c, "svd", 2)).all()
    assert min(found["real"]) > 0.8
    assert found["null"][0] < 0.5


def test_halves_smaller_than_k_have_no_stability() -> None:
    acts = topics_world(n_rows=300, n_features=60, n_topics=4, least=10)[0].tocsr()
    full = find_basis(scale_acts(acts, "unit"), "svd", 8).c
    halves = np.arange(6), np.arange(6, 300)
    assert np.isnan(split_half(lambda at: scale_acts(acts[at], "unit"), halves, full, "svd")).all()


def test_hoyer_is_one_for_one_entry_and_zero_for_equal_ones() -> None:
    columns = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(hoyer(columns)[:2], [1, 0], atol=1e-12)
    assert np.isnan(hoyer(columns)[2])
    assert np.isnan(hoyer(columns[:1])).all()
    np.testing.assert_allclose(top_mass(columns, 1)[:2], [1, 0.25])


def test_held_out_r2_is_high_for_scores_of_the_token_and_not_above_zero_for_others() -> None:
    rng = np.random.default_rng(0)
    token, half = rng.integers(0, 20, 4_000), rng.integers(0, 2, 4_000)
    value = rng.normal(size=20)[token]
    scores = np.stack([value, value + rng.normal(size=4_000), rng.normal(size=4_000), np.ones(4_000)], 1)
    r2 = held_out_r2(scores, token, half)
    assert r2[0] == pytest.approx(1)
    assert r2[1] == pytest.approx(np.var(value) / (np.var(value) + 1), abs=0.05)
    assert -0.04 < r2[2] <= 0
    assert np.isnan(r2[3])
    assert np.isnan(held_out_r2(scores, token, np.zeros(4_000, int))).all()
