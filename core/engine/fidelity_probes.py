"""What else might fit better: the alternatives that tell why an SAE does not fit its model.

Each probe measures the sample again with one thing changed and answers with Fits by name. Comparisons use the same
tokens on both sides, so that they hold on a few hundred tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.engine.fidelity_sample import Fit, Fitter, Sample
from core.engine.models import LoadedModel
from core.engine.saes import LoadedSAE

Change = Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]]
"""Maps x to what the SAE is given, and to the map back."""

POWERS = tuple(2**i for i in range(14))


def fit_hooks(model: LoadedModel, sae: LoadedSAE, sample: Sample, hooks: list[str]) -> dict[str, Fit]:
    """The fit at each of several hooks, from one pass of the model."""
    fitters = {name: Fitter(len(sample.tokens), sae.info.d_sae) for name in hooks}
    for start, batch in sample.batches():
        values = model.resids_at(batch.tokens, hooks)
        context = start + batch.real.nonzero()[:, 0]
        for name in hooks:
            real = batch.real.to(values[name].device)
            fitters[name].add(values[name][real], context, partial(_reconstruct, sae))
    return {name: fitter.fit() for name, fitter in fitters.items()}


def fit_changed(model: LoadedModel, sae: LoadedSAE, sample: Sample, changes: dict[str, Change]) -> dict[str, Fit]:
    """The fit when the hook's value is changed before the SAE and changed back after it."""
    fitters = {name: Fitter(len(sample.tokens), sae.info.d_sae) for name in changes}
    for start, batch in sample.batches():
        x = model.resid(batch.tokens)
        x, context = x[batch.real.to(x.device)], start + batch.real.nonzero()[:, 0]
        for name, change in changes.items():
            fitters[name].add(x, context, partial(_changed, sae, change))
    return {name: fitter.fit() for name, fitter in fitters.items()}


def fit_topk(model: LoadedModel, sae: LoadedSAE, sample: Sample, ks: list[int]) -> dict[int, Fit]:
    """The fit when only the k highest pre-activations of each position are kept, for several k; 0 keeps as it is."""
    fitters = {k: Fitter(len(sample.tokens), sae.info.d_sae) for k in ks}
    for start, batch in sample.batches():
        x = model.resid(batch.tokens)
        x, context = x[batch.real.to(x.device)], start + batch.real.nonzero()[:, 0]
        for k in ks:
            fitters[k].add(x, context, partial(_topk, sae, k))
    return {k: fitter.fit() for k, fitter in fitters.items()}


@dataclass(frozen=True)
class BosEffect:
    """What leaving BOS out does to the first two real tokens: mean log ratio of their errors (without / with BOS).

    Above 0: the SAE fits better with BOS. ``t`` is the mean over windows in standard errors; ``openings`` tells
    whether the windows are known to open documents.
    """

    log_ratio: float = 0.0
    t: float = 0.0
    n_windows: int = 0
    openings: bool = False


def bos_effect(model: LoadedModel, sae: LoadedSAE, sample: Sample, bos_id: int, openings: bool) -> BosEffect:
    """Compare the same first real tokens with and without BOS before them (see BosEffect)."""
    words = _first_words(sample)
    if len(words) < 2:
        return BosEffect(n_windows=len(words), openings=openings)
    with_bos = torch.cat([torch.full((len(words), 1), bos_id), words], dim=1)
    logs, counted = _log_errors(sae, model.resid(with_bos)[:, 1:].float(), model.resid(words).float())
    kept = counted.any(1)
    ratios = (((logs[1] - logs[0]) * counted).sum(1)[kept] / counted.sum(1)[kept]).cpu().double()
    if len(ratios) < 2:
        return BosEffect(n_windows=len(ratios), openings=openings)
    mean, error = float(ratios.mean()), float(ratios.std()) / len(ratios) ** 0.5
    return BosEffect(mean, mean / max(error, 1e-9), len(ratios), openings)


def _log_errors(sae: LoadedSAE, *values: Tensor, n: int = 2) -> tuple[list[Tensor], Tensor]:
    """Log relative errors ``[n_windows, n]`` of the first positions of each ``[n_windows, p, d]``, and which count.

    Errors are relative to the vector's own variance or the usual one, whichever is larger. Positions far longer than
    usual ("attention sinks", which form wherever no BOS precedes) do not count: an SAE trained either way knows them.
    """
    centre = values[0].flatten(0, 1).mean(0)
    usual = (values[0] - centre).square().sum(-1).median()
    logs, sinks = [], torch.zeros(values[0].shape[:2], dtype=torch.bool, device=centre.device)
    for x in values:
        back = _reconstruct(sae, x.flatten(0, 1))[1].float().reshape(x.shape)
        length = (x - centre).square().sum(-1)
        sinks |= length > 10 * usual
        logs.append(((x - back).square().sum(-1) / length.clamp(min=usual)).clamp(min=1e-9).log())
    return [log[:, :n] for log in logs], ~sinks[:, :n]


def _first_words(sample: Sample, n: int = 8) -> Tensor:
    """The first ``n`` real tokens of each window that has as many in a row, ``[n_windows, n]``."""
    found = []
    for tokens, real in zip(sample.tokens, sample.real, strict=True):
        places = real.nonzero()[:, 0]
        if len(places) >= n and int(places[n - 1] - places[0]) == n - 1:
            found.append(tokens[places[:n]])
    return torch.stack(found) if found else torch.zeros((0, n), dtype=torch.long)


def rescalings(sample_norm: float, d_in: int) -> dict[str, Change]:
    """Ways an input may have to be changed that files do not always state: scale, per-token norm, centring."""

    def unit(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        length = x.norm(dim=-1, keepdim=True).clamp(min=1e-9) / d_in**0.5
        return x / length, lambda y: y * length

    def layer_norm(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        mean = x.mean(-1, keepdim=True)
        spread = (x - mean).std(-1, keepdim=True) + 1e-5
        return (x - mean) / spread, lambda y: y * spread + mean

    def centred(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        mean = x.mean(-1, keepdim=True)
        return x - mean, lambda y: y + mean

    expected = d_in**0.5 / max(sample_norm, 1e-9)
    factors = [2 ** (i / 2) for i in range(-12, 13) if i] + [expected]
    return {scale_name(c): times(c) for c in factors} | {
        "norm of each position": unit,
        "layer norm": layer_norm,
        "centred": centred,
    }


def scale_name(factor: float) -> str:
    return f"scale {factor:.3g}"


def times(c: float) -> Change:
    """Scaling the SAE's input by ``c``."""
    return lambda x: (x * c, lambda y: y / c)


def _reconstruct(sae: LoadedSAE, x: Tensor) -> tuple[Tensor, Tensor]:
    acts, _ = sae.encode(x)
    return acts, sae.decode(acts)


def _changed(sae: LoadedSAE, change: Change, x: Tensor) -> tuple[Tensor, Tensor]:
    given, back = change(x)
    acts, decoded = _reconstruct(sae, given)
    return acts, back(decoded.float())


def _topk(sae: LoadedSAE, k: int, x: Tensor) -> tuple[Tensor, Tensor]:
    if k == 0:
        return _reconstruct(sae, x)
    _, hidden_pre = sae.encode(x)
    values, indices = hidden_pre.topk(k, dim=-1)
    acts = torch.zeros_like(hidden_pre).scatter_(-1, indices, values.relu())
    return acts, sae.decode(acts)
