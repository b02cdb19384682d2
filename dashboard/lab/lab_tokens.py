"""Prompts as the model sees them, as escaped HTML: a preview of tokens, and strips with act and log-probability.

No streamlit. ``TokenView`` is defined in ``core.analyses.prompt_model``.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from core.analyses.prompt_model import TokenView
from dashboard.facts import Fact
from dashboard.tokens import level, visible
from dashboard.wording import number, one_line, percent, plural

MAX_TOKENS = 400
"""Of one prompt that are drawn: more would make a page of one prompt."""
MINUS = "\u2212"


def signed(value: float, digits: int = 2) -> str:
    """A number with a true minus sign; "" for NaN."""
    if value != value:
        return ""
    return number(abs(value), digits) if value >= 0 else f"{MINUS}{number(-value, digits)}"


def short(value: float) -> str:
    """A log-probability under its token: one decimal, two near 0; "" for NaN."""
    if value != value:
        return ""
    text = f"{abs(value):.{1 if abs(value) >= 0.95 else 2}f}"
    return text if value >= 0 or not float(text) else f"{MINUS}{text}"


def n_scored(view: TokenView) -> int:
    """Tokens that are measured: all but the special ones."""
    return int((~view.is_special).sum())


def preview_facts(views: Sequence[TokenView], n_chars: int) -> list[Fact]:
    """What was sent, counted as the model sees it; what is cut or unknown stands first in its note."""
    lengths = np.array([n_scored(v) for v in views] or [0])
    cut, unknown = sum(v.n_cut > 0 for v in views), sum(bool(v.is_unknown.any()) for v in views)
    empty = sum(bool(v.problem) for v in views)
    n_unknown, n_all = sum(int(v.is_unknown.sum()) for v in views), int(lengths.sum())
    usual = f"median {number(float(np.median(lengths)))}, longest {int(lengths.max()):,} a prompt"
    return [
        Fact("prompts", f"{len(views):,}", f"{n_chars:,} characters{f'; {empty} cannot be measured' if empty else ''}"),
        Fact("tokens", f"{n_all:,}", usual, "special tokens left out: they are never scored"),
        Fact("cut", f"{cut:,}", f"{plural(sum(v.n_cut for v in views), 'token')} beyond the SAE's context",
             "prompts longer than the context that the SAE was made for; what is beyond it is not read"),
        Fact("unknown", f"{unknown:,}", f"prompts with text outside the vocabulary: {plural(n_unknown, 'token')}"
             + (f", {percent(n_unknown / n_all)}" if n_unknown and n_all else ""),
             "written as UNK or byte by byte; what a feature does there says little of the text"),
    ]  # fmt: skip


def preview_html(views: Sequence[TokenView], names: Sequence[str]) -> str:
    """The first prompts token by token: special ones in italics, unknown ones framed, what was cut said."""
    lines = "".join(
        f'<li><span class="p-v">{escape(visible(one_line(name, 24)))}</span>{_chips(view)}</li>'
        for name, view in zip(names, views, strict=True)
    )
    return f'<div class="p-preview"><ol>{lines}</ol></div>'


def _chips(view: TokenView) -> str:
    if view.problem:
        return f'<span class="p-chips"><s>{escape(view.problem)}</s></span>'
    parts = []
    tokens = zip(view.str_tokens, view.token_ids, view.is_special, view.is_unknown, strict=True)
    for pos, (token, token_id, special, unknown) in enumerate(tokens):
        if pos == MAX_TOKENS:
            break
        kind = ' class="p-spec"' if special else ' class="p-unk"' if unknown else ""
        why = "special: never scored" if special else "not in the vocabulary" if unknown else ""
        said = f"position {pos} · id {int(token_id)}" + (f" · {why}" if why else "")
        parts.append(f'<b{kind} title="{escape(said)}">{escape(visible(token))}</b>')
    rest = len(view.str_tokens) - MAX_TOKENS
    if rest > 0:
        parts.append(f" <s>… {rest:,} more</s>")
    if view.n_cut:
        parts.append(f" <s>✂ {plural(view.n_cut, 'token')} cut</s>")
    return f'<span class="p-chips" dir="auto">{"".join(parts)}</span>'


def strip_html(
    view: TokenView, acts: np.ndarray, act_max: float, theta: float = 0.0, log_probs: np.ndarray | None = None
) -> str:
    """One prompt as a strip: each token shaded by act where act > ``theta``, its act and log-probability under it.

    ``acts`` float32 ``[n_positions]``, ``log_probs`` nats or None; the strongest token is bold.
    """
    if view.problem:
        return f'<p class="p-none">{escape(view.problem)}</p>'
    fires = (acts > theta) & ~view.is_special
    peak = int(acts.argmax()) if fires.any() else -1
    cells = [
        _cell(view, pos, float(acts[pos]), act_max, bool(fires[pos]), pos == peak, log_probs)
        for pos in range(min(len(view.str_tokens), MAX_TOKENS))
    ]
    cut = f"<span><b>✂</b><i>{view.n_cut} cut</i></span>" if view.n_cut else ""
    return f'<div class="p-strip" dir="auto">{"".join(cells)}{cut}</div>'


def _cell(
    view: TokenView, pos: int, act: float, act_max: float, fires: bool, peak: bool, log_probs: np.ndarray | None
) -> str:
    text, special = visible(view.str_tokens[pos]), bool(view.is_special[pos])
    logp = float("nan") if log_probs is None else float(log_probs[pos])
    said = [f"'{text}'".replace("<", "<\u2060"), f"position {pos}"]
    said.append(
        "special: masked" if special else f"act {number(act)}, {percent(act / act_max if act_max else 0)} of max"
    )
    if logp == logp:
        said.append(f"log p {signed(logp, 3)} nats, p {number(float(np.exp(logp)))}")
    kind = " ".join(k for k, on in (("p-peak", peak), ("p-spec", special)) if on)
    shade = f' class="p-a{level(act, act_max)}"' if fires else ""
    under = (f"<i>{number(act, 2)}</i>" if fires else "<i>&nbsp;</i>") + (
        "" if log_probs is None else f"<i>{short(logp) or '&nbsp;'}</i>"
    )
    attribute = f' class="{kind}"' if kind else ""
    return f'<span{attribute} title="{escape(" · ".join(said))}"><b{shade}>{escape(text)}</b>{under}</span>'


def marked_html(view: TokenView, acts: np.ndarray, act_max: float, theta: float = 0.0) -> str:
    """One prompt on one line as tokens of contexts are marked elsewhere; for lists of many prompts."""
    if view.problem:
        return f"<small>{escape(view.problem)}</small>"
    parts = []
    for pos, token in enumerate(view.str_tokens[:MAX_TOKENS]):
        text, act = visible(token), float(acts[pos])
        if act > theta and not view.is_special[pos]:
            said = f"position {pos} · act {number(act)}"
            parts.append(f'<mark class="p-a{level(act, act_max)}" title="{escape(said)}">{escape(text)}</mark>')
        elif not view.is_special[pos]:
            parts.append(escape(text))
    return "".join(parts)
