"""A map of features: their pairs in the order of a dendrogram, and the part of it that fits on a screen. No streamlit.

Up to 2,000 x 2,000 pairs are held as counts and cosines; what is sent is one cell for each pixel at most, the strongest
pair of those that share it, with all that is said of that pair when it is pointed at.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.decoder import load_decoder
from core.analyses.distances_block import Block, affinities_of, coefficients_of
from core.errors import InputError, NotFoundError
from core.maths import affinities
from core.maths.leaf_order import leaf_order
from core.results import Result
from core.store import Run

MAX_SIDE = 2_000
MAX_CELLS = 600  # on a side: the pixels of the canvas
SIGNED = ("phi", "decoder_cosine", "c_cosine")
NO_COSINE = np.int16(-32768)
COSINE_STEPS = 1_000
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
    block = affinities_of(run, alive, per_context, n_units, c)
    why = "" if block.decoder_cosine is not None else decoder_absent(run)
    return _lean(block, n_units, len(wanted) - len(alive), why)


def decoder_absent(run: Run) -> str:
    """Why the decoder's directions are not known; "" where they are."""
    try:
        load_decoder(run)
    except NotFoundError as error:
        return error.detail
    return ""


def _lean(block: Block, n_units: int, n_silent: int, no_decoder: str = "") -> Pairs:
    """Counts and vectors' affinities only, in half the bytes: the rest is made from them in no time."""
    rest = {
        name: None if (found := getattr(block, name)) is None else found.astype(np.float32)
        for name in ("decoder_cosine", "c_cosine", "c_euclid")
    }
    n_both = np.rint(block.n_both).astype(np.int32)
    return Pairs(block.features, n_units, n_both, n_silent=n_silent, no_decoder=no_decoder, **rest)


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


# --- the part that is shown ------------------------------------------------------------------------------------

Window = tuple[int, int, int, int]  # first row, row after the last, first column, column after the last


def read_window(text: str) -> Window:
    """Places of a map such as ``0-40,10-50`` (last ones included); InputError for anything else."""
    try:
        rows, columns = (tuple(int(n) for n in part.split("-")) for part in text.split(","))
        (r0, r1), (c0, c1) = rows, columns
    except ValueError:
        raise InputError(f"{text[:30]!r} is no part of a map such as 0-40,10-50") from None
    if not (0 <= r0 <= r1 and 0 <= c0 <= c1):
        raise InputError(f"{text[:30]!r} is no part of a map: places count up from 0")
    return r0, r1 + 1, c0, c1 + 1


def write_window(window: Window) -> str:
    return f"{window[0]}-{window[1] - 1},{window[2]}-{window[3] - 1}"


def window_of(text: str, n: int) -> Window:
    """The part of a map of ``n`` features that a link names; all of it where it names none, or one beyond its end."""
    if not text:
        return 0, n, 0, n
    r0, r1, c0, c1 = read_window(text)
    return (r0, min(r1, n), c0, min(c1, n)) if r0 < n and c0 < n else (0, n, 0, n)


