"""The k highest values per column of a matrix that arrives in pieces, with the place each came from.

A running threshold (the k-th best so far) makes it cheap: after the first thousand rows almost nothing passes it.
Ties are settled by place, (context, pos) first come first kept, so the answer does not depend on how rows arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

N_KEPT = 20
_BLOCK = 32  # columns tested together before any is looked at: one vector comparison passes over most


@dataclass
class NearMisses:
    """State ``[n_columns, N_KEPT]``, best first; ``context`` is -1 where fewer values have been seen."""

    hidden_pre: np.ndarray  # float32
    context: np.ndarray  # int32
    pos: np.ndarray  # int16

    @classmethod
    def empty(cls, n_columns: int) -> NearMisses:
        shape = (n_columns, N_KEPT)
        return cls(np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32), np.zeros(shape, np.int16))

    @property
    def threshold(self) -> np.ndarray:
        """float32 ``[n_columns]``: what a value must reach to matter; -inf while there is room."""
        return self.hidden_pre[:, -1]

    def offer(self, column: np.ndarray, hidden_pre: np.ndarray, context: np.ndarray, pos: np.ndarray) -> None:
        """Take in candidates, arrays of equal length in any order."""
        _offer(column, hidden_pre, context, pos, self.hidden_pre, self.context, self.pos)

    def rows(self, first_context: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Entries from ``first_context`` on as (column, rank, hidden_pre, context, pos), by column and rank."""
        column, rank = np.nonzero(self.context >= max(first_context, 0))
        at = (column, rank)
        return column.astype(np.int32), rank.astype(np.int8), self.hidden_pre[at], self.context[at], self.pos[at]


@njit(cache=True, nogil=True)
def _insert(j, value, context, pos, best, best_context, best_pos):  # type: ignore[no-untyped-def]
    """Insert into row ``j`` if better than its last entry: higher, or equal and earlier in the corpus."""
    k = best.shape[1] - 1
    while k >= 0:
        after = value < best[j, k] or (
            value == best[j, k]
            and best_context[j, k] >= 0
            and (context > best_context[j, k] or (context == best_context[j, k] and pos >= best_pos[j, k]))
        )
        if after:
            break
        if k + 1 < best.shape[1]:
            best[j, k + 1] = best[j, k]
            best_context[j, k + 1] = best_context[j, k]
            best_pos[j, k + 1] = best_pos[j, k]
        k -= 1
    if k + 1 < best.shape[1]:
        best[j, k + 1] = value
        best_context[j, k + 1] = context
        best_pos[j, k + 1] = pos


@njit(cache=True, nogil=True)
def _offer(column, value, context, pos, best, best_context, best_pos):  # type: ignore[no-untyped-def]
    for i in range(len(column)):
        _insert(column[i], value[i], context[i], pos[i], best, best_context, best_pos)


def scan(
    acts: np.ndarray, hidden_pre: np.ndarray, row: np.ndarray, context: np.ndarray, pos: np.ndarray, state: NearMisses
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One pass over a dense chunk: its firings out, its near misses into ``state``.

    ``acts`` and ``hidden_pre`` are C-contiguous float32 ``[n_rows, n_columns]``; ``row``, ``context`` and ``pos``
    ``[n_rows]`` say where each row lies. Returns the firings (act > 0) as (row int32, column int32, act float32)
    in the chunk's order.
    """
    return _scan(acts, hidden_pre, row, context, pos, state.hidden_pre, state.context, state.pos)


@njit(cache=True, nogil=True)
def _scan(acts, pre, row, context, pos, best, best_context, best_pos):  # type: ignore[no-untyped-def]
    n_rows, n_columns = acts.shape
    threshold = best[:, -1].copy()  # contiguous, so that comparisons are vectorised
    hit = np.empty(n_columns + 1, np.int32)
    out_row, out_column = np.empty(1024, np.int32), np.empty(1024, np.int32)
    out_act = np.empty(1024, np.float32)
    n = 0
    for i in range(n_rows):
        n_hits = _hits(acts[i], pre[i], threshold, hit)
        if n + n_hits > len(out_row):
            size = 2 * len(out_row) + n_hits
            out_row, out_column = _grown(out_row, n, size), _grown(out_column, n, size)
            out_act = _grown(out_act, n, size)
        for k in range(n_hits):
            j = hit[k]
            if acts[i, j] > 0:
                out_row[n], out_column[n], out_act[n] = row[i], j, acts[i, j]
                n += 1
            else:
                _insert(j, pre[i, j], context[i], pos[i], best, best_context, best_pos)
                threshold[j] = best[j, best.shape[1] - 1]
    return out_row[:n].copy(), out_column[:n].copy(), out_act[:n].copy()


@njit(cache=True, nogil=True)
def _hits(acts: Any, pre: Any, threshold: Any, hit: Any) -> Any:
    """Write the columns of one row that fire or reach their threshold into ``hit``; return how many.

    Blocks are passed over by one vectorised comparison (the constant trip count keeps it in registers); inside a
    block with a hit the column is always written and only the count depends on the data: no branch to mispredict.
    """
    n: Any = 0
    n_blocks = len(acts) // _BLOCK
    for b in range(n_blocks):
        start = b * _BLOCK
        a, p, t = acts[start : start + _BLOCK], pre[start : start + _BLOCK], threshold[start : start + _BLOCK]
        any_hit = np.int32(0)
        for j in range(_BLOCK):
            any_hit |= np.int32((a[j] > 0) | (p[j] >= t[j]))
        if any_hit:
            for j in range(start, start + _BLOCK):
                hit[n] = j
                n += np.int32((acts[j] > 0) | (pre[j] >= threshold[j]))
    for j in range(n_blocks * _BLOCK, len(acts)):
        hit[n] = j
        n += np.int32((acts[j] > 0) | (pre[j] >= threshold[j]))
    return n


@njit(cache=True, nogil=True)
def _grown(old, n, size):  # type: ignore[no-untyped-def]
    new = np.empty(size, old.dtype)
    new[:n] = old[:n]
    return new
