"""What a visitor sent to the lab, kept in that visitor's session, by run. Prompt text goes nowhere else by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import streamlit as st

from core.analyses.prompt_model import Prompt
from core.lab.prompts import PromptTable, spelt
from core.store import Run


@dataclass(frozen=True)
class Sent:
    """Prompts and, in words, where they come from."""

    table: PromptTable
    origin: str = "typed"

    @cached_property
    def digest(self) -> str:
        """Changes with every prompt, label, group and document: what answers are known by."""
        t = self.table
        return sha256(repr((t.prompts, t.labels, t.groups, t.documents)).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return self.table.prompts

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each prompt as people read it."""
        return tuple(spelt(p) for p in self.prompts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The group of each prompt, else its label, else ""."""
        return self.table.groups or self.table.labels or ("",) * len(self.prompts)

    @property
    def n_chars(self) -> int:
        return sum(map(len, self.texts))


def values_of(values: Sequence[str]) -> list[str]:
    """Different labels or groups in order of appearance; prompts without one are in none."""
    return [v for v in dict.fromkeys(values) if v]


def sent(run: Run) -> Sent | None:
    """What this visitor sent for this run; None before anything was."""
    return st.session_state.setdefault("lab_sent", {}).get(_key(run))


def send(run: Run, what: Sent | None) -> None:
    """Replace it; answers to what was there stay known for as long as the session keeps answers."""
    kept = st.session_state.setdefault("lab_sent", {})
    if what is None:
        kept.pop(_key(run), None)
    else:
        kept[_key(run)] = what


def _key(run: Run) -> tuple[str, str]:
    return run.name, str(run.manifest["created_at"])


def of_texts(first: Sequence[str], second: Sequence[str], names: tuple[str, str], origin: str) -> Sent:
    """Two boxes as one: with texts in both, each text's group is the name of its box."""
    groups = (names[0],) * len(first) + (names[1],) * len(second) if second else ()
    return Sent(PromptTable.of_texts((*first, *second), groups), origin)
