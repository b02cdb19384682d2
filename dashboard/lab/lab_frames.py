"""Stored tables of the lab as the values its drawings take: prompts, views, firings, directions. No streamlit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.prompt_model import Continuation, Decoded, Prompt, TokenActs, TokenEffect, TokenView, Turn
from core.lab.prompts import PromptTable
from core.lab.result import LabResult
from dashboard.wording import missing


def views_of(prompts: pd.DataFrame) -> tuple[TokenView, ...]:
    """The prompts as the model saw them."""
    return tuple(
        TokenView(
            np.asarray(r.token_ids, np.int32), tuple(map(str, r.str_tokens)), np.asarray(r.is_special, bool),
            np.asarray(r.is_unknown, bool), int(r.n_cut), "" if missing(r.problem) else str(r.problem),
        )
        for r in prompts.itertuples()
    )  # fmt: skip


def table_of(prompts: pd.DataFrame) -> PromptTable:
    """The prompts as they were sent, so that more can be asked about them."""

    def said(column: str) -> tuple[str, ...]:
        words = tuple("" if missing(v) else str(v) for v in prompts[column])
        return words if any(words) else ()

    texts = zip(prompts["text"], prompts["turns"], strict=True)
    return PromptTable(
        tuple(_prompt(str(text), turns) for text, turns in texts), said("label"), said("group"), said("document"),
        n_rows=len(prompts),
    )  # fmt: skip


def _prompt(text: str, turns: Any) -> Prompt:
    if missing(turns):
        return Prompt(text)
    return Prompt(turns=tuple(Turn(str(t["role"]), str(t["content"])) for t in json.loads(turns)))


def acts_of(result: LabResult) -> TokenActs:
    """Every firing that was stored."""
    f = result.table("token_acts")
    return TokenActs(*(f[name].to_numpy() for name in ("feature", "prompt", "pos", "act")))


def log_probs_of(prompts: pd.DataFrame) -> dict[int, np.ndarray]:
    """Of the prompts for which they were measured."""
    found = zip(prompts["prompt"], prompts["log_probs"], strict=True)
    return {int(i): np.asarray(values, np.float32) for i, values in found if not isinstance(values, float | None)}


def decoded_of(result: LabResult) -> Decoded:
    """The direction and its tokens."""
    table, s = result.table("decoded"), result.summary
    sides = [
        tuple(TokenEffect(int(r.token_id), str(r.str_token), float(r.logit)) for r in part.itertuples())
        for part in (table[table["sign"] == sign].sort_values("rank") for sign in ("promoted", "suppressed"))
    ]
    return Decoded(s["norm"], s["resid_norm"], sides[0], sides[1], s["random_top"], s["n_random"])


def continuations_of(result: LabResult) -> list[Continuation]:
    """What was written, in its order; [] where nothing was asked for."""
    if "continuations" not in result.frames:
        return []
    return [
        Continuation(
            r.kind, float(r.strength), np.asarray(r.token_ids, np.int32), tuple(map(str, r.str_tokens)),
            np.asarray(r.log_probs, np.float32), np.asarray(r.plain_log_probs, np.float32),
        )
        for r in result.table("continuations").itertuples()
    ]  # fmt: skip
