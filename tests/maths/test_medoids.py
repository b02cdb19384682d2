import numpy as np
from sklearn.metrics import adjusted_rand_score

from core.maths.medoids import cluster_directions


def blocks(n_blocks: int, n_each: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of any length around planted directions, and the block of each."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(24, 24)))[0][:n_blocks]
    of = np.repeat(np.arange(n_blocks), n_each)
    rows = (centres[of] + noise * rng.normal(size=(len(of), 24))) * rng.lognormal(0, 1.5, len(of))[:, None]
    return rows, of


def test_planted_blocks_are_found_whatever_the_lengths() -> None:
    rows, of = blocks(12, 40, 0.05)
    found = cluster_directions(rows, 12, seed=0)
    assert adjusted_rand_score(of, found.cluster) > 0.85  # one start of k-means may join two and split one
    assert adjusted_rand_score(np.random.default_rng(1).permutation(of), found.cluster) < 0.05


def test_a_medoid_is_the_member_most_like_its_cluster() -> None:
    rows, _ = blocks(6, 30, 0.2)
    found = cluster_directions(rows, 6, seed=0)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for c, medoid in enumerate(found.medoid):
        members = np.flatnonzero(found.cluster == c)
        mean_cosine = (unit[members] @ unit[members].T).mean(1)
        assert medoid == members[mean_cosine.argmax()]


def test_the_same_seed_gives_the_same_clusters() -> None:
    rows, _ = blocks(8, 20, 0.3)
    one, two = (cluster_directions(rows, 8, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.cluster, two.cluster)
    np.testing.assert_array_equal(one.medoid, two.medoid)


def test_rows_without_length_are_in_no_cluster_and_equal_rows_in_one() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    found = cluster_directions(rows, 9, seed=0)
    assert found.cluster[1] == -1
    assert np.isnan(found.cosine[1])
    assert found.cluster[0] == found.cluster[2] != found.cluster[3]
    assert len(found.medoid) == 2
    assert len(cluster_directions(np.zeros((3, 2)), 2, 0).medoid) == 0
