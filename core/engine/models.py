"""Loading language models: the one file that knows which loader is used.

========================  ==============================================================================
``transformers``          the SAE's hook names a Hugging Face module, or it was trained on AutoModelForCausalLM
``HookedTransformer``     a TransformerLens hook, and the SAE's metadata demands processed weights
``TransformerBridge``     any other TransformerLens hook
========================  ==============================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformer_lens import HookedTransformer
from transformer_lens import loading_from_pretrained as lens
from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache
from transformer_lens.model_bridge import TransformerBridge
from transformers import DynamicCache, PretrainedConfig, PreTrainedModel

from core.engine.device import DTYPES
from core.engine.hooked import Call, LoadedModel, width_error
from core.engine.quiet import quiet
from core.engine.weights import (
    ONE_KERNEL,
    TANH_GELU,
    empty_model,
    load_config,
    load_tokenizer,
    load_weights,
    model_errors,
    official_name,
    weights_sha256,
)
from core.errors import InputError
from core.recipe import ModelRecipe
from core.types import ModelInfo, SAEInfo

__all__ = ["LoadedModel", "choose_loader", "load_model", "model_info", "require_context_size"]

PROCESSING = (
    "fold_ln",
    "center_writing_weights",
    "center_unembed",
    "fold_value_biases",
    "refactor_factored_attn_matrices",
)
"""TransformerLens' weight processing; any of these in an SAE's metadata may change what its hook shows."""

PLACEMENT = ("device", "device_map", "n_devices", "dtype", "torch_dtype", "max_memory", "low_cpu_mem_usage")
"""Where and how precisely the SAE's trainer held the model: here the recipe says so."""

FILES = ("revision",)
"""Which version of the model's files is meant; passed on."""

Parts = tuple[Call, dict[str, nn.Module], nn.Module, Callable[[int], Call]]
"""What a loader makes: the map from tokens to logits, the hooks by name, the module that holds all others, and what
begins texts that are read on piece by piece."""


def choose_loader(info: SAEInfo) -> str:
    """The loader for this SAE (see the table above)."""
    lens_hook = any(part.startswith("hook_") for part in info.hook_name.split("."))
    if info.model_class_name == "AutoModelForCausalLM" or not lens_hook:
        return "transformers"
    processed = any(info.model_kwargs.get(key) for key in PROCESSING)
    return "HookedTransformer" if processed else "TransformerBridge"


def load_model(recipe: ModelRecipe, info: SAEInfo, device: str) -> LoadedModel:
    """Load the model that the SAE needs, once, on the CPU, then move it; check that the hook is there and fits.

    Raises NotFoundError (model or hook), InputError (unusable files, width mismatch, settings that cannot be
    applied) or MachineError (not in the hub cache and no network).
    """
    loader, files = choose_loader(info), _files(info)
    config = load_config(recipe.name, files)
    _require_width(info, config, recipe.name)
    tokenizer = load_tokenizer(recipe.name, files)
    # the bridge reads attention scores, which only the eager implementation computes
    attention = {"attn_implementation": "eager"} if loader == "TransformerBridge" else {}
    net = load_weights(recipe.name, recipe.dtype, files | attention)
    facts = _facts(recipe, info, config, sum(p.numel() for p in net.parameters()))
    facts |= {"device": device, "weights_sha256": weights_sha256(recipe.name, files)}
    call, points, whole, begin = LOADERS[loader](net, recipe, info, device)
    return LoadedModel(call, points, tokenizer, facts, info.hook_name, info.d_in, whole, begin)


def model_info(recipe: ModelRecipe, info: SAEInfo) -> ModelInfo:
    """What ``load_model`` would say, from the configuration alone; ``device`` is then "not loaded"."""
    config = load_config(recipe.name, _files(info))
    _require_width(info, config, recipe.name)
    n_parameters = sum(p.numel() for p in empty_model(config).parameters())
    return ModelInfo(**_facts(recipe, info, config, n_parameters), hook_name=info.hook_name, device="not loaded")


def require_context_size(model: ModelInfo, n: int) -> None:
    """Raise InputError when windows of ``n`` tokens are longer than the model can read."""
    if n > model.n_ctx > 0:
        raise InputError(
            f"context_size {n} is longer than the model can read",
            f"{model.name} reads at most {model.n_ctx} tokens",
            f"set context_size = {model.n_ctx} or less in [corpus]",
        )


def _plain(net: nn.Module, recipe: ModelRecipe, info: SAEInfo, device: str) -> Parts:
    net = net.to(device)
    return lambda tokens: net(tokens, use_cache=False).logits, dict(net.named_modules()), net, _remembering(net)


def _bridged(net: nn.Module, recipe: ModelRecipe, info: SAEInfo, device: str) -> Parts:
    """The bridge around the model, and its hooks by every name they go by."""
    tokenizer = load_tokenizer(recipe.name, _files(info))  # the bridge changes the one it is given
    with model_errors(recipe.name), quiet():
        bridge = TransformerBridge.boot_transformers(
            official_name(recipe.name),
            hf_model=net.to(device),
            tokenizer=tokenizer,
            device=device,
            dtype=DTYPES[recipe.dtype],
        )
        begin = _remembering(bridge.original_model)
        return lambda tokens: bridge(tokens, return_type="logits"), dict(bridge.hook_dict), bridge, begin


