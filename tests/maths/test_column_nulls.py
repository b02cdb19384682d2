import numpy as np
from scipy import sparse

from core.maths.column_nulls import random_directions, shift_columns, shuffle_columns
from tests.maths.pattern_worlds import random_acts


def test_shuffled_columns_keep_their_values_and_lose_their_places() -> None:
    acts = random_acts(n_rows=500)
    shuffled = shuffle_columns(acts, np.random.default_rng(0))
    for j in range(acts.shape[1]):
        np.testing.assert_array_equal(np.sort(shuffled[:, j].data), np.sort(acts[:, j].data))
    assert (shuffled != acts).nnz > acts.nnz
    assert shuffled.has_canonical_format
    again = shuffle_columns(acts, np.random.default_rng(0))
    assert (shuffled != again).nnz == 0


def test_every_place_is_equally_likely() -> None:
    one = sparse.csc_matrix(np.eye(6)[:, :3])
    rng = np.random.default_rng(0)
    places = np.concatenate([shuffle_columns(one, rng).indices for _ in range(2_000)])
    assert np.abs(np.bincount(places, minlength=6) / 6_000 - 1 / 6).max() < 0.02


def test_shuffling_inside_groups_keeps_what_each_group_sums_to() -> None:
    acts, group = random_acts(n_rows=300), np.random.default_rng(1).integers(0, 7, 300)
    shuffled = shuffle_columns(acts, np.random.default_rng(0), group)
    member = sparse.csr_matrix((np.ones(300), (group, np.arange(300))))
    np.testing.assert_allclose((member @ shuffled).toarray(), (member @ acts).toarray())
    assert (shuffled != acts).nnz > 0


def test_shifted_columns_stay_in_their_document_and_keep_their_runs() -> None:
    document = np.repeat([0, 1, 2], [10, 7, 13])
    column = np.zeros(30)
    column[2:6], column[20:23] = [1, 2, 3, 4], [5, 6, 7]
    acts = sparse.csc_matrix(np.tile(column[:, None], 40))
    shifted = shift_columns(acts, document, np.random.default_rng(0)).toarray()
    for j in range(40):
        for d, run in ((0, [1, 2, 3, 4]), (2, [5, 6, 7])):
            inside = shifted[document == d, j]
            start = int(np.flatnonzero(inside == run[0])[0])
            np.testing.assert_array_equal(np.roll(inside, -start)[: len(run)], run)
        assert not shifted[document == 1, j].any()
    assert len({tuple(c) for c in shifted.T}) > 20


def test_random_directions_prefer_what_the_real_ones_prefer() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 6)) * [5, 2, 1, 1, 0.5, 0.1] + [3, 0, 0, 0, 0, 0]) * rng.lognormal(size=(500, 1))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    drawn = random_directions(np.vstack([rows, np.zeros(6)]), 100_000, rng)
    np.testing.assert_allclose(drawn.mean(0), unit.mean(0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(unit.T), atol=0.02)
    assert not np.array_equal(drawn[:6], rows[:6])


def test_fewer_rows_than_dimensions_have_random_directions_too() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 8))
    assert np.isfinite(random_directions(rows, 5, np.random.default_rng(1))).all()
    assert not random_directions(np.zeros((2, 4)), 5, np.random.default_rng(1)).any()
