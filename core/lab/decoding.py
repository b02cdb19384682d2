"""Task 5: features set by hand, decoded to the residual stream: promoted tokens and continuations beside controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.analyses.base import Progress, Silent
from core.analyses.prompt_model import Continuation, Decoded, PromptModel
from core.lab.prompts import PromptTable, require
from core.lab.result import LabResult, frame
from core.lab.tables import CONTINUATIONS, DECODED
from core.lab.testing import views_frame

MAX_FEATURES, MAX_PROMPTS, MAX_STRENGTHS, MAX_NEW, MAX_TOP = 100, 20, 8, 200, 200
MAX_VALUE = 1e6


@dataclass(frozen=True)
class DecodeParams:
    """``strengths`` multiply the direction; ``n_tokens`` new ones a continuation; ``n_top`` tokens of each sign."""

    strengths: tuple[float, ...] = (1.0,)
    n_tokens: int = 20
    n_top: int = 10
    temperature: float = 0.0
    seed: int = 0


def check_decode(values: Mapping[int, float], n_prompts: int, p: DecodeParams) -> None:
    """InputError for what cannot be meant, before a model is loaded."""
    numbers = np.array([*values.values(), *p.strengths, p.temperature], float)
    require(0 < len(values) <= MAX_FEATURES, "no feature is set", f"one to {MAX_FEATURES} features are", "--set 12=5")
    within = bool(np.isfinite(numbers).all()) and float(np.abs(numbers).max()) <= MAX_VALUE
    require(within, "a value cannot be used", f"values and strengths lie within {MAX_VALUE:g}", "--set 12=5")
    require(any(values.values()), "all features are set to 0", "their sum is no direction", "--set 12=5")
    require(n_prompts <= MAX_PROMPTS and len(p.strengths) <= MAX_STRENGTHS, "that is too much for one answer",
            f"at most {MAX_PROMPTS} prompts at {MAX_STRENGTHS} strengths", "ask for fewer")  # fmt: skip
    require(all(p.strengths), "a strength is 0", "the unsteered text is there anyway", "--strengths 1,2")
    require(0 < p.n_tokens <= MAX_NEW and 0 < p.n_top <= MAX_TOP, "that many tokens cannot be asked for",
            f"1 to {MAX_NEW} new ones, 1 to {MAX_TOP} of each sign", "ask for fewer")  # fmt: skip
    require(0 <= p.temperature <= 10, "that temperature cannot be used", "0 is the likeliest token", "--temperature 0")


def decode_features(
    model: PromptModel,
    values: Mapping[int, float],
    prompts: PromptTable | None = None,
    params: DecodeParams | None = None,
    progress: Progress | None = None,
) -> LabResult:
    """Tables ``decoded``, and with prompts ``continuations`` and ``prompts``."""
    p, said = params or DecodeParams(), progress or Silent()
    asked = prompts or PromptTable(())
    check_decode(values, len(asked), p)
    said.stage("decode")
    found = model.decode(values, p.n_top, p.seed)
    frames = {"decoded": frame(DECODED, _effects(found))}
    rows: list[dict[str, Any]] = []
    if len(asked):
        said.stage("continue the text", len(asked) * (1 + 2 * len(p.strengths)) * p.n_tokens, "tokens")
        for i, prompt in enumerate(asked.prompts):
            written = model.continuations(prompt, values, p.strengths, p.n_tokens, p.temperature, p.seed, said.advance)
            rows += [_written(i, c) for c in written]
        frames["continuations"] = frame(CONTINUATIONS, rows)
        frames["prompts"] = views_frame(asked, model.views(asked.prompts))
    beyond = sum(e.logit > found.random_top for e in found.promoted)
    summary = {"norm": found.norm, "resid_norm": found.resid_norm, "random_top": found.random_top,
               "n_random": found.n_random, "n_beyond_random": beyond}  # fmt: skip
    used = asdict(p) | {"values": {str(k): float(v) for k, v in values.items()}, "strengths": list(p.strengths)}
    return LabResult("decode", used, summary, asked.notes, frames)


def _effects(found: Decoded) -> list[dict[str, Any]]:
    return [
        {"sign": sign, "rank": i, "token_id": e.token_id, "str_token": e.str_token, "logit": e.logit,
         "beyond_random": abs(e.logit) > found.random_top}
        for sign, effects in (("promoted", found.promoted), ("suppressed", found.suppressed))
        for i, e in enumerate(effects)
    ]  # fmt: skip


def _written(prompt: int, c: Continuation) -> dict[str, Any]:
    return {
        "prompt": prompt, "kind": c.kind, "strength": c.strength, "text": "".join(c.str_tokens),
        "str_tokens": list(c.str_tokens), "token_ids": c.token_ids.tolist(), "log_probs": c.log_probs.tolist(),
        "plain_log_probs": c.plain_log_probs.tolist(), "mean_log_prob": _mean(c.log_probs),
        "mean_plain_log_prob": _mean(c.plain_log_probs),
    }  # fmt: skip


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
