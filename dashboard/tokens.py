"""Tokens and acts to ONE block of escaped HTML. No streamlit.

Every string that comes from a model, a corpus or a label passes ``visible`` or ``html.escape``; characters that
would act instead of being seen (line ends, zero-width, bidirectional controls) are shown by a sign. How strongly a
token fires is said three times, so that it does not hang on colour: background, thickness of the line under it, and
the numbers on hover.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape

from dashboard.examples import Example, Group
from dashboard.wording import number, percent

SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍", "\x7f": "␡", "\xa0": "⍽", "": "∅"}
JOINERS = "\u200c\u200d"  # part of emoji and of some scripts: kept inside a longer token
N_LEVELS = 10


@lru_cache(maxsize=65_536)
def visible(token: str) -> str:
    """A token as readable text, not yet escaped: leading spaces stay, whatever would be invisible gets a sign."""
    if token == "":
        return SIGNS[""]
    if token.isascii() and token.isprintable():
        return token
    return "".join(_sign(c, alone=len(token) == 1) for c in token)


def _sign(c: str, alone: bool) -> str:
    if c in SIGNS:
        return SIGNS[c]
    if ord(c) < 32:
        return chr(0x2400 + ord(c))
    if c in JOINERS and not alone:
        return c
    if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return f"<U+{ord(c):04X}>"
    return c


def level(act: float, act_max: float) -> int:
    """0 for no firing, else 1..10: tenths of the feature's maximum, rounded up."""
    if not act > 0 or not act_max > 0:
        return 0
    return min(N_LEVELS, max(1, math.ceil(N_LEVELS * act / act_max)))


def token_html(
    token: str, pos: int, act: float, act_max: float, special: bool = False, miss: float | None = None,
    unit: str = "act",
) -> str:  # fmt: skip
    """One token that fires, is special, or is a near miss, whose hidden_pre is then ``miss``."""
    text, step = visible(token), level(act, act_max)
    hover = [_quoted(text), f"position {pos}"]
    if special:
        return f'<span class="p-sp" title="{escape(" · ".join([*hover, "special: masked"]))}">{escape(text)}</span>'
    if miss is not None:
        hover.append(f"did not fire: pre-activation {number(miss)}")
        return _marked("u", "p-nm", hover, text)
    hover += [f"{unit} {number(act)}", f"{percent(act / act_max)} of max"]
    return _marked("mark", f"p-a{step}", hover, text)


def _marked(tag: str, kind: str, hover: Sequence[str], text: str) -> str:
    """A leading space stays outside the mark: at the end of a line it would be a coloured sliver of its own."""
    word = text.lstrip(" ") or text
    space = text[: len(text) - len(word)]
    return f'{space}<{tag} class="{kind}" title="{escape(" · ".join(hover))}">{escape(word)}</{tag}>'


def quiet_html(tokens: Sequence[str], start: int, unit: str = "act") -> str:
    """Neighbouring tokens on which it does not fire, as one element: a page has thousands."""
    texts = [visible(token) for token in tokens]
    where = f"position {start}" if len(texts) == 1 else f"positions {start} to {start + len(texts) - 1}"
    hover = f"{' '.join(map(_quoted, texts))} · {where} · {unit} 0"
    return f'<span title="{escape(hover)}">{escape("".join(texts))}</span>'


def _quoted(text: str) -> str:
    """For hovers; a joiner after "<" and "-" keeps the browser's sanitiser from dropping "</title" or "-->" whole."""
    return "'" + text.replace("<", "<\u2060").replace("--", "-\u2060-") + "'"


def _spans(example: Example, act_max: float, unit: str) -> Iterator[str]:
    quiet: list[str] = []
    for i, (token, act, special) in enumerate(zip(example.tokens, example.acts, example.special, strict=True)):
        pos = example.start + i
        if act > 0 or special or pos == example.miss:
            if quiet:
                yield quiet_html(quiet, pos - len(quiet), unit)
                quiet = []
            miss = example.value if pos == example.miss else None
            yield token_html(token, pos, float(act), act_max, bool(special), miss, unit)
        else:
            quiet.append(token)
    if quiet:
        yield quiet_html(quiet, example.start + len(example.tokens) - len(quiet), unit)


def example_html(example: Example, act_max: float, unit: str = "act", value: str = "act") -> str:
    """One context around its peak, with a line that says where it is from."""
    before, after = "… " if example.cut_before else "", " …" if example.cut_after else ""
    what = "pre" if example.miss is not None else value
    what_long = "pre-activation" if example.miss is not None else "act of the peak" if value == "act" else value
    where = f"{what_long} · context {example.context} · document {example.document} · {example.source}"
    return (
        f'<li><span class="p-v" title="{escape(visible(where))}">{what} {number(example.value)}</span>'
        f'<span class="p-t" dir="auto">{before}{"".join(_spans(example, act_max, unit))}{after}</span></li>'
    )


def group_html(group: Group, act_max: float, level: int) -> str:
    """One group of contexts: what it is, how many of how many, the contexts."""
    head = f"<h{level}>{escape(group.title)}</h{level}><p>{escape(group.about)}</p>"
    lines = "".join(example_html(example, act_max, group.unit, group.value) for example in group.examples)
    body = f"<ol>{lines}</ol>" if lines else '<p class="p-none">none</p>'
    return f'<div class="p-g">{head}{body}</div>'


def groups_html(groups: Sequence[Group], act_max: float, columns: bool = True, level: int = 2) -> str:
    """All groups as one block, headings of ``level``; side by side where ``columns`` and the window is wide enough."""
    kind = "p-groups" if columns else "p-groups p-one"
    return f'<div class="{kind}">{"".join(group_html(group, act_max, level) for group in groups)}</div>'
