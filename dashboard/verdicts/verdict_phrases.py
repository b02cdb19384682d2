"""Phrases of a test with their acts: what contradicts the label, lists of highlighted tokens, heatmap. No streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from dashboard.tokens import level, quiet_html, token_html, visible
from dashboard.verdicts.verdict_plot import ABOUT, ORDER
from dashboard.wording import missing, number, one_line, plural


@dataclass(frozen=True)
class Phrase:
    """One phrase. ``acts [n_tokens]`` in SAE units; ``max_act`` None: it was not measured."""

    group: str
    part_index: int  # -1: of no part
    name: str  # the part's word, or the group's name
    index: int
    text: str
    tokens: Sequence[str]
    acts: Sequence[float]
    max_act: float | None
    call: int = 0
    document: int | None = None
    bos: float = 0.0  # the act at BOS where it is counted: ``max_act`` is then at least that

    def fires(self, theta: float) -> bool:
        return self.max_act is not None and self.max_act > theta


def phrases_of(frame: pd.DataFrame, part_names: Sequence[str]) -> list[Phrase]:
    """Rows of ``phrases`` of one test, in the order of the plot."""
    found = [_phrase({str(k): v for k, v in row.items()}, part_names) for row in frame.to_dict("records")]
    known = [p for p in found if p.group in ORDER]
    return sorted(known, key=lambda p: (ORDER.index(p.group), p.part_index, p.index))


def _phrase(row: dict[str, Any], part_names: Sequence[str]) -> Phrase:
    part = int(row["part_index"])
    name = part_names[part] if 0 <= part < len(part_names) else ABOUT.get(row["group"], ("", ""))[0]
    acts = [] if missing_list(row["acts"]) else [float(a) for a in row["acts"]]
    tokens = [] if missing_list(row["str_tokens"]) else [str(t) for t in row["str_tokens"]]
    return Phrase(
        row["group"], part, name, int(row["phrase_index"]), str(row["phrase"]), tokens, acts,
        None if missing(row["max_act"]) else float(row["max_act"]),
        int(row["call"]) if not missing(row["call"]) else 0,
        None if missing(row["document"]) else int(row["document"]),
    )  # fmt: skip


def missing_list(value: Any) -> bool:
    return value is None or not isinstance(value, (list, tuple, np.ndarray))


HEAT = "Max act of each phrase (SAE units), strongest shade = the feature's largest in the run; framed = fires"
"""What the heatmap says above itself."""


# --- what contradicts the label --------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Some phrases that are alike in what they say of the label; ``named``: each says which group it is of."""

    title: str
    about: str
    phrases: Sequence[Phrase]
    named: bool = True


def evidence(phrases: Sequence[Phrase], theta: float, shown: int) -> list[Group]:
    """*Should fire, did not*; *fired, should not*; and the feature's own text, as drawn."""
    should = [p for p in phrases if p.group in ("whole", "part") and p.max_act is not None]
    silent = _in_turn([p for p in should if not p.fires(theta)])
    others = [p for p in phrases if p.group in ("near", "other", "shuffled") and p.max_act is not None]
    loud = sorted((p for p in others if p.fires(theta)), key=lambda p: (ORDER.index(p.group), -(p.max_act or 0.0)))
    own = [p for p in phrases if p.group == "own" and p.max_act is not None]
    near = [p.fires(theta) for p in others if p.group == "near"]
    about = (
        f"{len(silent)} of {plural(len(should), 'phrase')} for the label and its parts; parts in turn",
        f"{sum(near)} of {plural(len(near), 'phrase')} for near labels; below these its words shuffled, and the "
        "strongest of the control bank",
        f"fires on {sum(p.fires(theta) for p in own)} of {len(own)} excerpts this short; drawn uniformly",
    )
    titles = ("Should fire, did not", "Fired, should not", "Its own text")
    return [
        Group(title, said if measured else "none were measured", found[:shown], named=title != titles[-1])
        for title, said, measured, found in zip(titles, about, (should, others, own), (silent, loud, own), strict=True)
    ]


def by_group(phrases: Sequence[Phrase], theta: float) -> list[Group]:
    """The phrases under the part or control that they are for, in the order given."""
    groups = []
    for key in dict.fromkeys((p.group, p.part_index) for p in phrases):
        some = [p for p in phrases if (p.group, p.part_index) == key]
        title = f"Part “{some[0].name}”" if key[0] == "part" else some[0].name.capitalize()
        groups.append(
            Group(title, f"{sum(p.fires(theta) for p in some)} of {len(some)} shown here fire", some, named=False)
        )
    return groups


def _in_turn(phrases: Sequence[Phrase]) -> list[Phrase]:
    """One of the whole label, one of each part, and round again: the first few then show all of them."""
    seen: dict[int, int] = {}
    keyed = []
    for p in sorted(phrases, key=lambda p: (p.part_index, p.index)):
        keyed.append((seen.setdefault(p.part_index, 0), p.part_index, p))
        seen[p.part_index] += 1
    return [p for _, _, p in sorted(keyed, key=lambda k: k[:2])]


# --- HTML ------------------------------------------------------------------------------------------------


