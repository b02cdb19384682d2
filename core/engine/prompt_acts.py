"""Firings of batches of prompts put together: one answer for the prompts that were asked, equal ones included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.analyses.prompt_model import PromptActs, TokenActs
from core.engine.prompt_pass import Batch
from core.errors import InputError
from core.maths.sorting import counting_order

MAX_FIRINGS = 64_000_000
"""Rows of one answer: 16 to 24 bytes each, and as much again while they are sorted."""


class TokenRows:
    """Collects ``TokenActs`` of different prompts and hands them out for the prompts that were asked."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._n = 0

    def add(self, batch: Batch) -> None:
        prompt, pos = _places(batch)
        self._n = _require_room(self._n + len(batch.row))
        self._parts.append((batch.column.astype(np.int32), prompt[batch.row], pos[batch.row], batch.act))

    def answer(self, features: np.ndarray | None, askers: Sequence[np.ndarray]) -> TokenActs:
        """``askers[k]``: numbers of the prompts asked that are the k-th different one."""
        column, prompt, pos, act = _joined(self._parts, (np.int32, np.int32, np.int32, np.float32))
        take, asked = _for_each(prompt, askers)
        column, pos, act = column[take], pos[take], act[take]
        order = np.lexsort((pos, asked, column))
        named = column if features is None else features[column].astype(np.int32)
        return TokenActs(named[order], asked[order], pos[order], act[order])


class PromptRows:
    """The same for ``PromptActs``: what a batch's prompts do is summed up before the next."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._n = 0

    def add(self, batch: Batch, n_columns: int) -> None:
        """One row per prompt and column that fired."""
        number = np.repeat(np.arange(len(batch.real)), [len(r) for r in batch.real])
        lengths = np.array([len(r) for r in batch.real])
        of, column = number[batch.row], batch.column
        order, _ = counting_order(column, n_columns)
        order = order[counting_order(of[order], len(batch.real))[0]]  # by prompt, column, row
        key = of[order] * n_columns + column[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        if not len(first):
            return
        self._n = _require_room(self._n + len(first))
        act, row = batch.act[order], batch.row[order]
        of = of[order][first]
        end = np.append(first[1:], len(key)) - 1
        is_last = row[end] == np.cumsum(lengths)[of] - 1
        self._parts.append(
            (
                column[order][first].astype(np.int32),
                batch.prompts[of].astype(np.int32),
                np.maximum.reduceat(act, first),
                (np.add.reduceat(act.astype(np.float64), first) / lengths[of]).astype(np.float32),
                np.where(is_last, act[end], np.float32(0)),
                np.diff(np.append(first, len(key))).astype(np.int32),
            )
        )

    def answer(self, features: np.ndarray | None, askers: Sequence[np.ndarray]) -> PromptActs:
        column, prompt, most, mean, last, n = _joined(
            self._parts, (np.int32, np.int32, np.float32, np.float32, np.float32, np.int32)
        )
        take, asked = _for_each(prompt, askers)
        order = np.lexsort((asked, column[take]))
        take, asked = take[order], asked[order]
        named = column[take] if features is None else features[column[take]].astype(np.int32)
        return PromptActs(named, asked, most[take], mean[take], last[take], n[take])


def _places(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Number of the prompt and position in it of every row, int32."""
    prompt = np.repeat(batch.prompts, [len(r) for r in batch.real]).astype(np.int32)
    return prompt, np.concatenate(batch.real).astype(np.int32)


def _joined(parts: list[tuple[np.ndarray, ...]], dtypes: tuple[type, ...]) -> tuple[np.ndarray, ...]:
    if not parts:
        return tuple(np.zeros(0, d) for d in dtypes)
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _for_each(prompt: np.ndarray, askers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows repeated for everybody who asked for their prompt: which row, and the asker's number (int32)."""
    counts = np.array([len(a) for a in askers], np.int64)
    starts = np.cumsum(counts) - counts
    flat = np.concatenate([np.zeros(0, np.int64), *askers])
    times = counts[prompt]
    _require_room(int(times.sum()))
    take = np.repeat(np.arange(len(prompt)), times)
    nth = np.arange(len(take)) - np.repeat(np.cumsum(times) - times, times)
    return take, flat[starts[prompt[take]] + nth].astype(np.int32)


def _require_room(n: int) -> int:
    if n > MAX_FIRINGS:
        raise InputError(
            f"more than {MAX_FIRINGS:,} firings are too many for one answer",
            "these prompts and features fire that often together",
            "ask fewer prompts or fewer features at a time",
        )
    return n
