import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import svds

from core.errors import InputError
from core.maths import svd as module
from core.maths.deflated import Deflated, squared_gram_norm
from core.maths.scaling import scale_acts
from core.maths.svd import singular_values, truncated_svd
from tests.maths.pattern_worlds import random_acts, topics_world


@pytest.fixture(params=["lapack", "arpack"])
def solver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "arpack":
        monkeypatch.setattr(module, "DENSE_COLUMNS", 0)
    return request.param


@pytest.mark.parametrize("scale", ["raw", "binary", "unit", "phi", "log1p"])
def test_equals_the_dense_svd_of_numpy(solver: str, scale: str) -> None:
    a = scale_acts(random_acts(), scale)
    u, s, vt = np.linalg.svd(a.dense(), full_matrices=False)
    ours = truncated_svd(a, 8)
    np.testing.assert_allclose(ours.s, s[:8], rtol=1e-9)
    np.testing.assert_allclose(np.abs((ours.u * u[:, :8]).sum(0)), 1, atol=1e-8)
    np.testing.assert_allclose(np.abs((ours.v * vt[:8].T).sum(0)), 1, atol=1e-8)
    assert ours.residual < 1e-8
    np.testing.assert_allclose(ours.u.T @ ours.u, np.eye(8), atol=1e-8)


def test_is_the_same_every_time_and_its_largest_loading_is_positive(solver: str) -> None:
    a = scale_acts(random_acts(3), "raw")
    one, two = truncated_svd(a, 5), truncated_svd(a, 5)
    np.testing.assert_array_equal(one.u, two.u)
    assert (one.v[np.abs(one.v).argmax(0), range(5)] > 0).all()


def test_at_full_rank_distances_between_coefficients_are_distances_between_columns() -> None:
    a = scale_acts(random_acts(1), "raw")
    c, dense = truncated_svd(a, 30).coefficients, a.dense()
    gap = np.linalg.norm(c[:, None] - c[None], axis=2) - np.linalg.norm(dense.T[:, None] - dense.T[None], axis=2)
    assert np.abs(gap).max() < 1e-6


@pytest.mark.parametrize("k", [1, 4, 12])
def test_truncation_contracts_squared_distances_by_no_more_than_twice_the_next_singular_value_squared(k: int) -> None:
    a = scale_acts(random_acts(2), "raw")
    full, s = truncated_svd(a, 30).coefficients, singular_values(a, 30)
    near = full[:, :k]
    d = ((full[:, None] - full[None]) ** 2).sum(2)
    d_k = ((near[:, None] - near[None]) ** 2).sum(2)
    assert (d - d_k >= -1e-9).all()
    assert (d - d_k <= 2 * s[k] ** 2 + 1e-9).all()
    rest = a.dense() - truncated_svd(a, k).u @ near.T
    summed = (d - d_k).sum() / 2
    assert summed == pytest.approx(30 * (s[k:] ** 2).sum() - (rest.sum(1) ** 2).sum(), rel=1e-6)
    assert np.linalg.norm(rest) ** 2 == pytest.approx((s[k:] ** 2).sum(), rel=1e-9)


def test_duplicate_columns_have_distance_zero_at_every_k() -> None:
    acts = random_acts(4).tolil()
    acts[:, 7] = acts[:, 3]
    c = truncated_svd(scale_acts(acts.tocsc(), "raw"), 20).coefficients
    assert np.abs(c[7] - c[3]).max() < 1e-7


def test_equal_singular_values_are_flagged_as_degenerate_and_others_are_not() -> None:
    a = Deflated.plain(sparse.diags([5.0, 3.0, 3.0, 2.0, 1.0]))
    assert truncated_svd(a, 4).degenerate.tolist() == [False, True, True, False]
    assert truncated_svd(a, 2).degenerate.tolist() == [False, True]  # its twin lies just beyond k


def test_disjoint_columns_have_full_stable_rank_and_participation() -> None:
    a = Deflated.plain(sparse.identity(40))
    assert a.column_squares().sum() / singular_values(a, 1)[0] ** 2 == pytest.approx(40)
    assert a.column_squares().sum() ** 2 / squared_gram_norm(a, block=7) == pytest.approx(40)


def test_a_rank_below_k_is_refused_with_the_rank(solver: str) -> None:
    one = sparse.csr_matrix(np.outer(np.arange(1.0, 30), np.arange(1.0, 20)))
    with pytest.raises(InputError, match="rank 1") as error:
        truncated_svd(Deflated.plain(one), 5)
    assert "k=1" in error.value.remedy


