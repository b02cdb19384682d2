"""Contexts through model and SAE to firings: one pass, chunk by chunk, never a matrix of the whole.

Only real positions reach the SAE: padding and special tokens are taken out before it. Contexts of one shard are
batched by length, longest first, so that little padding is computed; rows keep their number, so the order on disk
does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.engine.models import LoadedModel
from core.engine.saes import LoadedSAE
from core.errors import InputError
from core.maths.near_misses import N_KEPT, NearMisses, scan
from core.maths.sorting import counting_order, offsets

CHUNK_ELEMENTS = {"cpu": 6_300_000, "cuda": 1 << 26}
"""Entries of one dense chunk [rows, features]: on a CPU just under 32 MB of float32, above which the C library maps
fresh zeroed pages for every chunk."""

CPU_BATCH_TOKENS = 512
"""Positions that go through the model together on a CPU, whatever the recipe allows: larger batches fall out of its
caches (measured: 4096 takes a quarter longer on GPT-2 small)."""

FLOAT16_MAX = 65_504.0
FLOAT16_MIN = np.float16(6e-8)
"""Smallest positive float16: what a firing too small for float16 is stored as, so that it stays a firing."""


@dataclass(frozen=True)
class Rows:
    """The real positions of consecutive contexts, in order of (context, pos). Arrays ``[n_rows]``."""

    context: np.ndarray  # int32, row of contexts
    pos: np.ndarray  # int16, special tokens counted


@dataclass(frozen=True)
class Firings:
    """Firings sorted by column, context, pos; column ``j`` owns rows ``ptr[j] : ptr[j + 1]``."""

    ptr: np.ndarray  # int64 [n_columns + 1]
    context: np.ndarray  # int32 [n]
    pos: np.ndarray  # int16 [n]
    act: np.ndarray  # float32 [n]


@dataclass(frozen=True)
class Encoder:
    """Model, SAE (with the wanted columns only) and what else decides how contexts are encoded."""

    model: LoadedModel
    sae: LoadedSAE
    n_columns: int
    special_ids: frozenset[int]
    batch_tokens: int
    device: str

    def encode(
        self,
        contexts: list[np.ndarray],
        first_context: int,
        state: NearMisses,
        advance: Callable[[float], None] = lambda n: None,
    ) -> Firings:
        """All firings of consecutive contexts (their token ids), and their near misses into ``state``.

        ``advance`` is told how many real tokens are done.
        """
        rows, row_ptr = _rows(contexts, first_context, self.special_ids)
        found = _Buffer()
        total = torch.zeros((), device=self.device)  # looked at once a shard: on a GPU every look waits for it
        limit = min(self.batch_tokens, CPU_BATCH_TOKENS) if self.device == "cpu" else self.batch_tokens
        for batch in _batches(contexts, limit):
            for resid, row in self._resid(contexts, batch, rows, row_ptr):
                total += resid.float().sum()
                acts, hidden_pre = self.sae.encode(resid)
                found.append(*_extract(acts, hidden_pre, row, rows, state))
                advance(len(row))
        _require_finite(total)
        return _sorted(found, rows, self.n_columns)

    def _resid(
        self, contexts: list[np.ndarray], batch: np.ndarray, rows: Rows, row_ptr: np.ndarray
    ) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Chunks of the hook's values at real positions ``[n, d_in]``, with the row number of each."""
        row = np.concatenate([np.arange(row_ptr[c], row_ptr[c + 1]) for c in batch]).astype(np.int32)
        if not len(row):
            return
        tokens = padded([contexts[c] for c in batch])
        counts = np.diff(row_ptr)[batch]
        places = np.repeat(np.arange(len(batch)) * tokens.shape[1], counts) + rows.pos[row]
        values = self.model.resid(torch.from_numpy(tokens).to(self.device))
        values = values.reshape(-1, values.shape[-1]).index_select(0, torch.from_numpy(places).to(self.device))
        size = chunk_rows(self.n_columns if self.sae.info.elementwise else self.sae.info.d_sae, self.device)
        for start in range(0, len(row), size):
            yield values[start : start + size], row[start : start + size]


def chunk_rows(n_columns: int, device: str) -> int:
    """Rows of one dense chunk: a power of two that keeps within ``CHUNK_ELEMENTS``, 16 to 4096."""
    limit = CHUNK_ELEMENTS["cpu" if device == "cpu" else "cuda"] // max(1, n_columns)
    return 1 << int(np.clip(limit, 16, 4096)).bit_length() - 1


