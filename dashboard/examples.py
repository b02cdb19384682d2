"""Which contexts of a feature to show, and the piece of each around its peak. numpy and pandas only.

Top examples alone mislead (they need not look like the rest), so the same page shows uniform draws, draws by
quantile band and near misses. All draws are decided by the seed and the feature, so a link shows the same contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.store import FeatureActs
from dashboard.wording import number, plural

N_BANDS = 4
UNIFORM, BANDS = 1, 2  # streams of the seed


@dataclass(frozen=True)
class Peaks:
    """The strongest firing of each context in which the feature fires. Arrays ``[n_firing_contexts]``."""

    context: np.ndarray
    pos: np.ndarray
    act: np.ndarray


@dataclass(frozen=True)
class Picked:
    """Some contexts, each with the position to centre on and the value that made it be picked."""

    title: str
    about: str
    context: np.ndarray
    pos: np.ndarray
    value: np.ndarray  # act of the peak; for near misses hidden_pre
    misses: bool = False


@dataclass(frozen=True)
class Example:
    """A stretch of one context. ``miss`` is the position of the near miss, None where the feature fired."""

    context: int
    document: int
    source: str
    start: int  # position of tokens[0]
    tokens: Sequence[str]
    acts: np.ndarray  # [n_tokens], 0 where it does not fire
    special: np.ndarray  # [n_tokens] bool
    value: float
    peak: int
    miss: int | None
    cut_before: bool
    cut_after: bool


@dataclass(frozen=True)
class Group:
    title: str
    about: str
    examples: Sequence[Example]
    unit: str = "act"  # what the numbers of its tokens are
    value: str = "act"  # what the number of each example is


def peaks_of(acts: FeatureActs) -> Peaks:
    """One row per firing context, the first position of its largest act; in order of context."""
    if not len(acts.act):
        return Peaks(acts.context, acts.pos, acts.act)
    first = np.flatnonzero(np.r_[True, np.diff(acts.context) != 0])
    best = np.maximum.reduceat(acts.act, first)
    owner = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(acts.act)]))
    at_best = np.flatnonzero(acts.act == best[owner])
    rows = at_best[np.unique(owner[at_best], return_index=True)[1]]
    return Peaks(acts.context[rows], acts.pos[rows], acts.act[rows])


def pick_top(peaks: Peaks, n: int) -> Picked:
    """The ``n`` contexts with the largest peaks; ties by context."""
    rows = np.argsort(-peaks.act, kind="stable")[:n]
    return _picked("Top activations", f"{len(rows)} strongest of {_firing(peaks)}", peaks, rows)


def pick_uniform(peaks: Peaks, n: int, seed: Sequence[int]) -> Picked:
    """``n`` contexts drawn uniformly, without replacement, from all in which the feature fires."""
    rng = np.random.default_rng([*seed, UNIFORM])
    rows = rng.permutation(len(peaks.act))[:n]
    rows = rows[np.argsort(-peaks.act[rows], kind="stable")]
    return _picked("Uniformly random", f"{len(rows)} drawn of {_firing(peaks)}, strongest first", peaks, rows)


def pick_bands(peaks: Peaks, n: int, seed: Sequence[int]) -> list[Picked]:
    """``n`` contexts drawn uniformly from each quarter of the firing contexts by peak act, strongest quarter first."""
    rng = np.random.default_rng([*seed, BANDS])
    order = np.argsort(-peaks.act, kind="stable")
    bands = []
    for i, band in enumerate(np.array_split(order, N_BANDS)):
        if not len(band) or not n:
            continue
        rows = rng.permutation(band)[:n]
        rows = rows[np.argsort(-peaks.act[rows], kind="stable")]
        act = peaks.act[band]
        between = f"act {number(act.min())} to {number(act.max())}"
        about = f"{len(rows)} drawn of {plural(len(band), 'context')} with {between}"
        bands.append(_picked(f"Quarter {i + 1} of {N_BANDS} by act", about, peaks, rows))
    return bands


def pick_misses(near_misses: pd.DataFrame, n: int) -> Picked:
    """The ``n`` highest pre-activations that did not fire."""
    rows = near_misses.sort_values("rank").head(n)
    about = f"{len(rows)} highest pre-activations that did not fire; the token is boxed"
    context, pos, value = (rows[c].to_numpy() for c in ("context", "pos", "hidden_pre"))
    return Picked("Near misses", about, context, pos, value, misses=True)


def choose(
    peaks: Peaks, near_misses: pd.DataFrame, draw: Sequence[int], n_top: int, n_random: int, n_band: int, n_near: int
) -> list[Picked]:
    """The contexts of a feature's page: top beside uniform, then quarters, then near misses; none of what has n = 0."""
    picked = [pick_top(peaks, n_top)] if n_top else []
    picked += [pick_uniform(peaks, n_random, draw)] if n_random else []
    picked += pick_bands(peaks, n_band, draw)
    return picked + ([pick_misses(near_misses, n_near)] if n_near else [])


