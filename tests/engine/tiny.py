"""Tiny random models and SAEs of every kind, in the formats that real ones come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)
from sae_lens.saes.sae import SAEMetadata
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

D_MODEL, N_LAYERS, N_CTX, D_SAE = 16, 4, 32, 48

INFERENCE = ("standard", "topk", "jumprelu", "gated")
TRAINING = ("batchtopk", "matryoshka_batchtopk")
ARCHITECTURES = INFERENCE + TRAINING


def tiny_tokenizer(bos: str | None = "<|endoftext|>", vocabulary: int = 300) -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges: every text has tokens, ids below ``vocabulary``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {symbol: i for i, symbol in enumerate(alphabet)}
    for i in range(len(ids), vocabulary - 1):
        ids[f"<extra{i}>"] = i
    ids[bos or "<|endoftext|>"] = vocabulary - 1
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=bos or "<|endoftext|>")


def save_model(folder: Path, family: str, seed: int = 0, **sizes: Any) -> Path:
    """A random ``gpt2``, ``llama`` or ``gemma2`` with its tokenizer; weights large enough to move the stream."""
    torch.manual_seed(seed)
    sizes = {"d_model": D_MODEL, "n_layers": N_LAYERS, "n_ctx": N_CTX, "vocabulary": 300} | sizes
    net = {"gpt2": _gpt2, "llama": _llama, "gemma2": _gemma2}[family](**sizes)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.ndim == 2:
                weight.normal_(0, 0.3 / sizes["d_model"] ** 0.5 if "embed" not in name and "wte" not in name else 0.5)
    net.save_pretrained(folder)
    tiny_tokenizer(vocabulary=sizes["vocabulary"]).save_pretrained(folder)
    if family == "gpt2":  # published GPT-2 configurations name n_ctx, which HookedTransformer reads
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"n_ctx": sizes["n_ctx"]}))
    return folder


def _gpt2(d_model: int, n_layers: int, n_ctx: int, vocabulary: int) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(
            n_embd=d_model,
            n_layer=n_layers,
            n_head=2,
            n_positions=n_ctx,
            vocab_size=vocabulary,
            bos_token_id=vocabulary - 1,
            eos_token_id=vocabulary - 1,
        )
    )


def _llama(d_model: int, n_layers: int, n_ctx: int, vocabulary: int) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=d_model,
            intermediate_size=2 * d_model,
            num_hidden_layers=n_layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=n_ctx,
            vocab_size=vocabulary,
            bos_token_id=vocabulary - 1,
            eos_token_id=vocabulary - 1,
        )
    )


def _gemma2(d_model: int, n_layers: int, n_ctx: int, vocabulary: int) -> Gemma2ForCausalLM:
    return Gemma2ForCausalLM(
        Gemma2Config(
            hidden_size=d_model,
            intermediate_size=16,
            num_hidden_layers=n_layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=n_ctx,
            sliding_window=n_ctx,
            vocab_size=vocabulary,
            bos_token_id=vocabulary - 1,
            eos_token_id=vocabulary - 1,
            pad_token_id=0,
        )
    )


def metadata(hook_name: str = "blocks.2.hook_resid_post", **more: Any) -> SAEMetadata:
    values = {"model_name": "tiny", "hook_name": hook_name, "prepend_bos": True, "context_size": N_CTX}
    return SAEMetadata(**(values | more))


def make_sae(architecture: str, seed: int = 0, d_in: int = D_MODEL, d_sae: int = D_SAE, **settings: Any) -> Any:
    """A random SAELens SAE (a training one for batchtopk and matryoshka) with every parameter off its default."""
    meta = settings.pop("metadata", None) or metadata()
    build, config = {
        "standard": (StandardSAE, StandardSAEConfig),
        "topk": (TopKSAE, TopKSAEConfig),
        "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig),
        "gated": (GatedSAE, GatedSAEConfig),
        "batchtopk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig),
        "matryoshka_batchtopk": (MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig),
    }[architecture]
    if architecture in ("topk", *TRAINING):
        settings.setdefault("k", 6)
    if architecture == "matryoshka_batchtopk":
        settings.setdefault("matryoshka_widths", [d_sae // 4, d_sae])
    sae = build(config(d_in=d_in, d_sae=d_sae, metadata=meta, **settings))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sae.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(0.3 * noise.abs() if name == "threshold" else noise * (0.4 if value.ndim == 2 else 0.2))
        if architecture in TRAINING:
            sae.topk_threshold = torch.tensor(0.7, dtype=torch.double)
    return sae


def save_sae(folder: Path, architecture: str, inference: bool = False, **settings: Any) -> tuple[Path, Any]:
    """Save ``make_sae`` in SAELens format; ``inference`` saves BatchTopK and Matryoshka as training's end does."""
    sae = make_sae(architecture, **settings)
    (sae.save_inference_model if inference else sae.save_model)(folder)
    return folder, sae


def edit_config(folder: Path, **changes: Any) -> Path:
    """Change cfg.json: keyword ``metadata`` is merged, a value of None removes the key."""
    path = folder / "cfg.json"
    values = json.loads(path.read_text())
    changes_in = changes.pop("metadata", {})
    for target, source in ((values, changes), (values["metadata"], changes_in)):
        for key, value in source.items():
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value
    path.write_text(json.dumps(values))
    return folder
