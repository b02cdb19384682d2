"""Where concepts are planted: do features that stand for one concept share a prototype more than others?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.analyses.patterns import Patterns
from core.analyses.truth_units import token_units
from core.annotation import FOLDER, load_annotation
from core.maths.bases import find_basis
from core.maths.cofiring_excess import pair_similarity
from core.maths.matching_outcomes import match_features
from core.maths.scaling import scale_acts
from core.store import Run

N_MATCHED, N_BOOT, WINDOW = 20, 1000, 10


def planted_pairs(run: Run, p: Patterns, k: int, seed: int) -> pd.DataFrame:
    """Rows of the table ``planted``; empty without annotation or with no concept that two features stand for."""
    if not (run.path / FOLDER).is_dir():
        return pd.DataFrame()
    concept = _concepts(run, p)
    pairs = _same(concept)
    if not len(pairs) or k >= min(p.acts.shape):
        return pd.DataFrame()
    rng = np.random.default_rng([seed, 30])
    other = _density_matched(pairs, concept, np.diff(p.acts.indptr), rng)
    a = scale_acts(p.acts, "unit")
    rows = []
    for method in ("svd", "varimax"):
        c = find_basis(a, method, k).c
        for name, of, owner in (("one concept", pairs, concept[pairs[:, 0]]), ("density-matched", *other)):
            shared = np.abs(c).argmax(1)[of]
            same = (shared[:, 0] == shared[:, 1]).astype(float)
            lo, hi = _interval(same, owner, rng)
            rows.append(
                {
                    "method": method,
                    "pairs": name,
                    "n_pairs": len(of),
                    "n_concepts": len(np.unique(owner)),
                    "share": same.mean(),
                    "lo": lo,
                    "hi": hi,
                    "cosine": pair_similarity(c, of, "cosine").mean(),
                }
            )
    return pd.DataFrame(rows)


def _concepts(run: Run, p: Patterns) -> np.ndarray:
    """``[n_features]``: the concept each column of A stands for on both halves of the documents; -1 for none."""
    units = token_units(run, load_annotation(run.path / FOLDER))
    found = match_features(units.half(0), units.half(1))
    concept = np.where(found["matched"], found["concept"], -1)
    return concept[np.searchsorted(run.encoded_features, p.features)]


def _same(concept: np.ndarray) -> np.ndarray:
    i, j = np.triu_indices(len(concept), 1)
    same = (concept[i] == concept[j]) & (concept[i] >= 0)
    return np.stack([i[same], j[same]], 1)


def _density_matched(
    pairs: np.ndarray, concept: np.ndarray, n_firings: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """For every pair 20 others of nearly the same densities and not of one concept, and the concept they match."""
    order = np.argsort(n_firings, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    many = np.repeat(pairs, N_MATCHED, axis=0)
    drawn = order[np.clip(rank[many] + rng.integers(-WINDOW, WINDOW + 1, many.shape), 0, len(order) - 1)]
    fine = drawn[:, 0] != drawn[:, 1]
    fine &= (concept[drawn[:, 0]] != concept[drawn[:, 1]]) | (concept[drawn[:, 0]] < 0)
    return drawn[fine], concept[many[fine, 0]]


def _interval(values: np.ndarray, owner: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean, bootstrap over owners: pairs of one concept are alike."""
    of_owner = np.unique(owner, return_inverse=True)[1]
    n, total = np.bincount(of_owner), np.bincount(of_owner, values)
    weights = rng.exponential(size=(N_BOOT, len(n)))
    lo, hi = np.quantile((weights @ total) / (weights @ n), [0.025, 0.975])
    return float(lo), float(hi)
