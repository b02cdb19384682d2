"""A run's text as words, split by documents into a training and a held-out half.

For proposals, what a feature does is looked up in the training half only: ``training_peaks`` drops everything that is
not training before anything is done with it. ``held_out_peaks`` is for the feature's own text, which is no proposal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from core.store import FeatureActs, FlatContexts

MAX_CONTEXTS = 20_000
#: A unit: a word, a single character of scripts without spaces, or one punctuation mark.
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|(?:(?![\u3040-\u30ff\u3400-\u9fff])\w)+(?:['’]\w+)*|[^\w\s]")
_BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")


class TextRun(Protocol):
    """The part of ``core.store.Run`` that is needed here."""

    @property
    def str_tokens(self) -> np.ndarray: ...
    @property
    def special_ids(self) -> frozenset[int]: ...
    def flat_contexts(self) -> FlatContexts: ...
    def acts(self, feature: int) -> FeatureActs: ...


def held_out_contexts(document: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which contexts belong to the held-out half: ``document [n_contexts]`` in, bool ``[n_contexts]`` out.

    Whole documents are drawn, half of them; the same seed gives the same half wherever it is asked for.
    """
    documents = np.unique(document)
    chosen = np.random.default_rng(seed).permutation(documents)[: len(documents) // 2]
    return np.isin(document, chosen)


@dataclass(frozen=True)
class Peaks:
    """Where a feature fires in training text: per context its strongest firing, as a unit."""

    unit: np.ndarray  # int64 [n]: index into the corpus' units
    n_contexts: int
    n_documents: int


class Corpus:
    """All units of a run's text, end to end, contexts in order. Built once, used for every feature.

    ``word`` int32 ``[n_units]`` numbers the words of ``words``; ``start`` and ``end`` int32 ``[n_units]`` are character
    offsets in the context's text; ``context`` int32 ``[n_units]`` is the row in ``contexts``.
    """

    def __init__(self, run: TextRun, seed: int = 0, max_contexts: int = MAX_CONTEXTS) -> None:
        self._run, self.seed = run, seed
        flat = run.flat_contexts()
        self.held_out = held_out_contexts(flat.document, seed)  # of all contexts, also those not used
        n = len(flat.document)
        rng = np.random.default_rng([seed, 1])
        self.contexts = np.sort(rng.permutation(n)[:max_contexts])  # run's context ids, ascending
        self.document = flat.document[self.contexts]
        self.is_held_out = self.held_out[self.contexts]
        self.texts: list[str] = []
        self._token_starts: list[np.ndarray] = []
        self._read(flat)

    def _read(self, flat: FlatContexts) -> None:
        readable = [str(t) for t in self._run.str_tokens]
        for token in self._run.special_ids:
            readable[token] = ""
        numbers: dict[str, int] = {}
        columns: list[tuple[int, int, int, int]] = []
        for row, c in enumerate(self.contexts):
            text, starts = _joined(_tokens(flat, int(c), readable))
            self.texts.append(text)
            self._token_starts.append(starts)
            cut = _cut_off(flat, int(c), readable), _cut_off(flat, int(c) + 1, readable)
            for m in _UNIT.finditer(text):
                if not (cut[0] and m.start() == 0) and not (cut[1] and m.end() == len(text)):
                    columns.append((numbers.setdefault(m[0].casefold(), len(numbers)), row, m.start(), m.end()))
        self.words = np.array(list(numbers), dtype=object)
        self.word, self.context, self.start, self.end = np.array(columns, np.int32).reshape(-1, 4).T.copy()
        self.first = np.searchsorted(self.context, np.arange(len(self.contexts) + 1))  # units of row c: first[c:c+2]
        is_word = np.array([any(map(str.isalnum, w)) for w in self.words], dtype=bool)
        self._n_words = np.cumsum(is_word[self.word])  # words up to and with each unit; punctuation marks are none

    @cached_property
    def counts(self) -> np.ndarray:
        """``[n_words]``: how often each word stands in the training half."""
        return np.bincount(self.word[~self.unit_held_out], minlength=len(self.words))

    @cached_property
    def unit_held_out(self) -> np.ndarray:
        """bool ``[n_units]``."""
        return self.is_held_out[self.context]

    @cached_property
    def _by_word(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.word, kind="stable")
        return order, np.searchsorted(self.word[order], np.arange(len(self.words) + 1))

    def occurrences(self, word: int, held_out: bool) -> np.ndarray:
        """Units of one half that are this word, ascending."""
        order, first = self._by_word
        units = order[first[word] : first[word + 1]]
        return units[self.unit_held_out[units] == held_out]

    def window(self, unit: int, n_words: int, n_after: int) -> tuple[int, int]:
        """Units ``[first, last)`` of ``n_words`` words around one, ``n_after`` of them after it, within its context.

        What is missing on one side is taken from the other; fewer words only when the context has no more.
        """
        c, n = self.context[unit], self._n_words
        begin, stop = int(self.first[c]), int(self.first[c + 1])
        before = min(n_words - 1 - n_after, int(n[unit] - n[begin]))
        after = min(n_words - 1 - before, int(n[stop - 1] - n[unit]))
        before = n_words - 1 - after
        first = max(begin, int(np.searchsorted(n, n[unit] - before, side="left")))
        return first, min(stop, int(np.searchsorted(n, n[unit] + after, side="right")))

    def n_words(self, first: int, last: int) -> int:
        """Words among units ``[first, last)``; punctuation marks are none."""
        return int(self._n_words[last - 1] - (self._n_words[first - 1] if first else 0))

    def text(self, first: int, last: int) -> str:
        """The text of units ``[first, last)`` of one context, as it stands there."""
        return self.texts[self.context[first]][self.start[first] : self.end[last - 1]]

    def training_peaks(self, feature: int) -> Peaks:
        """Where the feature fires most strongly in each training context in which it fires."""
        row, pos = self._peaks(self._run.acts(feature), held_out=False)
        units = np.array([self._unit_at(r, p) for r, p in zip(row, pos, strict=True)], dtype=np.int64)
        return Peaks(units[units >= 0], len(row), len(np.unique(self.document[row])))

    def held_out_peaks(self, acts: FeatureActs) -> list[tuple[int, int]]:
        """(row, position) of the strongest firing in each held-out context that fires: to measure, not to propose."""
        row, pos = self._peaks(acts, held_out=True)
        return list(zip(row.tolist(), pos.tolist(), strict=True))

    def text_up_to(self, row: int, pos: int, n_words: int) -> str:
        """The text of a context that ends with the token at ``pos`` and the word it is in: ``n_words`` words of it.

        Fewer words at the start of the context. White space at the end stays: it may be the token that is meant.
        """
        starts, text = self._token_starts[row], self.texts[row]
        stop = int(starts[pos + 1]) if pos + 1 < len(starts) else len(text)
        unit = self._unit_at(row, pos)
        if unit < 0:
            return text[:stop]
        first = int(np.searchsorted(self._n_words, self._n_words[unit] - n_words + 1, side="left"))
        first = max(int(self.first[row]), first)
        return text[self.start[first] : max(stop, int(self.end[unit]))]

    def _peaks(self, acts: FeatureActs, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the contexts of one half in which a feature fires, and the position of its strongest firing."""
        row = np.searchsorted(self.contexts, acts.context)
        row = np.minimum(row, len(self.contexts) - 1)
        wanted = (self.contexts[row] == acts.context) & (self.held_out[acts.context] == held_out)
        row, pos, act = row[wanted], acts.pos[wanted], acts.act[wanted]
        order = np.lexsort((-act, row))
        row, pos = row[order], pos[order]
        top = np.concatenate([[True], row[1:] != row[:-1]]) if len(row) else np.zeros(0, bool)
        return row[top], pos[top]

    def _unit_at(self, row: int, pos: int) -> int:
        """The unit in which the token at ``pos`` ends, or the last one before it; -1 when there is none."""
        starts = self._token_starts[row]
        last = starts[pos + 1] - 1 if pos + 1 < len(starts) else len(self.texts[row]) - 1
        lo, hi = self.first[row], self.first[row + 1]
        at = int(np.searchsorted(self.start[lo:hi], last, side="right")) - 1
        return int(lo) + at if at >= 0 else -1


def _tokens(flat: FlatContexts, context: int, readable: list[str]) -> list[str]:
    return [readable[t] for t in flat.token_ids[flat.ptr[context] : flat.ptr[context + 1]]]


def _cut_off(flat: FlatContexts, context: int, readable: list[str]) -> bool:
    """Whether a word goes across the border between a context and the one before it."""
    if not 0 < context < len(flat.document) or flat.document[context] != flat.document[context - 1]:
        return False
    before, after = "".join(_tokens(flat, context - 1, readable)[-3:]), "".join(_tokens(flat, context, readable)[:3])
    return before[-1:].isalnum() and after[:1].isalnum()


def _joined(tokens: list[str]) -> tuple[str, np.ndarray]:
    """The text of a context and the character at which each token starts; runs of bytes become characters again."""
    pieces, starts, length, i = [], np.zeros(len(tokens), np.int32), 0, 0
    while i < len(tokens):
        j, piece = i + 1, tokens[i]
        if _BYTES.fullmatch(piece):
            while j < len(tokens) and _BYTES.fullmatch(tokens[j]):
                j += 1
            piece = bytes.fromhex("".join(re.findall(r"<0x(..)>", "".join(tokens[i:j])))).decode("utf-8", "replace")
        starts[i:j] = length
        pieces.append(piece)
        length += len(piece)
        i = j
    return "".join(pieces), starts
