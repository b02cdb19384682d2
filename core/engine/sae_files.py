"""Reading SAEs from hub releases and local folders through SAELens' own loaders."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from sae_lens import SAE
from sae_lens.constants import (
    ACTIVATION_SCALER_CFG_FILENAME,
    ACTIVATION_WHITENING_FILENAME,
    SAE_CFG_FILENAME,
    SAE_WEIGHTS_FILENAME,
    SPARSITY_FILENAME,
)
from sae_lens.loading.pretrained_sae_loaders import (
    get_sae_lens_config_from_disk,
    handle_config_defaulting,
    load_sae_config_from_huggingface,
    sae_lens_disk_loader,
)
from sae_lens.registry import get_sae_class, get_sae_training_class
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.engine.hub import hub_errors
from core.engine.quiet import quiet
from core.engine.releases import Stated
from core.engine.sae_config import TRAINING, require_architecture
from core.errors import DamagedError, InputError, NotFoundError, PrismError
from core.recipe import SAERecipe


def hub_config(recipe: SAERecipe, stated: Stated) -> dict[str, Any]:
    """The configuration of a release's SAE, without its weights."""
    with _hub_sae_errors(recipe, stated), quiet():
        config = load_sae_config_from_huggingface(str(recipe.release), str(recipe.id))
    require_architecture(config)
    return config


def hub_sae(recipe: SAERecipe, stated: Stated) -> tuple[SAE[Any], dict[str, Any], Tensor | None]:
    """The SAE on the CPU, its configuration, and log10 firing rates ``[d_sae]`` where the release has them."""
    hub_config(recipe, stated)  # refuses what cannot be encoded before weights are fetched
    with _hub_sae_errors(recipe, stated), quiet(), _no_code_in_weights():
        return SAE.from_pretrained_with_cfg_and_sparsity(
            str(recipe.release), str(recipe.id), device="cpu", dtype=recipe.dtype
        )


def folder_config(folder: Path, dtype: str) -> dict[str, Any]:
    """cfg.json as SAELens reads it, flat files from before version 6 included."""
    if not folder.is_dir():
        raise NotFoundError(f"there is no SAE folder {str(folder)!r}", "", "check path in [sae]")
    if not (folder / SAE_CFG_FILENAME).is_file():
        raise InputError(
            f"{folder.name!r} is not an SAE folder in SAELens format",
            f"expected {SAE_CFG_FILENAME} and {SAE_WEIGHTS_FILENAME}; found {_listing(folder)}",
            "save the SAE with SAELens' save_model, or point path at the folder that has them",
        )
    try:
        raw = get_sae_lens_config_from_disk(folder, "cpu", {"dtype": dtype})
        architecture = require_architecture(raw)
        return raw if architecture in TRAINING else handle_config_defaulting(raw)
    except (ValueError, AttributeError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f"{SAE_CFG_FILENAME} of {folder.name!r} cannot be used",
            f"{type(error).__name__}: {error}",
            "mend it, or save the SAE again with SAELens' save_model",
        ) from error


def folder_sae(folder: Path, config: dict[str, Any], dtype: str) -> tuple[SAE[Any], Tensor | None]:
    """The SAE of a local folder on the CPU, and log10 firing rates ``[d_sae]`` where the folder has them."""
    weights = folder / SAE_WEIGHTS_FILENAME
    if not weights.is_file():
        raise InputError(
            f"the SAE folder {folder.name!r} has no weights",
            f"expected {SAE_WEIGHTS_FILENAME} beside {SAE_CFG_FILENAME}; found {_listing(folder)}",
            "copy the weights there, or save the SAE again with SAELens' save_model",
        )
    try:
        with quiet():
            if config["architecture"] in TRAINING:
                return _training_checkpoint(folder, dtype), _sparsity(folder)
            sae: SAE[Any] = SAE.load_from_disk(folder, device="cpu", dtype=dtype)
            _fold_normalisation(sae, folder)
            return sae, _sparsity(folder)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{SAE_WEIGHTS_FILENAME} of {folder.name!r} cannot be read",
            f"{error} ({weights.stat().st_size:,} bytes)",
            "copy or save the file again: it is cut off or damaged",
        ) from error
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"the weights of {folder.name!r} do not fit its {SAE_CFG_FILENAME}",
            str(error)[:500],
            f"check architecture, d_in and d_sae in {SAE_CFG_FILENAME}",
        ) from error


def _training_checkpoint(folder: Path, dtype: str) -> SAE[Any]:
    """A BatchTopK or Matryoshka SAE as training saves it, turned into the JumpReLU SAE that inference uses.

    The steps are those of SAELens' ``save_inference_model``.
    """
    config, state = sae_lens_disk_loader(folder, "cpu", {"dtype": dtype})
    if "topk_threshold" not in state:
        raise KeyError("no topk_threshold among the weights: without it a BatchTopK SAE works in training only")
    sae_class, config_class = get_sae_training_class(config["architecture"])
    trained = sae_class(config_class.from_dict(config))
    trained.process_state_dict_for_loading(state)
    trained.load_state_dict(state)
    _fold_normalisation(trained, folder)
    state = trained.state_dict()
    trained.process_state_dict_for_saving_inference(state)
    inference = trained.cfg.get_inference_sae_cfg_dict()
    cls, cfg_class = get_sae_class(inference["architecture"])
    sae = cls(cfg_class.from_dict(inference))
    sae.load_state_dict(state, assign=True)
    return sae


@torch.no_grad()
def _fold_normalisation(sae: SAE[Any], folder: Path) -> None:
    """Fold a checkpoint's own input scaling into its weights, as SAELens does at the end of training."""
    mode, scaler = sae.cfg.normalize_activations, folder / ACTIVATION_SCALER_CFG_FILENAME
    if mode == "expected_average_only_in" and scaler.is_file():
        factor = json.loads(scaler.read_text(encoding="utf-8")).get("scaling_factor")
        if factor is not None:
            sae.fold_activation_norm_scaling_factor(float(factor))
    if mode == "covariance_whitening":
        path = folder / ACTIVATION_WHITENING_FILENAME
        if not path.is_file():
            raise ValueError(f"normalize_activations is covariance_whitening but there is no {path.name}")
        with safe_open(path, framework="pt", device="cpu") as file:
            sae.fold_activation_whitening(*(file.get_tensor(n) for n in ("mean", "matrix", "inverse_matrix")))


def _sparsity(folder: Path) -> Tensor | None:
    path = folder / SPARSITY_FILENAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return file.get_tensor("sparsity")
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{SPARSITY_FILENAME} of {folder.name!r} cannot be read", str(error), "remove it: it is not needed"
        ) from error


@contextlib.contextmanager
def _hub_sae_errors(recipe: SAERecipe, stated: Stated) -> Iterator[None]:
    """Translate what SAELens raises: hub trouble, then damaged or unsuitable files."""
    what = f"the SAE {recipe.id!r} of {recipe.release!r}"
    fetch = f"hf download {stated.repo_id} --include '{stated.folder.removesuffix('.pt')}*'"
    try:
        with hub_errors(what, stated.repo_id, fetch):
            yield
    except PrismError:
        raise
    except Exception as error:
        raise DamagedError(
            f"{what} cannot be loaded",
            f"{type(error).__name__}: {error}"[:500],
            f"fetch it again: `{fetch} --force-download`; if that does not help, SAELens cannot read it",
        ) from error


@contextlib.contextmanager
def _no_code_in_weights() -> Iterator[None]:
    """Hold torch.load to plain weights: some releases are published as .pt files, which may otherwise run code."""
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ[names[0]] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _listing(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "nothing"
