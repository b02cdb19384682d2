"""Prompts as files, ``name.version.md``: a changed text is a new version, so that old replies stay what they were.

A file has sections ``## system`` (optional) and ``## user``. ``{{name}}`` is replaced once and never looked at again,
so that what a label says cannot become part of a prompt's form; values other than numbers are put in as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from core.llm.base import Message

LATEST = {
    "parts-isolated": 1,
    "parts-published": 1,
    "more-isolated": 1,
    "more-published": 1,
    "whole": 1,
    "repair": 1,
}
_SECTION = re.compile(r"^## (system|user)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Prompt:
    """One version of one prompt; ``digest`` is the sha256 of its file."""

    name: str
    version: int
    sections: tuple[tuple[str, str], ...]
    digest: str

    @property
    def id(self) -> str:
        return f"{self.name}.{self.version}"

    def fill(self, **values: str | int | list[str]) -> tuple[Message, ...]:
        """The messages with every slot filled. KeyError for a slot without a value: a bug here, not there."""
        return tuple(
            Message("system" if role == "system" else "user", _SLOT.sub(lambda m: _as_data(values[m[1]]), text))
            for role, text in self.sections
        )


@cache
def prompt(name: str, version: int | None = None) -> Prompt:
    """A prompt by name, in its latest version unless another is asked for."""
    version = version or LATEST[name]
    text = files(__package__).joinpath(f"{name}.{version}.md").read_text(encoding="utf-8")
    sections = tuple((m[1], m[2].strip()) for m in _SECTION.finditer(text))
    return Prompt(name, version, sections, hashlib.sha256(text.encode()).hexdigest())


def _as_data(value: str | int | list[str]) -> str:
    """A number as it is; a text as a JSON string in which no tag of the prompt can be closed."""
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
