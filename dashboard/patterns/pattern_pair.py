"""Two features beside each other: contexts where both fire, and where one alone does, both marked. No streamlit.

Which of the two fires on a token is told by the line under it as well as by colour: solid the first, dotted the second,
double where both do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from core.analyses.distances_block import PairFirings, pair_firings
from core.store import FeatureActs, Run
from dashboard.examples import acts_of
from dashboard.tokens import quiet_html, visible
from dashboard.wording import count, number, plural

N_SHOWN = 6  # contexts of each kind
AROUND = 12  # tokens to either side
KINDS = ("both", "only_a", "only_b")
MARKS = {(True, False): "p-qa", (False, True): "p-qb", (True, True): "p-qab"}


@dataclass(frozen=True)
class Line:
    """A stretch of one context; acts are 0 where a feature is silent."""

    context: int
    document: int
    source: str
    start: int
    tokens: Sequence[str]
    special: np.ndarray  # [n_tokens] bool
    act_a: np.ndarray
    act_b: np.ndarray
    cut_before: bool
    cut_after: bool


@dataclass(frozen=True)
class Pair:
    """``found`` and ``lines`` by kind, see ``KINDS``; a unit is a position, or a context."""

    a: int
    b: int
    per_context: bool
    n_units: int
    found: dict[str, PairFirings]
    lines: dict[str, list[Line]]

    @property
    def expected(self) -> float:
        """Units where both would fire if they fired independently at their densities."""
        both, a, b = (self.found[kind].n_units for kind in KINDS)
        return (both + a) * (both + b) / self.n_units


def load_pair(
    run: Run, a: int, b: int, per_context: bool, n_units: int, acts: Callable[[int], FeatureActs],
    contexts: Callable[[np.ndarray], Sequence[Any]],
) -> Pair:  # fmt: skip
    """The strongest contexts of each kind, read in one go."""
    found = pair_firings(run, a, b, per_context, N_SHOWN)
    wanted = np.concatenate([found[kind].context for kind in KINDS])
    rows = dict(zip(wanted.tolist(), contexts(wanted), strict=True)) if len(wanted) else {}
    both_acts, special = (acts(a), acts(b)), np.array(sorted(run.special_ids), np.int32)
    lines = {
        kind: [
            _line(run, rows[int(c)], (int(i), int(j)), both_acts, special)
            for c, i, j in zip(some.context, some.pos_a, some.pos_b, strict=True)
        ]
        for kind, some in found.items()
    }
    return Pair(a, b, per_context, n_units, found, lines)


def _line(run: Run, row: Any, at: tuple[int, int], acts: tuple[FeatureActs, ...], special: np.ndarray) -> Line:
    """Around where the pair fires; two places far apart are cut to the first feature's."""
    n, places = len(row.token_ids), [p for p in at if p >= 0]
    lo, hi = min(places) - AROUND, max(places) + AROUND + 1
    if hi - lo > 4 * AROUND:
        lo, hi = places[0] - AROUND, places[0] + AROUND + 1
    lo, hi = max(0, lo), min(n, hi)
    ids = row.token_ids[lo:hi]
    act_a, act_b = (acts_of(found, row.context, n)[lo:hi] for found in acts)
    return Line(
        row.context, row.document, row.source, lo, run.str_tokens[ids], (ids[:, None] == special).any(axis=1), act_a,
        act_b, lo > 0, hi < n,
    )  # fmt: skip


# --- as HTML ---------------------------------------------------------------------------------------------------


def pair_html(pair: Pair, labels: tuple[str, str], href: Callable[[int], str]) -> str:
    """Both features as links, how often they fire together and by chance, and three columns of contexts."""
    unit = "context" if pair.per_context else "position"
    names = [
        f'<a href="{escape(href(f))}" target="_self" data-feature="{f}">feature {f}</a> '
        f"<small>{escape(visible(label))}</small>"
        for f, label in zip((pair.a, pair.b), labels, strict=True)
    ]
    marks = [
        f'<mark class="{mark}">{text}</mark>'
        for mark, text in zip(MARKS.values(), ("first", "second", "both"), strict=True)
    ]
    both = pair.found["both"].n_units
    said = (
        f"Both fire on {plural(both, unit)}; {number(pair.expected)} would be expected of their densities alone. "
        f"Tokens are marked {', '.join(marks)}."
    )
    titles = ("Both fire", f"Only {pair.a} fires", f"Only {pair.b} fires")
    groups = "".join(_group(pair, kind, title, unit) for kind, title in zip(KINDS, titles, strict=True))
    return (
        f'<div class="p-pair"><p class="p-list">{names[0]}<br>{names[1]}</p><p>{said}</p></div>'
        f'<div class="p-groups p-three">{groups}</div>'
    )


def _group(pair: Pair, kind: str, title: str, unit: str) -> str:
    n, lines = pair.found[kind].n_units, pair.lines[kind]
    about = f"{len(lines)} strongest contexts of {plural(n, unit)}" if lines else f"on no {unit}"
    body = "".join(_line_html(line, pair) for line in lines)
    listed = f"<ol>{body}</ol>" if lines else '<p class="p-none">none</p>'
    return f'<div class="p-g"><h4>{escape(title)}</h4><p>{about}</p>{listed}</div>'


def _line_html(line: Line, pair: Pair) -> str:
    where = f"context {count(line.context)} · document {count(line.document)} · {line.source}"
    parts: list[str] = []
    quiet: list[str] = []
    for i, token in enumerate(line.tokens):
        fires = (bool(line.act_a[i] > 0), bool(line.act_b[i] > 0))
        if not any(fires):
            quiet.append(token)
            continue
        if quiet:
            parts.append(quiet_html(quiet, line.start + i - len(quiet)))
            quiet = []
        parts.append(_marked(token, line.start + i, float(line.act_a[i]), float(line.act_b[i]), pair))
    if quiet:
        parts.append(quiet_html(quiet, line.start + len(line.tokens) - len(quiet)))
    before, after = "… " if line.cut_before else "", " …" if line.cut_after else ""
    return (
        f'<li title="{escape(visible(where))}"><span class="p-t" dir="auto">{before}{"".join(parts)}{after}</span></li>'
    )


def _marked(token: str, pos: int, act_a: float, act_b: float, pair: Pair) -> str:
    acts = [f"feature {f}: act {number(act)}" for f, act in ((pair.a, act_a), (pair.b, act_b)) if act > 0]
    hover = " · ".join([f"position {pos}", *acts])
    text = visible(token)
    word = text.lstrip(" ") or text
    space = text[: len(text) - len(word)]
    return f'{space}<mark class="{MARKS[act_a > 0, act_b > 0]}" title="{escape(hover)}">{escape(word)}</mark>'