def _rows(contexts: list[np.ndarray], first_context: int, special_ids: frozenset[int]) -> tuple[Rows, np.ndarray]:
    """Every real position of the contexts, and the row pointers ``[n_contexts + 1]``."""
    lengths = np.fromiter((len(c) for c in contexts), np.int64, len(contexts))
    real = ~np.isin(np.concatenate(contexts), list(special_ids))
    context = np.repeat(np.arange(len(contexts)), lengths)
    pos = np.arange(len(real)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    counts = np.bincount(context[real], minlength=len(contexts))
    return Rows((context[real] + first_context).astype(np.int32), pos[real].astype(np.int16)), offsets(counts)


def _batches(contexts: list[np.ndarray], batch_tokens: int) -> Iterator[np.ndarray]:
    """Numbers of contexts that go through the model together: at most ``batch_tokens`` positions with padding."""
    lengths = np.fromiter((len(c) for c in contexts), np.int64, len(contexts))
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def padded(contexts: list[np.ndarray]) -> np.ndarray:
    """Token ids as int64 ``[n, longest]``, padded on the right with id 0, which no real position sees."""
    tokens = np.zeros((len(contexts), max(map(len, contexts))), np.int64)
    for i, ids in enumerate(contexts):
        tokens[i, : len(ids)] = ids
    return tokens


def _extract(
    acts: Tensor, hidden_pre: Tensor, row: np.ndarray, rows: Rows, state: NearMisses
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The firings of a chunk as (row, column, act) on the host; near misses go into ``state``."""
    if on_host(acts):
        dense = [np.ascontiguousarray(t.float().numpy()) for t in (acts, hidden_pre)]
        return scan(dense[0], dense[1], row, rows.context[row], rows.pos[row], state)
    fired = acts > 0
    at, column = (t.cpu().numpy() for t in torch.nonzero(fired, as_tuple=True))
    values = acts[fired].float().cpu().numpy()
    _offer_misses(hidden_pre.float().masked_fill(fired, -torch.inf), row, rows, state)
    return row[at], column.astype(np.int32), values


def on_host(acts: Tensor) -> bool:
    """Whether a dense chunk can be scanned where it lies."""
    return acts.device.type == "cpu"


def _offer_misses(hidden_pre: Tensor, row: np.ndarray, rows: Rows, state: NearMisses) -> None:
    """Send what may be among the highest to the host: at least the threshold so far, and the chunk's own k-th."""
    threshold = torch.from_numpy(state.threshold.copy()).to(hidden_pre.device)
    if len(hidden_pre) > N_KEPT and bool(torch.isinf(threshold).any()):
        threshold = torch.maximum(threshold, torch.topk(hidden_pre, N_KEPT, dim=0).values[-1])
    at, column = torch.nonzero((hidden_pre >= threshold) & ~torch.isneginf(hidden_pre), as_tuple=True)
    value, where, of = (t.cpu().numpy() for t in (hidden_pre[at, column], at, column))
    state.offer(of, value, rows.context[row[where]], rows.pos[row[where]])


def _require_finite(total: Tensor) -> None:
    """One NaN or infinity makes the sum of all values one."""
    if not bool(torch.isfinite(total)):
        raise InputError(
            "the model gives values that are not finite",
            "at the SAE's hook, on this corpus: it overflows in its dtype",
            "use a wider one: --set model.dtype=float32",
        )


class _Buffer:
    """Firings of many chunks in three long arrays.

    Not a list of small ones: those would lie scattered between the large chunks, and the memory of a freed chunk with
    a small array in it cannot be used for the next (measured: 75 MB more on GPT-2 small).
    """

    def __init__(self) -> None:
        self.n = 0
        self._arrays = (np.empty(1 << 18, np.int32), np.empty(1 << 18, np.int32), np.empty(1 << 18, np.float32))

    def append(self, *parts: np.ndarray) -> None:
        n = self.n + len(parts[0])
        if n > len(self._arrays[0]):
            self._arrays = tuple(np.resize(a, 2 * n) for a in self._arrays)  # type: ignore[assignment]
        for array, part in zip(self._arrays, parts, strict=True):
            array[self.n : n] = part
        self.n = n

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row, column, act) of all firings so far."""
        row, column, act = (array[: self.n] for array in self._arrays)
        return row, column, act


def _sorted(found: _Buffer, rows: Rows, n_columns: int) -> Firings:
    """Firings of all chunks sorted by column, then row (= context, pos): two stable counting sorts."""
    row, column, act = found.arrays()
    by_row, _ = counting_order(row, len(rows.context))
    by_column, ptr = counting_order(column[by_row], n_columns)
    order = by_row[by_column]
    return Firings(ptr, rows.context[row[order]], rows.pos[row[order]], act[order])


def stored_acts(act: np.ndarray, store_dtype: str) -> np.ndarray:
    """``act [n]`` float32 > 0 in the dtype of the table; a firing stays one however small.

    Raises InputError when a value does not fit float16 or is not finite.
    """
    if act.size and not np.isfinite(act.max()):
        raise InputError(
            "an activation is not finite",
            "the model or the SAE overflows in its dtype",
            "use a wider one: --set model.dtype=float32 --set sae.dtype=float32",
        )
    if store_dtype == "float32":
        return act
    if act.size and act.max() > FLOAT16_MAX:
        raise InputError(
            f"an activation of {act.max():.6g} does not fit float16",
            f"float16 ends at {FLOAT16_MAX:,.0f}",
            "store float32: --set encode.store_dtype=float32",
        )
    return np.maximum(act.astype(np.float16), FLOAT16_MIN)
