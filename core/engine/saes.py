"""SAEs ready to encode: loaded through SAELens, encoded for wanted features only."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import SAE
from torch import Tensor

from core.engine.encode_maths import Encoder
from core.engine.releases import Stated, find_release
from core.engine.sae_config import sae_info_from
from core.engine.sae_files import folder_config, folder_sae, hub_config, hub_sae
from core.errors import InputError
from core.recipe import SAERecipe
from core.types import SAEInfo


def load_sae(recipe: SAERecipe, device: str) -> LoadedSAE:
    """Read an SAE and put it on ``device`` in the recipe's dtype; paths in the recipe are absolute.

    Raises NotFoundError (release, id, folder), InputError (a folder or an architecture that cannot be used) or
    MachineError (not in the hub cache and no network, or damaged there).
    """
    stated = None
    if recipe.path is not None:
        config = folder_config(Path(recipe.path), recipe.dtype)
        info = sae_info_from(recipe, config, None)
        sae, sparsity = folder_sae(Path(recipe.path), config, recipe.dtype)
    else:
        stated = _find(recipe)
        sae, config, sparsity = hub_sae(recipe, stated)
        info = sae_info_from(recipe, config, stated)
    sae.turn_off_forward_pass_hook_z_reshaping()  # LoadedModel.resid hands over [n, d_in], heads already joined
    sae.requires_grad_(False)
    info = replace(
        info,
        normalize_activations=sae.cfg.normalize_activations,
        weights_sha256=_weights_sha256(sae),
        stated_l0=_stated_l0(info, sparsity),
    )
    return LoadedSAE(sae.to(device), info)


def sae_info(recipe: SAERecipe) -> SAEInfo:
    """What ``load_sae`` would say, from the configuration alone: without weights, their hash and firing rates."""
    if recipe.path is not None:
        return sae_info_from(recipe, folder_config(Path(recipe.path), recipe.dtype), None)
    stated = _find(recipe)
    return sae_info_from(recipe, hub_config(recipe, stated), stated)


class LoadedSAE:
    """An SAE ready to encode. ``info`` is what it says of itself."""

    def __init__(self, sae: SAE[Any], info: SAEInfo, features: Tensor | None = None) -> None:
        self.info = info
        self._sae = sae
        self._wanted = features
        encoder = _encoder(sae, info)
        self._restricted = features is not None and info.elementwise
        self._encoder = encoder.columns(features) if features is not None and info.elementwise else encoder

    @property
    def device(self) -> torch.device:
        return self._encoder.bias.device

    def columns(self, features: np.ndarray | None) -> LoadedSAE:
        """The SAE with ``encode`` restricted to some features (in their order); ``None`` = all of them.

        Where acts are element-wise only those columns are computed; for TopK all are, then the wanted are kept.
        """
        if features is None:
            return LoadedSAE(self._sae, self.info)
        wanted = np.asarray(features, dtype=np.int64)
        _require_features(wanted, self.info.d_sae)
        return LoadedSAE(self._sae, self.info, torch.from_numpy(wanted).to(self._sae.W_enc.device))

    @torch.inference_mode()
    def encode(self, resid: Tensor) -> tuple[Tensor, Tensor]:
        """``resid [n, d_in]`` -> ``acts [n, n_wanted]`` as ``sae.encode`` gives them, and ``hidden_pre`` likewise.

        ``hidden_pre`` is the quantity whose crossing decides firing: above 0 (ReLU, gated: the gate's), above the
        threshold (JumpReLU), among the k highest (TopK, in the acts' units).
        """
        acts, hidden_pre = self._encoder(self._sae.process_sae_in(resid))
        if self._wanted is not None and not self._restricted:
            return acts[..., self._wanted], hidden_pre[..., self._wanted]
        return acts, hidden_pre

    @torch.inference_mode()
    def decode(self, acts: Tensor) -> Tensor:
        """Full-width ``acts [n, d_sae]`` -> ``[n, d_in]`` by SAELens' own decode.

        An SAE that normalises at run time undoes it with the norms of the batch last given to ``encode``: call it
        right after, on the same rows.
        """
        return self._sae.decode(acts)

    def directions(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Decoder rows ``[n, d_in]``, encoder bias ``[n]`` (gated: the gate's), threshold ``[n]`` or None; float32."""
        wanted = np.asarray(features, dtype=np.int64)
        _require_features(wanted, self.info.d_sae)
        rows = torch.from_numpy(wanted).to(self._sae.W_dec.device)
        full = _encoder(self._sae, self.info)
        threshold = None if full.threshold is None else _numpy(full.threshold[rows])
        return _numpy(self._sae.W_dec[rows]), _numpy(full.bias[rows]), threshold


def _encoder(sae: SAE[Any], info: SAEInfo) -> Encoder:
    if info.kind == "gated":
        return Encoder("gated", sae.W_enc, sae.b_gate, log_scale=sae.r_mag, magnitude_bias=sae.b_mag)
    if info.kind == "jumprelu":
        return Encoder("jumprelu", sae.W_enc, sae.b_enc, threshold=sae.threshold)
    if info.kind == "topk":
        norms = sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else None
        return Encoder("topk", sae.W_enc, sae.b_enc, k=sae.cfg.k, norms=norms)
    return Encoder("relu", sae.W_enc, sae.b_enc)


def _find(recipe: SAERecipe) -> Stated:
    if recipe.release is None or recipe.id is None:
        raise InputError("the recipe names no SAE", "expected release and id, or path, in [sae]", "add them")
    return find_release(recipe.release, recipe.id)


def _stated_l0(info: SAEInfo, sparsity: Tensor | None) -> float | None:
    """What the release states, else the sum of the stored firing rates (log10 in sparsity.safetensors)."""
    if info.stated_l0 is not None or sparsity is None or sparsity.shape != (info.d_sae,):
        return info.stated_l0
    return float((10.0 ** sparsity.double()).sum())


def _weights_sha256(sae: SAE[Any]) -> str:
    """Hash of names, shapes and values as loaded: any change of a weight or of the dtype changes it."""
    digest = hashlib.sha256()
    for name, value in sorted(sae.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _require_features(features: np.ndarray, d_sae: int) -> None:
    if features.size and (features.min() < 0 or features.max() >= d_sae):
        wrong = features[(features < 0) | (features >= d_sae)][0]
        raise InputError(
            f"there is no feature {wrong}",
            f"this SAE has {d_sae:,} features, numbered 0 to {d_sae - 1}",
            "mend features in [encode]",
        )


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
