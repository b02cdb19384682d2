"""The control bank that ships: groups of twelve phrases each, written for no model and for no feature.

It is what "any text" means where a test asks whether a feature fires more than on any text: everyday and special
topics, registers, formats, program code and two dozen languages. Topics, registers and languages were written by hand,
code and formats made from templates; no phrase stands in it twice. ``control_bank.jsonl`` holds one group a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

GROUP_SIZE = 12
Kind = Literal["prose", "register", "language", "code", "format"]


@dataclass(frozen=True)
class BankGroup:
    """Twelve phrases of one topic or style: mostly 8 to 16 words, all 6 to 20 (Chinese, Japanese: unspaced)."""

    name: str
    kind: Kind
    phrases: tuple[str, ...]


@cache
def control_bank() -> tuple[BankGroup, ...]:
    """All groups, in a fixed order."""
    text = files("core.llm").joinpath("control_bank.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple(BankGroup(row["group"], row["kind"], tuple(row["phrases"])) for row in rows)
