"""A hypothesis' answer as escaped HTML: sentence, rates, counter-examples with their tokens, places. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.prompt_model import TokenView
from core.lab.result import LabResult
from dashboard.lab import lab_frames, lab_ranks, lab_tokens
from dashboard.tokens import visible
from dashboard.wording import count, interval, missing, number, one_line, percent, plural

MAX_TOKENS = 20


def feature_of(result: LabResult) -> int:
    return int(result.params["feature"])


def acts_of(result: LabResult, views: Sequence[TokenView]) -> list[np.ndarray]:
    """float32 ``[n_positions]`` of every prompt."""
    acts, found = [np.zeros(len(v.str_tokens), np.float32) for v in views], lab_frames.acts_of(result)
    for prompt, pos, act in zip(found.prompt, found.pos, found.act, strict=True):
        acts[prompt][pos] = act
    return acts


def largest_act(result: LabResult) -> float:
    acts = result.table("token_acts")["act"]
    return float(acts.max()) if len(acts) else 0.0


# --- the sentence ----------------------------------------------------------------------------------------


def rate_of(result: LabResult, level: str, measure: str) -> Mapping[str, Any] | None:
    """One row of ``account_rates``; None where it is not there."""
    rates = result.table("account_rates")
    rows = rates[(rates["level"] == level) & (rates["measure"] == measure)].to_dict("records")
    return {str(k): v for k, v in rows[0].items()} if rows else None


def score_html(result: LabResult) -> str:
    """What came out, in sentences: texts first, then tokens, each with its interval."""
    label = escape(visible(one_line(str(result.params.get("label", "")), 200)))
    lines = [sentence(result, level) for level in ("text", "token")]
    body = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    texts = result.table("account_texts")
    wrong = int(texts["counter_example"].sum())
    head = f"{plural(wrong, 'counter-example')} among {plural(len(texts), 'prompt')}"
    return (
        f'<div class="p-score"><p><b>Feature {feature_of(result)}: “<span dir="auto">{label}</span>”</b> · {head}</p>'
        f"{body}</div>"
    )


def sentence(result: LabResult, level: str) -> str:
    """Sensitivity and specificity with their intervals; "" where they are not there."""
    sens, spec = (rate_of(result, level, m) for m in ("sensitivity", "specificity"))
    if sens is None or spec is None:
        return ""
    return f"By {level}: sensitivity {_said(sens)}, specificity {_said(spec)}."


def brief(summary: Mapping[str, Any]) -> str:
    """The same at text level, from the headline numbers, and how many counter-examples there are."""
    said = ", ".join(
        f"{name} {percent(summary.get(name))} {_percents(summary.get(f'{name}_lo'), summary.get(f'{name}_hi'))}".strip()
        for name in ("sensitivity", "specificity")
    )
    n = int(summary.get("n_positive", 0)) + int(summary.get("n_negative", 0))
    wrong = plural(int(summary.get("n_counter_examples", 0)), "counter-example")
    return f"{said}; {wrong} among {plural(n, 'prompt')}"


def _said(r: Mapping[str, Any]) -> str:
    return f"{percent(r['value'])} {_percents(r['value_lo'], r['value_hi'])}".strip()


def _percents(lo: Any, hi: Any) -> str:
    return "" if missing(lo) or missing(hi) else f"[{number(100 * lo)}, {number(100 * hi)}]"


def rates_html(result: LabResult) -> str:
    """Every rate as a dot with its interval; line: firing at random places, dotted: with texts of these lengths."""
    rows = "".join(_rate({str(k): v for k, v in r.items()}) for r in result.table("account_rates").to_dict("records"))
    caption = "Line: what firing at random places gives; dotted: the same on texts of these lengths."
    heads = "".join(f'<th scope="col">{h}</th>' for h in ("level", "measure", "", "value", "n", "by chance", ""))
    return (
        '<div class="p-scroll" tabindex="0" role="group" aria-label="table">'
        f'<table class="p-list p-rates"><caption>{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _rate(r: Mapping[str, Any]) -> str:
    said = f"{number(r['value'])} {interval(r['value_lo'], r['value_hi'])}"
    chance = [number(c) for c in (r["chance"], r["by_length"]) if not missing(c)]
    return (
        f'<tr><td>{escape(str(r["level"]))}</td><th scope="row">{escape(str(r["measure"]))}</th>'
        f"<td>{_bar(r, said)}</td>"
        f"<td>{lab_ranks.spans(said)}</td><td>{'' if missing(r['n']) else count(r['n'])}</td>"
        f"<td>{escape(' · '.join(chance))}</td>"
        f'<td class="p-about"><small>{escape(str(r["about"] or ""))}</small></td></tr>'
    )


def _bar(r: Mapping[str, Any], said: str) -> str:
    """Values outside 0..1 (differences, deltas) are drawn at the end they pass."""

    def at(value: Any) -> float:
        return 100 * min(1.0, max(0.0, float(value)))

    if missing(r["value"]):
        return ""
    parts = "" if missing(r["chance"]) else f'<u style="left:{at(r["chance"]):.1f}%"></u>'
    parts += "" if missing(r["by_length"]) else f'<s style="left:{at(r["by_length"]):.1f}%"></s>'
    if not missing(r["value_lo"]) and not missing(r["value_hi"]):
        lo, hi = at(r["value_lo"]), at(r["value_hi"])
        parts += f'<i style="left:{lo:.1f}%;width:{max(0.5, hi - lo):.1f}%"></i>'
    parts += f'<b style="left:{at(r["value"]):.1f}%"></b>'
    return f'<span class="p-bar" role="img" aria-label="{escape(said)}">{parts}</span>'


# --- the prompts -----------------------------------------------------------------------------------------


def groups_html(result: LabResult, act_max: float, shown: int) -> str:
    """Fired, should not; should fire, did not; and what agrees. Counter-examples first, the loudest first."""
    texts = result.table("account_texts").sort_values("rank")
    views = lab_frames.views_of(result.table("prompts"))
    acts, theta = acts_of(result, views), float(result.params.get("theta", 0.0))
    blocks = []
    for title, positive, fires in (
        ("Fired, should not", False, True), ("Should fire, did not", True, False),
        ("Fired, as it should", True, True), ("Silent, as it should", False, False),
    ):  # fmt: skip
        some = texts[(texts["positive"] == positive) & (texts["fires"] == fires)]
        of = int((texts["positive"] == positive).sum())
        about = f"{len(some)} of {of} prompts that should {'' if positive else 'not '}make it fire"
        lines = "".join(_line(int(r.prompt), float(r.max_act), fires, views, acts, act_max, theta)
                        for r in some.head(shown).itertuples())  # fmt: skip
        body = f"<ol>{lines}</ol>" if lines else '<p class="p-none">none</p>'
        blocks.append(f'<div class="p-g"><h2>{title}</h2><p>{about}</p>{body}</div>')
    return f'<div class="p-groups">{"".join(blocks)}</div>'


def _line(
    prompt: int, act: float, fires: bool, views: Sequence[TokenView], acts: Sequence[np.ndarray], act_max: float,
    theta: float,
) -> str:  # fmt: skip
    body = lab_tokens.marked_html(views[prompt], acts[prompt], act_max or 1.0, theta)
    said = f"act {number(act)}" if act else "silent"
    return (
        f'<li><span class="p-v">{"●" if fires else "○"} {said}</span>'
        f'<span class="p-t" dir="auto"><small>{prompt + 1} </small>{body}</span></li>'
    )


# --- where and at what -----------------------------------------------------------------------------------


def places_html(result: LabResult) -> str:
    """Where in the texts it fires: share of firing tokens by tenth of the text."""
    places = result.table("account_places")
    blocks = []
    for positive, title in ((True, "in texts on which it should fire"), (False, "in texts on which it should not")):
        some = places[places["positive"] == positive].sort_values("decile")
        if len(some):
            blocks.append(_places(some, title, positive))
    return f'<h4>Where it fires</h4><div class="p-places">{"".join(blocks)}</div>' if blocks else ""


def _places(some: pd.DataFrame, title: str, positive: bool) -> str:
    n, k = some["n_tokens"].to_numpy(float), some["n_firing"].to_numpy(float)
    share = np.divide(k, n, out=np.zeros_like(k), where=n > 0)
    top = max(float(share.max()), 1e-9)
    bars = "".join(
        f'<i style="height:{100 * s / top:.1f}%" title="tenth {d + 1}: {int(a)} of {int(b)} tokens"></i>'
        for d, s, a, b in zip(some["decile"], share, k, n, strict=True)
    )
    whole = percent(k.sum() / n.sum()) if n.sum() else ""
    said = f"{plural(int(k.sum()), 'token')} fire, {whole} of {int(n.sum()):,}; "
    said += f"highest tenth {percent(float(share.max()))}"
    kind = "" if positive else ' class="p-neg"'
    return (
        f'<div{kind} role="img" aria-label="{escape(title)}: {escape(said)}">'
        f"<small>{escape(title)}: {escape(said)}</small>"
        f"<div>{bars}</div><small><span>beginning</span><span>end</span></small></div>"
    )


def tokens_html(result: LabResult, shown: int = MAX_TOKENS) -> str:
    """Which tokens it fires at, and how often it does when they occur, by kind of text."""
    tokens: Sequence[Any] = list(result.table("account_tokens").head(shown).itertuples())
    rows = "".join(
        f'<tr><th scope="row" dir="auto">{escape(visible(str(t.str_token)))}</th>'
        f"<td>{int(t.n_firing_positive)} of {int(t.n_positive)}</td>"
        f"<td>{int(t.n_firing_negative)} of {int(t.n_negative)}"
        f"</td><td>{number(t.max_act)}</td></tr>"
        for t in tokens
    )
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{h}</th>' for h in ("token", "should fire", "should not", "largest act"))
    return (
        '<div class="p-scroll" tabindex="0" role="group" aria-label="table">'
        f'<table class="p-list"><caption>Tokens it fires at: firings of occurrences</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
