"""Activations with known structure: topics that make features fire together, and blocks."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def topics_world(
    seed: int = 0, n_rows: int = 6_000, n_features: int = 500, n_topics: int = 25, least: int = 5
) -> tuple[sparse.csc_matrix, np.ndarray]:
    """Acts ``(n_rows, n_kept)`` and topic loadings ``(n_kept, n_topics)``.

    Topics of a row Dirichlet(.05), loadings Dirichlet(.1), densities log-uniform 10^-3.3..10^-.7, acts gamma times a
    lognormal(.8) factor per feature.
    """
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(n_topics, 0.05), n_rows)
    loadings = rng.dirichlet(np.full(n_topics, 0.1), n_features)
    density = 10 ** rng.uniform(-3.3, -0.7, n_features)
    rate = topics @ loadings.T
    rate = np.minimum(rate / rate.mean(0) * density, 1)
    fires = rng.random(rate.shape) < rate
    acts = rng.gamma(2.0, 1.0, rate.shape) * rng.lognormal(0, 0.8, n_features) * fires
    keep = fires.sum(0) >= least
    return sparse.csc_matrix(acts[:, keep]), loadings[keep]


def random_acts(seed: int = 0, n_rows: int = 80, n_features: int = 30, density: float = 0.2) -> sparse.csc_matrix:
    """Independent firings with gamma acts; every column fires somewhere and nowhere always."""
    rng = np.random.default_rng(seed)
    fires = rng.random((n_rows, n_features)) < density
    fires[0], fires[1] = True, False
    return sparse.csc_matrix(rng.gamma(2.0, 1.0, fires.shape) * fires)


def binary(acts: sparse.spmatrix) -> sparse.csc_matrix:
    """1 where it fires."""
    return (sparse.csc_matrix(acts) > 0).astype(np.float64).tocsc()