@pytest.mark.parametrize("k", [0, 31])
def test_an_impossible_k_is_refused_with_the_bounds(k: int) -> None:
    with pytest.raises(InputError, match="between 1 and 30"):
        truncated_svd(scale_acts(random_acts(), "raw"), k)


def test_nan_is_refused() -> None:
    acts = random_acts()
    acts.data[3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        truncated_svd(scale_acts(acts, "raw"), 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 9))
def test_a_deflated_matrix_is_what_its_dense_form_is(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = sparse.random(n, m, 0.4, random_state=seed)
    a = Deflated.plain(matrix).less(sparse.random(n, 2, 0.6, random_state=1), sparse.random(2, m, 0.6, random_state=2))
    a = a.centred().times_columns(rng.normal(size=m))
    dense, x, y = a.dense(), rng.normal(size=(m, 2)), rng.normal(size=n)
    np.testing.assert_allclose(a.dot(x), dense @ x, atol=1e-10)
    np.testing.assert_allclose(a.rdot(y), dense.T @ y, atol=1e-10)
    np.testing.assert_allclose(a.gram_dot(x[:, 0].copy()), dense.T @ dense @ x[:, 0], atol=1e-10)
    np.testing.assert_allclose(a.gram(), dense.T @ dense, atol=1e-10)
    np.testing.assert_allclose(a.gram(slice(1, 2)), dense.T @ dense[:, 1:2], atol=1e-10)
    np.testing.assert_allclose(a.column_squares(), (dense**2).sum(0), atol=1e-10)
    np.testing.assert_allclose(dense.mean(0), 0, atol=1e-10)
    assert squared_gram_norm(a, 2) == pytest.approx((np.linalg.svd(dense)[1] ** 4).sum(), abs=1e-9)


# --- block Lanczos -----------------------------------------------------------------------------------------


@pytest.fixture
def by_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nothing is formed, and ARPACK is not there; grows by one with every pass over the rows."""
    passes: list[int] = []
    monkeypatch.setattr(module, "DENSE_COLUMNS", 0)
    monkeypatch.setattr(module, "_arpack", lambda *_: pytest.fail("ARPACK was asked"))
    plain = Deflated.gram_dot
    monkeypatch.setattr(Deflated, "gram_dot", lambda a, x, d=np.float64: (passes.append(1), plain(a, x, d))[1])
    return passes


@pytest.mark.parametrize("scale", ["raw", "unit", "phi"])
def test_block_lanczos_equals_arpack_of_scipy(by_blocks: list[int], scale: str) -> None:
    a = scale_acts(topics_world(n_rows=3_000)[0], scale)
    s = np.sort(svds(a.dense(), 20, return_singular_vectors=False, random_state=0))[::-1]
    found = truncated_svd(a, 20)
    np.testing.assert_allclose(found.s, s, rtol=1e-5)
    assert found.residual < module.MAX_RESIDUAL
    np.testing.assert_allclose(found.u.T @ found.u, np.eye(20), atol=1e-4)
    np.testing.assert_allclose(found.v.T @ found.v, np.eye(20), atol=1e-10)
    assert by_blocks
    np.testing.assert_allclose(singular_values(a, 20), s, rtol=1e-8)
    np.testing.assert_allclose(singular_values(a, 20, tol=1e-4), s, rtol=1e-3)


def test_sums_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    a, x = scale_acts(random_acts(5), "unit"), np.random.default_rng(0).normal(size=(30, 16))
    found = []
    for n_threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", n_threads)
        found.append(a.gram_dot(x, np.float32))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], a.dense().T @ a.dense() @ x, rtol=1e-4, atol=1e-5)


def test_a_spectrum_too_steep_for_float32_is_left_to_arpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE_COLUMNS", 0)
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(n, 60)))[0] for n in (200, 150))
    s = 10.0 ** -np.linspace(0, 5, 60)
    found = truncated_svd(Deflated.plain(sparse.csr_matrix((u * s) @ v.T)), 50)
    np.testing.assert_allclose(found.s, s[:50], rtol=1e-3)
    assert found.residual < module.MAX_RESIDUAL


def test_more_components_than_a_matrix_has_are_refused_without_forming_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE_COLUMNS", 0)
    rng = np.random.default_rng(0)
    low = Deflated.plain(sparse.csr_matrix(rng.normal(size=(300, 6)) @ rng.normal(size=(6, 200))))
    with pytest.raises(InputError, match="rank 6"):
        truncated_svd(low, 20)
    assert (singular_values(low, 9)[6:] < 1e-5 * singular_values(low, 1)[0]).all()
