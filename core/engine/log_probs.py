"""Log-probabilities of given tokens under a model, in batches that hold a bounded number of logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from core.engine.encode import CPU_BATCH_TOKENS, _batches, padded
from core.engine.hooked import LoadedModel
from core.errors import MachineError

LOGITS = 1 << 26
"""Logits held at once: 256 MB in float32."""


def log_probs_of(
    model: LoadedModel, texts: Sequence[np.ndarray], batch_tokens: int, device: str
) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the text, log p of each token given all before it), batch by batch, longest texts first.

    ``texts[i]`` are token ids ``[n]``, n > 1; the log-probabilities are float32 ``[n - 1]``, the first token has none.
    """
    wide = max(1, LOGITS // max(1, len(model.tokenizer)))
    limit = min(wide, batch_tokens, CPU_BATCH_TOKENS if device == "cpu" else batch_tokens)
    for numbers in _batches(list(texts), limit) if len(texts) else ():
        tokens = padded([texts[k] for k in numbers])
        for k, row in zip(numbers.tolist(), token_log_probs(model, torch.from_numpy(tokens)), strict=True):
            yield k, row[: len(texts[k]) - 1]


@torch.inference_mode()
def token_log_probs(model: LoadedModel, tokens: Tensor) -> np.ndarray:
    """``tokens [b, p]`` -> float32 ``[b, p - 1]``: log p of every token but the first given all before it.

    The softmax is taken in float32, some rows at a time.
    """
    logits = model.logits(tokens)[:, :-1]
    require_finite(logits)
    targets = tokens[:, 1:].to(logits.device)
    flat, wanted = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    size = max(1, LOGITS // 4 // flat.shape[1])
    parts = []
    for start in range(0, len(flat), size):
        part = flat[start : start + size].float()
        chosen = part.gather(1, wanted[start : start + size, None])[:, 0]
        parts.append((chosen - part.logsumexp(1)).cpu())
    return torch.cat(parts).reshape(targets.shape).numpy()


def require_finite(logits: Tensor) -> None:
    """Raise MachineError unless all are numbers."""
    if not bool(torch.isfinite(logits.float().sum())):
        raise MachineError(
            "the model gives values that are not finite",
            "it overflows in its dtype on this prompt, or with so strong a direction",
            "use smaller strengths, or encode the run in a wider dtype: --set model.dtype=float32",
        )
