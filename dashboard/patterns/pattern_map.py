"""A map of features: their pairs in the order of a dendrogram, and the part of it that fits on a screen. No streamlit.

Up to 2,000 x 2,000 pairs are held as counts and cosines. ``pattern_picture`` makes what is sent of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.decoder import load_decoder
from core.analyses.distances_block import coefficients_of, cosines, counts_of, decoder_cosines, gaps
from core.errors import NotFoundError
from core.maths import affinities
from core.maths.leaf_order import leaf_order
from core.results import Result
from core.store import Run
from dashboard.patterns.pattern_window import Window

MAX_SIDE = 2_000
SIGNED = ("phi", "decoder_cosine", "c_cosine")
CLIPPED = 0.995  # of the pairs that fire together have a colour of their own; those beyond share the strongest
SEEN = 400_000  # pairs that decide the range of colours


@dataclass(frozen=True)
class Pairs:
    """Of some features that each fire, ascending: what every affinity of a pair is made from."""

    features: np.ndarray  # [n] SAE units
    n_units: int
    n_both: np.ndarray  # [n, n] int32; the diagonal: units where the feature fires
    decoder_cosine: np.ndarray | None  # [n, n] float32; None: the decoder is not here
    c_cosine: np.ndarray | None  # [n, n] float32; None: the result holds no C
    c_euclid: np.ndarray | None
    n_silent: int  # features asked for that never fire
    no_decoder: str = ""  # why there is no decoder

    @cached_property
    def n_fires(self) -> np.ndarray:
        return np.diagonal(self.n_both).astype(np.int64)

    def affinity(self, by: str) -> np.ndarray:
        """``[n, n]`` float32; NotFoundError where it cannot be known."""
        if by in ("decoder_cosine", "c_cosine", "c_euclid"):
            found = getattr(self, by)
            if found is None and by == "decoder_cosine":
                raise NotFoundError("the decoder of this run is not here", self.no_decoder, "choose another affinity")
            if found is None:
                raise NotFoundError("this result holds no C", "it is of an older version", "compute distances again")
            return np.asarray(found)
        n_a, n_b = self.n_fires[:, None], self.n_fires[None, :]
        if by == "phi":
            return affinities.phi(self.n_both, n_a, n_b, self.n_units).astype(np.float32)
        return getattr(affinities, by)(self.n_both, n_a, n_b).astype(np.float32)


def load_pairs(run: Run, folder: Path, features: np.ndarray) -> Pairs:
    """The pairs of some features of a result; those that never fire are left out and counted."""
    result = Result(folder)
    per_context = result.manifest["params"]["per"] == "context"
    n_units = int(result.table("units", ["n_units"])["n_units"].iloc[0])
    wanted = np.unique(np.asarray(features, np.int64))
    table = run.table("features", ["feature", "n_firings"])
    alive = np.intersect1d(wanted, table.loc[table["n_firings"] > 0, "feature"])
    if len(alive) < 2:
        raise NotFoundError(
            "fewer than two of these features fire", "a map needs two", "choose others: more neighbours, or a list"
        )
    c = coefficients_of(result.table("coefficients"), alive) if "coefficients" in result.manifest["tables"] else None
    decoder = decoder_cosines(run, alive)
    return Pairs(
        features=alive,
        n_units=n_units,
        n_both=counts_of(run, alive, per_context),
        decoder_cosine=None if decoder is None else decoder.astype(np.float32),
        c_cosine=None if c is None else cosines(c).astype(np.float32),
        c_euclid=None if c is None else gaps(c).astype(np.float32),
        n_silent=len(wanted) - len(alive),
        no_decoder="" if decoder is not None else decoder_absent(run),
    )


def decoder_absent(run: Run) -> str:
    """Why the decoder's directions are not known; "" where they are."""
    try:
        load_decoder(run)
    except NotFoundError as error:
        return error.detail
    return ""


@dataclass(frozen=True)
class Map:
    """Pairs in the order of the dendrogram by one affinity, which is drawn."""

    by: str
    order: np.ndarray  # [n] place of each feature in ``Pairs``
    drawn: np.ndarray  # [n, n] float32 in that order; NaN: a feature with itself, or undefined
    lo: float  # value of the weakest colour
    hi: float  # value of the strongest


