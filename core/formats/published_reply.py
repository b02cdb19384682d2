"""One reply of Neuronpedia's activation endpoint as a cell of a csv: a Python literal, parsed and never evaluated."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from typing import Any

from core.llm.base import whole_text

MAX_REPLY = 200_000  # characters of one reply that are parsed
MAX_DEPTH = 6  # brackets inside brackets in a reply: the real ones have 3
MAX_TOKENS = 4_096
NO_REPLY = "raw_data is empty"
FEATURE = re.compile(r"\s*(\d{1,9})(?:\.0)?\s*")
#: Quoted strings, so that brackets in tokens are skipped, and brackets.
_BRACKET = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|[][(){}]""")
_SAE_PART = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True)
class Reply:
    """A service's reply: ``feature`` None and ``sae`` "" where it does not say."""

    tokens: tuple[str, ...]
    values: tuple[float, ...]
    feature: int | None
    sae: str


def parse_reply(cell: str, max_value: str = "") -> Reply | str:
    """The reply in a ``raw_data`` cell, or why it has none. ``max_value`` may hold the error instead."""
    text = cell.strip()
    if "error" in (text[:5].lower(), max_value.strip()[:5].lower()):
        return "the service answered an error"
    if not text:
        return NO_REPLY
    if len(text) > MAX_REPLY:
        return f"raw_data has more than {MAX_REPLY:,} characters"
    value = _literal(text)
    return _reply(value) if isinstance(value, dict) else "raw_data is not a literal dict"


def _literal(text: str) -> Any:
    """The value of a Python literal; None for anything else. Nothing is evaluated, and nesting is bounded first."""
    if not text.startswith("{") or _depth(text) > MAX_DEPTH:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _depth(text: str) -> int:
    """How deep brackets nest outside of quoted strings."""
    deepest = depth = 0
    for sign in _BRACKET.findall(text):
        if sign in ("(", "[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif sign in (")", "]", "}"):
            depth -= 1
    return deepest


def _reply(value: dict[Any, Any]) -> Reply | str:
    tokens, values = value.get("tokens"), value.get("values")
    if not isinstance(tokens, list) or not isinstance(values, list) or not tokens:
        return "raw_data has no tokens or no values"
    if len(tokens) < 2:
        return "raw_data has no token besides BOS"
    if len(tokens) != len(values) or len(tokens) > MAX_TOKENS:
        return "raw_data has more tokens than values, or fewer, or too many"
    if not all(isinstance(token, str) for token in tokens):
        return "raw_data has tokens that are no texts"
    if not all(type(v) in (int, float) and math.isfinite(v) and 0 <= v < 1e30 for v in values):
        return "raw_data has values that are no activations"
    named = FEATURE.fullmatch(str(value.get("index", "")))
    parts = [p for p in (value.get("modelId"), value.get("layer")) if isinstance(p, str) and _SAE_PART.fullmatch(p)]
    sae = "/".join(parts) if len(parts) == 2 else ""
    return Reply(tuple(map(whole_text, tokens)), tuple(map(float, values)), int(named[1]) if named else None, sae)
