"""By hand: phrases of a decomposition test at GPT-2-small's shape, beside a loop of one phrase at a time.

``python -m tests.bench.bench_decompose``; random weights, layer 8 of 12, 24,576 features of which 100 are tested, 1,500
phrases of 8 to 17 tokens. Seconds are the process' own CPU time on one thread. The loop is what one would write:
``run_with_cache`` on each phrase, ``sae.encode``, pick the feature, with the model as TransformerLens loads it; it is
timed on 30 phrases.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformer_lens.utilities.activation_functions import SUPPORTED_ACTIVATIONS

from core.analyses.activation_source import Stimulus
from core.engine import models, saes
from core.engine.activation_source import ModelSource
from core.engine.corpus import require_windowing
from core.engine.tokens import special_ids
from core.recipe import ModelRecipe, SAERecipe
from tests.engine.tiny import metadata, save_model, save_sae

HOOK, VOCABULARY, D_SAE = "blocks.8.hook_resid_pre", 300, 24_576
PER_FEATURE = 15


class Numbers:
    """The tokenizer, but for texts that are token ids written as numbers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str, **how: Any) -> dict[str, list[int]]:
        return {"input_ids": [int(number) for number in text.split()]}


def load(folder: Path) -> tuple[Any, Any]:
    """The model and the SAE, of random weights, in folders below this one."""
    if not (folder / "model").exists():
        save_model(folder / "model", "gpt2", d_model=768, n_layers=12, n_ctx=1024, vocabulary=VOCABULARY)
        wants = metadata(HOOK, context_size=128, model_from_pretrained_kwargs={"center_writing_weights": True})
        _, sae = save_sae(folder / "sae", "standard", d_in=768, d_sae=D_SAE, metadata=wants)
        with torch.no_grad():
            sae.W_enc /= sae.W_enc.norm(dim=0)
            sae.b_enc.fill_(-1.5)
        sae.save_model(folder / "sae")
    sae = saes.load_sae(SAERecipe(path=str(folder / "sae")), "cpu")
    return models.load_model(ModelRecipe(str(folder / "model")), sae.info, "cpu"), sae


def phrases(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(map(str, rng.integers(5, VOCABULARY - 10, rng.integers(8, 18)))) for _ in range(n)]


def as_transformer_lens_has_it(model: Any) -> Any:
    """The model without what our loader changes: the activation function's form and the layout of heads' matrices."""
    for block in model.net.blocks:
        block.mlp.act_fn = SUPPORTED_ACTIVATIONS["gelu_new"]
        for weight in (block.attn.W_Q, block.attn.W_K, block.attn.W_V):
            weight.data = weight.data.contiguous()
    return model


def one_by_one(model: Any, sae: Any, bos: int, stimuli: list[Stimulus]) -> list[float]:
    """The largest act of each phrase's feature."""
    net, found = model.net, []
    with torch.inference_mode():
        for s in stimuli:
            _, cache = net.run_with_cache(torch.tensor([[bos, *map(int, s.text.split())]]))
            found.append(float(sae._sae.encode(cache[HOOK][0])[1:, s.features[0]].max()))
    return found


def bench(n_features: int = 100, n_loop: int = 30) -> dict[str, float]:
    """Raises AssertionError when the two disagree."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model, sae = load(Path(folder))
        peer = as_transformer_lens_has_it(load(Path(folder))[0])
    windowing = require_windowing(model.tokenizer, 128, True, special_ids(model.tokenizer))
    source = ModelSource(model, sae, dataclasses.replace(windowing, tokenizer=Numbers(model.tokenizer)), name="random")
    features = list(range(0, D_SAE, D_SAE // n_features))[:n_features]
    texts = phrases(n_features * PER_FEATURE)
    stimuli = [Stimulus(text, (features[i // PER_FEATURE],)) for i, text in enumerate(texts)]
    source.measure(stimuli[:60], features)
    start = time.process_time()
    found = source.measure(stimuli, features)
    spent = time.process_time() - start
    one_by_one(peer, sae, windowing.bos_id or 0, stimuli[:3])
    start = time.process_time()
    expected = one_by_one(peer, sae, windowing.bos_id or 0, stimuli[:n_loop])
    loop = (time.process_time() - start) * len(stimuli) / n_loop
    mine = [float(found.acts[i, stimuli[i].features[0]].max()) for i in range(n_loop)]
    assert np.allclose(mine, expected, atol=1e-3)
    return {"phrases": len(stimuli), "features": n_features, "seconds": round(spent, 1),
            "loop_seconds": round(loop, 1), "ratio": round(loop / spent, 1)}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(bench()))
