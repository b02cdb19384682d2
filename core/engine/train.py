"""Training of the demo's language model and SAE. Step-based and seeded; nothing is printed.

On one CPU type with one thread count the same seed gives the same weights. Elsewhere sums are made in another order,
so weights differ in the last bits and, after training, visibly: compare losses and tables within a tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

#: called with a stage name, steps done, steps in all, and numbers worth showing
Progress = Callable[[str, int, int, dict[str, float]], None]


def silent(stage: str, done: int, total: int, numbers: dict[str, float]) -> None:
    """A progress callback that says nothing."""


@dataclass(frozen=True)
class LanguageModelConfig:
    """A small Llama and how it is trained. Sizes are in units, ``lr`` per step, ``n_steps`` optimiser steps."""

    vocab_size: int
    bos_id: int = 0
    eos_id: int = 1
    pad_id: int = 2
    n_ctx: int = 128
    d_model: int = 128
    n_layers: int = 3
    n_heads: int = 4
    d_mlp: int = 384
    n_steps: int = 2400
    batch_size: int = 16
    lr: float = 4e-3
    warmup_steps: int = 100
    final_lr_share: float = 0.05
    weight_decay: float = 0.01
    seed: int = 0
    save_dtype: str = "float32"


def new_model(config: LanguageModelConfig) -> LlamaForCausalLM:
    """An untrained model with tied embeddings in float32."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_mlp,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_heads,
            max_position_embeddings=config.n_ctx,
            tie_word_embeddings=True,
            bos_token_id=config.bos_id,
            eos_token_id=config.eos_id,
            pad_token_id=config.pad_id,
            initializer_range=0.02,
        )
    )


def _learning_rate(config: LanguageModelConfig, step: int) -> float:
    """Linear warm-up, then cosine to ``final_lr_share`` of the peak."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.n_steps - config.warmup_steps)
    low = config.final_lr_share
    return config.lr * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))


def _optimisers(model: LlamaForCausalLM, config: LanguageModelConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for the embedding and the norms.

    Muon learns rare associations (which entity has which attributes) in far fewer steps than AdamW does.
    """
    inside = [p for p in model.model.layers.parameters() if p.ndim == 2]
    known = {id(p) for p in inside}
    rest = [p for p in model.parameters() if id(p) not in known]
    return [
        torch.optim.Muon(
            inside, lr=config.lr, weight_decay=config.weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _loss(model: LlamaForCausalLM, rows: torch.Tensor, pad_id: int) -> torch.Tensor:
    """Mean next-token loss (nats) over targets that are not PAD."""
    logits = model(input_ids=rows[:, :-1], use_cache=False).logits
    return nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), rows[:, 1:].reshape(-1), ignore_index=pad_id
    )


def train_language_model(
    rows: Sequence[Sequence[int]], config: LanguageModelConfig, out: Path, progress: Progress = silent
) -> dict[str, float]:
    """Train on ``rows`` (each ``n_ctx`` ids, PAD at the end) in order and save a Hugging Face folder.

    Rows are used once each, and again from the start when they run out. Returns ``{"loss": ...}``, the mean
    training loss of the last 50 steps in nats per token. No tokenizer is written here.
    """
    model = new_model(config).train()
    data = torch.tensor(np.asarray(rows, dtype=np.int64))
    optimisers = _optimisers(model, config)
    recent: list[float] = []
    for step in range(config.n_steps):
        for group in (g for o in optimisers for g in o.param_groups):
            group["lr"] = _learning_rate(config, step)
        picked = torch.arange(step * config.batch_size, (step + 1) * config.batch_size) % len(data)
        batch = data[picked]
        batch = batch[:, : int((batch != config.pad_id).sum(1).max())]
        loss = _loss(model, batch, config.pad_id)
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        recent = [*recent[-49:], float(loss.detach())]
        if (step + 1) % 50 == 0 or step + 1 == config.n_steps:
            progress("model", step + 1, config.n_steps, {"loss": float(np.mean(recent))})
    model.eval().to(getattr(torch, config.save_dtype)).save_pretrained(out, safe_serialization=True)
    return {"loss": float(np.mean(recent))}


@torch.no_grad()
def language_model_loss(
    folder: Path, rows: Sequence[Sequence[int]], pad_id: int = 2, batch_size: int = 32
) -> np.ndarray:
    """Next-token loss (nats) of a saved model at every target: ``(n_rows, n_ctx - 1)``, NaN where it is PAD."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    data = torch.tensor(np.asarray(rows, dtype=np.int64))
    parts = []
    for batch in data.split(batch_size):
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits.float()
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
        parts.append(loss.masked_fill(batch[:, 1:] == pad_id, float("nan")).numpy())
    return np.concatenate(parts)
