"""Parts and phrases that are true by construction: the planted world writes new text about what a label names.

A label of the planted world is a concept, ``kind=value``. Its parts are, by kind:

==========================================  ===================================================================
entity                                      its five attributes, each shown by people without a name who have
                                            none of the other four (a field of work comes with its profession)
nationality, profession, field, era, trait  people without a name who have it, and up to four named people who do
sense                                       the words before it that decide the sense; phrases end at the word
topic                                       the things and places that belong to it
pattern, stage, region                      the words that stand out where it holds, dealt into parts
==========================================  ===================================================================

Phrases are windows of documents that neither model nor SAE was trained on and that are not in the run's text. A phrase
of one part holds no word of another part's.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.demo import lexicon as lex
from core.demo.people import ATTRIBUTES, Person
from core.demo.world import Document, World
from core.errors import InputError
from core.proposals.asking import Asking, Label
from core.proposals.check import Checker
from core.proposals.proposal import PHRASE_WORDS, NotProposed, Part, Phrase, Proposal, Proposals
from core.store import Run

GENERATOR = "planted world 1"
START = 3_000_000  # documents beyond those of model, SAE and run
N_DOCUMENTS, MAX_DOCUMENTS = 4_000, 1_000_000
N_WORDS = 20  # of a pattern, stage or region
MIN_LIFT = 4.0
N_TRIES = 6  # windows tried around one place

Fits = Callable[[Document, int, int, int], bool]
"""(document, place, first, stop) -> whether this window shows what it shall show, and nothing else."""


@dataclass(frozen=True)
class _Kind:
    """One part as the world sees it: where it may stand, and which windows show it alone."""

    word: str
    concept: str  # holds at the place
    fits: Fits
    keywords: tuple[str, ...] = ()
    n_after: int | None = None  # tokens after the place; None: any


class FromWorld:
    """A proposer (``core.decompose.proposers.Proposer``) for runs of a planted world."""

    needs_label, own_text = True, True

    def __init__(self, world: World, asking: Asking, n_documents: int = N_DOCUMENTS) -> None:
        self.world, self.asking, self.n_documents = world, asking, n_documents
        self.sample = 0
        self._people = {p.entity: p for p in world.entities}

    @classmethod
    def of_run(cls, run: Run, asking: Asking) -> FromWorld:
        """The world that a run's text is of; InputError for any other run."""
        try:
            about = json.loads((run.path / "world.json").read_text(encoding="utf-8"))
            world = World(int(about["seed"]), len(about["entities"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"nothing is known to be true of the text of {run.name!r}",
                "its folder has no readable world.json",
                "this proposer works on the demo (`prism demo build`); elsewhere use --proposer corpus",
            ) from error
        return cls(world, asking)

    def propose(self, labels: Sequence[Label], sample: int, advance: Callable[[float], None]) -> Proposals:
        """A proposal for every label that names a concept of the world. ``sample`` 1, 2 ... is of other documents."""
        if sample != self.sample:
            self.sample = sample
            for name in ("_documents", "_places", "_counts"):
                self.__dict__.pop(name, None)
        outcomes = []
        for label in labels:
            outcomes.append(self._one(label))
            advance(1)
        return Proposals(
            tuple(o for o in outcomes if isinstance(o, Proposal)),
            tuple(o for o in outcomes if isinstance(o, NotProposed)),
        )

    def n_steps(self, labels: Sequence[Label]) -> int:
        return len(labels)

    def spent(self) -> str:
        return ""

    def about(self) -> dict[str, Any]:
        return {"generator": self._generator, "prompts": []}

    @property
    def _generator(self) -> str:
        return f"{GENERATOR}, seed {self.world.seed}"

    def _one(self, label: Label) -> Proposal | NotProposed:
        concept = label.label
        if concept not in dict(self.world.concepts):
            why = "the feature has no label" if not concept else "it names no concept of the planted world"
            return NotProposed(label.feature, concept, why)
        rng = random.Random(f"{self.world.seed}/{self.sample}/{label.feature}/{concept}")
        checker = Checker()
        parts = [self._part(kind, rng, checker) for kind in self._kinds(concept)]
        kept = tuple(p for p in parts if p.phrases)
        if not kept:
            return NotProposed(label.feature, concept, "no word of the world stands for it alone")
        whole = self._phrases(_Kind(concept, concept, self._shows(concept)), self.asking.n_whole, rng, checker)
        n = self.asking.n_phrases
        problems = [f"the part {p.word!r} has {len(p.phrases)} of {n} phrases" for p in parts if len(p.phrases) < n]
        return Proposal(
            label.feature, concept, label.source, "isolated", kept, tuple(whole), "truth", self._generator,
            problems=tuple(problems),
        )  # fmt: skip

    # --- parts of a concept -----------------------------------------------------------------------------

    def _kinds(self, concept: str) -> list[_Kind]:
        kind, value = concept.split("=", 1)
        if kind == "entity":
            return self._attributes_of(self._people[value])[: self.asking.n_parts]
        if kind in ATTRIBUTES:
            return self._people_with(kind, value)[: self.asking.n_parts]
        if kind == "sense":
            return self._cues(concept, value)[: self.asking.n_parts]
        if kind == "topic":
            nouns, places, _ = lex.TOPICS[value]
            return self._words(concept, [" " + w for w in (*nouns, *places)], at_word=False)
        return self._words(concept, self._outstanding(concept), at_word=True)

    def _attributes_of(self, person: Person) -> list[_Kind]:
        own = {a: f"{a}={getattr(person, a)}" for a in ATTRIBUTES}

        def alone(attribute: str) -> Fits:
            allowed = {attribute, *(("profession",) if attribute == "field" else ())}
            others = {c for a, c in own.items() if a not in allowed}
            word = " " + getattr(person, attribute)

            def fits(d: Document, place: int, first: int, stop: int) -> bool:
                held = set().union(*d.concepts[first:stop])
                return word in d.tokens[first:place] and not _named(held) and not held & others

            return fits

        return [_Kind(getattr(person, a), own[a], alone(a)) for a in ATTRIBUTES]

    def _people_with(self, attribute: str, value: str) -> list[_Kind]:
        concept = f"{attribute}={value}"
        people = [p for p in self.world.entities if getattr(p, attribute) == value]
        chosen = random.Random(f"{self.world.seed}/{concept}").sample(people, min(len(people), self.asking.n_parts - 1))

        def stranger(d: Document, place: int, first: int, stop: int) -> bool:
            return " " + value in d.tokens[first:place] and not _named(set().union(*d.concepts[first:stop]))

        def only(name: str) -> Fits:
            def fits(d: Document, place: int, first: int, stop: int) -> bool:
                alone = _named(set().union(*d.concepts[first:stop])) == {name}
                return first < place and alone and " " + value not in d.tokens[first:stop]

            return fits

        named = [_Kind(p.entity, f"entity={p.entity}", only(f"entity={p.entity}")) for p in chosen]
        return [_Kind(f"somebody {value}", concept, stranger), *named]

    def _cues(self, concept: str, value: str) -> list[_Kind]:
        word, sense = value.removesuffix(")").split(" (")
        cues = lex.SENSE_CUES[word][list(lex.SENSES[word]).index(sense)]

        def after(cue: str) -> Fits:
            return lambda d, place, first, stop: d.tokens[place - 1] == " " + cue and first < place

        return [_Kind(cue, concept, after(cue), n_after=0) for cue in cues]

    def _words(self, concept: str, words: list[str], at_word: bool) -> list[_Kind]:
        """Words dealt into parts; ``at_word``: the concept holds at the word, otherwise just before it."""
        n = min(self.asking.n_parts, len(words))
        dealt = [frozenset(words[k::n]) for k in range(n)]

        def shows(mine: frozenset[str]) -> Fits:
            others = frozenset(words) - mine
            shift = 0 if at_word else 1

            def fits(d: Document, place: int, first: int, stop: int) -> bool:
                window = d.tokens[first:stop]
                there = place + shift < stop and d.tokens[place + shift] in mine
                return there and others.isdisjoint(window)

            return fits

        named = [tuple(_readable(w) for w in words[k::n]) for k in range(n)]
        return [_Kind(named[k][0], concept, shows(dealt[k]), named[k]) for k in range(n)]

    def _outstanding(self, concept: str) -> list[str]:
        """The words with the greatest share among tokens where the concept holds, compared with all tokens."""
        inside, total = self._counts[concept], self._counts[""]
        n_in, n_all = sum(inside.values()), sum(total.values())
        lift = {w: c / max(1, n_in) * n_all / total[w] for w, c in inside.items() if c >= 20 and w.strip()}
        best = sorted((w for w in lift if lift[w] >= MIN_LIFT), key=lambda w: (-lift[w], -inside[w], w))
        if not best:  # a concept that holds nearly everywhere: its words are those that never stand elsewhere
            best = [w for w, c in inside.most_common() if w in lift and c == total[w]]
        return list({_readable(w): w for w in reversed(best)}.values())[::-1][:N_WORDS]

    def _shows(self, concept: str) -> Fits:
        """Windows for the whole: it holds at the place, and a reader of the window alone can tell."""
        kind, value = concept.split("=", 1)

        def fits(d: Document, place: int, first: int, stop: int) -> bool:
            by_name = bool(_named(set(d.concepts[place])))
            if by_name and first == place:
                return False  # the first name is cut off
            return kind not in ATTRIBUTES or by_name or " " + value in d.tokens[first:place]

        return fits

    # --- windows of new documents -----------------------------------------------------------------------

    @cached_property
    def _documents(self) -> list[Document]:
        start = START + MAX_DOCUMENTS * self.sample
        return list(self.world.documents(start, self.n_documents))

    @cached_property
    def _places(self) -> dict[str, list[tuple[int, int]]]:
        """(document, token) of every place where a concept holds."""
        places: dict[str, list[tuple[int, int]]] = {}
        for i, d in enumerate(self._documents):
            for t, held in enumerate(d.concepts):
                for concept in sorted(held):
                    places.setdefault(concept, []).append((i, t))
        return places

    @cached_property
    def _counts(self) -> dict[str, Counter[str]]:
        """How often each token stands where a concept holds; under "": anywhere."""
        counts: dict[str, Counter[str]] = {"": Counter()}
        for d in self._documents:
            for token, held in zip(d.tokens, d.concepts, strict=True):
                for concept in ("", *held):
                    counts.setdefault(concept, Counter())[token] += 1
        return counts

    def _part(self, kind: _Kind, rng: random.Random, checker: Checker) -> Part:
        return Part(kind.word, tuple(self._phrases(kind, self.asking.n_phrases, rng, checker)), kind.keywords)

    def _phrases(self, kind: _Kind, n: int, rng: random.Random, checker: Checker) -> list[Phrase]:
        """Up to ``n`` windows, one a document, places drawn uniformly."""
        phrases: list[Phrase] = []
        used: set[int] = set()
        places = list(self._places.get(kind.concept, ()))
        rng.shuffle(places)
        for number, place in places:
            if len(phrases) == n:
                break
            if number in used:
                continue
            text = self._window(self._documents[number], place, kind, rng)
            taken = checker.take([text]) if text else []
            phrases += [Phrase(t, number % 4) for t in taken]
            used |= {number} if taken else set()
        return phrases

    def _window(self, d: Document, place: int, kind: _Kind, rng: random.Random) -> str:
        """A window of 8 to 16 tokens around a place that fits; "" when none was found."""
        for attempt in range(N_TRIES):
            length = rng.randint(*PHRASE_WORDS)
            most = length // 3 if attempt < N_TRIES // 2 else length - 1
            after = rng.randint(0, most) if kind.n_after is None else kind.n_after
            stop = min(len(d.tokens), place + after + 1)
            first = max(0, stop - length)
            while first < place and not d.tokens[first].startswith(" "):
                first += 1  # the tokenizer puts a space before a text: a phrase begins with a word that has one
            if stop - first >= PHRASE_WORDS[0] and kind.fits(d, place, first, stop):
                return "".join(d.tokens[first:stop]).strip()
        return ""


def _named(concepts: set[str]) -> set[str]:
    return {c for c in concepts if c.startswith("entity=")}


def _readable(token: str) -> str:
    return token.strip()
