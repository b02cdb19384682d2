"""A proposal, as plain frozen values, and its two written forms: nested for JSON, long for tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import InputError

Style = Literal["isolated", "published"]
Source = Literal["llm", "upload", "corpus", "truth"]

N_PARTS = 5
N_PHRASES = 12
N_WHOLE = 40
PHRASE_WORDS = (8, 16)  # what is asked for; the control bank has the same lengths


@dataclass(frozen=True)
class Phrase:
    """One stimulus. ``call`` numbers the separate askings it came from; ``document`` is where it was cut from.

    ``document`` is None for phrases that were written, not cut.
    """

    text: str
    call: int = 0
    document: int | None = None


@dataclass(frozen=True)
class Part:
    """One part of a label's meaning. ``keywords`` are what retrieval looked for; empty for other sources."""

    word: str
    phrases: tuple[Phrase, ...]
    keywords: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(p.text for p in self.phrases)


@dataclass(frozen=True)
class Proposal:
    """What is to be tested of one label of one feature.

    ``style``: ``isolated`` phrases show their part only, which verdicts need; ``published`` phrases are what a model
    believes to activate the feature. ``generator`` names model and endpoint, file, or method; ``prompts`` the prompt
    versions; ``asked`` the ledger's keys, in the order of asking. ``problems`` says in sentences what is not as it was
    asked for, such as parts with too few phrases.
    """

    feature: int
    label: str
    label_source: str
    style: Style
    parts: tuple[Part, ...]
    whole: tuple[Phrase, ...]
    source: Source
    generator: str
    prompts: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def n_phrases(self) -> int:
        return len(self.whole) + sum(len(p.phrases) for p in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class NotProposed:
    """Why there is no proposal for a label; the others are not affected. ``asked`` as in ``Proposal``."""

    feature: int
    label: str
    reason: str
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposals:
    """What became of a list of labels, in their order."""

    made: tuple[Proposal, ...]
    failed: tuple[NotProposed, ...] = ()


def from_dict(values: dict[str, Any]) -> Proposal:
    """The inverse of ``as_dict``; InputError when ``values`` are something else."""
    try:
        plain: dict[str, Any] = {f.name: values[f.name] for f in dataclasses.fields(Proposal)}
        for name in ("prompts", "asked", "problems"):
            plain[name] = tuple(plain[name])
        plain["whole"] = tuple(Phrase(**x) for x in plain["whole"])
        plain["parts"] = tuple(
            Part(p["word"], tuple(Phrase(**x) for x in p["phrases"]), tuple(p["keywords"])) for p in plain["parts"]
        )
        return Proposal(**plain)
    except (KeyError, TypeError) as error:
        raise InputError("that is no stored proposal", f"{type(error).__name__}: {error}", "make it anew") from error


def rows(proposals: Iterable[Proposal]) -> list[dict[str, Any]]:
    """One row per phrase; ``part_index`` is -1 and ``part`` empty for phrases of the whole label."""
    return [
        _row(p, index if index < len(p.parts) else -1, part.word, i, phrase)
        for p in proposals
        for index, part in enumerate([*p.parts, Part("", p.whole)])
        for i, phrase in enumerate(part.phrases)
    ]


def _row(p: Proposal, part_index: int, word: str, i: int, phrase: Phrase) -> dict[str, Any]:
    return {
        "feature": p.feature,
        "label": p.label,
        "label_source": p.label_source,
        "style": p.style,
        "part_index": part_index,
        "part": word,
        "phrase_index": i,
        "phrase": phrase.text,
        "call": phrase.call,
        "document": phrase.document,
        "source": p.source,
        "generator": p.generator,
    }
