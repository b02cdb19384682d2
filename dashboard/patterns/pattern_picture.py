"""What a canvas gets of a map: one cell for each pixel at most, the strongest pair of those that share it.

No streamlit. With each cell goes all that is said of its pair when it is pointed at.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.patterns.pattern_map import SIGNED, Map, Pairs, strength_of
from dashboard.patterns.pattern_window import Window

MAX_CELLS = 600  # on a side: the pixels of the canvas
NO_COSINE = np.int16(-32768)
COSINE_STEPS = 1_000


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
    pick, per_cell = _strongest(strength_of(drawn, found.by), *starts)
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
