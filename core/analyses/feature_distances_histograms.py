"""How all pairs of features lie by every affinity, beside how they would lie by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from core.analyses.patterns import Patterns
from core.maths.column_nulls import random_directions
from core.maths.conjecture_scores import coefficients_at_most
from core.maths.dense_neighbours import dense_neighbours
from core.maths.scaling import scale_acts

N_DRAWN = 2_000  # random directions: two million pairs

Histograms = dict[str, tuple[np.ndarray, float, float]]
"""By affinity: counts ``[n, 20 bins]``, left edge of the first bin, right edge of the last."""


def dense_nulls(
    shuffled: sparse.spmatrix,
    scale: str,
    k: int,
    decoder: np.ndarray | None,
    real: Histograms,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Pairs by bin: C of the shuffled activations; decoder rows drawn with the mean and covariance of the real ones."""
    c = coefficients_at_most(scale_acts(shuffled, scale), k)
    null = {
        "c_cosine": dense_neighbours(c, "cosine", 1),
        "c_euclid": dense_neighbours(c, "euclid", 1, farthest=real["c_euclid"][2]),
    }
    if decoder is not None:
        drawn = random_directions(decoder, min(len(decoder), N_DRAWN), rng)
        null["decoder_cosine"] = dense_neighbours(drawn, "cosine", 1)
    return {name: found.histograms.sum(0, dtype=np.int64) for name, found in null.items()}


def histogram_rows(p: Patterns, histograms: Histograms, null: dict[str, np.ndarray]) -> pd.DataFrame:
    """Per feature, and over all pairs as feature null with the same of shuffled columns."""
    parts = []
    for name, (counts, lo, hi) in histograms.items():
        parts.append(
            pd.DataFrame({"feature": p.features, "affinity": name, "lo": lo, "hi": hi, "counts": list(counts)})
        )
        whole = {"feature": [None], "affinity": name, "lo": lo, "hi": hi, "counts": [counts.sum(0, dtype=np.int64)]}
        parts.append(pd.DataFrame(whole | {"null_counts": [null.get(name)]}))
    frame = pd.concat([f.astype({"feature": "Int32"}) for f in parts], ignore_index=True)
    return frame.sort_values(["affinity", "feature"], na_position="first")
