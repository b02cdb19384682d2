import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from core.maths.affinities import dice, jaccard, overlap, phi
from core.maths.scaling import alone, scale_acts
from tests.maths.pattern_worlds import binary, random_acts


def _counts(acts: sparse.csc_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    b = binary(acts).toarray()
    n = b.sum(0)
    return b.T @ b, n[:, None], n[None, :]


def test_unit_columns_have_inner_products_of_ochiai_and_phi_columns_those_of_phi() -> None:
    acts = random_acts()
    both, p, q = _counts(acts)
    np.testing.assert_allclose(scale_acts(acts, "unit").gram(), both / np.sqrt(p * q), atol=1e-12)
    np.testing.assert_allclose(scale_acts(acts, "phi").gram(), phi(both, p, q, 80), atol=1e-12)
    np.testing.assert_allclose(scale_acts(acts, "phi").gram(), np.corrcoef(binary(acts).toarray().T), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.9))
def test_euclid_of_unit_columns_keeps_to_its_bounds_in_jaccard(seed: int, density: float) -> None:
    both, p, q = _counts(random_acts(seed, density=density))
    j, ochiai = jaccard(both, p, q), both / np.sqrt(p * q)
    squared = 2 - 2 * ochiai
    assert (2 * (1 - np.sqrt(j)) <= squared + 1e-12).all()
    assert (squared <= 2 * (1 - j) / (1 + j) + 1e-12).all()
    np.testing.assert_allclose(dice(both, p, q), 2 * j / (1 + j))
    assert (j <= overlap(both, p, q) + 1e-12).all()
    binary_squared = p + q - 2 * both  # the symmetric difference is union times Jaccard distance
    np.testing.assert_allclose(binary_squared, (p + q - both) * (1 - j), atol=1e-9)


def test_raw_log1p_and_binary_change_the_values_and_nothing_else() -> None:
    acts = random_acts()
    np.testing.assert_array_equal(scale_acts(acts, "raw").dense(), acts.toarray())
    np.testing.assert_allclose(scale_acts(acts, "log1p").dense(), np.log1p(acts.toarray()))
    np.testing.assert_array_equal(scale_acts(acts, "binary").dense(), acts.toarray() > 0)


def test_a_constant_column_has_no_phi_pattern_instead_of_a_division_by_zero() -> None:
    acts = sparse.csc_matrix(np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(scale_acts(acts, "phi").gram(), [[0, 0], [0, 1]], atol=1e-12)


def test_the_token_residual_takes_off_the_mean_over_other_documents() -> None:
    rng = np.random.default_rng(0)
    acts, token, document = random_acts(5), rng.integers(0, 6, 80), rng.integers(0, 9, 80)
    token[0] = 99  # no other document has it: nothing is known beyond it
    expected = acts.toarray().copy()
    no_other = np.zeros(80, bool)
    for i in range(80):
        others = (token == token[i]) & (document != document[i])
        no_other[i] = not others.any()
        expected[i] = 0 if no_other[i] else expected[i] - acts.toarray()[others].mean(0)
    np.testing.assert_allclose(scale_acts(acts, "raw", token, document).dense(), expected, atol=1e-12)
    np.testing.assert_array_equal(alone(token, document), no_other)
    assert no_other[0]


def test_the_token_residual_of_what_follows_the_token_is_small_and_of_what_ignores_it_is_not() -> None:
    rng = np.random.default_rng(1)
    token, document = rng.integers(0, 5, 2_000), np.arange(2_000)
    follows, ignores = (token == 2) * 1.0, (rng.random(2_000) < 0.2) * 1.0
    a = scale_acts(sparse.csc_matrix(np.stack([follows, ignores], 1)), "raw", token, document)
    left = a.column_squares() / np.array([follows.sum(), ignores.sum()])
    assert left[0] < 1e-12
    assert left[1] > 0.7
