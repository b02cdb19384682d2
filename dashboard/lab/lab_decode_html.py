"""What a direction promotes, and what the model writes with it, as escaped HTML and frames. No streamlit.

A change of log-probability is said twice, in shade and in the numbers on hover and in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.prompt_model import Continuation, Decoded, TokenEffect
from dashboard.facts import Fact
from dashboard.lab.lab_tokens import signed
from dashboard.tokens import visible
from dashboard.wording import number, one_line, percent, plural

KINDS = {"unsteered": "untouched", "steered": "with the direction", "random": "random direction, same norm"}
FULL = 4.0
"""Nats of change that have the strongest shade."""


def decoded_facts(decoded: Decoded) -> list[Fact]:
    """How large the direction is, and how many tokens it moves further than chance does."""
    ratio = None if not decoded.resid_norm else decoded.norm / decoded.resid_norm
    beyond = sum(e.logit > decoded.random_top for e in decoded.promoted)
    return [
        Fact("norm", number(decoded.norm), f"{percent(ratio)} of the usual residual's" if ratio is not None
             else "the residual's was not measured", "length of the direction that is added, at the SAE's hook"),
        Fact("chance", number(decoded.random_top), f"nats; 95th percentile of the best of {decoded.n_random:,} random "
             "directions", "what a promoted token has to exceed: the largest logit of directions of the same norm"),
        Fact("beyond chance", f"{beyond} of {len(decoded.promoted)}", "promoted tokens shown", ""),
    ]  # fmt: skip


def effects_html(decoded: Decoded) -> str:
    """Promoted and suppressed tokens as bars of logit change; the line is what random directions reach."""
    most = max([abs(e.logit) for e in (*decoded.promoted, *decoded.suppressed)] + [decoded.random_top, 1e-9])
    up = _effects(decoded.promoted, most, decoded.random_top, "Promoted tokens", "p-up")
    down = _effects(decoded.suppressed, most, decoded.random_top, "Suppressed tokens", "p-down")
    return f'<div class="p-toks">{up}{down}</div>'


def _effects(effects: Sequence[TokenEffect], most: float, chance: float, title: str, kind: str) -> str:
    lines = "".join(_effect(e, most, chance) for e in effects)
    return (
        f'<div class="{kind}"><h4>{title}</h4><ol aria-label="{title}">{lines or "<li>none</li>"}</ol>'
        "<small>nats of logit; the line: what random directions of the same norm reach</small></div>"
    )


def _effect(e: TokenEffect, most: float, chance: float) -> str:
    beyond = abs(e.logit) > chance
    said = f"id {e.token_id} · {signed(e.logit, 3)} nats" + ("" if beyond else " · not beyond chance")
    return (
        f'<li title="{escape(said)}"><span dir="auto">{escape(visible(e.str_token))}</span><span class="p-meter">'
        f'<i style="width:{100 * abs(e.logit) / most:.1f}%"></i><u style="left:{100 * chance / most:.1f}%"></u></span>'
        f"<span>{signed(e.logit, 3)}</span></li>"
    )


def effects_frame(decoded: Decoded) -> pd.DataFrame:
    """One row a token."""
    rows = [("promoted", e) for e in decoded.promoted] + [("suppressed", e) for e in decoded.suppressed]
    return pd.DataFrame(
        [
            {"side": side, "token_id": e.token_id, "str_token": e.str_token, "logit": e.logit,
             "random_top": decoded.random_top, "beyond_chance": abs(e.logit) > decoded.random_top}
            for side, e in rows
        ],
        columns=["side", "token_id", "str_token", "logit", "random_top", "beyond_chance"],
    )  # fmt: skip


def continuations_html(found: Sequence[Continuation], prompt: str) -> str:
    """The untouched text, then each strength beside its random direction; shade: change of log-probability."""
    return "".join(_continuation(c, prompt) for c in found)


def mean_change(c: Continuation) -> float:
    """Mean over its tokens of steered minus plain log-probability, nats; NaN without tokens."""
    return float(np.mean(c.log_probs - c.plain_log_probs)) if len(c.log_probs) else float("nan")


def _continuation(c: Continuation, prompt: str) -> str:
    head = KINDS[c.kind] + ("" if c.kind == "unsteered" else f" × {c.strength:g}")
    plain = float(np.mean(c.plain_log_probs)) if len(c.plain_log_probs) else float("nan")
    said = f"log p a token {signed(plain, 3)} for the untouched model" if plain == plain else "nothing was written"
    if c.kind != "unsteered" and plain == plain:
        said += f"; {'+' if mean_change(c) > 0 else ''}{signed(mean_change(c), 3)} with it"
    tokens = "".join(_token(c, i) for i in range(len(c.str_tokens)))
    return (
        f'<div class="p-cont"><p><b>{escape(head)}</b> · {escape(said)}</p>'
        f'<div class="p-t" dir="auto"><span class="p-sp">{escape(visible(one_line(prompt, 200)))}</span>'
        f"{tokens}</div></div>"
    )


def _token(c: Continuation, i: int) -> str:
    change = float(c.log_probs[i] - c.plain_log_probs[i])
    said = f"log p {signed(float(c.log_probs[i]), 3)}; untouched {signed(float(c.plain_log_probs[i]), 3)}"
    said += "" if c.kind == "unsteered" else f"; change {signed(change, 3)} nats"
    return f'<b style="{shade(change)}" title="{escape(said)}">{escape(visible(c.str_tokens[i]))}</b>'


def shade(change: float) -> str:
    """Green where the direction makes a token likelier, red with a dotted line where less likely; none below 0.05."""
    if change != change or abs(change) < 0.05:
        return ""
    strong = min(1.0, abs(change) / FULL)
    if change > 0:
        return f"background:rgba(0,160,110,{0.10 + 0.40 * strong:.2f});border-bottom:2px solid rgba(0,160,110,.9)"
    return f"background:rgba(210,50,40,{0.08 + 0.34 * strong:.2f});border-bottom:2px dotted rgba(210,50,40,.9)"


def continuations_frame(found: Sequence[Continuation]) -> pd.DataFrame:
    """One row a token written."""
    rows: list[dict[str, Any]] = []
    for c in found:
        for i, token in enumerate(c.str_tokens):
            rows.append(
                {"kind": c.kind, "strength": c.strength, "step": i, "token_id": int(c.token_ids[i]), "str_token": token,
                 "log_prob": float(c.log_probs[i]), "plain_log_prob": float(c.plain_log_probs[i])}
            )  # fmt: skip
    columns = ["kind", "strength", "step", "token_id", "str_token", "log_prob", "plain_log_prob"]
    return pd.DataFrame(rows, columns=columns)


def summary(values: Mapping[int, float]) -> str:
    """What was set, in words."""
    return f"{plural(len(values), 'feature')} set: " + ", ".join(f"{f} to {number(v)}" for f, v in values.items())
