"""Plain frozen values that cross every border of the package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SAEInfo:
    """What an SAE says of itself: everything the encoding needs, nothing guessed.

    ``None`` means that the SAE's files do not say. ``kind`` is how activations follow from
    pre-activations: ``relu`` | ``jumprelu`` | ``gated`` | ``topk``.
    """

    architecture: str  # as SAELens names it
    kind: str
    d_in: int
    d_sae: int
    hook_name: str
    model_name: str | None
    model_class_name: str | None
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    prepend_bos: bool = True
    context_size: int | None = None
    k: int | None = None  # topk only
    dataset: str | None = None
    dtype: str = "float32"
    normalize_activations: str = "none"
    apply_b_dec_to_input: bool = True
    neuronpedia_id: str | None = None  # "model/source"
    release: str | None = None
    sae_id: str | None = None
    hub: str | None = None  # "owner/repository/folder" of a release
    stated_l0: float | None = None
    stated_explained_variance: float | None = None
    weights_sha256: str | None = None

    @property
    def elementwise(self) -> bool:
        """Whether one feature's act follows from its own hidden_pre alone (not for TopK)."""
        return self.kind != "topk"


@dataclass(frozen=True)
class ModelInfo:
    """The language model as it was loaded."""

    name: str  # as the recipe names it
    loader: str  # TransformerBridge | HookedTransformer | transformers
    hook_name: str  # resolved: what the loader really hooked
    d_model: int
    n_layers: int
    n_ctx: int
    dtype: str
    device: str
    n_parameters: int
    weights_sha256: str | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fidelity:
    """How well SAE and model fit, measured on a sample before any work.

    Shares are 0..1 and ``None`` means not measured. ``explained_variance`` is
    1 - sum ||x - x^||^2 / sum ||x - mean x||^2 over non-special positions; ``loss_recovered`` is
    (loss_zero - loss_sae) / (loss_zero - loss_model), where ``loss_zero`` replaces the hook by zeros.
    ``dead_share`` counts features silent on this sample, which is more than are really dead.
    """

    verdict: str  # "ok" | "far off"
    n_tokens: int
    l0: float
    explained_variance: float
    dead_share: float
    stated_l0: float | None = None
    stated_explained_variance: float | None = None
    loss_model: float | None = None
    loss_sae: float | None = None
    loss_zero: float | None = None
    loss_recovered: float | None = None
    cause: str = ""  # plain sentence, empty when the verdict is ok
    remedy: str = ""
    tried: dict[str, float] = field(default_factory=dict)  # alternative -> explained variance


@dataclass(frozen=True)
class CorpusCounts:
    """What became of the text. Every document and token is in exactly one of the counts."""

    n_documents_read: int
    n_documents_empty: int
    n_documents_duplicate: int
    n_documents_cut: int  # longer than the limit: the rest was not tokenised
    n_documents_used: int
    n_contexts: int
    n_contexts_duplicate: int  # windows dropped because an equal window was already there
    n_contexts_short: int  # windows dropped because fewer than two real tokens were left
    n_tokens: int  # positions that are encoded and not special
    n_special: int  # positions masked everywhere (BOS, EOS, PAD)
    licence: str  # "not stated" when neither recipe nor dataset says
