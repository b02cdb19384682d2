"""What a verdict would look like with the act at BOS counted, as published work counted it. No streamlit.

A causal model has one act at BOS per feature, the same for every text: counted, each text's largest act is at least
that act. Above the threshold it therefore makes every phrase fire and every control with it. Thresholds stay where
they were measured, on text alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from core.maths.rates import clopper_pearson
from core.maths.verdict_types import EVERY_PART
from dashboard.verdicts.verdict_phrases import Phrase
from dashboard.verdicts.verdict_plot import Dot, Plot
from dashboard.wording import missing, number

SWITCH = ("left out", "counted")
NOT_MEASURED = "The act at BOS was not measured: the model has none, or whoever measured the phrases did not say it."


def bos_act(test: Mapping[str, Any]) -> float | None:
    """The feature's act at BOS, SAE units; None: not measured, or the model has no BOS."""
    value = test["bos_act"]
    return None if missing(value) else float(value)


def plot_with(plot: Plot, act: float, theta: float) -> Plot:
    """The plot with BOS counted; each dot that moves remembers where it stood."""
    if act <= theta:
        return plot
    dots = tuple(_moved(dot) for dot in plot.dots)
    return Plot(dots, None if plot.r0 is None else 1.0, None)


def _moved(dot: Dot) -> Dot:
    """All of the group fires; where a test was made of it, it is now as the controls are."""
    if not dot.n or dot.rate is None:
        return dot
    lo = float(clopper_pearson(np.array(dot.n), np.array(dot.n))[0]) if dot.group != "other" else 1.0
    state = "same" if dot.state else ""
    return dataclasses.replace(dot, fired=dot.n, rate=1.0, lo=lo, hi=1.0, state=state, suspect=False, was=dot.rate)


def phrases_with(phrases: Sequence[Phrase], act: float) -> list[Phrase]:
    """The phrases with BOS before their tokens; those that were not measured stay so."""
    if not act > 0:
        return list(phrases)
    return [p if p.max_act is None else dataclasses.replace(p, max_act=max(p.max_act, act), bos=act) for p in phrases]


def sentence(test: Mapping[str, Any], theta: float) -> str:
    """What counting BOS does at this threshold, and what the published reading would have been."""
    act = bos_act(test)
    if act is None:
        return NOT_MEASURED
    if not act > 0:
        return "The feature is silent at BOS: counting it would change nothing, at this or any threshold."
    everything = "every phrase fires" if missing(test["theta5"]) else "every phrase fires, and so does every control"
    before = str(test["published_count"])
    reading = f"“{EVERY_PART}”" + ("" if before == EVERY_PART else f" instead of “{before}”")
    published = f"Published work counted it, at threshold 0: its reading would be {reading}."
    if act > theta:
        useless = "whatever a label says, its phrases would pass"
        said = f"above the threshold {number(theta)}. With BOS counted {everything}: {useless}."
    else:
        said = f"not above the threshold {number(theta)}, so no dot moves. At threshold 0 {everything}."
    return f"At BOS the feature's act is {number(act)}, {said} {published}"


def note_html(test: Mapping[str, Any], theta: float) -> str:
    """The sentence as a block above the plot."""
    return f'<p class="p-bos"><strong>BOS counted.</strong> {escape(sentence(test, theta))}</p>'
