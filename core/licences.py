"""What a corpus' stated licence says about showing its text to strangers: by well-known names, never legal advice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Standing = Literal["open", "limited", "forbidden", "unknown", "not stated"]


@dataclass(frozen=True)
class Licence:
    """``standing`` of a stated licence and the sentence for it; "unknown" is a name that is not listed here."""

    text: str
    standing: Standing
    said: str


_FORBIDS = (
    r"all rights reserved", r"proprietary", r"confidential", r"internal use", r"no[nt]?[ -]redistribut\w*",
    r"(?:no|not for|without) (?:re)?distribution", r"may not be (?:re)?distributed", r"do not (?:re)?distribute",
    r"research[ -](?:use )?only", r"ldc", r"data use agreement", r"dua", r"unlicensed", r"no licen[cs]e",
)  # fmt: skip
_LIMITS = (
    (r"cc[ -]by(?:[ -][a-z]{2})*[ -]nd\b.*|no ?derivatives", "shortened or marked text may count as a derivative"),
    (r"(?:cc[ -])?by[ -]nc\b.*|non[ -]?commercial", "only without commercial purpose"),
    (r"gated|access request|click[ -]through|terms of use|tos", "its terms are agreed to one by one"),
    (r"open ?rail\w*|llama\w*|gemma", "its terms bind those who use it further"),
)
_OPEN = (
    r"cc0", r"public domain", r"pd", r"pddl", r"unlicense", r"cc[ -]by(?:[ -]sa)?(?:[ -][0-9.]+)?", r"odc[ -]by",
    r"odbl", r"odc[ -]odbl", r"mit", r"apache", r"bsd", r"gfdl", r"gpl\w*", r"lgpl\w*", r"agpl\w*", r"mpl",
    r"cdla[ -]permissive\S*", r"isc", r"zlib", r"ogl", r"wtfpl",
)  # fmt: skip


def licence(stated: object) -> Licence:
    """What the text in ``corpus.licence`` says; the strictest name in it counts."""
    text = str(stated or "").strip()
    plain = re.sub(r"[\s_]+", " ", text.lower())
    if plain in ("", "other", "unknown", "?", "not stated", "n/a", "tbd"):
        return Licence(text, "not stated", "nobody has said whether its text may be shown")
    if _has(_FORBIDS, plain):
        return Licence(text, "forbidden", "it forbids passing its text on")
    for pattern, why in _LIMITS:
        if _has((pattern,), plain):
            return Licence(text, "limited", why)
    if _has(_OPEN, plain):
        return Licence(text, "open", "its text may be shown; the pages name the licence")
    return Licence(text, "unknown", "its name is not known here: read it before you show its text")


def _has(patterns: tuple[str, ...], text: str) -> bool:
    return any(re.search(rf"(?<![a-z0-9]){pattern}(?![a-z0-9])", text) for pattern in patterns)
