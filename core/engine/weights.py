"""A language model's files: configuration, tokenizer and weights, from a folder or the hub, safetensors only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformer_lens.loading_from_pretrained import make_model_alias_map
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file

from core.engine.device import DTYPES
from core.engine.hub import hub_errors
from core.engine.quiet import quiet
from core.errors import InputError, NotFoundError, PrismError, did_you_mean


def official_name(name: str) -> str:
    """A folder as it is, a TransformerLens name or alias as its hub id ("gpt2-small" -> "gpt2"), else the name."""
    return name if Path(name).is_dir() else make_model_alias_map().get(name.lower(), name)


TANH_GELU, ONE_KERNEL = ("gelu_new", "gelu_fast"), "gelu_pytorch_tanh"
"""Names of one function, and the one of them that PyTorch computes in one kernel."""


def load_config(name: str, options: dict[str, Any]) -> PretrainedConfig:
    """The model's configuration; no weights are read."""
    with model_errors(name), quiet():
        return AutoConfig.from_pretrained(official_name(name), trust_remote_code=False, **options)


def load_tokenizer(name: str, options: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The tokenizer as its files define it, untouched by TransformerLens (which adds BOS and PAD)."""
    with model_errors(name, "its tokenizer"), quiet():
        return AutoTokenizer.from_pretrained(official_name(name), trust_remote_code=False, **options)


def load_weights(name: str, dtype: str, options: dict[str, Any]) -> PreTrainedModel:
    """The Hugging Face causal language model on the CPU, in evaluation mode, without gradients."""
    config = _in_one_kernel(load_config(name, {k: v for k, v in options.items() if k in ("revision",)}))
    with model_errors(name), quiet():
        net = AutoModelForCausalLM.from_pretrained(
            official_name(name),
            config=config,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            trust_remote_code=False,
            **options,
        )
    return net.eval().requires_grad_(False)


def _in_one_kernel(config: PretrainedConfig) -> PretrainedConfig:
    """The tanh form of GELU as PyTorch's own function: GPT-2's spelling of it takes eight passes over memory.

    The same function to rounding; a tenth of the time of a model of GPT-2's size.
    """
    for key in ("activation_function", "hidden_act"):
        if getattr(config, key, None) in TANH_GELU:
            setattr(config, key, ONE_KERNEL)
    return config


def empty_model(config: PretrainedConfig) -> torch.nn.Module:
    """The model's modules without storage, for counting parameters and naming hooks."""
    with torch.device("meta"), quiet():
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def weights_sha256(name: str, options: dict[str, Any]) -> str | None:
    """One hash over the safetensors files; None when they cannot be found as files."""
    try:
        config = cached_file(official_name(name), "config.json", local_files_only=True, **options)
    except OSError:
        return None
    folder = Path(config).parent if config else None
    if folder is None:
        return None
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    files = [folder / file for file in sorted(names)]
    if not all(file.is_file() for file in files):
        return None
    digests = [_file_sha256(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    """The hash of a file; the hub names its large blobs by it, so that those need not be read again."""
    real = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", real.name):
        return real.name
    with real.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def model_errors(name: str, part: str = "") -> Iterator[None]:
    """Translate what transformers raises about a model's files."""
    folder, what = Path(name), f"the model {name!r}"
    if not folder.is_dir() and (folder.is_absolute() or name.startswith((".", "~"))):
        raise NotFoundError(f"there is no model folder {name!r}", "", "check name in [model]")
    repo_id = official_name(name)
    near = did_you_mean(name, make_model_alias_map())
    try:
        with hub_errors(what, repo_id, f"hf download {repo_id}", near):
            yield
    except PrismError as error:
        if "/" not in repo_id and name.lower() not in make_model_alias_map() and not isinstance(error, NotFoundError):
            raise NotFoundError(
                f"there is no model {name!r}",
                f"no folder of this name, no TransformerLens name, and as a hub id: {error.detail}",
                near or "name a hub id (org/model), a TransformerLens name or a folder",
            ) from error
        raise
    except SafetensorError as error:
        raise InputError(f"the weights of {what} cannot be read", str(error), "fetch or copy them again") from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(
            f"{what} cannot be loaded" + (f": {part}" if part else ""),
            f"{type(error).__name__}: {' '.join(lines)[:500]}",
            near if not folder.is_dir() and near else _advice(str(error)),
        ) from error


def _advice(message: str) -> str:
    if "remote code" in message or "trust_remote_code" in message:
        return "this model needs code from its repository, which is never run here; use a model transformers knows"
    if "safetensors" in message:
        return "only safetensors weights are read; convert the model with save_pretrained(..., safe_serialization=True)"
    return "check that the folder or repository holds config.json, a tokenizer and safetensors weights"
