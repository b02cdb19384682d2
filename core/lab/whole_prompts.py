"""All features on whole prompts as one sparse matrix, and the run's contexts cut to the prompts' lengths beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from core.analyses.prompt_model import PromptActs
from core.maths.firing_lift import Cuts, match_lengths
from core.store import FlatContexts, Run

MIN_CONTEXTS = 400
"""Fewer documents than that: several contexts of one document are compared with."""


def prompt_matrix(acts: PromptActs, rows: np.ndarray, features: np.ndarray, theta: float) -> sparse.csc_matrix:
    """``[len(rows), len(features)]``: the largest act of each feature on each of the prompts ``rows``, if > theta.

    ``features`` ascending; those of ``acts`` that are not among them are left out.
    """
    place = np.full(int(max(acts.prompt.max(initial=-1), rows.max(initial=-1))) + 1, -1)
    place[rows] = np.arange(len(rows))
    column = np.searchsorted(features, acts.feature)
    known = (column < len(features)) & (features[np.minimum(column, len(features) - 1)] == acts.feature)
    kept = known & (acts.max_act > theta)
    kept[kept] = place[acts.prompt[kept]] >= 0
    values = (acts.max_act[kept].astype(np.float64), (place[acts.prompt[kept]], column[kept]))
    return sorted_columns(sparse.csc_matrix(values, shape=(len(rows), len(features))))


def sorted_columns(matrix: sparse.csc_matrix) -> sparse.csc_matrix:
    matrix.sort_indices()
    return matrix


BEGINNINGS, ANYWHERE = "beginnings", "anywhere"


@dataclass(frozen=True)
class Base:
    """What stretches of the run's contexts as long as the prompts do: ``[n_cuts, n_features]`` as ``prompt_matrix``.

    ``beginnings`` are the contexts' first tokens: a model reads from left to right, so acts there are those of the cut
    context alone, and what fires at the start of any text fires here too. ``anywhere`` are stretches at random places:
    they show what the contexts speak of later on.
    """

    beginnings: sparse.csc_matrix
    anywhere: sparse.csc_matrix
    cuts: Cuts
    notes: tuple[str, ...]


def base_of_run(
    run: Run, lengths: np.ndarray, features: np.ndarray, theta: float, most: int, seed: int,
    advance: Callable[[float], None],
) -> Base:  # fmt: skip
    """Contexts of the run, cut to the prompts' lengths, one a document where that leaves ``MIN_CONTEXTS``.

    Their stored acts are read, so no model is needed. ``advance(n)``: n features are read.
    """
    flat = run.flat_contexts()
    ordinal, n_real = _ordinals(run, flat)
    rng = np.random.default_rng([seed, 20])
    candidates, notes = _candidates(flat.document, n_real, rng)
    cuts = match_lengths(lengths, n_real[candidates], most, rng)
    context = candidates[cuts.context]
    start = rng.integers(0, n_real[context] - cuts.length + 1)
    if cuts.n_longer:
        notes = (*notes, f"{cuts.n_longer} prompts are longer than enough of the run's contexts are: they are compared "
                         f"with {cuts.longest} tokens, which makes features look more frequent on them")  # fmt: skip
    before = (np.zeros_like(start), start)
    first, anywhere = _stretches(run, flat, ordinal, context, before, cuts.length, features, theta, advance)
    return Base(first, anywhere, cuts, notes)


def _ordinals(run: Run, flat: FlatContexts) -> tuple[np.ndarray, np.ndarray]:
    """How many scored tokens each position of each context has up to and with itself; how many each context has."""
    real = ~np.isin(flat.token_ids, np.fromiter(run.special_ids, np.int64))
    total = np.concatenate([[0], np.cumsum(real)])
    before = total[flat.ptr[:-1]]
    ordinal = total[1:] - np.repeat(before, np.diff(flat.ptr))
    return ordinal.astype(np.int32), total[flat.ptr[1:]] - before


def _candidates(
    document: np.ndarray, n_real: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Contexts that may be drawn, ascending."""
    there = np.flatnonzero(n_real > 0)
    shuffled = rng.permutation(there)
    one_each = np.sort(shuffled[np.unique(document[shuffled], return_index=True)[1]])
    if len(one_each) >= MIN_CONTEXTS or len(one_each) == len(there):
        return one_each, ()
    return there, (f"the run has only {len(one_each)} documents: several contexts of one are compared with, and p is "
                   "smaller than it ought to be where they are alike",)  # fmt: skip


def _stretches(
    run: Run, flat: FlatContexts, ordinal: np.ndarray, context: np.ndarray, before: tuple[np.ndarray, ...],
    length: np.ndarray, features: np.ndarray, theta: float, advance: Callable[[float], None],
) -> list[sparse.csc_matrix]:  # fmt: skip
    """The largest act above theta of each feature on stretches of contexts, in one pass over the run's firings.

    ``context`` ascending; one matrix for each of ``before``, the number of scored tokens before the stretch.
    """
    n = len(flat.document)
    row = np.full(n, -1, np.int64)
    row[context] = np.arange(len(context))
    lows, highs = np.zeros((len(before), n), np.int64), np.zeros((len(before), n), np.int64)
    for k, first in enumerate(before):
        lows[k, context], highs[k, context] = first, first + length
    parts: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in before]
    for block in run.blocks():
        at = np.searchsorted(features, block.features)
        known = (at < len(features)) & (features[np.minimum(at, len(features) - 1)] == block.features)
        column = np.repeat(np.where(known, at, -1), np.diff(block.ptr))
        here = ordinal[flat.ptr[block.context] + block.pos]
        fires = (column >= 0) & (block.act > theta)
        for k, found in enumerate(parts):
            kept = np.flatnonzero(fires & (here > lows[k, block.context]) & (here <= highs[k, block.context]))
            found.append(_largest(column[kept], row[block.context[kept]], block.act[kept], len(context)))
        advance(len(block.features))
    shape = (len(context), len(features))
    return [_stacked(found, shape) for found in parts]


def _largest(
    column: np.ndarray, row: np.ndarray, act: np.ndarray, n_rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(value, row, column) of each pair's largest act; pairs come sorted by column and row."""
    first = np.flatnonzero(np.diff(column * n_rows + row, prepend=-1))
    most = np.maximum.reduceat(act, first) if len(first) else act
    return most.astype(np.float64), row[first], column[first]


def _stacked(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], shape: tuple[int, int]) -> sparse.csc_matrix:
    if not parts:
        return sparse.csc_matrix(shape)
    value, row, column = (np.concatenate(p) for p in zip(*parts, strict=True))
    return sorted_columns(sparse.csc_matrix((value, (row, column)), shape=shape))
