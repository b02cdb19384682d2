"""What is too close to a label to be a control: phrases and other labels that speak of the same, by their words.

Words are compared by stem, without case: their first six letters, without a plural s (bees, bee; physics, physicist).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from core.decompose.bank import GROUP, Bank
from core.proposals.check import content_words
from core.proposals.proposal import Proposal

MIN_SHARE = 0.25  # of a written group's phrases that hold a word of the label or its parts
MAX_SHARE = 0.5  # of cut windows that may be left out; words too common for that stay
STEM = 6  # letters
ROUND = 10  # groups are kept in tens, so that labels are judged together
_UNIT = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Words:
    """What a label speaks of, as stems: of the label itself, and with its parts."""

    label: frozenset[str]
    all: frozenset[str]

    @classmethod
    def of(cls, proposal: Proposal) -> Words:
        """The words of the label, of its parts' names and of what retrieval looked for."""
        label = stems(content_words(proposal.label))
        names = content_words(" ".join(part.word for part in proposal.parts))
        keywords = {k for part in proposal.parts for k in part.keywords}
        return cls(label, label | stems(names) | stems(keywords))


def stems(words: Iterable[str]) -> frozenset[str]:
    """Words cut to their stems."""
    return frozenset(_stem(w) for w in words)


def _stem(word: str) -> str:
    word = word.casefold()
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:STEM]


def labels_near(a: Words, b: Words) -> bool:
    """Whether two labels share a word, or two words with their parts: each is then no control for the other."""
    return bool(a.label & b.label) or len(a.all & b.all) >= 2


class Controls:
    """Which phrases of a bank are controls for a label, and which are near it. Rows number the bank's phrases.

    A written group goes as a whole when its name or a quarter of its phrases holds a word of the label or its parts.
    Of groups cut from text, which hold whatever stands there, the windows with such a word go, and what is left is
    cut to a group; words that stand in so many windows that half of all would go stay in.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self._names = [stems(content_words(group.name) or {group.name}) for group in bank.groups]
        self._phrases = [stems(_UNIT.findall(p)) for p in bank.phrases]
        self._with: dict[str, set[int]] = {}
        for row, found in enumerate(self._phrases):
            for word in found:
                self._with.setdefault(word, set()).add(row)

    def near(self, words: Words) -> frozenset[int]:
        """Rows of phrases that are near the label."""
        written = self.bank.name == "shipped"
        rows = self._holding(words.all, len(self._phrases) if written else int(MAX_SHARE * len(self._phrases)))
        if not written:
            return rows
        near: set[int] = set()
        for group, name in zip(self.bank.rows, self._names, strict=True):
            if name & words.all or len(rows & set(group)) >= MIN_SHARE * len(group):
                near |= set(group)
        return frozenset(near)

    def _holding(self, words: frozenset[str], most: int) -> frozenset[int]:
        """Phrases that hold one of the words, rarest words first, as long as they are no more than ``most``."""
        rows: set[int] = set()
        for word in sorted(words, key=lambda w: (len(self._with.get(w, ())), w)):
            if len(rows | self._with.get(word, set())) > most:
                break
            rows |= self._with.get(word, set())
        return frozenset(rows)

    def rows(self, near: frozenset[int]) -> np.ndarray:
        """int ``[n_groups, GROUP]``: the controls that are left, the first of each group; groups with fewer go."""
        left = [[r for r in group if r not in near][:GROUP] for group in self.bank.rows]
        whole = [group for group in left if len(group) == GROUP]
        kept = len(whole) - len(whole) % ROUND if len(whole) > ROUND**2 else len(whole)
        return np.array(whole[:kept], np.int64).reshape(-1, GROUP)
