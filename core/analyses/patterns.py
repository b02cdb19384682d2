"""The matrix A[row, feature] of a run: which positions are its rows, which features its columns, all of it sparse.

A row is the last token of a context's prefix: one random position per context, its last one, or every one. What is
left out is counted: contexts too short, features that fire too rarely to have a pattern, features that always fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from core.errors import InputError
from core.parquet import damaged
from core.store import Run

Rows = Literal["random", "last", "all"]
FIRST_RANDOM = 8  # tokens before it, so that a random row has something to follow from


@dataclass(frozen=True)
class Patterns:
    """``acts`` CSC ``(n_rows, n_features)`` float64, > 0 where stored; rows in order of (context, pos)."""

    acts: sparse.csc_matrix
    features: np.ndarray  # [n_features] int32: SAE unit of each column
    context: np.ndarray  # [n_rows] int32
    pos: np.ndarray  # [n_rows] int32: position in the window, special tokens counted
    document: np.ndarray  # [n_rows] int32, 0-based without gaps
    token: np.ndarray  # [n_rows] int32: token id at the row
    n_rare: int  # features with fewer firings than asked for
    n_constant: int  # features that fire in every row
    n_short: int  # contexts with fewer than 9 real tokens (rows = random) or none
    punctuation_share: float  # of the rows whose token holds no letter or digit

    @property
    def binary(self) -> sparse.csc_matrix:
        return sparse.csc_matrix((np.ones(self.acts.nnz), self.acts.indices, self.acts.indptr), shape=self.acts.shape)

    def halves(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of two random halves of the documents."""
        n_documents = int(self.document.max()) + 1
        if n_documents < 2:
            raise InputError(
                "all text is of one document",
                "halves of the documents are compared, so that what is learnt on one is judged on the other",
                "encode more documents",
            )
        second = np.zeros(n_documents, bool)
        second[np.random.default_rng([seed, 11]).permutation(n_documents)[: n_documents // 2]] = True
        return np.flatnonzero(~second[self.document]), np.flatnonzero(second[self.document])


def pattern_matrix(run: Run, rows: Rows, min_firings: int, seed: int = 0, per_context: bool = False) -> Patterns:
    """A of a run. ``per_context``: rows are whole contexts instead, with each feature's largest act in them.

    Raises InputError where no row or no feature is left. Memory: about 10 bytes per token and 30 per firing kept.
    """
    flat, special = run.flat_contexts(), np.fromiter(run.special_ids, np.int64)
    real = ~np.isin(flat.token_ids, special)
    chosen, n_short = _all(flat.ptr, real) if per_context else _choose(flat.ptr, real, rows, seed)
    if not len(chosen):
        raise InputError(
            "no context gives a row",
            f"{n_short} contexts are shorter than {FIRST_RANDOM + 1} tokens",
            "--param rows=last, or encode longer contexts",
        )
    context = (np.searchsorted(flat.ptr, chosen, side="right") - 1).astype(np.int32)
    row_of = np.full(len(flat.token_ids), -1, np.int32)
    row_of[chosen] = np.arange(len(chosen), dtype=np.int32)
    if per_context:
        row_of = np.repeat(np.cumsum(np.isin(np.arange(len(flat.ptr) - 1), context)) - 1, np.diff(flat.ptr))
    acts = _acts(run, flat.ptr, row_of, len(chosen), per_context)
    counts = np.diff(acts.indptr)
    constant, rare = counts == len(chosen), counts < min_firings
    keep = np.flatnonzero(~rare & ~constant)
    if not len(keep):
        raise InputError(
            f"no feature is left: {rare.sum()} of {len(counts)} fire in fewer than {min_firings} of the rows",
            f"{len(chosen)} rows; {constant.sum()} features fire in every one. A pattern of fewer firings is noise",
            _more_firings(bool(rare.any()), rows != "all" and not per_context),
        )
    token = flat.token_ids[chosen]
    wordless = np.array([not any(c.isalnum() for c in t) for t in run.str_tokens])
    return Patterns(
        acts=acts[:, keep],
        features=run.encoded_features[keep],
        context=context,
        pos=(chosen - flat.ptr[context]).astype(np.int32),
        document=np.unique(flat.document[context], return_inverse=True)[1].astype(np.int32),
        token=token,
        n_rare=int((rare & ~constant).sum()),
        n_constant=int(constant.sum()),
        n_short=n_short,
        punctuation_share=float(wordless[token].mean()),
    )


def _more_firings(some_rare: bool, fewer_rows: bool) -> str:
    """What gives features more firings; nothing does to those that fire in every row."""
    if not some_rare:
        return "encode more varied text: features that never stop firing have no pattern"
    return ("--param rows=all, " if fewer_rows else "") + "more text, or --param min_firings=5 at your own risk"


def _all(ptr: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, int]:
    """The first real position of every context, standing for all of it."""
    n_real = _n_real(ptr, real)
    before = np.concatenate([[0], np.cumsum(n_real)])[:-1]
    return np.flatnonzero(real)[before[n_real > 0]], int((n_real == 0).sum())


def _n_real(ptr: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.diff(np.concatenate([[0], np.cumsum(real)])[ptr])


def _choose(ptr: np.ndarray, real: np.ndarray, rows: Rows, seed: int) -> tuple[np.ndarray, int]:
    """Places in the flat tokens, ascending, and how many contexts give none."""
    places, n_real = np.flatnonzero(real), _n_real(ptr, real)
    first = np.concatenate([[0], np.cumsum(n_real)])[:-1]
    if rows == "all":
        return places, int((n_real == 0).sum())
    least = 1 if rows == "last" else FIRST_RANDOM + 1
    enough = n_real >= least
    luck = np.random.default_rng([seed, 7]).random(len(n_real))  # one per context, whichever are long enough
    step = n_real - 1 if rows == "last" else FIRST_RANDOM + (luck * (n_real - FIRST_RANDOM)).astype(np.int64)
    return places[(first + step)[enough]], int((~enough).sum())


def _acts(run: Run, ptr: np.ndarray, row_of: np.ndarray, n_rows: int, merge: bool) -> sparse.csc_matrix:
    """Firings at the rows; ``merge``: several may meet in one cell, which holds their largest."""
    row, act, n_each = [], [], []
    for block in run.blocks():
        if len(block.act) and not (np.isfinite(block.act).all() and block.act.min() > 0):
            raise damaged(run.path / "activations.parquet", "acts must be finite and above 0")
        at = row_of[ptr[block.context] + block.pos]
        kept = at >= 0
        row.append(at[kept].astype(np.int32))
        act.append(block.act[kept])
        n_each.append(np.diff(np.concatenate([[0], np.cumsum(kept)])[block.ptr]))
    rows, acts = np.concatenate(row), np.concatenate(act).astype(np.float64)
    column_ptr = np.concatenate([[0], np.cumsum(np.concatenate(n_each))])
    if merge:
        return _merged(rows, acts, column_ptr, n_rows)
    return sparse.csc_matrix((acts, rows, column_ptr), shape=(n_rows, len(column_ptr) - 1))


def _merged(rows: np.ndarray, acts: np.ndarray, ptr: np.ndarray, n_rows: int) -> sparse.csc_matrix:
    """CSC with sorted rows; firings of one feature in one row become their largest."""
    column = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (column[1:] != column[:-1])  # firings come sorted by context and pos
    start = np.flatnonzero(new)
    largest = np.maximum.reduceat(acts, start) if len(start) else acts
    n_each = np.bincount(column[start], minlength=len(ptr) - 1)
    return sparse.csc_matrix(
        (largest, rows[start], np.concatenate([[0], np.cumsum(n_each)])), shape=(n_rows, len(ptr) - 1)
    )