def _picked(title: str, about: str, peaks: Peaks, rows: np.ndarray) -> Picked:
    return Picked(title, about, peaks.context[rows], peaks.pos[rows], peaks.act[rows])


def _firing(peaks: Peaks) -> str:
    return plural(len(peaks.act), "firing context")


def acts_of(acts: FeatureActs, context: int, n_tokens: int) -> np.ndarray:
    """``[n_tokens]`` float32: the feature's acts along one context, 0 where it does not fire."""
    lo, hi = np.searchsorted(acts.context, [context, context + 1])
    along = np.zeros(n_tokens, np.float32)
    along[acts.pos[lo:hi]] = acts.act[lo:hi]
    return along


def groups_of(
    picked: Sequence[Picked],
    acts: FeatureActs,
    contexts: Callable[[np.ndarray], Sequence[Any]],
    str_tokens: np.ndarray,
    special_ids: Collection[int],
    width: int | None,
) -> list[Group]:
    """Read the picked contexts, all in one go, and cut ``width`` tokens to either side of each peak (None: whole).

    ``contexts`` gives rows with ``context``, ``document``, ``source`` and ``token_ids`` for an array of ids.
    """
    rows = iter(contexts(np.concatenate([p.context for p in picked])) if picked else ())
    special = np.array(sorted(special_ids), np.int32)

    def example(p: Picked, i: int) -> Example:
        row = next(rows)
        along = acts_of(acts, row.context, len(row.token_ids))
        return _cut(row, along, int(p.pos[i]), float(p.value[i]), p.misses, str_tokens, special, width)

    return [Group(p.title, p.about, [example(p, i) for i in range(len(p.context))]) for p in picked]


def _cut(
    row: Any, along: np.ndarray, peak: int, value: float, miss: bool, str_tokens: np.ndarray, special: np.ndarray,
    width: int | None,
) -> Example:  # fmt: skip
    n = len(row.token_ids)
    lo, hi = (0, n) if width is None else (max(0, peak - width), min(n, peak + width + 1))
    ids = row.token_ids[lo:hi]
    return Example(
        context=row.context,
        document=row.document,
        source=row.source,
        start=lo,
        tokens=str_tokens[ids],
        acts=along[lo:hi],
        special=(ids[:, None] == special).any(axis=1),
        value=value,
        peak=peak,
        miss=peak if miss else None,
        cut_before=lo > 0,
        cut_after=hi < n,
    )


def as_frame(groups: Sequence[Group], act_max: float) -> pd.DataFrame:
    """The shown contexts as a table for download: one row each, its text with the peak between « and »."""
    rows = [
        {
            "group": group.title,
            "context": e.context,
            "document": e.document,
            "source": e.source,
            "pos": e.peak,
            "value": e.value,
            "value_is": "hidden_pre" if e.miss is not None else "act",
            "share_of_max": None if e.miss is not None or not act_max else e.value / act_max,
            "text": "".join(f"«{token}»" if e.start + i == e.peak else str(token) for i, token in enumerate(e.tokens)),
        }
        for group in groups
        for e in group.examples
    ]
    return pd.DataFrame(rows)
