"""Similarities from C of every variant, over k: what is scored against held-out co-firing, and against Jaccard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from core.errors import InputError
from core.maths.affinities import jaccard
from core.maths.cofiring_excess import full_rank_similarity, pair_similarity
from core.maths.deflated import Deflated
from core.maths.jaccard_kernel import jaccard_factor
from core.maths.pair_counts import pair_counts
from core.maths.scaling import scale_acts
from core.maths.svd import RANK_TOLERANCE, singular_values, truncated_svd


@dataclass(frozen=True)
class Variant:
    """One similarity. ``k`` None: full rank. ``pairs``: which of the pairs it speaks of; None: all."""

    scale: str
    similarity: str
    k: int | None
    values: np.ndarray
    pairs: np.ndarray | None = None

    @property
    def name(self) -> tuple[str, str, int]:
        return self.scale, self.similarity, self.k or 0


def variants(fit: sparse.csr_matrix, pairs: np.ndarray, scales: tuple[str, ...], ks: list[int]) -> Iterator[Variant]:
    """Every scale x similarity x rank, fitted on the activations ``fit``; a k beyond the rank is left out."""
    for scale in scales:
        a = scale_acts(fit, scale)
        coefficients = coefficients_at_most(a, max(ks))
        for similarity, values in full_rank_similarity(a, pairs).items():
            yield Variant(scale, similarity, None, values)
            for k in ks:
                if k <= coefficients.shape[1]:
                    yield Variant(scale, similarity, k, pair_similarity(coefficients[:, :k], pairs, similarity))


def coefficients_at_most(a: Deflated, k: int) -> np.ndarray:
    """C transposed ``[n_features, <= k]``: fewer columns where the rank is lower."""
    k = min(k, *a.shape)
    try:
        return truncated_svd(a, k).coefficients
    except InputError:
        s = singular_values(a, k)
        rank = int((s > RANK_TOLERANCE * s[0]).sum()) if s[0] > 0 else 0
        return truncated_svd(a, rank).coefficients if rank else np.zeros((a.shape[1], 0))


def kernel_variants(
    binary: sparse.csc_matrix, pairs: np.ndarray, sample: np.ndarray, ks: list[int]
) -> Iterator[Variant]:
    """Minus distance between columns of the Jaccard kernel's factor, over pairs inside a sample of features."""
    place = np.full(binary.shape[1], -1)
    place[sample] = np.arange(len(sample))
    inside = np.flatnonzero((place[pairs] >= 0).all(1))
    factor = jaccard_factor(binary, sample)
    for k in (None, *[k for k in ks if k <= len(sample)]):
        values = pair_similarity(factor.coefficients[:, :k], place[pairs[inside]], "euclid")
        yield Variant("jaccard kernel", "euclid", k, values, inside)


def jaccard_distance(binary: sparse.csc_matrix, pairs: np.ndarray) -> np.ndarray:
    """1 - J of every pair."""
    n = np.diff(binary.indptr)
    return 1 - jaccard(pair_counts(binary, pairs), n[pairs[:, 0]], n[pairs[:, 1]])


def sample_pairs(n: int, n_most: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs i < j of ``n`` columns: all, or ``n_most`` drawn uniformly with replacement."""
    if n * (n - 1) // 2 <= n_most:
        return np.stack(np.triu_indices(n, 1), 1)
    a, b = rng.integers(0, n, n_most), rng.integers(0, n - 1, n_most)
    b += b >= a
    return np.sort(np.stack([a, b], 1), axis=1)
