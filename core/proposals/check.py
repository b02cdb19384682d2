"""What labels, parts and phrases must be like, whoever wrote them. Markup and other scripts are text like any other."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.llm.base import whole_text

MAX_LABEL = 2000
MAX_WORD = 80
MAX_PHRASE = 400
MAX_PHRASE_WORDS = 60
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WORD = re.compile(r"\w+")
#: Words too common for their presence to mean that a phrase names another part or the label.
_COMMON = frozenset({
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "by", "for", "from", "has", "have", "in", "into",
    "is", "it", "its", "not", "of", "on", "or", "other", "over", "related", "specific", "such", "terms", "text",
    "texts", "than", "that", "the", "their", "them", "these", "they", "things", "this", "those", "to", "use",
    "used", "various", "was", "what", "when", "which", "who", "will", "with", "word", "words", "phrase",
    "phrases", "mention", "mentions", "reference", "references", "referring", "concerning", "including",
})  # fmt: skip


def check_label(label: str) -> str:
    """Why a label cannot be taken apart; "" when it can."""
    text = clean(label)
    if not text:
        return "the label is empty"
    if len(text) > MAX_LABEL:
        return f"the label has {len(text):,} characters, more than {MAX_LABEL:,}"
    return ""


def clean(text: str) -> str:
    """One spelling of a text: no control characters but newline and tab, no broken characters, trimmed, NFC."""
    return unicodedata.normalize("NFC", _CONTROL.sub("", whole_text(text).replace("\r\n", "\n"))).strip()


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say something, in lower case."""
    return frozenset(w for w in _WORD.findall(text.casefold()) if len(w) > 2 and w not in _COMMON)


@dataclass
class Checker:
    """Takes the phrases of one proposal one by one, drops what cannot be used and counts why.

    No phrase is taken twice, whichever part it was written for first.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    _seen: set[str] = field(default_factory=set)

    def take(self, phrases: Iterable[str], not_naming: Sequence[str] = ()) -> list[str]:
        """The usable phrases, cleaned, in order. ``not_naming`` are words of other parts that must not occur."""
        return [p for p in map(clean, phrases) if self._usable(p, not_naming)]

    def _usable(self, phrase: str, not_naming: Sequence[str]) -> bool:
        problem = _problem(phrase)
        key = " ".join(phrase.casefold().split())
        if not problem and key in self._seen:
            problem = "written twice"
        if not problem and any(_names(phrase, other) for other in not_naming):
            problem = "naming another part"
        if problem:
            self.dropped[problem] += 1
            return False
        self._seen.add(key)
        return True

    def sentences(self) -> tuple[str, ...]:
        """What was dropped, for ``Proposal.problems``."""
        return tuple(f"{n} phrase{'s' if n > 1 else ''} dropped: {why}" for why, n in sorted(self.dropped.items()))


def _problem(phrase: str) -> str:
    if not phrase:
        return "empty"
    if len(phrase) > MAX_PHRASE or len(phrase.split()) > MAX_PHRASE_WORDS:
        return f"longer than {MAX_PHRASE} characters or {MAX_PHRASE_WORDS} words"
    return ""


def _names(phrase: str, word: str) -> bool:
    """Whether a phrase contains another part's name as whole words; names of common words alone do not count."""
    name = word.casefold().strip()
    if not content_words(name):
        return False
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", phrase.casefold()) is not None


def n_with_words_of(label: str, phrases: Iterable[str]) -> int:
    """How many phrases use a content word of the label, which style ``published`` forbids."""
    banned = content_words(label)
    return sum(not banned.isdisjoint(_WORD.findall(p.casefold())) for p in phrases)
