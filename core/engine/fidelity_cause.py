"""Why an SAE does not fit its model: every alternative measured, the best one put into words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.engine.fidelity_evidence import (
    N_POS,
    N_PROBE,
    WRONG_HOOK,
    WRONG_TOPK,
    Evidence,
    bos_is_extra,
    bos_is_missing,
    doubts_about,
    figures_out_of_range,
    is_plausible,
    least_for_input,
    times_better,
)
from core.engine.fidelity_probes import fit_changed, fit_hooks, rescalings
from core.engine.fidelity_sample import Fit, Sample
from core.engine.models import LoadedModel
from core.engine.saes import LoadedSAE
from core.engine.weights import official_name
from core.types import SAEInfo

TIE = 1.1, 0.002
"""Alternatives that leave so many times, or so much, more unexplained than the best fit as well as it."""

RANKS = ("centred", "topk", "quieter", "layer", "louder", "norm", "sibling")
"""What is believed first among alternatives that fit equally well."""


@dataclass(frozen=True)
class Cause:
    """Why it does not fit, what mends it, and the explained variance of every alternative."""

    text: str
    remedy: str
    tried: dict[str, float] = field(default_factory=dict)


def find_cause(evidence: Evidence, model: LoadedModel, sae: LoadedSAE, sample: Sample) -> Cause | None:
    """None when everything is in order; else the best explanation, which may be that none was found."""
    doubts = doubts_about(evidence, sae.info)
    if not doubts:
        return None
    candidates = _candidates(evidence, model, sae, sample.first(N_PROBE, N_POS))
    better = [c for c in candidates if c.times >= c.least and is_plausible(c.fit)]
    least = min((c.fit.unexplained for c in better), default=0.0)
    ties = [c for c in better if c.fit.unexplained <= TIE[0] * least + TIE[1]]
    chosen = min(ties, key=lambda c: (c.rank, -c.times), default=None)
    text, remedy = (chosen.text, chosen.remedy) if chosen else _otherwise(evidence, model, sae.info, doubts)
    tried = {"as it is": evidence.here} | {c.name: c.fit for c in candidates}
    return Cause(text, remedy, {name: round(fit.explained_variance, 4) for name, fit in tried.items()})


@dataclass(frozen=True)
class Candidate:
    """An alternative with the fit before and after, by how many times it must be better, and what it would mean.

    Of several that fit equally well the one of the lowest ``rank`` (its place in RANKS) is believed.
    """

    name: str
    before: Fit
    fit: Fit
    least: float
    rank: int
    text: str
    remedy: str

    @property
    def times(self) -> float:
        return times_better(self.before, self.fit)


def _candidates(evidence: Evidence, model: LoadedModel, sae: LoadedSAE, few: Sample) -> list[Candidate]:
    """Every alternative, measured: other inputs, other hooks, and the top-k that were measured before."""
    changes = fit_changed(model, sae, few, rescalings(_mean_norm(model, few), sae.info.d_in))
    others = [name for name in model.hook_names() if name != model.hook_name]
    hooks = fit_hooks(model, sae, few, others) if others else {}
    found = []
    for name, fit in changes.items():
        told = _input_cause(name, sae.info)
        found.append(Candidate(f"input: {name}", evidence.here, fit, least_for_input(name), _rank(name), *told))
    for name, fit in hooks.items():
        rank = RANKS.index("layer" if model.is_same_hook(name) else "sibling")
        told = _hook_cause(name, model.hook_name)
        found.append(Candidate(f"hook {name}", evidence.here, fit, WRONG_HOOK, rank, *told))
    for k, fit in evidence.topk.items():
        if evidence.topk_none is not None:
            told = _topk_cause(k, sae.info)
            found.append(Candidate(f"top {k}", evidence.topk_none, fit, WRONG_TOPK, RANKS.index("topk"), *told))
    return found


def _rank(name: str) -> int:
    """The rank of a changed input."""
    if name.startswith("scale"):
        return RANKS.index("louder" if float(name.split()[1]) > 1 else "quieter")
    return RANKS.index("centred" if name == "centred" else "norm")


def _mean_norm(model: LoadedModel, sample: Sample) -> float:
    batch = next(sample.batches())[1]
    x = model.resid(batch.tokens)
    return float(x[batch.real.to(x.device)].float().norm(dim=-1).mean())


def _hook_cause(name: str, asked: str) -> tuple[str, str]:
    return (
        f"wrong hook: the SAE fits {name}, not {asked}",
        f'set "hook_name" to "{name}" in the SAE\'s cfg.json, or take the SAE of {asked}',
    )


def _topk_cause(k: int, info: SAEInfo) -> tuple[str, str]:
    return (
        f"a TopK SAE read as {info.architecture}: it fits when only about {k} of its features fire at a token",
        f'set "architecture" to "topk" and "k" to the value it was trained with (about {k}) in its cfg.json; '
        'for BatchTopK restore its threshold and "jumprelu"',
    )


def _input_cause(name: str, info: SAEInfo) -> tuple[str, str]:
    if name == "centred":
        return (
            "the model's weights are not processed as in training: the SAE fits a residual stream of mean zero",
            'add "model_from_pretrained_kwargs": {"center_writing_weights": true} to the metadata in its cfg.json',
        )
    if name.startswith("scale"):
        return (
            f"activation scaling is missing: the SAE fits its input times {name.split()[1]}",
            "fold the scaling factor of training into the weights (SAELens' fold_activation_norm_scaling_factor)",
        )
    mode = {"norm of each position": "constant_norm_rescale", "layer norm": "layer_norm"}[name]
    return (
        f"input normalisation is missing: the SAE fits inputs normalised by the {name}",
        f'set "normalize_activations" to "{mode}" in its cfg.json (it says "{info.normalize_activations}")',
    )


def _otherwise(evidence: Evidence, model: LoadedModel, info: SAEInfo, doubts: list[str]) -> tuple[str, str]:
    """The causes that no reconstruction of all tokens shows: BOS, then firing rates, then the model itself."""
    out_of_range = figures_out_of_range(evidence.own, info)
    if bos_is_missing(evidence) and not out_of_range:
        return (
            "BOS is missing: the first tokens of windows fit the SAE only with BOS before them",
            'set "prepend_bos" to true in the metadata of the SAE\'s cfg.json',
        )
    if bos_is_extra(evidence) and not out_of_range:
        return (
            "BOS is too much: the first tokens of windows fit the SAE only without BOS before them",
            'set "prepend_bos" to false in the metadata of the SAE\'s cfg.json',
        )
    if len(doubts) == 1 and "fire at a token" in doubts[0]:
        return (
            f"the wrong firing rate: {doubts[0]}",
            "check that the SAE's thresholds were loaded and that the text resembles its training text",
        )
    used, meant = Path(model.info.name).name, info.model_name
    named = f"{used} has other weights than the model it was trained on" if meant else f"this is {used}"
    if meant and _differ(meant, used):
        named = f"it was trained on {meant}, and this is {used}"
    return (
        f"another model: the SAE fits no hook of this one ({named}); {'; '.join(doubts)}",
        f"name the model that the SAE was trained on{f' ({meant})' if meant else ''} in [model]",
    )


def _differ(meant: str, used: str) -> bool:
    """Whether two names mean different models; folders and organisations count by their last part."""
    last = [Path(official_name(name)).name.lower() for name in (meant, used)]
    return last[0] != last[1]
