"""What is always measured of the fit of SAE and model, and whether it gives reason to look closer.

Thresholds come from SAEs trained for the purpose (ReLU, TopK, BatchTopK, every layer of a small model, L0 1 to 170,
with and without BOS), measured healthy, on foreign text, and with each fault planted. Very dense ReLU SAEs (L0
above d_in) reconstruct anything: for them, another model may pass.

==================================  =======================  ==========================  =========
quantity                            healthy (foreign text)   faulty                      threshold
==================================  =======================  ==========================  =========
unexplained here / at a neighbour   <= .55 (<= .83)          >= 1.5 one layer off        1.15
unexplained, best top-k / all       >= 1.00 (>= 1.00)        <= .64 TopK read as ReLU    .85
gain                                >= .98 (>= .98)          <= .82 in another model     .85
explained variance                  >= .64 (>= .48)          <= .4 in another model      .3
log error without / with BOS        <= -.5 trained without   >= .12 at document starts   .1
==================================  =======================  ==========================  =========
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.engine.fidelity_probes import (
    POWERS,
    BosEffect,
    bos_effect,
    fit_changed,
    fit_hooks,
    fit_topk,
    scale_name,
    times,
)
from core.engine.fidelity_sample import Fit, Sample
from core.engine.models import LoadedModel
from core.engine.saes import LoadedSAE
from core.types import SAEInfo

WRONG_HOOK, WRONG_TOPK, WRONG_INPUT, WRONG_LOUDER = 1.15, 1 / 0.85, 1.5, 2.0
"""How many times more must stay unexplained as it is than with another hook, top-k or input, to be blamed.

A louder input must win by more: it hides the shrinkage of SAEs that were trained with an L1 penalty."""

GAIN, LEAST_EXPLAINED, PLAUSIBLE = (0.85, 2.0), 0.3, 0.5
"""Gain and least explained variance of SAEs where they belong; what an alternative must explain to be believed."""

MISSING_BOS, EXTRA_BOS = {True: 0.1, False: 0.2}, {True: -1.0, False: -1.5}
"""Log ratio of errors without and with BOS beyond which BOS is missing, or too much; at document openings or not."""

BOS_T, BOS_WINDOWS = (2.5, -4.0), {True: 8, False: 16}
"""Standard errors that it must be away from 0, and windows it must come from."""

L0_FACTOR, VARIANCE_SHORT = 4.0, 0.35
"""How far L0 and explained variance may be from what a release states, which is measured on other text."""

N_JUDGED = 256
"""On fewer tokens nothing is judged: a handful of similar tokens has hardly any variance to explain."""

N_PROBE, N_POS, N_TOPK, N_OPENINGS = 512, 256, 256, 64
"""Tokens and positions of the probes, tokens of the top-k one, windows of the BOS one."""


@dataclass(frozen=True)
class Evidence:
    """What is always measured. ``own`` is the fit on the whole sample; the rest compares on a few of its tokens."""

    own: Fit
    here: Fit
    neighbours: dict[str, Fit]
    scaled: dict[str, Fit]
    topk: dict[int, Fit]
    topk_none: Fit | None
    bos: BosEffect
    has_bos: bool


def gather(
    model: LoadedModel, sae: LoadedSAE, sample: Sample, own: Fit, bos_id: int | None, starts: np.ndarray | None
) -> Evidence:
    """Make the cheap probes: neighbouring layers, half and double the input, top-k, BOS."""
    few, fewer = sample.first(N_PROBE, N_POS), sample.first(N_TOPK, N_POS)
    fits = fit_hooks(model, sae, few, [model.hook_name, *model.neighbour_hooks()])
    here = fits.pop(model.hook_name)
    topk: dict[int, Fit] = {}
    if sae.info.kind in ("relu", "jumprelu"):
        topk = fit_topk(model, sae, fewer, [k for k in POWERS if k < own.l0] + [0])
    scaled = fit_changed(model, sae, few, {scale_name(c): times(c) for c in (0.5, 2.0)})
    has_bos = bos_id is not None and bool((sample.tokens[:, 0] == bos_id).float().mean() > 0.5)
    return Evidence(
        own, here, fits, scaled, topk, topk.pop(0, None), _bos_effect(model, sae, sample, bos_id, starts), has_bos
    )


def doubts_about(evidence: Evidence, info: SAEInfo) -> list[str]:
    """Reasons to look closer, as short sentences with figures; empty when SAE and model fit."""
    if evidence.own.n_tokens < N_JUDGED:
        return []
    doubts = figures_out_of_range(evidence.own, info)
    for name, fit in evidence.neighbours.items():
        if times_better(evidence.here, fit) >= WRONG_HOOK and is_plausible(fit) and _consistent(evidence.here, fit):
            doubts.append(f"{name} is explained better")
    for name, fit in evidence.scaled.items():
        if times_better(evidence.here, fit) >= least_for_input(name) and is_plausible(fit):
            doubts.append(f"{name.removeprefix('scale ')} times the input is explained better")
    for k, fit in evidence.topk.items():
        if evidence.topk_none is not None and times_better(evidence.topk_none, fit) >= WRONG_TOPK and is_plausible(fit):
            doubts.append(f"keeping only the {k} highest pre-activations reconstructs better")
    if bos_is_missing(evidence) or bos_is_extra(evidence):
        doubts.append("the first tokens of windows fit better the other way")
    return doubts


def figures_out_of_range(own: Fit, info: SAEInfo) -> list[str]:
    """What no SAE shows where it belongs, and what is far from the release's own figures."""
    doubts, stated, variance = [], info.stated_l0, info.stated_explained_variance
    if own.explained_variance < LEAST_EXPLAINED:
        doubts.append(f"only {own.explained_variance:.2f} of the variance is explained")
    if not GAIN[0] <= own.gain <= GAIN[1]:
        doubts.append(f"the best fit is {own.gain:.2f} times the reconstruction")
    if stated and info.kind != "topk" and not 1 / L0_FACTOR <= own.l0 / stated <= L0_FACTOR:
        doubts.append(f"{own.l0:.1f} features fire at a token, {stated:g} are stated")
    if variance and own.explained_variance < variance - VARIANCE_SHORT:
        doubts.append(f"{own.explained_variance:.2f} of the variance is explained, {variance:g} are stated")
    return doubts


