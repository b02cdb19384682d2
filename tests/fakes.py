"""A model and an SAE in a few lines with the engine's interface, to test what happens around them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from core.engine import fidelity as fidelity_module
from core.engine import models as models_module
from core.engine import saes as saes_module
from core.recipe import Recipe, parse_recipe
from core.types import Fidelity, ModelInfo, SAEInfo

D_IN, D_SAE, N_CTX = 8, 40, 64
BOS = "<bos>"


def letters_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, GPT-2's spelling; id 256 is BOS."""
    ids = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS)


@dataclass
class FakeModel:
    """resid at a position = embedding of its token + half of the one before: causal, and position matters."""

    delay: float = 0.0  # seconds per batch
    edit: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda resid, tokens: resid
    tokenizer: Any = field(default_factory=letters_tokenizer)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(
            name="fake", loader="transformers", hook_name="layers.0", d_model=D_IN, n_layers=1, n_ctx=N_CTX,
            dtype="float32", device="cpu", n_parameters=257 * D_IN, weights_sha256="a" * 64,
        )
    )  # fmt: skip

    def __post_init__(self) -> None:
        self.embedding = torch.from_numpy(np.random.default_rng(1).normal(size=(257, D_IN)).astype(np.float32))

    def resid(self, tokens: torch.Tensor) -> torch.Tensor:
        time.sleep(self.delay)
        resid = self.embedding[tokens]
        resid[:, 1:] += 0.5 * self.embedding[tokens[:, :-1]]
        return self.edit(resid, tokens)


@dataclass
class FakeSAE:
    """A ReLU or TopK SAE with random weights; feature 0 never fires."""

    kind: str = "relu"
    k: int | None = None
    wanted: np.ndarray | None = None
    info: SAEInfo = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(2)
        self.weights = torch.from_numpy(rng.normal(size=(D_IN, D_SAE)).astype(np.float32))
        self.bias = torch.from_numpy(-rng.uniform(1, 6, D_SAE).astype(np.float32))
        self.bias[0] = -100
        self.info = SAEInfo(
            architecture="standard", kind=self.kind, d_in=D_IN, d_sae=D_SAE, hook_name="layers.0", model_name="fake",
            model_class_name=None, prepend_bos=True, context_size=32, k=self.k, weights_sha256="b" * 64,
        )  # fmt: skip

    def columns(self, features: np.ndarray | None) -> FakeSAE:
        return FakeSAE(self.kind, self.k, features)

    def encode(self, resid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden_pre = resid @ self.weights + self.bias
        acts = hidden_pre.relu()
        if self.kind == "topk":
            values, indices = torch.topk(hidden_pre, self.k or 1, dim=-1)
            acts = torch.zeros_like(hidden_pre).scatter_(-1, indices, values.relu())
        return (acts, hidden_pre) if self.wanted is None else (acts[:, self.wanted], hidden_pre[:, self.wanted])

    def decode(self, acts: torch.Tensor) -> torch.Tensor:
        return acts @ self.weights.T

    def directions(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        return self.weights.T.numpy()[features], self.bias.numpy()[features], None


def fake_fidelity(**changes: Any) -> Fidelity:
    values = {"verdict": "ok", "n_tokens": 100, "l0": 8.0, "explained_variance": 0.9, "dead_share": 0.1}
    return Fidelity(**(values | changes))


def install(
    patch: pytest.MonkeyPatch, model: FakeModel | None = None, sae: FakeSAE | None = None, **found: Any
) -> None:
    """Let the engine load these instead; ``found`` changes what the fidelity check says."""
    model, sae = model or FakeModel(), sae or FakeSAE()
    patch.setattr(saes_module, "load_sae", lambda recipe, device: sae)
    patch.setattr(models_module, "load_model", lambda recipe, info, device: model)
    patch.setattr(fidelity_module, "check_fidelity", lambda *args: fake_fidelity(**found))


def fake_recipe(name: str = "fake", **sections: dict[str, Any]) -> Recipe:
    """A recipe over ``text.json``; keywords change sections."""
    values: dict[str, Any] = {
        "name": name,
        "model": {"name": "fake"},
        "sae": {"path": "sae"},
        "corpus": {"path": "text.json", "n_contexts": 120},
        "encode": {"device": "cpu"},
    }
    for section, changes in sections.items():
        values[section] = values.get(section, {}) | changes
        if section == "corpus" and "n_tokens" in changes:
            del values["corpus"]["n_contexts"]
    return parse_recipe(values)


def sentences(n: int, seed: int = 0) -> list[str]:
    """Documents of random words and of different lengths, some long enough for several windows."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnop"))
    return [" ".join("".join(rng.choice(letters, 5)) for _ in range(rng.integers(1, 30))) + "." for _ in range(n)]
