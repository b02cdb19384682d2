"""Prompts x features: one number a cell from every firing, as a table of HTML and as frames. No streamlit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from core.analyses.prompt_model import TokenActs, TokenView
from core.lab import testing
from dashboard.lab.lab_tokens import n_scored
from dashboard.tokens import level, visible
from dashboard.wording import number, one_line, percent

STATS = ("max", "mean", "last", "count")
ABOUT = {
    "max": "largest act over the prompt's tokens",
    "mean": "mean act over the prompt's tokens, silent ones as 0",
    "last": "act at the prompt's last token",
    "count": "tokens whose act is above the threshold",
}


@dataclass(frozen=True)
class LabActs:
    """Chosen features on prompts: every firing, so that thresholds need no new measurement.

    ``act_max`` float ``[n_features]``: the largest act in the run, else on the prompts, else 0. ``labels`` are
    those of the features, "" without one. ``log_probs`` by prompt; a prompt that is absent was not measured.
    """

    features: tuple[int, ...]
    prompts: tuple[str, ...]
    groups: tuple[str, ...]
    views: tuple[TokenView, ...]
    acts: TokenActs
    log_probs: dict[int, np.ndarray]
    labels: tuple[str, ...]
    act_max: np.ndarray

    def token_acts(self, prompt: int, feature: int) -> np.ndarray:
        """float32 ``[n_positions]`` of one prompt; 0 where it does not fire."""
        out = np.zeros(len(self.views[prompt].str_tokens), np.float32)
        found = self.acts
        lo, hi = np.searchsorted(found.feature, [feature, feature + 1])
        a, b = lo + np.searchsorted(found.prompt[lo:hi], [prompt, prompt + 1])
        out[found.pos[a:b]] = found.act[a:b]
        return out

    def thresholds(self, share: float) -> np.ndarray:
        """float ``[n_features]``: what an act has to exceed, as a share of each feature's largest."""
        return self.act_max * share


def with_scale(largest: Sequence[float], acts: TokenActs, features: Sequence[int]) -> np.ndarray:
    """What counts as full strength: the run's largest act, on the prompts where the run has none."""
    out = np.nan_to_num(np.asarray(largest, float))
    for i, f in enumerate(features):
        if out[i] <= 0:
            lo, hi = np.searchsorted(acts.feature, [f, f + 1])
            out[i] = float(acts.act[lo:hi].max()) if hi > lo else 0.0
    return out


def matrix(tested: LabActs, stat: str, share: float = 0.0) -> np.ndarray:
    """float64 ``[n_prompts, n_features]`` of one of ``STATS``; NaN for a prompt without tokens."""
    acts, features = tested.acts, np.array(tested.features)
    if stat != "count":
        found = testing.matrix(tested.views, acts, tested.features)
        return np.asarray({"max": found.max_act, "mean": found.mean_act, "last": found.last_act}[stat], float)
    by_number = np.argsort(features)
    column = by_number[np.searchsorted(features[by_number], acts.feature)]
    out = np.zeros((len(tested.views), len(features)))
    np.add.at(out, (acts.prompt, column), acts.act > tested.thresholds(share)[column])
    out[[n_scored(v) == 0 for v in tested.views]] = np.nan
    return out


def order(values: np.ndarray, by: int | None, down: bool = True) -> np.ndarray:
    """Rows in the order shown: as given, or by one column, prompts without tokens last."""
    if by is None:
        return np.arange(len(values))
    key = np.nan_to_num(values[:, by], nan=-np.inf if down else np.inf)
    return np.argsort(-key if down else key, kind="stable")


def frame(tested: LabActs, share: float = 0.0) -> pd.DataFrame:
    """One row a prompt and feature with all of ``STATS``; acts are empty for a prompt without tokens."""
    n, f = len(tested.views), len(tested.features)
    columns = {stat: matrix(tested, stat, share).ravel() for stat in STATS}
    shade = tested.thresholds(share)
    return pd.DataFrame(
        {
            "prompt": np.repeat(np.arange(n), f),
            "text": np.repeat(np.array(tested.prompts, object), f),
            "group": np.repeat(np.array(tested.groups, object), f),
            "feature": np.tile(np.array(tested.features), n),
            "label": np.tile(np.array(tested.labels, object), n),
            "max_act": columns["max"],
            "mean_act": columns["mean"],
            "last_act": columns["last"],
            "n_firing": pd.array(columns["count"], dtype="Float64").astype("Int64"),
            "threshold": np.tile(shade, n),
            "fires": columns["max"] > np.tile(shade, n),
            "n_tokens": np.repeat([n_scored(v) for v in tested.views], f),
            "problem": np.repeat(np.array([v.problem for v in tested.views], object), f),
        }
    )