def least_for_input(name: str) -> float:
    """By how many times a changed input must be better to be blamed."""
    louder = name.startswith("scale") and float(name.split()[1]) > 1
    return WRONG_LOUDER if louder else WRONG_INPUT


def times_better(before: Fit, fit: Fit) -> float:
    """How many times more is unexplained before than with the alternative."""
    return before.unexplained / max(fit.unexplained, 1e-9)


def is_plausible(fit: Fit) -> bool:
    """Whether an alternative looks like an SAE where it belongs."""
    return fit.explained_variance >= PLAUSIBLE and GAIN[0] <= fit.gain <= GAIN[1]


def _consistent(before: Fit, fit: Fit) -> bool:
    """Whether the alternative is better context after context (t > 3), where there are enough to tell."""
    used = (before.errors > 0) & (fit.errors > 0)
    if used.sum() < 4:
        return True
    ratios = np.log(before.errors[used] / fit.errors[used])
    return bool(ratios.mean() > 3 * ratios.std(ddof=1) / np.sqrt(used.sum()))


def bos_is_missing(evidence: Evidence) -> bool:
    bos = evidence.bos
    enough = bos.n_windows >= BOS_WINDOWS[bos.openings]
    return not evidence.has_bos and enough and bos.log_ratio > MISSING_BOS[bos.openings] and bos.t > BOS_T[0]


def bos_is_extra(evidence: Evidence) -> bool:
    bos = evidence.bos
    enough = bos.n_windows >= BOS_WINDOWS[bos.openings]
    return evidence.has_bos and enough and bos.log_ratio < EXTRA_BOS[bos.openings] and bos.t < BOS_T[1]


def _bos_effect(
    model: LoadedModel, sae: LoadedSAE, sample: Sample, bos_id: int | None, starts: np.ndarray | None
) -> BosEffect:
    """The BOS probe on document openings where they are known and enough, else on any windows."""
    tokenizer = model.tokenizer
    ids = (bos_id, tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id)
    bos_id = next((i for i in ids if i is not None), None)
    if bos_id is None:
        return BosEffect()
    known = np.flatnonzero(np.asarray(starts) == 0) if starts is not None else np.zeros(0, int)
    openings = len(known) >= BOS_WINDOWS[True]
    which = known if openings else np.arange(len(sample.tokens))
    return bos_effect(model, sae, sample.rows(which[:N_OPENINGS]), bos_id, openings)