def arrange(pairs: Pairs, by: str) -> Map:
    """Order the features by average linkage, and choose the range of colours from all pairs."""
    values = pairs.affinity(by)
    order = leaf_order(values if by == "c_euclid" else 1 - values)
    drawn = values[np.ix_(order, order)]
    np.fill_diagonal(drawn, np.nan)
    return Map(by, order, drawn, *_range(drawn, by))


def _range(drawn: np.ndarray, by: str) -> tuple[float, float]:
    """Weakest and strongest colour: 0 and the 99.5th percentile of what is not 0, to both sides where signed."""
    some = drawn.ravel()[:: max(1, drawn.size // SEEN) | 1]
    some = some[np.isfinite(some) & (some != 0)]
    if not len(some):
        return (-1.0 if by in SIGNED else 0.0), 1.0
    if by == "c_euclid":
        return float(np.quantile(some, CLIPPED)), 0.0
    hi = float(np.quantile(np.abs(some), CLIPPED))
    return (-hi if by in SIGNED else 0.0), hi


def places(found: Map, pairs: Pairs, a: int, b: int) -> tuple[int, int] | None:
    """Row and column of a pair of features; None where the map lacks one of them."""
    row, column = (np.flatnonzero(pairs.features[found.order] == f) for f in (a, b))
    return (int(row[0]), int(column[0])) if len(row) and len(column) else None


def boxed(found: Map, pairs: Pairs, box: Window) -> np.ndarray:
    """The features of the rows and columns of a box, in their order, each once."""
    r0, r1, c0, c1 = box
    places = np.concatenate([found.order[r0:r1], found.order[c0:c1]])
    return pairs.features[places[np.sort(np.unique(places, return_index=True)[1])]]


def strength_of(drawn: np.ndarray, by: str) -> np.ndarray:
    strength = np.abs(drawn) if by in SIGNED else -drawn if by == "c_euclid" else drawn
    return np.where(np.isnan(drawn), -np.inf, strength)


def map_alt(found: Map, pairs: Pairs, window: Window, name: str) -> str:
    """The strongest pair shown, in a sentence."""
    r0, r1, c0, c1 = window
    strength = strength_of(found.drawn[r0:r1, c0:c1], found.by)
    if not np.isfinite(strength).any():
        return f"{name} between features: no pair shown has one"
    at = np.unravel_index(int(strength.argmax()), strength.shape)
    a, b = pairs.features[found.order[r0 + at[0]]], pairs.features[found.order[c0 + at[1]]]
    value = found.drawn[r0 + at[0], c0 + at[1]]
    size = f"{r1 - r0:,} x {c1 - c0:,} of {len(pairs.features):,} features"
    return f"{name} between {size}; the strongest pair is {a} and {b} with {value:.3g}"


def pair_frame(pairs: Pairs, found: Map, window: Window, n_most: int = 100_000) -> pd.DataFrame:
    """The pairs shown, strongest first, each once, at most ``n_most``; for download."""
    r0, r1, c0, c1 = window
    strength = strength_of(found.drawn[r0:r1, c0:c1], found.by)
    row, column = np.nonzero(np.isfinite(strength))
    a, b = found.order[r0 + row], found.order[c0 + column]
    first = np.unique(np.minimum(a, b) * len(pairs.features) + np.maximum(a, b), return_index=True)[1]
    best = first[np.argsort(-strength[row, column][first], kind="stable")[:n_most]]
    a, b = a[best], b[best]
    both, n_a, n_b = pairs.n_both[a, b], pairs.n_fires[a], pairs.n_fires[b]
    columns: dict[str, Any] = {"feature": pairs.features[a], "other": pairs.features[b], "n_both": both}
    columns |= {name: getattr(affinities, name)(both, n_a, n_b) for name in ("jaccard", "dice", "overlap")}
    columns["phi"] = affinities.phi(both, n_a, n_b, pairs.n_units)
    kept = {name: getattr(pairs, name) for name in ("decoder_cosine", "c_cosine", "c_euclid")}
    return pd.DataFrame(columns | {name: m[a, b] for name, m in kept.items() if m is not None})
