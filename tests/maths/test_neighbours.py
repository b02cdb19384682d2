"""Blocked nearest cosines against scikit-learn's brute force, with ties, zero rows and few rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from core.maths import neighbours
from core.maths.neighbours import nearest_by_cosine


@pytest.mark.parametrize("block", [7, 64, 512])
def test_neighbours_equal_scikit_learns_whatever_the_block(block, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    rows = np.random.default_rng(0).normal(size=(200, 24)).astype(np.float32) * 3
    got = nearest_by_cosine(rows, 10)
    distance, index = NearestNeighbors(n_neighbors=11, metric="cosine").fit(rows).kneighbors(rows)
    np.testing.assert_array_equal(got.index, index[:, 1:])
    np.testing.assert_allclose(got.cosine, 1 - distance[:, 1:], atol=1e-6)


def test_equal_cosines_are_ranked_by_row_even_when_lengths_differ():
    direction = np.random.default_rng(1).normal(size=16)
    rows = np.array([direction * s for s in (1, 0.3, 7, 2, 11, 0.01)])
    got = nearest_by_cosine(rows, 3)
    assert got.index.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert (got.cosine == 1).all()


def test_opposite_and_orthogonal_rows_come_in_order_of_cosine():
    got = nearest_by_cosine(np.array([[1.0, 0], [0, 2], [-3, 0], [1, 1]]), 3)
    assert got.index[0].tolist() == [3, 1, 2]
    np.testing.assert_allclose(got.cosine[0], [np.sqrt(0.5), 0, -1], atol=1e-7)


def test_a_row_without_length_has_no_neighbours_and_is_nobodys():
    rows = np.random.default_rng(2).normal(size=(20, 4))
    rows[5] = 0
    got = nearest_by_cosine(rows, 25)
    assert (got.index[5] == -1).all()
    assert np.isnan(got.cosine[5]).all()
    assert not (got.index == 5).any()
    assert ((got.index >= 0).sum(axis=1) == np.where(np.arange(20) == 5, 0, 18)).all()


def test_a_lone_row_has_no_neighbours():
    got = nearest_by_cosine(np.ones((1, 3)), 10)
    assert (got.index == -1).all()


def test_no_row_is_its_own_neighbour_and_all_rows_are_told_of_in_progress():
    told: list[float] = []
    got = nearest_by_cosine(np.random.default_rng(3).normal(size=(1100, 8)), 10, told.append)
    assert not (got.index == np.arange(1100)[:, None]).any()
    assert told == sorted(told)
    assert told[-1] == 1.0
