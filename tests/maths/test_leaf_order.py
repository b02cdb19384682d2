"""The order of a dendrogram's leaves: a permutation that keeps branches whole and brings like beside like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from core.maths.leaf_order import leaf_order


def distances(n: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).random((n, 8))
    return np.linalg.norm(x[:, None] - x[None], axis=2)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
def test_the_order_is_a_permutation(n: int) -> None:
    assert sorted(leaf_order(distances(n))) == list(range(n))


@pytest.mark.parametrize("seed", range(5))
def test_every_branch_of_the_dendrogram_stays_in_one_piece(seed: int) -> None:
    n, gap = 30, distances(30, seed)
    place = np.argsort(leaf_order(gap))
    members = [[i] for i in range(n)]
    for left, right in linkage(squareform(gap, checks=False), "average")[:, :2].astype(int):
        members.append(members[left] + members[right])
        at = place[members[-1]]
        assert at.max() - at.min() == len(at) - 1


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_are_nearer_than_in_the_plain_order(seed: int) -> None:
    gap = distances(60, seed)
    plain = leaves_list(linkage(squareform(gap, checks=False), "average"))
    length = [gap[order[:-1], order[1:]].sum() for order in (leaf_order(gap), plain)]
    assert length[0] < length[1]


def test_points_on_a_line_come_in_their_order() -> None:
    x = np.array([4.0, 0, 9, 1, 20, 5])
    order = x[leaf_order(np.abs(x[:, None] - x))]
    assert list(order) in (sorted(x), sorted(x, reverse=True))


def test_what_has_no_distance_counts_as_farthest() -> None:
    gap = distances(12)
    gap[3, :] = gap[:, 3] = np.nan
    order = leaf_order(gap).tolist()
    assert order.index(3) in (0, 11)
    assert sorted(leaf_order(np.full((4, 4), np.nan))) == [0, 1, 2, 3]
