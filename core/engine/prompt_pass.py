"""Prompts through model and SAE: firings of each, in batches by length, sparse from the first.

The same steps as the run's own encode: padding and special tokens never reach the SAE, chunks are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.engine.encode import CPU_BATCH_TOKENS, _batches, chunk_rows, padded
from core.errors import MachineError


@dataclass(frozen=True)
class Batch:
    """Firings of some prompts, sorted by row: parallel arrays, ``row`` counts the batch's real positions.

    ``prompts [n]`` are numbers of prompts, ``real[i]`` the positions of prompt i that are not special.
    """

    prompts: np.ndarray
    real: list[np.ndarray]
    row: np.ndarray  # int64
    column: np.ndarray  # int64
    act: np.ndarray  # float32


@dataclass(frozen=True)
class PromptPass:
    """Model, SAE and what bounds a batch."""

    model: Any
    sae: Any
    batch_tokens: int
    device: str

    def batches(
        self, ids: Sequence[np.ndarray], real: Sequence[np.ndarray], features: np.ndarray | None
    ) -> Iterator[Batch]:
        """Firings of ``features`` (None: all; else ascending) on prompts that all have a real position, batch by batch.

        ``ids[i]`` are a prompt's tokens, ``real[i]`` those positions that are scored.
        """
        info = self.sae.info
        n = info.d_sae if features is None else len(features)
        sae = self.sae.columns(features)
        size = chunk_rows(n if info.elementwise else info.d_sae, self.device)
        limit = min(self.batch_tokens, CPU_BATCH_TOKENS) if self.device == "cpu" else self.batch_tokens
        for numbers in _batches(list(ids), limit) if len(ids) else ():
            tokens, places = padded([ids[k] for k in numbers]), [real[k] for k in numbers]
            yield Batch(numbers, places, *self._firings(sae, tokens, places, size))

    @torch.inference_mode()
    def _firings(
        self, sae: Any, tokens: np.ndarray, real: list[np.ndarray], size: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        resid = self.model.resid(torch.from_numpy(tokens).to(self.device))
        places = np.concatenate([i * tokens.shape[1] + r for i, r in enumerate(real)])
        rows = resid.reshape(-1, resid.shape[-1]).index_select(0, torch.from_numpy(places).to(self.device))
        if not bool(torch.isfinite(rows.float().sum())):
            raise MachineError(
                "the model gives values that are not finite",
                "it overflows in its dtype on these prompts",
                "encode the run in a wider one: --set model.dtype=float32",
            )
        parts = [_fired(sae.encode(rows[start : start + size])[0], start) for start in range(0, len(places), size)]
        row, column, act = (np.concatenate(p) for p in zip(*parts, strict=True))
        return row, column, act


def _fired(acts: Tensor, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, act) of what fires in a dense chunk whose first row is ``start``."""
    flat = acts.reshape(-1)
    at = torch.nonzero(flat > 0).squeeze(1)
    act = flat[at].float().cpu().numpy()
    row, column = np.divmod(at.cpu().numpy(), acts.shape[1])
    return row + start, column, act
