"""A token stream that remembers what is true at each token and what each draw cost."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """Tokens ``start <= i < end`` of a document, counted without BOS; ``level`` says which partition it is part of.

    Spans of one level never overlap. ``concept`` is ``None`` for a sentence, whose concepts are those of its tokens.
    """

    level: str
    start: int
    end: int
    concept: str | None = None


@dataclass
class Writer:
    """Writes one document token by token.

    ``pick`` is the only source of randomness: its ``-log p`` (nats) is added to the surprisal of the next token
    written. Because nothing is drawn before the text needs it, the sum is a close upper bound of the document's
    surprisal under the true distribution of texts.
    """

    rng: random.Random
    tokens: list[str] = field(default_factory=list)
    concepts: list[set[str]] = field(default_factory=list)
    surprisal: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    pending: float = 0.0
    stop: str = "."
    comma: str = ","

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of ``options``; equally likely without ``weights``."""
        if weights is None:
            self.pending += math.log(len(options))
            return options[int(self.rng.random() * len(options))]
        [i] = self.rng.choices(range(len(options)), weights)
        self.pending -= math.log(weights[i] / sum(weights))
        return options[i]

    def chance(self, p: float) -> bool:
        """True with probability ``p``."""
        return self.pick((True, False), (p, 1 - p))

    def put(self, token: str, *concepts: str) -> None:
        """Append one token exactly as the tokenizer cuts it (with its leading space, if any)."""
        self.tokens.append(token)
        self.concepts.append(set(concepts))
        self.surprisal.append(self.pending)
        self.pending = 0.0

    def words(self, text: str) -> None:
        """Append words, each with a leading space."""
        for word in text.split():
            self.put(" " + word)

    def mark(self, concepts: Iterable[str]) -> None:
        """Say that ``concepts`` are true at the last token."""
        self.concepts[-1].update(concepts)

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, n_tokens: int) -> None:
        """Forget everything from token ``n_tokens`` on."""
        del self.tokens[n_tokens:], self.concepts[n_tokens:], self.surprisal[n_tokens:]
        self.spans = [s for s in self.spans if s.end <= n_tokens]
        self.pending = 0.0
