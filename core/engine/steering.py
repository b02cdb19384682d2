"""Directions that features write, and what a model writes on with one of them added at the SAE's hook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.engine.hooked import Call, LoadedModel
from core.engine.log_probs import require_finite
from core.errors import InputError

MAX_TOKENS, MAX_STRENGTHS = 100, 12
"""What one answer of ``continuations`` may hold."""


@dataclass(frozen=True)
class Written:
    """Token ids ``[n]`` that a model wrote, and their log-probabilities in nats, float32 ``[n]``."""

    token_ids: np.ndarray
    log_probs: np.ndarray


@torch.inference_mode()
def written_direction(sae: Any, values: Mapping[int, float], usual: Tensor | None) -> np.ndarray:
    """What the SAE's decoder writes for these acts beyond its bias: float32 ``[d_in]``.

    Where no scaling is involved: the sum of ``value * W_dec[feature]``. An SAE that normalises its input undoes that
    with the input's own size: ``usual [n, d_in]`` are values at the hook, whose median is taken.
    """
    rows = torch.zeros((1, sae.info.d_in), device=sae.device) if usual is None else usual.to(sae.device)
    nothing, acts = sae.encode(rows)[0].new_zeros((2, len(rows), sae.info.d_sae))
    for feature, value in values.items():
        acts[:, feature] = value
    before = sae.decode(nothing).float()
    sae.encode(rows)  # decoding forgets the input's size
    found = sae.decode(acts).float() - before
    norms = found.norm(dim=-1)
    return found[int(norms.argsort()[len(norms) // 2])].cpu().numpy()


def write_on(
    model: LoadedModel,
    opening: np.ndarray,
    added: np.ndarray,
    n_tokens: int,
    temperature: float,
    seed: int,
    batch_tokens: int,
    advance: Callable[[float], None],
) -> list[Written]:
    """Texts after ``opening [p]``, one per row of ``added [n, d_in]``, which is added at every position but BOS.

    Greedy at temperature 0. Above it the same draws serve every row, so that texts differ by what is added alone.
    A text ends with EOS. The numbers that ``advance`` is told sum up to ``n_tokens``.
    """
    texts: list[Written] = []
    size = max(1, batch_tokens // (len(opening) + n_tokens))
    parts = [added[start : start + size] for start in range(0, len(added), size)]
    for part in parts:
        draws = torch.Generator().manual_seed(seed)
        texts += _write(model, opening, part, n_tokens, temperature, draws, lambda n: advance(n / len(parts)))
    return texts


@torch.inference_mode()
def _write(
    model: LoadedModel,
    opening: np.ndarray,
    added: np.ndarray,
    n_tokens: int,
    temperature: float,
    draws: torch.Generator,
    advance: Callable[[float], None],
) -> list[Written]:
    rows = torch.from_numpy(np.repeat(np.asarray(opening, np.int64)[None], len(added), 0))
    directions = torch.from_numpy(np.asarray(added, np.float32))
    eos = -1 if model.tokenizer.eos_token_id is None else model.tokenizer.eos_token_id
    log_probs, ended = torch.zeros((len(added), 0)), torch.zeros(len(added), dtype=torch.bool)
    call = model.begin(len(added))
    for step in range(n_tokens):
        unread = rows if call is None or not step else rows[:, -1:]
        found = _next_logits(model, unread, directions, call).log_softmax(1)
        score = found if not temperature else found / temperature + _gumbel(found.shape[1], draws)
        chosen = score.argmax(1)
        rows = torch.cat([rows, chosen[:, None]], 1)
        log_probs = torch.cat([log_probs, found.gather(1, chosen[:, None])], 1)
        ended |= chosen == eos
        advance(1)
        if bool(ended.all()):
            advance(n_tokens - step - 1)
            break
    written = rows[:, len(opening) :].numpy().astype(np.int32)
    ends = [int(np.flatnonzero(ids == eos)[0]) + 1 if eos in ids else len(ids) for ids in written]
    return [Written(ids[:n], lp[:n]) for ids, lp, n in zip(written, log_probs.numpy(), ends, strict=True)]


def _next_logits(model: LoadedModel, tokens: Tensor, directions: Tensor, call: Call | None) -> Tensor:
    """float32 ``[n, vocabulary]`` on the host: logits after each row with its own direction added."""
    bos = _beginning(model.tokenizer)
    where = torch.ones_like(tokens, dtype=torch.bool) if bos is None else tokens != bos

    def add(value: Tensor) -> Tensor:
        return value + (where[..., None] * directions[:, None]).to(value.device, value.dtype)

    logits = model.logits(tokens, add, last=1, call=call)[:, -1].float().cpu()
    require_finite(logits)
    return logits


def random_directions(norm: float, n: int, d: int, seed: int) -> np.ndarray:
    """float32 ``[n, d]``: directions of that norm, uniform on the sphere."""
    drawn = np.random.default_rng(seed).normal(size=(n, d))
    return (drawn * (norm / np.linalg.norm(drawn, axis=1, keepdims=True))).astype(np.float32)


def require_values(values: Mapping[int, float]) -> None:
    """Raise InputError for values that give no direction."""
    wrong = next((f"feature {f}: {v}" for f, v in values.items() if not np.isfinite(v)), None)
    if wrong or not any(values.values()):
        raise InputError(
            "these features give no direction",
            wrong or "none of them is set to anything but 0",
            "set at least one feature to a number, e.g. its largest act",
        )


def require_writing(values: Sequence[float], n_tokens: int, temperature: float, room: int) -> None:
    """Raise InputError for more than is done at a time, or than the model can read."""
    for ok, title, detail in (
        (1 <= n_tokens <= MAX_TOKENS, f"{n_tokens} tokens cannot be written", f"1 to {MAX_TOKENS} at a time"),
        (len(values) <= MAX_STRENGTHS, f"{len(values)} strengths are too many", f"at most {MAX_STRENGTHS} at a time"),
        (bool(np.isfinite(list(values)).all()), "a strength is not a number", "strengths are finite numbers"),
        (0 <= temperature <= 10, f"a temperature of {temperature} is not possible", "0 (greedy) to 10"),
        (n_tokens <= room, "the prompt leaves no room for the text", f"the model reads {max(room, 0)} tokens more"),
    ):
        if not ok:
            raise InputError(title, detail, "change it and ask again")


def _beginning(tokenizer: Any) -> int | None:
    """BOS, or what stands for it in tokenizers without one."""
    return next((i for i in (tokenizer.bos_token_id, tokenizer.cls_token_id) if i is not None), None)


def _gumbel(n: int, generator: torch.Generator) -> Tensor:
    """Noise ``[n]`` under which the largest of ``log p / temperature + noise`` is a draw from the softmax."""
    return -torch.empty(n, dtype=torch.float64).exponential_(generator=generator).log()
