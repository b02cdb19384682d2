"""Prompt models over tiny random weights, of every loader and kind of SAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.engine import saes
from core.engine.activation_source import RunParts
from core.engine.corpus import require_windowing
from core.engine.models import load_model
from core.engine.prompt_model import RunPromptModel
from core.engine.tokens import special_ids
from core.recipe import ModelRecipe, SAERecipe
from tests.engine.tiny import D_MODEL, N_CTX, metadata, save_model, save_sae

CENTRED = {"center_writing_weights": True}
FOLDED = {"fold_ln": True, "center_writing_weights": True}

LOADERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "transformers llama": ("llama", "model.layers.2", {}),
    "transformers gpt2": ("gpt2", "transformer.h.2", {}),
    "bridge gpt2": ("gpt2", "blocks.2.hook_resid_post", {}),
    "bridge gemma2": ("gemma2", "blocks.2.hook_resid_post", {}),
    "hooked gpt2": ("gpt2", "blocks.2.hook_resid_pre", {"model_from_pretrained_kwargs": CENTRED}),
    "folded gpt2": ("gpt2", "blocks.2.hook_resid_pre", {"model_from_pretrained_kwargs": FOLDED}),
}
"""Family, hook and further metadata of the SAE."""


def tiny_prompt_model(
    folder: Path,
    architecture: str = "standard",
    family: str = "gpt2",
    hook_name: str = "blocks.2.hook_resid_post",
    context_size: int = N_CTX,
    d_in: int = D_MODEL,
    model: Path | None = None,
    probe: bool = True,
    prepend_bos: bool = True,
    **more: Any,
) -> RunPromptModel:
    """``model``: a folder with a model in it, else one of that ``family`` is made; ``more`` is metadata of the SAE."""
    settings = more.pop("settings", {})
    meta = metadata(hook_name, **more)
    save_sae(folder / "sae", architecture, d_in=d_in, metadata=meta, **settings)
    sae = saes.load_sae(SAERecipe(path=str(folder / "sae")), "cpu")
    loaded = load_model(ModelRecipe(str(model or save_model(folder / "model", family))), sae.info, "cpu")
    windowing = require_windowing(loaded.tokenizer, context_size, prepend_bos, special_ids(loaded.tokenizer))
    ids = np.random.default_rng(3).integers(0, 250, (4, 20))
    contexts = [np.concatenate([[299], row]).astype(np.int32) for row in ids] if probe else []
    return RunPromptModel(RunParts(loaded, sae, windowing, 4096, "cpu", "tiny"), contexts)