def _remembering(net: Any) -> Callable[[int], Call]:
    """How a Hugging Face model begins texts that it reads on piece by piece."""

    def begin(n: int) -> Call:
        cache = DynamicCache(config=net.config)
        return lambda tokens: net(tokens, past_key_values=cache, use_cache=True).logits

    return begin


def _processed(net: PreTrainedModel, recipe: ModelRecipe, info: SAEInfo, device: str) -> Parts:
    """What ``HookedTransformer.from_pretrained_no_processing`` gives with the SAE's own settings.

    Its steps are taken one by one because it refuses local folders; no tokenizer is attached, since TransformerLens
    would change it.
    """
    name, flags = official_name(recipe.name), {key: bool(info.model_kwargs.get(key)) for key in PROCESSING}
    if name.startswith(tuple(lens.NEED_REMOTE_CODE_MODELS)):
        raise InputError(
            f"{recipe.name} with processed weights would run code from its repository",
            "TransformerLens fetches it with trust_remote_code, which is never done here",
            "use an SAE that was trained without " + ", ".join(key for key, on in flags.items() if on),
        )
    with model_errors(recipe.name), quiet():
        dtype = DTYPES[recipe.dtype]
        cfg = lens.get_pretrained_model_config(
            name, hf_cfg=net.config.to_dict(), fold_ln=flags["fold_ln"], device="cpu", dtype=dtype
        )
        cfg.tokenizer_name = None
        cfg.act_fn = ONE_KERNEL if cfg.act_fn in TANH_GELU else cfg.act_fn
        state = lens.get_pretrained_state_dict(name, cfg, net, dtype=dtype)
        model = HookedTransformer(cfg, tokenizer=None, move_to_device=False)
        model.load_and_process_state_dict(state, **flags)
        model = model.eval().requires_grad_(False).to(device)
        _lay_out(model)

    def begin(n: int) -> Call:
        cache = TransformerLensKeyValueCache.init_cache(model.cfg, device, n)
        return lambda tokens: model(
            tokens, return_type="logits", past_kv_cache=cache, attention_mask=torch.ones_like(tokens)
        )

    return lambda tokens: model(tokens, return_type="logits"), dict(model.hook_dict), model, begin


def _lay_out(model: HookedTransformer) -> None:
    """Heads' matrices in the order in which each pass joins them: a view then, where it copied all of them (8 %)."""
    for block in model.blocks:
        for name in ("W_Q", "W_K", "W_V"):
            weight = getattr(block.attn, name, None)
            if isinstance(weight, nn.Parameter) and weight.ndim == 3:
                weight.data = weight.data.transpose(1, 2).contiguous().transpose(1, 2)


LOADERS: dict[str, Callable[[Any, ModelRecipe, SAEInfo, str], Parts]] = {
    "transformers": _plain,
    "HookedTransformer": _processed,
    "TransformerBridge": _bridged,
}


def _files(info: SAEInfo) -> dict[str, Any]:
    """What the SAE's metadata asks of from_pretrained, beyond processing; refuses what cannot be applied exactly."""
    for key, value in info.model_kwargs.items():
        if key == "trust_remote_code" and value:
            raise InputError(
                "the SAE's model runs code from its repository", "that is never done here", "use another SAE"
            )
        if value is not None and key not in (*PROCESSING, *PLACEMENT, *FILES, "trust_remote_code"):
            raise InputError(
                f"the SAE was trained with a model setting that is not known here: {key} = {value!r}",
                f"known: {', '.join((*PROCESSING, *PLACEMENT, *FILES))}",
                "if it does not change activations, remove it from model_from_pretrained_kwargs in cfg.json",
            )
    return {key: info.model_kwargs[key] for key in FILES if info.model_kwargs.get(key) is not None}


def _facts(recipe: ModelRecipe, info: SAEInfo, config: PretrainedConfig, n_parameters: int) -> dict[str, Any]:
    text = config.get_text_config()
    lengths = (getattr(text, key, None) for key in ("max_position_embeddings", "n_positions", "n_ctx"))
    return {
        "name": Path(recipe.name).name if Path(recipe.name).is_dir() else recipe.name,
        "loader": choose_loader(info),
        "d_model": text.hidden_size,
        "n_layers": text.num_hidden_layers,
        "n_ctx": next((n for n in lengths if n), 0),
        "dtype": recipe.dtype,
        "n_parameters": n_parameters,
        "kwargs": dict(info.model_kwargs),
    }


def _require_width(info: SAEInfo, config: PretrainedConfig, name: str) -> None:
    """SAEs on the residual stream must have the model's width: known before any weights are read."""
    width = config.get_text_config().hidden_size
    residual = "hook_resid" in info.hook_name or re.search(r"\.(layers|h|blocks)\.\d+$", info.hook_name)
    if residual and info.d_in != width:
        raise width_error(info.d_in, width, info.hook_name, name)
