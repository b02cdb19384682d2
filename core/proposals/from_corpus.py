"""Parts and phrases out of the run's own text, without any language model, so that every feature can be tested.

Parts are words that are distinctive of the places where the feature fires in TRAINING documents. Phrases are cut from
HELD-OUT documents around those words, by text alone, blind to what the feature does there: if they make it fire, that
was predicted and not looked up.

Distinctive: the log-odds of a word's standing in the window that ends at a firing, less those of windows anywhere, less
two standard errors (a Jeffreys prior on both); or the same for the firing word alone, whichever is larger. The best
``N_KEYWORDS`` are grouped into parts by the words that surround them (PPMI, Ward).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.proposals.check import MAX_PHRASE, Checker
from core.proposals.corpus import Corpus
from core.proposals.proposal import (
    N_PARTS,
    N_PHRASES,
    N_WHOLE,
    PHRASE_WORDS,
    NotProposed,
    Part,
    Phrase,
    Proposal,
    Proposals,
)

GENERATOR = "corpus retrieval 1"
BEFORE = 8  # units in the window that ends at a firing: what a causal model has seen just before
MIN_CONTEXTS = 20  # training contexts with a firing, below which words say nothing
MIN_SHARE = 0.005  # of the firings, which a keyword has to stand near: parts ought to say something of many
N_BACKGROUND = 20_000
N_KEYWORDS = 20
MAX_KEYWORDS = 4  # per part
MAX_PLACES = 100  # held-out places of one keyword looked at for phrases of the whole
N_FOLDS = 4  # documents of whole-label phrases are numbered in folds, as calls are for a language model


@dataclass(frozen=True)
class Keyword:
    """A word; ``score`` is the lower end of its excess log-odds near firings. Above 0 it is distinctive."""

    word: int
    score: float


class CorpusProposer:
    """Proposals for features of one run; the text is read once.

    A feature without five distinctive words gets its best words all the same, and a problem that says so: what the
    test then finds is that nothing in the text predicts it.
    """

    def __init__(
        self,
        corpus: Corpus,
        n_parts: int = N_PARTS,
        n_phrases: int = N_PHRASES,
        n_whole: int = N_WHOLE,
        sample: int = 0,
    ) -> None:
        """``sample`` 1, 2, ... cuts other phrases for the same parts, for test-retest."""
        self.corpus, self.sample = corpus, sample
        self.n_parts, self.n_phrases, self.n_whole = n_parts, n_phrases, n_whole

    def propose(self, features: Sequence[int], advance: Callable[[float], None] = lambda n: None) -> Proposals:
        """A proposal for every feature that fires often enough, labelled by the words it was made from."""
        outcomes = []
        for feature in features:
            outcomes.append(self._one(feature))
            advance(1)
        return Proposals(
            made=tuple(o for o in outcomes if isinstance(o, Proposal)),
            failed=tuple(o for o in outcomes if isinstance(o, NotProposed)),
        )

    def _one(self, feature: int) -> Proposal | NotProposed:
        peaks = self.corpus.training_peaks(feature)
        if len(peaks.unit) < MIN_CONTEXTS:
            n = f"fires in {peaks.n_contexts} contexts of the training half"
            return NotProposed(feature, "", f"{n}; words need at least {MIN_CONTEXTS}")
        keywords = self._keywords(peaks.unit)
        groups = self._groups(keywords)
        rng = np.random.default_rng([self.corpus.seed, feature, *([self.sample] if self.sample else [])])
        vague = [str(self.corpus.words[k.word]) for k in keywords if k.score <= 0]
        problems = [f"not distinctive of where it fires: {', '.join(map(repr, vague))}"] if vague else []
        checker = Checker()
        parts = [self._part(group, groups, rng, checker) for group in groups]
        kept = tuple(p for p in parts if p.phrases)
        if not kept:
            return NotProposed(feature, "", "no distinctive word stands in the held-out half")
        problems += [f"{len(kept)} parts instead of {self.n_parts}"] if len(kept) < self.n_parts else []
        short = [p for p in kept if len(p.phrases) < self.n_phrases]
        problems += [f"the part {p.word!r} has {len(p.phrases)} of {self.n_phrases} phrases" for p in short]
        whole = self._whole(keywords, rng, checker)
        problems += [f"{len(whole)} of {self.n_whole} phrases of the whole"] if len(whole) < self.n_whole else []
        words = ", ".join(p.word for p in kept)
        return Proposal(
            feature, f"text with: {words}", "corpus keywords", "isolated", kept,
            tuple(whole), "corpus", f"{GENERATOR}, seed {self.corpus.seed}", problems=tuple(problems),
        )  # fmt: skip

    # --- parts: from training text ------------------------------------------------------------------

    @cached_property
    def _background(self) -> tuple[np.ndarray, int]:
        """In how many of so many windows anywhere in training text each word stands."""
        training = np.flatnonzero(~self.corpus.unit_held_out)
        rng = np.random.default_rng([self.corpus.seed, 2])
        ends = rng.permutation(training)[:N_BACKGROUND]
        return self._present(ends), len(ends)

    def _present(self, ends: np.ndarray) -> np.ndarray:
        """``[n_words]``: in how many windows that end at these units each word stands."""
        c = self.corpus
        units = ends[:, None] - np.arange(BEFORE)[None, :]
        inside = units >= c.first[c.context[ends]][:, None]
        pairs = np.where(inside, c.word[np.maximum(units, 0)].astype(np.int64), -1)
        keys = np.unique((np.arange(len(ends))[:, None] * (len(c.words) + 1) + pairs + 1).ravel())
        return np.bincount(keys % (len(c.words) + 1), minlength=len(c.words) + 1)[1:]

    def _keywords(self, peaks: np.ndarray) -> list[Keyword]:
        """The most distinctive words, best first, that stand in enough text of both halves."""
        c = self.corpus
        near, n = self._present(peaks), len(peaks)
        at = np.bincount(c.word[peaks], minlength=len(c.words))
        background, m = self._background
        score = np.maximum(_excess(near, n, background, m), _excess(at, n, c.counts, int(c.counts.sum())))
        score[near < max(5.0, MIN_SHARE * n)] = -np.inf
        order = [int(w) for w in np.argsort(-score, kind="stable")[: 4 * N_KEYWORDS] if np.isfinite(score[w])]
        best = [Keyword(w, float(score[w])) for i, w in enumerate(order) if score[w] > 0 or i < self.n_parts]
        found = [k for k in best if len(self._documents(c.occurrences(k.word, held_out=True))) >= 3]
        return found[:N_KEYWORDS]

    def _documents(self, units: np.ndarray) -> np.ndarray:
        return np.unique(self.corpus.document[self.corpus.context[units]])

    def _groups(self, keywords: list[Keyword]) -> list[list[Keyword]]:
        """Keywords sorted into parts by the company they keep, best part first, best keyword first."""
        if len(keywords) <= self.n_parts:
            return [[k] for k in keywords]
        from sklearn.cluster import AgglomerativeClustering  # a second to import, and pages only read proposals

        clusters = AgglomerativeClustering(n_clusters=self.n_parts, linkage="ward")
        assigned = clusters.fit_predict(np.stack([self._company(k.word) for k in keywords]))
        groups = [[k for k, a in zip(keywords, assigned, strict=True) if a == g] for g in range(self.n_parts)]
        return sorted((g[:MAX_KEYWORDS] for g in groups), key=lambda g: -g[0].score)

    def _company(self, word: int) -> np.ndarray:
        """``[n_words]``, unit length: positive mutual information with words up to three away, in training text."""
        c = self.corpus
        units = c.occurrences(word, held_out=False)[:2000]
        around = (units[:, None] + np.array([-3, -2, -1, 1, 2, 3])[None, :]).clip(0, len(c.word) - 1)
        same = c.context[around] == c.context[units][:, None]
        counts = np.bincount(c.word[around[same]], minlength=len(c.words))
        expected = (c.counts + 1) / (c.counts.sum() + len(c.words)) * max(1, counts.sum())
        ppmi = np.where(counts > 1, np.maximum(0.0, np.log((counts + 1e-9) / expected)), 0.0)
        return ppmi / max(1e-9, float(np.linalg.norm(ppmi)))

    # --- phrases: from held-out text, by text alone -------------------------------------------------

    def _part(
        self, group: list[Keyword], groups: list[list[Keyword]], rng: np.random.Generator, checker: Checker
    ) -> Part:
        """Windows around the part's words that hold no word of another part; failing that, no other part's name."""
        c = self.corpus
        others = [g for g in groups if g is not group]
        places = self._shuffled_occurrences(group, rng)
        phrases: list[Phrase] = []
        used: set[int] = set()
        for shunned in ({k.word for g in others for k in g}, {g[0].word for g in others}):
            for unit in places:
                if len(phrases) == self.n_phrases:
                    break
                if int(c.document[c.context[unit]]) in used:
                    continue
                first, last = self._cut(unit, rng)
                if shunned.isdisjoint(c.word[first:last].tolist()):
                    phrases += self._phrase(first, last, checker)
                    used |= {p.document for p in phrases[-1:] if p.document is not None}
        names = tuple(str(c.words[k.word]) for k in group)
        return Part(names[0], tuple(phrases), names)

    def windows_around(self, word: int, rng: np.random.Generator) -> list[str]:
        """``n_phrases`` windows around one word, cut as those of a part are, each of another document, or fewer."""
        c = self.corpus
        phrases: list[Phrase] = []
        used: set[int] = set()
        checker = Checker()
        for unit in rng.permutation(c.occurrences(word, held_out=True)).tolist():
            if len(phrases) == self.n_phrases:
                break
            if int(c.document[c.context[unit]]) not in used:
                found = self._phrase(*self._cut(unit, rng), checker)
                phrases += found
                used |= {p.document for p in found if p.document is not None}
        return [p.text for p in phrases]

    def _shuffled_occurrences(self, group: list[Keyword], rng: np.random.Generator) -> list[int]:
        """Held-out places of the part's words, its words taking turns."""
        columns = [rng.permutation(self.corpus.occurrences(k.word, held_out=True)).tolist() for k in group]
        longest = max(map(len, columns), default=0)
        return [column[i] for i in range(longest) for column in columns if i < len(column)]

    def _cut(self, unit: int, rng: np.random.Generator) -> tuple[int, int]:
        """A window of 8 to 16 words with the unit in its later half: a causal model has then seen what leads to it."""
        length = int(rng.integers(PHRASE_WORDS[0], PHRASE_WORDS[1] + 1))
        return self.corpus.window(unit, length, int(rng.integers(0, length // 3 + 1)))

    def _phrase(self, first: int, last: int, checker: Checker) -> list[Phrase]:
        """The phrase in a list, or none when it is too short or cannot be used."""
        c = self.corpus
        if c.n_words(first, last) < PHRASE_WORDS[0] or c.end[last - 1] - c.start[first] > MAX_PHRASE:
            return []
        document = int(c.document[c.context[first]])
        return [Phrase(t, document % N_FOLDS, document) for t in checker.take([c.text(first, last)])]

    def _whole(self, keywords: list[Keyword], rng: np.random.Generator, checker: Checker) -> list[Phrase]:
        """The windows in which most speaks for the feature: greatest sum of scores, one a document."""
        c = self.corpus
        weight = np.zeros(len(c.words))
        weight[[k.word for k in keywords]] = [max(k.score, 0.01) for k in keywords]
        places = np.concatenate([rng.permutation(c.occurrences(k.word, held_out=True))[:MAX_PLACES] for k in keywords])
        cuts = [self._cut(unit, rng) for unit in rng.permutation(places).tolist()]
        scores = np.array([weight[np.unique(c.word[first:last])].sum() for first, last in cuts])
        phrases: list[Phrase] = []
        used: set[int] = set()
        for i in np.argsort(-scores, kind="stable"):
            if len(phrases) == self.n_whole:
                break
            first, last = cuts[i]
            document = int(c.document[c.context[first]])
            found = self._phrase(first, last, checker) if document not in used else []
            phrases += found
            used |= {document} if found else set()
        return phrases


def _excess(a: np.ndarray, n: int, b: np.ndarray, m: int) -> np.ndarray:
    """By how much the log-odds of ``a`` of ``n`` exceed those of ``b`` of ``m``, less two standard errors."""
    a, b = a + 0.5, b + 0.5
    difference = np.log(a / (n + 1 - a)) - np.log(b / (m + 1 - b))
    return difference - 2 * np.sqrt(1 / a + 1 / b)
