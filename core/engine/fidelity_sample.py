"""The sample that fidelity is measured on, and how well an SAE reconstructs vectors: one pass, bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

MATRIX = 2**24
"""Values at most in one matrix of rows x d_sae: 64 MB, and a few of them exist at a time."""

BATCH = 2048
"""Tokens through the model at a time."""


def rows_at_once(d_sae: int) -> int:
    """Rows encoded at a time, so that memory does not grow with the SAE."""
    return min(1024, max(64, MATRIX // d_sae))


@dataclass(frozen=True)
class Sample:
    """Right-padded windows: ``tokens [n_ctx, n_pos]`` and ``real [n_ctx, n_pos]``, True where a token counts."""

    tokens: Tensor
    real: Tensor

    @classmethod
    def of(cls, tokens: np.ndarray, lengths: np.ndarray, special_ids: frozenset[int]) -> Sample:
        """Everything inside the lengths is real, but special tokens."""
        ids = np.asarray(tokens, dtype=np.int64)
        inside = np.arange(ids.shape[1])[None] < np.asarray(lengths)[:, None]
        return cls(torch.from_numpy(ids), torch.from_numpy(inside & ~np.isin(ids, list(special_ids))))

    @property
    def n_tokens(self) -> int:
        return int(self.real.sum())

    def first(self, n_tokens: int, n_pos: int | None = None) -> Sample:
        """The first contexts, cut to ``n_pos`` positions, that hold at most ``n_tokens`` real tokens; at least one."""
        cut = self if n_pos is None else replace(self, tokens=self.tokens[:, :n_pos], real=self.real[:, :n_pos])
        fitting = int((cut.real.sum(1).cumsum(0) <= n_tokens).sum())
        return cut.rows(np.arange(max(1, fitting)))

    def rows(self, which: np.ndarray) -> Sample:
        return Sample(self.tokens[which], self.real[which])

    def batches(self, n_tokens: int = BATCH) -> Iterator[tuple[int, Sample]]:
        """Runs of contexts of at most ``n_tokens`` positions (at least one), with the number of the first."""
        size = max(1, n_tokens // self.tokens.shape[1])
        for start in range(0, len(self.tokens), size):
            yield start, Sample(self.tokens[start : start + size], self.real[start : start + size])


@dataclass(frozen=True)
class Fit:
    """How well vectors x are reconstructed as x^.

    ``explained_variance`` is 1 - sum ||x - x^||^2 / sum ||x - mean x||^2; ``gain`` the slope of x on x^ about their
    means: 1 for an SAE on what it was trained on, above 1 where an L1 penalty shrinks it, below where it makes up
    what is not there. ``errors [n_ctx]`` is each context's sum ||x - x^||^2 over the whole sample's variance.
    """

    n_tokens: int
    explained_variance: float
    gain: float
    l0: float
    fired: np.ndarray
    errors: np.ndarray

    @property
    def unexplained(self) -> float:
        return 1.0 - self.explained_variance


class Fitter:
    """Adds up what a Fit needs, batch by batch, in double precision."""

    def __init__(self, n_ctx: int, d_sae: int) -> None:
        self._rows = rows_at_once(d_sae)
        self._errors = np.zeros(n_ctx)
        self._n, self._active = 0, 0.0
        self._fired: np.ndarray | None = None
        self._sums = dict.fromkeys(("x", "y"), np.zeros(0)) | dict.fromkeys(("xx", "yy", "xy"), np.zeros(()))

    def add(self, x: Tensor, context: Tensor, reconstruct: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        """``x [n, d]`` with each row's context number; ``reconstruct`` gives acts ``[n, d_sae]`` and x^ ``[n, d]``."""
        for part, rows in zip(x.float().split(self._rows), context.split(self._rows), strict=True):
            acts, back = reconstruct(part)
            firing = acts > 0
            self._active += float(firing.sum())
            fired = firing.any(0).cpu().numpy()
            self._fired = fired if self._fired is None else self._fired | fired
            self._add_sums(part.cpu().double(), back.cpu().double(), rows.numpy())  # not every device has doubles

    def _add_sums(self, x: Tensor, y: Tensor, rows: np.ndarray) -> None:
        np.add.at(self._errors, rows, (x - y).square().sum(1).numpy())
        self._n += len(x)
        new = {"x": x.sum(0), "y": y.sum(0), "xx": x.square().sum(), "yy": y.square().sum(), "xy": (x * y).sum()}
        for name, value in new.items():
            old = self._sums[name]
            self._sums[name] = value.numpy() + (old if old.shape == value.shape else 0)

    def fit(self) -> Fit:
        """The Fit of everything added. Where x does not vary, nothing is explained and the gain is 1."""
        n, sums = max(self._n, 1), self._sums
        total = float(sums["xx"] - sums["x"] @ sums["x"] / n)
        spread = float(sums["yy"] - sums["y"] @ sums["y"] / n)
        common = float(sums["xy"] - sums["x"] @ sums["y"] / n)
        varies = total > 1e-9 * float(sums["xx"])
        return Fit(
            n_tokens=self._n,
            explained_variance=1 - float(self._errors.sum()) / total if varies else 0.0,
            gain=common / spread if varies and spread > 0 else 1.0,
            l0=self._active / n,
            fired=np.zeros(0, bool) if self._fired is None else self._fired,
            errors=self._errors / total if varies else self._errors,
        )
