"""A run of planted features over words, an ActivationSource that agrees with it, and phrases that speak of concepts.

A concept is a word, of which a token set knows some forms. All features fire weakly on a few tokens anywhere. Features
of a kind have a label of five concepts; text and phrases are words with spaces between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from core.analyses.activation_source import Measured, Stimulus
from core.formats.labels import FoundLabel
from core.formats.run_labels import add_labels
from core.proposals.proposal import Part, Phrase, Proposal
from core.store import Run
from tests import factories
from tests.maths.verdict_worlds import KINDS

N_FILLERS, N_POS, N_PARTS, N, N_WHOLE = 250, 60, 5, 12, 40
BOS_ACT = 99.0  # of every third feature twice, of every third not at all: more than any act on a word
MISS = 0.03  # of words that a phrase was to hold, as writers do

FILLERS = [f"{a}{b}{c}" for a in "bdfgk" for b in ("al", "em", "in", "or", "us") for c in ("do", "ke", "mi", "ro", "ta",
           "wen", "pel", "hos", "vik", "jam")]  # fmt: skip


@dataclass
class Planted:
    """``kinds[feature]`` and ``concepts[feature]``, the words of its label; the swapped label's are not its own."""

    each: int = 1
    seed: int = 0
    which: tuple[str, ...] = tuple(KINDS)
    kinds: list[str] = field(default_factory=list)
    concepts: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.kinds = [kind for kind in self.which for _ in range(self.each)]
        self.concepts = [[f"q{chr(97 + s)}{self._name(j)}" for s in range(N_PARTS)] for j in range(len(self.kinds))]
        self._random = [(j, 60) for j, kind in enumerate(self.kinds) if kind == "random"]
        self._anywhere = self._random + [(j, 5) for j, kind in enumerate(self.kinds) if kind == "region"]
        self._of_word: dict[str, list[int]] = {}
        for j, kind in enumerate(self.kinds):
            own = self.concepts[j]
            if kind == "swapped label":
                own = [f"{w}true" for w in own]
            if kind in ("OR", "token set", "one facet", "swapped label", "AND"):
                for word in own[:1] if kind == "one facet" else own:
                    for form in ("", "s") if kind == "token set" else ("",):
                        self._of_word.setdefault(word + form, []).append(j)

    @staticmethod
    def _name(j: int) -> str:
        return "".join(chr(97 + j // 26**k % 26) for k in range(3)) + "xu"

    def acts(self, words: Sequence[str]) -> dict[int, np.ndarray]:
        """Features that fire on a text, with the act at every word: causal, as a model's are."""
        found: dict[int, np.ndarray] = {}

        def fire(j: int, pos: int) -> None:
            found.setdefault(j, np.zeros(len(words), np.float32))[pos] = 1 + crc32(f"{j}{words[pos]}{pos}".encode()) % 7

        for pos, word in enumerate(words):
            for j in self._of_word.get(word, ()):
                if self.kinds[j] != "AND" or set(self.concepts[j]) <= set(words[max(0, pos - 15) : pos + 1]):
                    fire(j, pos)
            before = words[pos - 1] if pos else ""
            weak = crc32(f"{self.seed}/{word}/{before}/weak".encode()) % (60 * len(self.kinds))
            if weak < len(self.kinds) and self.kinds[weak] != "no firing":
                found.setdefault(weak, np.zeros(len(words), np.float32))[pos] = 0.3
            for j, share in self._anywhere if pos >= 40 else self._random:
                if crc32(f"{self.seed}/{j}/{word}/{before}".encode()) % share == 0:
                    fire(j, pos)
        return found

    # --- text ---------------------------------------------------------------------------------------------

    def text(self) -> list[list[str]]:
        """Contexts of fillers; every feature's words are planted in some, those of a conjunction together."""
        contexts = [self._fillers(N_POS - 1) for _ in range(300 + 60 * len(self.kinds))]
        for j, kind in enumerate(self.kinds):
            own = [f"{w}true" for w in self.concepts[j]] if kind == "swapped label" else self.concepts[j]
            for n in range(60):
                context = contexts[300 + 60 * j + n]
                places = self.rng.choice(12, N_PARTS, replace=False) + int(self.rng.integers(15, 40))
                for word, place in zip(own, places if kind == "AND" else places[: 1 + n % 2], strict=False):
                    form = ("", "s")[int(self.rng.integers(2))] if kind == "token set" else ""
                    context[place] = word if kind == "AND" else str(self.rng.choice(own)) + form
        self.rng.shuffle(contexts)  # type: ignore[arg-type]
        return contexts

    def _fillers(self, n: int) -> list[str]:
        return [FILLERS[i] for i in self.rng.integers(0, N_FILLERS, n)]

    def phrase(self, words: Sequence[str], forms: Sequence[str] = ("",)) -> Phrase:
        """Twelve words, those given among them at random places in one of their forms; a few are missed."""
        out = self._fillers(12)
        for word, place in zip(words, self.rng.permutation(12).tolist(), strict=False):
            if self.rng.random() > MISS:
                out[place] = word + forms[int(self.rng.integers(len(forms)))]
        return Phrase(" ".join(out))

    def proposal(self, j: int) -> Proposal:
        """Isolated phrases for every concept of the label, and phrases for all of them together."""
        forms = ("", "s", "s", "y") if self.kinds[j] == "token set" else ("",)
        parts = tuple(Part(w, tuple(self.phrase([w], forms) for _ in range(N))) for w in self.concepts[j])
        whole = tuple(self.phrase(self.concepts[j]) for _ in range(N_WHOLE))
        return Proposal(j, self.label(j), "test", "isolated", parts, whole, "upload", "planted")

    def label(self, j: int) -> str:
        return " or ".join(self.concepts[j])

    def write(self, cache_dir: Path) -> Run:
        """The run on disk, with labels."""
        contexts = self.text()
        vocabulary = list(dict.fromkeys(w for c in contexts for w in c))
        number = {w: i + 1 for i, w in enumerate(vocabulary)}
        tokens = np.array([[0, *(number[w] for w in c)] for c in contexts], np.int32)
        acts = np.zeros((*tokens.shape, len(self.kinds)), np.float32)
        for i, context in enumerate(contexts):
            for j, values in self.acts(context).items():
                acts[i, 1:, j] = values
        old, factories.WORDS = factories.WORDS, vocabulary
        try:
            world = factories.World(tokens, acts, np.arange(len(contexts)) // 2)
            run = factories.write_run(cache_dir, "planted", world)
        finally:
            factories.WORDS = old
        add_labels(run, [FoundLabel(j, self.label(j), "test") for j in range(len(self.kinds))])
        return run


class PlantedSource:
    """An ActivationSource over planted features; ``n_texts`` counts what it was given."""

    def __init__(self, planted: Planted) -> None:
        self.planted, self.n_texts = planted, 0

    @property
    def about(self) -> dict[str, Any]:
        return {"source": "planted", "seed": self.planted.seed, "device": "none"}

    def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
        return np.array([BOS_ACT * (f % 3) for f in features], np.float32)

    def measure(
        self, stimuli: Sequence[Stimulus], features: Sequence[int], advance: Callable[[float], None] = lambda n: None
    ) -> Measured:
        most = np.full((len(stimuli), len(features)), np.nan, np.float32)
        column = {f: c for c, f in enumerate(features)}
        acts: dict[tuple[int, int], np.ndarray] = {}
        problems, read = {}, []
        for i, stimulus in enumerate(stimuli):
            words = stimulus.text.split()
            self.n_texts += 1
            advance(1)
            read.append(tuple((" " if k else "") + w for k, w in enumerate(words)) if stimulus.features else ())
            found = self.planted.acts(words)
            silent = np.zeros(len(words), np.float32)
            acts |= {(i, f): found.get(f, silent) for f in stimulus.features}
            if not words:
                problems[i] = "there is no token in it"
                continue
            most[i] = 0
            for f, values in found.items():
                if f in column:
                    most[i, column[f]] = values.max()
        return Measured(most, tuple(read), acts, problems)