def token_frame(tested: LabActs, prompt: int, feature: int) -> pd.DataFrame:
    """One row a token of one prompt: act of the feature, log-probability given all before it."""
    view = tested.views[prompt]
    logs = tested.log_probs.get(prompt, np.full(len(view.str_tokens), np.nan, np.float32))
    return pd.DataFrame(
        {
            "pos": np.arange(len(view.str_tokens)), "str_token": list(view.str_tokens), "token_id": view.token_ids,
            "special": view.is_special, "unknown": view.is_unknown,
            "act": tested.token_acts(prompt, feature), "log_prob": logs,
        }
    )  # fmt: skip


# --- HTML ------------------------------------------------------------------------------------------------

Href = Callable[[str], str]
"""The address of the view with another value of what was clicked: ``12.340`` (prompt.feature) or ``f340``."""


def matrix_html(
    tested: LabActs, stat: str, share: float, rows: np.ndarray, by: int | None, here: tuple[int, int] | None, href: Href
) -> str:
    """The prompts ``rows`` by all features: the number, its shade, a frame where the feature fires; all of it links."""
    values, most = matrix(tested, stat, share), matrix(tested, "max")
    thetas = tested.thresholds(share)
    scale = tested.act_max if stat != "count" else np.nanmax(np.maximum(values, 1), axis=0)
    heads = "".join(_head(tested, i, i == by, href) for i in range(len(tested.features)))
    body = "".join(
        f'<tr><th scope="row" dir="auto" title="{escape(_hover(tested, int(p)))}">{_name(tested, int(p))}</th>'
        + "".join(
            _cell(tested, int(p), i, values[p, i], float(scale[i]), most[p, i] > thetas[i], here, href)
            for i in range(len(tested.features))
        )
        + "</tr>"
        for p in rows
    )
    fired = [int((most[:, i] > thetas[i]).sum()) for i in range(len(tested.features))]
    n = int((~np.isnan(most[:, 0])).sum()) if most.size else 0
    foot = "".join(f"<td>{k} of {n}<br>{percent(k / n) if n else ''}</td>" for k in fired)
    caption = f"{ABOUT[stat].capitalize()}. Shade: share of the feature's largest act in the run; framed: fires."
    return (
        f'<div class="p-scroll p-pane" tabindex="0" role="group" aria-label="prompts by features">'
        f'<table class="p-lab"><caption>{escape(caption)}</caption>'
        f'<thead><tr><th scope="col">prompt</th>{heads}</tr></thead><tbody>{body}</tbody>'
        f'<tfoot><tr><th scope="row">fires on</th>{foot}</tr></tfoot></table></div>'
    )


def _name(tested: LabActs, prompt: int) -> str:
    group = f" <small>{escape(visible(one_line(tested.groups[prompt], 16)))}</small>" if tested.groups[prompt] else ""
    return f"<small>{prompt + 1}</small>{group} {escape(visible(one_line(tested.prompts[prompt], 120)))}"


def _hover(tested: LabActs, prompt: int) -> str:
    return visible(one_line(tested.prompts[prompt], 300)).replace("<", "<\u2060")


def _head(tested: LabActs, i: int, sorted_by: bool, href: Href) -> str:
    feature, label = tested.features[i], tested.labels[i]
    arrow = " ↓" if sorted_by else ""
    said = f"<small>{escape(visible(one_line(label, 60)))}</small>" if label else ""
    sort = ' aria-sort="descending"' if sorted_by else ""
    key = f"f{feature}"
    return (
        f'<th scope="col"{sort}><a href="{escape(href(key))}" data-lab="{key}" title="sort by this feature">'
        f"{feature}{arrow}</a>{said}</th>"
    )


def _cell(
    tested: LabActs, prompt: int, i: int, value: float, scale: float, fires: bool, here: tuple[int, int] | None,
    href: Href,
) -> str:  # fmt: skip
    feature = tested.features[i]
    if value != value:
        return f'<td><span title="{escape(tested.views[prompt].problem)}">–</span></td>'
    kind = f"p-a{level(value, scale)}" if value > 0 else ""
    kind += " p-f" if fires else ""
    kind += " p-here" if here == (prompt, feature) else ""
    text = "·" if value == 0 else number(value, 2)
    key = f"{prompt}.{feature}"
    said = f"prompt {prompt + 1}, feature {feature}: {number(value)}{', fires' if fires else ''}"
    link = f'href="{escape(href(key))}" data-lab="{key}" title="{escape(said)}"'
    return f'<td><a class="{kind.strip()}" {link}>{text}</a></td>'
