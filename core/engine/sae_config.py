"""From SAELens' configuration to our own frozen one, failing on what is missing."""

from __future__ import annotations

from typing import Any

from core.engine.releases import Stated
from core.errors import InputError
from core.recipe import SAERecipe
from core.types import SAEInfo

KINDS = {
    "standard": "relu",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "topk": "topk",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
}
"""Architectures that are encoded, and how their activations follow from pre-activations.

BatchTopK and Matryoshka SAEs are JumpReLU ones outside training: the batch's threshold has become a constant."""

TRAINING = ("batchtopk", "matryoshka_batchtopk")
"""Architectures that exist in training checkpoints only."""


def sae_info_from(recipe: SAERecipe, config: dict[str, Any], stated: Stated | None) -> SAEInfo:
    """Our copy of a SAELens config; ``stated`` is the registry's entry, None for a local folder.

    SAELens' SAEMetadata answers None to every misspelt name, so what the encoding needs is asked for here once.
    Raises InputError for what is missing or cannot be encoded.
    """
    architecture = require_architecture(config)
    metadata = config.get("metadata") or {}
    where = "metadata of cfg.json" if stated is None else f"configuration of {recipe.release}"
    _require_sizes(config, where)
    return SAEInfo(
        architecture=architecture,
        kind=KINDS[architecture],
        d_in=config["d_in"],
        d_sae=config["d_sae"],
        hook_name=_hook_name(metadata, where),
        model_name=metadata.get("model_name"),
        model_class_name=metadata.get("model_class_name"),
        model_kwargs=dict(metadata.get("model_from_pretrained_kwargs") or {}),
        prepend_bos=_prepend_bos(metadata, stated),
        context_size=metadata.get("context_size"),
        k=int(config["k"]) if architecture == "topk" else None,
        dataset=metadata.get("dataset_path"),
        dtype=recipe.dtype,
        normalize_activations=config.get("normalize_activations") or "none",
        apply_b_dec_to_input=bool(config.get("apply_b_dec_to_input", True)),
        neuronpedia_id=(stated.neuronpedia_id if stated else None) or metadata.get("neuronpedia_id"),
        release=recipe.release,
        sae_id=recipe.id,
        hub=f"{stated.repo_id}/{stated.folder}" if stated else None,
        stated_l0=_stated_l0(config, stated),
        stated_explained_variance=stated.explained_variance if stated else None,
    )


def require_architecture(config: dict[str, Any]) -> str:
    """The architecture, or an InputError that names the supported ones. SAELens' oldest files say nothing: standard."""
    architecture = config.get("architecture", "standard")
    if architecture not in KINDS:
        raise InputError(
            f"SAEs of the architecture {architecture!r} are not supported",
            f"supported: {', '.join(KINDS)}",
            "use an SAE of one of these architectures",
        )
    return str(architecture)


def _require_sizes(config: dict[str, Any], where: str) -> None:
    for key in ("d_in", "d_sae"):
        if type(config.get(key)) is not int or config[key] < 1:
            raise InputError(f"the SAE does not state {key}", f"found {config.get(key)!r}", f"add it to the {where}")
    if config["architecture"] == "topk" and not 0 < float(config.get("k") or 0) <= config["d_sae"]:
        raise InputError("the TopK SAE does not state k", f"found {config.get('k')!r}", f"add it to the {where}")


def _hook_name(metadata: dict[str, Any], where: str) -> str:
    if metadata.get("hook_head_index") is not None:
        raise InputError(
            "SAEs on a single attention head are not supported",
            f"hook_head_index is {metadata['hook_head_index']}",
            "use an SAE of all heads of a layer",
        )
    if not metadata.get("hook_name"):
        raise InputError(
            "the SAE does not say where in the model it reads",
            f"no hook_name in the {where}",
            f'add "hook_name" to the {where}, e.g. "blocks.8.hook_resid_pre" or "model.layers.8"',
        )
    return str(metadata["hook_name"])


def _prepend_bos(metadata: dict[str, Any], stated: Stated | None) -> bool:
    """SAELens' default is True; a folder of one's own must say, because this changes every activation."""
    value = metadata.get("prepend_bos")
    if value is None and stated is None:
        raise InputError(
            "the SAE does not say whether contexts begin with BOS",
            "no prepend_bos in the metadata of cfg.json",
            'add "prepend_bos": true (or false) to the metadata of cfg.json',
        )
    return True if value is None else bool(value)


def _stated_l0(config: dict[str, Any], stated: Stated | None) -> float | None:
    """The registry's L0, or the k of a TopK or BatchTopK SAE."""
    if stated is not None and stated.l0 is not None:
        return stated.l0
    return float(config["k"]) if config.get("k") else None
