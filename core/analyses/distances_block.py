"""Every affinity between the features of a short list, from their own firings: the block that a heatmap draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from core.analyses.decoder import load_decoder
from core.errors import NotFoundError
from core.maths.affinities import dice, jaccard, overlap, phi
from core.store import Run

MAX_SIDE = 300


@dataclass(frozen=True)
class Block:
    """Arrays ``[n_features, n_features]``. ``decoder_cosine`` is None where the SAE's folder is not here."""

    features: np.ndarray  # [n_features] SAE units
    n_both: np.ndarray  # units where both fire
    jaccard: np.ndarray
    dice: np.ndarray
    overlap: np.ndarray
    phi: np.ndarray
    decoder_cosine: np.ndarray | None


def affinities_of(run: Run, features: np.ndarray, per_context: bool, n_units: int) -> Block:
    """The block of some features that each fire; a unit is a position, or a context in which a feature fires anywhere.

    ``n_units`` in all, which only phi needs. Reads the firings of these features only.
    """
    codes = [_units(run, int(f), per_context) for f in features]
    columns = np.repeat(np.arange(len(codes)), [len(c) for c in codes])
    unit = np.unique(np.concatenate(codes), return_inverse=True)[1]
    binary = sparse.csc_matrix((np.ones(len(unit)), (unit, columns)), shape=(int(unit.max()) + 1, len(codes)))
    both = (binary.T @ binary).toarray()
    n_a, n_b = np.diag(both)[:, None], np.diag(both)[None, :]
    return Block(
        features=features,
        n_both=both,
        jaccard=jaccard(both, n_a, n_b),
        dice=dice(both, n_a, n_b),
        overlap=overlap(both, n_a, n_b),
        phi=phi(both, n_a, n_b, n_units),
        decoder_cosine=_cosines(run, features),
    )


def _units(run: Run, feature: int, per_context: bool) -> np.ndarray:
    acts = run.acts(feature)
    if per_context:
        return np.unique(acts.context.astype(np.int64))
    return acts.context.astype(np.int64) << 16 | acts.pos.astype(np.int64)


def _cosines(run: Run, features: np.ndarray) -> np.ndarray | None:
    try:
        rows = load_decoder(run)[np.searchsorted(run.encoded_features, features)].astype(np.float64)
    except NotFoundError:
        return None
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    return unit @ unit.T
