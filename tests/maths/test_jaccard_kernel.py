from itertools import combinations

import numpy as np
from scipy import sparse

from core.maths.affinities import affinity_block
from core.maths.column_nulls import shuffle_columns
from core.maths.jaccard_kernel import dendrogram, jaccard_factor, kernel_error
from tests.maths.pattern_worlds import binary, random_acts


def _subsets(n: int) -> sparse.csc_matrix:
    sets = [s for size in range(1, n + 1) for s in combinations(range(n), size)]
    out = np.zeros((n, len(sets)))
    for j, s in enumerate(sets):
        out[list(s), j] = 1
    return sparse.csc_matrix(out)


def test_squared_distances_of_the_factor_are_twice_the_jaccard_distance() -> None:
    fires = binary(random_acts(n_rows=300, n_features=50))
    factor = jaccard_factor(fires, np.arange(50))
    assert kernel_error(factor) < 1e-9
    c, pairs = factor.coefficients, np.triu_indices(50, 1)
    squared = ((c[pairs[0]] - c[pairs[1]]) ** 2).sum(1)
    assert np.corrcoef(squared, 1 - factor.kernel[pairs])[0, 1] > 1 - 1e-9
    assert kernel_error(factor, 5) > 0.1  # few coordinates are not exact


def test_the_kernel_is_positive_definite_on_all_subsets_while_jaccard_distance_is_not_euclidean() -> None:
    for n in (3, 4, 5):
        fires = _subsets(n)
        assert jaccard_factor(fires, np.arange(fires.shape[1])).values.min() > 0
    fires = _subsets(3)
    distance = 1 - affinity_block(fires, np.arange(7), np.arange(7), "jaccard")
    centre = np.eye(7) - 1 / 7
    scaling = -0.5 * centre @ distance**2 @ centre
    assert round(np.linalg.eigvalsh(scaling).min(), 3) == -0.056


def test_a_dendrogram_puts_planted_blocks_together_and_lists_every_leaf_once() -> None:
    rng = np.random.default_rng(0)
    block = rng.permutation(np.repeat(np.arange(4), 6))
    rows = np.repeat(np.arange(4), 50)
    fires = binary(sparse.csc_matrix((rows[:, None] == block[None]) & (rng.random((200, 24)) < 0.6)))
    tree, leaves = dendrogram(affinity_block(fires, np.arange(24), np.arange(24), "jaccard"))
    assert sorted(leaves) == list(range(24))
    assert (np.diff(block[leaves]) != 0).sum() == 3
    mixed, _ = dendrogram(affinity_block(shuffle_columns(fires, rng), np.arange(24), np.arange(24), "jaccard"))
    assert np.median(tree[:, 2]) < np.median(mixed[:, 2])


def test_one_feature_has_a_dendrogram_without_merges() -> None:
    tree, leaves = dendrogram(np.ones((1, 1)))
    assert tree.shape == (0, 4)
    assert leaves.tolist() == [0]
