"""Prompts with what people say of them. Nothing here is part of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.analyses.prompt_model import Prompt, TokenView
from core.errors import InputError


def spelt(prompt: Prompt) -> str:
    """A prompt as people read it, turns with their roles."""
    return "\n".join(f"{t.role}: {t.content}" for t in prompt.turns) if prompt.turns else prompt.text


@dataclass(frozen=True)
class PromptTable:
    """Prompts in their order; ``labels``, ``groups``, ``documents`` are parallel to them, or empty where nobody said.

    "" is a prompt without that. Prompts of one document are alike: intervals and shuffles then take documents, not
    prompts, as units. ``left_out`` counts rows that are no prompts: reason -> (how many, first line), line 1 being the
    file's first. ``notes`` are sentences on how the file was read; ``n_rows`` counts all rows, also those left out.
    """

    prompts: tuple[Prompt, ...]
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    n_rows: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        for what in ("labels", "groups", "documents"):
            n = len(getattr(self, what))
            if n not in (0, len(self.prompts)):
                raise ValueError(f"{n} {what} for {len(self.prompts)} prompts")

    @classmethod
    def of_texts(cls, texts: Sequence[str], groups: Sequence[str] = (), labels: Sequence[str] = ()) -> PromptTable:
        """Prompts that were typed."""
        return cls(tuple(Prompt(t) for t in texts), tuple(labels), tuple(groups), n_rows=len(texts))

    def __len__(self) -> int:
        return len(self.prompts)

    def only(self, rows: Sequence[int]) -> PromptTable:
        """Some of the prompts."""

        def taken(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[i] for i in rows) if values else ()

        return replace(
            self, prompts=tuple(self.prompts[i] for i in rows), labels=taken(self.labels), groups=taken(self.groups),
            documents=taken(self.documents),
        )  # fmt: skip


def n_tokens(views: Sequence[TokenView]) -> np.ndarray:
    """int64 ``[n_prompts]``: tokens that are scored, which special ones are not."""
    return np.array([int((~v.is_special).sum()) for v in views], np.int64)


def usable(prompts: PromptTable, views: Sequence[TokenView]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows whose prompts count as independent observations, and sentences on the others.

    Left out are prompts that cannot be measured and all but the first of equal ones.
    """
    n = n_tokens(views)
    seen: set[object] = set()
    kept, bad, twice = [], 0, 0
    for i, prompt in enumerate(prompts.prompts):
        if views[i].problem or not n[i]:
            bad += 1
        elif prompt in seen:
            twice += 1
        else:
            seen.add(prompt)
            kept.append(i)
    notes = [f"{bad} prompts left out: they have no token that can be measured"] if bad else []
    notes += [f"{twice} prompts left out: they are equal to others"] if twice else []
    return np.array(kept, np.int64), tuple(notes)


def require(condition: bool, title: str, detail: str, remedy: str) -> None:
    """InputError unless it holds."""
    if not condition:
        raise InputError(title, detail, remedy)
