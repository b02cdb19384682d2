"""Do SAE and model fit each other? Measured on a sample before any work, with the cause where they do not.

An SAE's explained variance says little by itself: real ones have .6 to .95, a wrong layer of the right model .7 to
.8, a TopK SAE read as ReLU as much. So what is judged is whether something else fits clearly better than what was
asked for. Three probes of some hundred tokens each are always made: the neighbouring layers, keeping only the
highest pre-activations, and BOS. If one of them wins, or the figures are out of any range, all alternatives are
measured, and the best of them names the cause (``fidelity_cause``).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.engine.fidelity_cause import find_cause
from core.engine.fidelity_evidence import gather
from core.engine.fidelity_probes import fit_hooks
from core.engine.fidelity_sample import MATRIX, Sample
from core.engine.models import LoadedModel
from core.engine.saes import LoadedSAE
from core.errors import CorpusError, FidelityError
from core.types import Fidelity

N_TOKENS = 8192
"""Tokens at most that the figures are measured on."""

LOSS_TOKENS, LOSS_LEAST, LOSS_POS = 2048, 256, 128
LOSS_FLOPS = {"cpu": 1e12}
"""What loss recovered may cost: some seconds on a CPU; elsewhere 5e14."""


@torch.inference_mode()
def check_fidelity(
    model: LoadedModel,
    sae: LoadedSAE,
    tokens: np.ndarray,
    lengths: np.ndarray,
    special_ids: frozenset[int],
    bos_id: int | None,
    device: str,
    starts: np.ndarray | None = None,
) -> Fidelity:
    """Measure the fit on windows ``tokens [n_ctx, n_pos]``, right-padded to ``lengths [n_ctx]``, and judge it.

    ``bos_id`` None means that windows have no BOS; the tokenizer's own is then what might be missing. ``starts``
    (offset of each window in its document), where given, lets the BOS probe use document openings, where BOS matters
    most. The loss is measured where it is cheap; SAE and zeros replace the hook's value at real tokens only. Raises
    CorpusError when the sample has no real token.
    """
    sample = Sample.of(tokens, lengths, special_ids)
    if sample.n_tokens == 0:
        raise CorpusError("the fidelity check has no text", "every position is a special token", "check [corpus]")
    own = fit_hooks(model, sae, sample.first(N_TOKENS), [model.hook_name])[model.hook_name]
    cause = find_cause(gather(model, sae, sample, own, bos_id, starts), model, sae, sample)
    return Fidelity(
        verdict="far off" if cause else "ok",
        n_tokens=own.n_tokens,
        l0=own.l0,
        explained_variance=own.explained_variance,
        dead_share=float(1 - own.fired.mean()),
        stated_l0=sae.info.stated_l0,
        stated_explained_variance=sae.info.stated_explained_variance,
        cause=cause.text if cause else "",
        remedy=cause.remedy if cause else "",
        tried=cause.tried if cause else {},
        **_losses(model, sae, sample),
    )


def require_fidelity(fidelity: Fidelity, stop: bool) -> None:
    """Raise FidelityError when the verdict is "far off" and ``stop`` is set."""
    if not stop or fidelity.verdict == "ok":
        return
    stated = f" (stated {fidelity.stated_l0:g})" if fidelity.stated_l0 else ""
    figures = (
        f"measured on {fidelity.n_tokens:,} tokens: explained variance {fidelity.explained_variance:.3f}, "
        f"L0 {fidelity.l0:.1f}{stated}"
    )
    least = fidelity.tried.get("as it is", 1.0) + 0.01
    best = sorted((item for item in fidelity.tried.items() if item[1] > least), key=lambda item: -item[1])[:3]
    tried = "; best alternatives: " + ", ".join(f"{name} {value:.3f}" for name, value in best) if best else ""
    raise FidelityError(
        "SAE and model do not fit each other",
        f"{fidelity.cause}\n{figures}{tried}",
        f"{fidelity.remedy}; or set stop = false in [fidelity] to go on regardless",
    )


def _losses(model: LoadedModel, sae: LoadedSAE, sample: Sample) -> dict[str, float]:
    """Next-token loss as it is, through the SAE and with zeros, per token in nats; empty where it would cost much."""
    budget = LOSS_FLOPS.get(model.info.device, 5e14) / (6 * max(model.info.n_parameters, 1))
    if budget < LOSS_LEAST:
        return {}
    few = sample.first(int(min(budget, LOSS_TOKENS)), LOSS_POS)

    def spliced(x: Tensor, real: Tensor) -> Tensor:
        out = x.clone()
        out[real] = sae.decode(sae.encode(x[real])[0]).to(x.dtype)
        return out

    def zeroed(x: Tensor, real: Tensor) -> Tensor:
        return x.masked_fill(real[..., None], 0.0)

    sums, n = np.zeros(3), 0
    for _, batch in few.batches(MATRIX // max(len(model.tokenizer), 1)):
        real = batch.real.to(model.info.device)
        edits = (None, lambda x, real=real: spliced(x, real), lambda x, real=real: zeroed(x, real))
        found = [model.loss(batch.tokens, batch.real, edit) for edit in edits]
        sums, n = sums + [loss for loss, _ in found], n + found[0][1]
    if n == 0:
        return {}
    clean, through, zero = (float(v) for v in sums / n)
    recovered = {"loss_recovered": (zero - through) / (zero - clean)} if zero > clean else {}
    return {"loss_model": clean, "loss_sae": through, "loss_zero": zero, **recovered}
