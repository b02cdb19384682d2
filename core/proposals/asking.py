"""What to ask a language model about one label, as questions for a ``core.llm.session.Session``.

Per label: one call for parts and phrases, one more for every further ``PER_CALL`` phrases a part, and ``whole_calls``
calls for phrases of the whole label. The styles ``isolated`` and ``published`` are described with the prompt files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.errors import InputError
from core.llm.base import Message, Request, Schema
from core.llm.prompts import prompt
from core.llm.schema import PARTS, PHRASES, PartsReply, PhrasesReply, Unreadable, read_json
from core.llm.session import Question
from core.proposals.check import MAX_WORD, clean
from core.proposals.proposal import N_PARTS, N_PHRASES, N_WHOLE, PHRASE_WORDS, Style

PER_CALL = 12  # phrases a part in one call; models lose count and variety beyond
SPARE = 2  # asked for beyond what is needed, because some are dropped


@dataclass(frozen=True)
class Label:
    """One label of one feature, and who says so."""

    feature: int
    label: str
    source: str


@dataclass(frozen=True)
class Asking:
    """What is asked for per label. ``sample`` 1, 2, ... asks everything anew, for test-retest."""

    style: Style = "isolated"
    n_parts: int = N_PARTS
    n_phrases: int = N_PHRASES
    n_whole: int = N_WHOLE
    whole_calls: int = 4
    temperature: float | None = 1.0
    sample: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("n_parts", 1, 12),
            ("n_phrases", 1, 120),
            ("n_whole", 0, 400),
            ("whole_calls", 1, 40),
        ):
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} must be {least} to {most}", f"found {getattr(self, name)}")
        if self.n_whole and self.n_whole < self.whole_calls:
            raise InputError("there are more calls for the whole label than phrases", "", "lower whole_calls")

    @classmethod
    def published(cls) -> Asking:
        """The published set-up: five words, three phrases each, nothing else."""
        return cls(style="published", n_phrases=3, n_whole=0)

    @property
    def n_rounds(self) -> int:
        """Calls for the phrases of parts, the first included."""
        return math.ceil(self.n_phrases / PER_CALL)

    @property
    def spare(self) -> int:
        return SPARE if self.style == "isolated" else 0

    @property
    def in_round(self) -> int:
        """Phrases a part to ask for in each of these calls."""
        return math.ceil(self.n_phrases / self.n_rounds) + self.spare

    def in_whole_call(self, call: int) -> int:
        """Phrases of the whole label to ask for in call 0, 1, ..."""
        return self.n_whole // self.whole_calls + (call < self.n_whole % self.whole_calls) + 1

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts' versions that are used."""
        used = [(f"parts-{self.style}", True), (f"more-{self.style}", self.n_rounds > 1), ("whole", self.n_whole > 0)]
        return tuple(prompt(name).id for name, yes in used if yes)


def parts_question(label: Label, asking: Asking) -> Question[PartsReply]:
    n, n_parts = asking.in_round, asking.n_parts
    messages = prompt(f"parts-{asking.style}").fill(
        label=clean(label.label), n_parts=n_parts, n_phrases=n, min_words=PHRASE_WORDS[0], max_words=PHRASE_WORDS[1]
    )
    request = _request(messages, PARTS, n_parts * n, asking)
    return Question(request, _read_parts)


def more_questions(label: Label, asking: Asking, words: list[str]) -> list[Question[PartsReply]]:
    """The further rounds, when a part needs more phrases than one call gives well."""
    return [
        Question(
            _request(
                prompt(f"more-{asking.style}").fill(
                    label=clean(label.label), parts=words, n_phrases=asking.in_round, call=call + 1,
                    n_calls=asking.n_rounds, min_words=PHRASE_WORDS[0], max_words=PHRASE_WORDS[1],
                ),
                PARTS, len(words) * asking.in_round, asking,
            ),
            _read_parts,
        )
        for call in range(1, asking.n_rounds)
    ]  # fmt: skip


def whole_questions(label: Label, asking: Asking) -> list[Question[PhrasesReply]]:
    return [
        Question(
            _request(
                prompt("whole").fill(
                    label=clean(label.label), n_phrases=asking.in_whole_call(call), call=call + 1,
                    n_calls=asking.whole_calls, min_words=PHRASE_WORDS[0], max_words=PHRASE_WORDS[1],
                ),
                PHRASES, asking.in_whole_call(call), asking,
            ),
            _read_phrases,
        )
        for call in range(asking.whole_calls if asking.n_whole else 0)
    ]  # fmt: skip


def _request(messages: tuple[Message, ...], schema: Schema, n_phrases: int, asking: Asking) -> Request:
    """About 22 tokens a phrase with its JSON; four times that is room for other scripts and for thinking aloud."""
    about = 60 + 22 * n_phrases
    return Request(messages, schema, asking.temperature, asking.sample, max(1024, 4 * about), about)


def _read_parts(text: str) -> PartsReply:
    reply = read_json(text, PartsReply)
    if not any(clean(p.word) and any(map(clean, p.phrases)) for p in reply.parts):
        raise Unreadable("no part has both a name and a phrase")
    return reply


def _read_phrases(text: str) -> PhrasesReply:
    reply = read_json(text, PhrasesReply)
    if not any(map(clean, reply.phrases)):
        raise Unreadable("there is no phrase in the reply")
    return reply


def part_names(reply: PartsReply, n_parts: int) -> list[str]:
    """The parts' names: cleaned, none empty, none twice, as many as were asked for."""
    names = [name for p in reply.parts if (name := clean(p.word)[:MAX_WORD].strip())]
    unique = {name.casefold(): name for name in reversed(names)}
    return [unique[k] for k in dict.fromkeys(n.casefold() for n in names)][:n_parts]