def around(place: tuple[int, int], window: Window, n: int) -> Window:
    """A quarter of a window, around a cell of it, moved inside the map."""
    out: list[int] = []
    for at, first, end in ((place[0], *window[:2]), (place[1], *window[2:])):
        side = min(n, max(8, (end - first) // 4))
        start = min(max(0, at - side // 2), n - side)
        out += [start, start + side]
    return out[0], out[1], out[2], out[3]


def places(found: Map, pairs: Pairs, a: int, b: int) -> tuple[int, int] | None:
    """Row and column of a pair of features; None where the map lacks one of them."""
    row, column = (np.flatnonzero(pairs.features[found.order] == f) for f in (a, b))
    return (int(row[0]), int(column[0])) if len(row) and len(column) else None


def boxed(found: Map, pairs: Pairs, box: Window) -> np.ndarray:
    """The features of the rows and columns of a box, in their order, each once."""
    r0, r1, c0, c1 = box
    places = np.concatenate([found.order[r0:r1], found.order[c0:c1]])
    return pairs.features[places[np.sort(np.unique(places, return_index=True)[1])]]


@dataclass(frozen=True)
class Picture:
    """What a canvas draws: ``about`` in words and numbers, ``body`` the cells, deflated."""

    about: dict[str, Any]
    body: bytes


def picture(pairs: Pairs, found: Map, window: Window, names: Sequence[str]) -> Picture:
    """The cells of a part of the map, at most ``MAX_CELLS`` a side: of pairs that share a cell the strongest.

    ``names`` say what each feature of ``pairs`` is about.
    """
    r0, r1, c0, c1 = window
    drawn = found.drawn[r0:r1, c0:c1]
    starts = [_starts(side) for side in drawn.shape]
    pick, per_cell = _strongest(_strength(drawn, found.by), *starts)
    row, column = starts[0][:-1, None] + pick // per_cell, starts[1][None, :-1] + pick % per_cell
    value = drawn[row, column]
    a, b = found.order[r0:r1][row], found.order[c0:c1][column]
    shown = value[np.isfinite(value)]
    lo, hi = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    parts = (
        pairs.n_both[a, b].astype("<u4"),
        _levels(value, lo, hi),
        *(_cosines(m, a, b) for m in (pairs.decoder_cosine, pairs.c_cosine)),
        pick.astype("u1"),
    )
    about = {
        "per_cell": per_cell, "shape": list(pick.shape), "window": list(window), "by": found.by,
        "least": lo, "most": hi, "weak": found.lo, "strong": found.hi, "signed": found.by in SIGNED,
        "n": len(pairs.features), "units": pairs.n_units,
    }  # fmt: skip
    for side, at in (("rows", found.order[r0:r1]), ("columns", found.order[c0:c1])):
        about[side] = pairs.features[at].tolist()
        about[f"{side}_fire"] = pairs.n_fires[at].tolist()
        about[f"{side}_label"] = [names[i] for i in at]
    return Picture(about, zlib.compress(b"".join(p.tobytes() for p in parts), 1))


def _strength(drawn: np.ndarray, by: str) -> np.ndarray:
    strength = np.abs(drawn) if by in SIGNED else -drawn if by == "c_euclid" else drawn
    return np.where(np.isnan(drawn), -np.inf, strength)


def _starts(n: int) -> np.ndarray:
    """Where each cell of ``n`` rows begins, and the end: cells differ by one row at most."""
    n_cells = min(n, MAX_CELLS)
    return np.arange(n_cells + 1) * n // n_cells


def _strongest(strength: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """Which pair of each cell is strongest, as row * per_cell + column within it; the first of equals; and per_cell."""
    per_cell = int(max(np.diff(rows).max(), np.diff(columns).max()))
    best = np.full((len(rows) - 1, len(columns) - 1), -np.inf, np.float32)
    pick = np.zeros(best.shape, np.int64)
    for i in range(int(np.diff(rows).max())):
        across = strength[np.minimum(rows[:-1] + i, rows[1:] - 1)]
        for j in range(int(np.diff(columns).max())):
            part = across[:, np.minimum(columns[:-1] + j, columns[1:] - 1)]
            better = part > best
            np.copyto(best, part, where=better)
            pick[better] = i * per_cell + j
    last = np.minimum(pick // per_cell, np.diff(rows)[:, None] - 1) * per_cell
    return last + np.minimum(pick % per_cell, np.diff(columns)[None, :] - 1), per_cell


def _levels(value: np.ndarray, lo: float, hi: float) -> np.ndarray:
    """0 for NaN, else 1 .. 65535 from ``lo`` to ``hi``."""
    with np.errstate(invalid="ignore"):
        level = 1 + np.rint((value - lo) / ((hi - lo) or 1.0) * 65_534)
    return np.nan_to_num(level, nan=0).astype("<u2")


def _cosines(matrix: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if matrix is None:
        return np.full(a.shape, NO_COSINE, "<i2")
    found = matrix[a, b]
    return np.where(np.isnan(found), NO_COSINE, np.rint(np.nan_to_num(found) * COSINE_STEPS)).astype("<i2")


def packed(shown: Picture, **more: Any) -> bytes:
    """One message: 4 bytes length of the JSON, the JSON, the body."""
    head = json.dumps(shown.about | more).encode()
    return len(head).to_bytes(4, "little") + head + shown.body


def map_alt(found: Map, pairs: Pairs, window: Window, name: str) -> str:
    """The strongest pair shown, in a sentence."""
    r0, r1, c0, c1 = window
    strength = _strength(found.drawn[r0:r1, c0:c1], found.by)
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
    strength = _strength(found.drawn[r0:r1, c0:c1], found.by)
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
