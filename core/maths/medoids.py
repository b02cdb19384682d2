"""A few features that stand for all: clusters of directions, and the member nearest to each cluster's mean.

For more features than a dendrogram can take. Clusters are those of k-means on directions of length 1, so that they are
alike by cosine whatever their lengths; the medoid is the member with the highest mean cosine to its cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans


@dataclass(frozen=True)
class Clusters:
    """``cluster [n]`` int32, numbered without gaps, -1 for a row without length; ``medoid [n_clusters]`` rows;
    ``cosine [n]`` of each row with the mean direction of its cluster, NaN without one.
    """

    cluster: np.ndarray
    medoid: np.ndarray
    cosine: np.ndarray


def cluster_directions(rows: np.ndarray, n_clusters: int, seed: int) -> Clusters:
    """At most ``n_clusters`` clusters of the directions of ``rows [n, k]``, fewer where fewer differ."""
    length = np.linalg.norm(rows, axis=1)
    some = np.flatnonzero(length > 0)
    unit = rows[some] / length[some, None]
    n_clusters = min(n_clusters, len(np.unique(unit.round(9), axis=0)))
    cluster, cosine = np.full(len(rows), -1, np.int32), np.full(len(rows), np.nan)
    if not n_clusters:
        return Clusters(cluster, np.empty(0, np.int64), cosine)
    found = KMeans(n_clusters, n_init=1, random_state=seed).fit_predict(unit)
    found = np.unique(found, return_inverse=True)[1]
    sums = np.stack([np.bincount(found, column) for column in unit.T], 1)
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-300)
    cluster[some], cosine[some] = found, np.einsum("ij,ij->i", unit, means[found])
    best_first = np.lexsort((some, -cosine[some], found))
    medoid = some[best_first[np.unique(found[best_first], return_index=True)[1]]]
    return Clusters(cluster, medoid, cosine)
