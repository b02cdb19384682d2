"""What is exact for some features only: the Jaccard kernel, dendrograms, and clusters whose medoids stand for all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.analyses.patterns import Patterns
from core.maths.affinities import affinity_block
from core.maths.cofiring import RANKED
from core.maths.column_nulls import shuffle_columns
from core.maths.jaccard_kernel import dendrogram, jaccard_factor, kernel_error
from core.maths.medoids import cluster_directions


def kernel(p: Patterns, sample: np.ndarray, n_most: int, seed: int) -> pd.DataFrame:
    """Eigenvalues of the Jaccard kernel of a sample, and how far its first k coordinates are from being exact."""
    if len(sample) > n_most:
        sample = np.sort(np.random.default_rng([seed, 42]).permutation(sample)[:n_most])
    factor = jaccard_factor(p.binary, sample)
    twin = jaccard_factor(
        shuffle_columns(p.binary[:, sample], np.random.default_rng([seed, 43])), np.arange(len(sample))
    )
    at = np.arange(len(sample))
    said = {0, 1, 3, 7, 15, 31, 63, 127, 255, len(sample) - 1}
    errors = [kernel_error(factor, int(i) + 1) if i in said else np.nan for i in at]
    return pd.DataFrame({"component": at, "eigenvalue": factor.values, "eigenvalue_null": twin.values, "error": errors})


def orders(
    p: Patterns, sample: np.ndarray, coefficients: np.ndarray, decoder: np.ndarray | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Order of the leaves and merges of the sample by every affinity."""
    blocks = {name: affinity_block(p.binary, sample, sample, name) for name in RANKED}
    blocks["c_cosine"] = _cosines(coefficients[sample])
    if decoder is not None:
        blocks["decoder_cosine"] = _cosines(decoder[sample].astype(np.float64))
    leaves_of, trees = [], []
    for name, block in blocks.items():
        tree, leaves = dendrogram(block)
        leaves_of.append(
            pd.DataFrame({"affinity": name, "place": np.arange(len(leaves)), "feature": p.features[sample[leaves]]})
        )
        trees.append(
            pd.DataFrame(tree, columns=["left", "right", "height", "size"])
            .astype({"left": int, "right": int, "size": int})
            .assign(affinity=name, merge=np.arange(len(tree)))
        )
    return pd.concat(leaves_of), pd.concat(trees)


def clusters(p: Patterns, coefficients: np.ndarray, n_most: int, seed: int) -> pd.DataFrame:
    """Every feature's cluster by cosine in C, at most one for four features; like clusters have near numbers."""
    found = cluster_directions(coefficients, min(n_most, max(1, len(coefficients) // 4)), seed)
    place = np.argsort(dendrogram(_cosines(coefficients[found.medoid]))[1])
    some = np.flatnonzero(found.cluster >= 0)
    of = found.cluster[some]
    frame = {
        "cluster": place[of],
        "feature": p.features[some],
        "medoid": p.features[found.medoid[of]],
        "cosine": found.cosine[some],
    }
    return pd.DataFrame(frame).sort_values(["cluster", "feature"])


def _cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    return unit @ unit.T