def phrase_html(tokens: Sequence[str], acts: Sequence[float], act_max: float) -> str:
    """Tokens of a phrase, marked as those of contexts are, without the space that the first may begin with."""
    tokens = [*(token.removeprefix(" ") or token for token in tokens[:1]), *tokens[1:]]
    out: list[str] = []
    quiet: list[str] = []
    for pos, (token, act) in enumerate(zip(tokens, acts, strict=False)):
        if act > 0:
            if quiet:
                out.append(quiet_html(quiet, pos - len(quiet)))
                quiet = []
            out.append(token_html(token, pos, float(act), act_max))
        else:
            quiet.append(token)
    if quiet:
        out.append(quiet_html(quiet, len(tokens) - len(quiet)))
    return "".join(out)


def lost(phrase: Phrase) -> bool:
    """Whether the tokens do not spell the phrase, as where the model does not know its words."""
    spelt, written = ("".join(text.casefold().split()) for text in ("".join(phrase.tokens), phrase.text))
    return bool(phrase.tokens) and spelt != written


def line_html(phrase: Phrase, theta: float, act_max: float, name: bool = True) -> str:
    """One phrase: whether it fires, its tokens, which group it is of."""
    fires = phrase.fires(theta)
    sign = "" if phrase.max_act is None else f"{'●' if fires else '○'} "
    said = "not measured" if phrase.max_act is None else f"act {number(phrase.max_act)}" if phrase.max_act else "silent"
    why = "fires" if fires else "not above the threshold"
    where = f" · document {phrase.document}" if phrase.document is not None else ""
    body = phrase_html(phrase.tokens, phrase.acts, act_max) or escape(visible(phrase.text))
    if phrase.bos > 0:
        body = token_html("BOS", 0, phrase.bos, act_max) + " " + body
    if lost(phrase):
        body += f" <small>written “{escape(visible(one_line(phrase.text, 300)))}”</small>"
    what = f" <small>{escape(visible(one_line(phrase.name, 60)))}</small>" if name else ""
    return (
        f'<li><span class="p-v" title="{escape(why + where)}">{sign}{escape(said)}</span>'
        f'<span class="p-t" dir="auto">{body}{what}</span></li>'
    )


def groups_html(groups: Sequence[Group], theta: float, act_max: float, heading: int = 2, columns: bool = True) -> str:
    """Groups of phrases as one block, side by side where the window is wide enough."""
    blocks = []
    for group in groups:
        lines = "".join(line_html(p, theta, act_max, group.named) for p in group.phrases)
        body = f"<ol>{lines}</ol>" if lines else ""
        head = f"<h{heading}>{escape(visible(group.title))}</h{heading}><p>{escape(visible(group.about))}</p>"
        blocks.append(f'<div class="p-g">{head}{body}</div>')
    return f'<div class="{"p-groups" if columns else "p-groups p-one"}">{"".join(blocks)}</div>'


def heat_html(phrases: Sequence[Phrase], theta: float, act_max: float, title: str) -> str:
    """Groups of phrases by phrases: max act in numbers and shade; what fires is framed. One row a part or control."""
    rows = []
    keys = list(dict.fromkeys((p.group, p.part_index) for p in phrases))
    for group, part in keys:
        some = [p for p in phrases if (p.group, p.part_index) == (group, part)]
        fired, measured = sum(p.fires(theta) for p in some), sum(p.max_act is not None for p in some)
        name = f"“{escape(visible(one_line(some[0].name, 60)))}”" if group == "part" else escape(some[0].name)
        cells = "".join(_cell(p, theta, act_max) for p in some)
        count = f"{fired} of {measured} fire" if group != "other" else "the strongest of the bank"
        rows.append(
            f'<tr><th scope="row" dir="auto">{name}<br><small>{count}</small></th>'
            f'<td><div class="p-cells">{cells}</div></td></tr>'
        )
    return f'<table class="p-heat"><caption>{escape(title)}</caption><tbody>{"".join(rows)}</tbody></table>'


def _cell(p: Phrase, theta: float, act_max: float) -> str:
    hover = one_line(visible(p.text), 160).replace("<", "<\u2060")
    if p.max_act is None:
        return f'<span title="{escape(hover)} · not measured">–</span>'
    shade = f"p-a{level(p.max_act, act_max)}" if p.max_act > 0 else ""
    frame = " p-f" if p.fires(theta) else ""
    text = number(p.max_act, 2) if p.max_act else "·"
    return f'<span class="{shade}{frame}" title="{escape(hover)} · act {number(p.max_act)}">{text}</span>'


# --- tables for download ---------------------------------------------------------------------------------


def as_frame(phrases: Sequence[Phrase], theta: float) -> pd.DataFrame:
    """One row a phrase, with whether it fires at the threshold shown."""
    return pd.DataFrame(
        [
            {
                "group": p.group, "part": p.name if p.part_index >= 0 else "", "phrase_index": p.index,
                "phrase": p.text, "call": p.call, "document": p.document, "max_act": p.max_act,
                "fires": None if p.max_act is None else p.fires(theta),
                "str_tokens": list(p.tokens), "acts": list(p.acts),
            }
            for p in phrases
        ]
    )  # fmt: skip


def upload_frame(phrases: Sequence[Phrase]) -> pd.DataFrame:
    """The phrases a test was made of, as `--proposer upload` reads them: kind, part, phrase, call."""
    return pd.DataFrame(
        [
            {"kind": p.group, "part": p.name if p.group == "part" else "", "phrase": p.text, "call": p.call}
            for p in phrases
            if p.group in ("part", "whole")
        ],
        columns=["kind", "part", "phrase", "call"],
    )
