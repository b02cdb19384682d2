"""The planted world: documents with known concepts, generated from a seed.

A document is a run of blocks (narration, dialogue, an excited style, two invented languages, lists, code) about
people, in three stages (begin, middle, end), under one topic that decides which people and things appear together.
Document ``i`` of a world depends on the seed and on ``i`` only, so any part can be made again alone.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from core.demo import lexicon as lex
from core.demo import regions
from core.demo import sentences as s
from core.demo.people import Person, make_entities
from core.demo.writer import Span, Writer

#: longest document in tokens; with BOS and EOS it fills a context of 128
MAX_TOKENS = 126

REGION_OF_BLOCK = {
    "narration": "region=narration",
    "dialogue": "region=dialogue",
    "excited": "region=excited style",
    "Orrin": "region=Orrin language",
    "Thelic": "region=Thelic language",
    "list": "region=list",
    "code": "region=code",
}
_BLOCK_WEIGHTS = (0.52, 0.18, 0.08, 0.055, 0.055, 0.055, 0.055)
_NEXT_STAGE = {"begin": ("middle", 0.3), "middle": ("end", 0.15)}
_HOME_WEIGHT, _AWAY_WEIGHT = 8.0, 0.3


@dataclass(frozen=True)
class Document:
    """A text and what is true in it.

    ``tokens`` joined give ``text``; ``concepts[i]`` are true at token ``i``; ``surprisal[i]`` is in nats and has one
    more entry than ``tokens``, the last being the end of the document. Positions count from 0 at the first token of
    the text; in a context that starts with BOS add one.
    """

    index: int
    tokens: tuple[str, ...]
    concepts: tuple[frozenset[str], ...]
    spans: tuple[Span, ...]
    surprisal: tuple[float, ...]
    topic: str

    @property
    def text(self) -> str:
        """The document as a reader sees it: without the leading space of its first token."""
        return "".join(self.tokens).removeprefix(" ")


class World:
    """Entities, topics and the generator of documents for one ``seed``."""

    def __init__(self, seed: int, n_entities: int = 60) -> None:
        self.seed = seed
        self.entities = make_entities(random.Random(f"{seed}/entities"), n_entities)

    @cached_property
    def concepts(self) -> tuple[tuple[str, str], ...]:
        """(concept, kind) of everything the world can plant, in a fixed order."""
        names = [f"entity={p.entity}" for p in self.entities]
        for kind, values in (
            ("nationality", lex.NATIONALITIES), ("profession", lex.PROFESSIONS), ("field", lex.FIELDS),
            ("era", lex.ERAS), ("trait", lex.TRAITS), ("topic", lex.TOPICS), ("stage", lex.STAGES),
        ):  # fmt: skip
            names += [f"{kind}={value}" for value in values]
        names += [f"sense={word} ({sense})" for word, senses in lex.SENSES.items() for sense in senses]
        names += [f"pattern={p}" for p in ("year", "month", "weekday", "day", "number", "capital after a stop")]
        names += list(REGION_OF_BLOCK.values())
        return tuple((name, name.split("=")[0]) for name in names)

    def document(self, index: int) -> Document:
        """Document ``index`` (any integer >= 0) of this world."""
        return _Author(self, index).write()

    def documents(self, start: int, n: int) -> Iterator[Document]:
        """Documents ``start .. start + n - 1``."""
        return (self.document(i) for i in range(start, start + n))


class _Author:
    """State while one document is written: the topic, the stage, the person in play."""

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index = world, index
        self.w = Writer(random.Random(f"{world.seed}/{index}"))
        self.topic = self.w.pick(tuple(lex.TOPICS))
        self.stage = "begin"
        self.stage_start = 0
        self.person: Person | None = None
        self.entity_weights = [_HOME_WEIGHT if p.topic == self.topic else _AWAY_WEIGHT for p in world.entities]
        home = lex.TOPICS[self.topic][2]
        self.profession_weights = [3.0 if p in home else 1.0 for p in lex.PROFESSIONS]

    def write(self) -> Document:
        w = self.w
        while True:
            start = len(w)
            if not self._block():
                break
            if len(w) == start:
                break
        self._close_stage(len(w))
        w.spans.append(Span("document", 0, len(w), f"topic={self.topic}"))
        self._mark_regions()
        return Document(
            index=self.index,
            tokens=tuple(w.tokens),
            concepts=tuple(frozenset(c) for c in w.concepts),
            spans=tuple(w.spans),
            surprisal=(*w.surprisal, w.pending),
            topic=self.topic,
        )

    def _mark_regions(self) -> None:
        for span in self.w.spans:
            if span.level in ("block", "stage") and span.concept:
                for i in range(span.start, span.end):
                    self.w.concepts[i].add(span.concept)
        for i in range(1, len(self.w.tokens)):
            if self.w.tokens[i - 1] in ".!" and self.w.tokens[i].lstrip()[:1].isupper():
                self.w.concepts[i].add("pattern=capital after a stop")

    def _close_stage(self, end: int) -> None:
        self.w.spans = [x for x in self.w.spans if x.level != "stage" or x.end <= self.stage_start]
        if end > self.stage_start:
            self.w.spans.append(Span("stage", self.stage_start, end, f"stage={self.stage}"))

    def _block(self) -> bool:
        """One block; False when the document is over."""
        w, start = self.w, len(self.w)
        kind = w.pick(tuple(REGION_OF_BLOCK), _BLOCK_WEIGHTS) if start else "narration"
        fits = _BLOCKS[kind](self, kind)
        if len(w) > start:
            self._close_block(start, REGION_OF_BLOCK[kind])
        return fits

    def _close_block(self, start: int, concept: str) -> None:
        """Regions are maximal: two blocks of one kind in a row are one region."""
        before = next((x for x in self.w.spans if x.level == "block" and x.end == start), None)
        if before and before.concept == concept:
            self.w.spans.remove(before)
            start = before.start
        self.w.spans.append(Span("block", start, len(self.w), concept))

    def _fit(self, start: int, reserve: int = 0) -> bool:
        """Keep what was written since ``start`` as a sentence, or forget it when the document is full."""
        w = self.w
        if len(w) > MAX_TOKENS - reserve:
            w.cut(start)
            return False
        w.spans.append(Span("sentence", start, len(w)))
        return True

    # the blocks ------------------------------------------------------------------------------------------

    def _narration(self, _: str) -> bool:
        while True:
            start = len(self.w)
            if not self._advance():
                return False
            self._sentence()
            if not self._fit(start):
                return False
            if self.w.chance(0.22):
                return True

    def _excited(self, kind: str) -> bool:
        self.w.stop, self.w.comma = "!", ";"
        fits = self._narration(kind)
        self.w.stop, self.w.comma = ".", ","
        return fits

    def _dialogue(self, _: str) -> bool:
        """``Mara Veltin said: "I measured the light. I hiked near Bern."``: *I* refers to the speaker."""
        w, start = self.w, len(self.w)
        if self.person is None or w.chance(0.25):
            self.person = w.pick(self.world.entities, self.entity_weights)
            s.put_name(w, self.person)
        else:
            self._settle_pronoun()
            w.put(" " + (self.person.pronoun or "").capitalize())
        speaker = self.person
        w.mark(speaker.concepts)
        w.put(" said")
        w.put(":")
        w.put(' "')
        first = True
        while True:
            if w.chance(0.25):
                w.put(("" if first else " ") + w.pick(lex.INTERJECTIONS))
                w.put(",")
                w.put(" I")
            else:
                w.put("I" if first else " I")
            s.predicate(w, speaker)
            w.put(".")
            first = False
            if len(w) >= MAX_TOKENS or w.chance(0.3):
                break
        w.put('"')
        return self._fit(start)

    def _language(self, kind: str) -> bool:
        start = len(self.w)
        regions.language(self.w, kind)
        return self._fit(start)

    def _list(self, _: str) -> bool:
        start = len(self.w)
        regions.listing(self.w, self.topic)
        return self._fit(start)

    def _code(self, _: str) -> bool:
        start = len(self.w)
        regions.code(self.w)
        return self._fit(start)

    # sentences -------------------------------------------------------------------------------------------

    def _advance(self) -> bool:
        """Move on to the next stage, or end the document, before a sentence."""
        w = self.w
        if self.stage == "end":
            return not w.chance(0.2)
        following, p = _NEXT_STAGE[self.stage]
        if len(w) and w.chance(p):
            self._close_stage(len(w))
            self.stage, self.stage_start = following, len(w)
        return True

    def _settle_pronoun(self) -> None:
        if self.person and self.person.pronoun is None:
            self.person = dataclasses.replace(self.person, pronoun=self.w.pick(("she", "he")))

    def _continue_weight(self) -> float:
        """Texts stay longer with people without a name: their attributes combine freely, those of entities do not."""
        if self.person is None:
            return 0.0
        return 0.2 if self.person.name else 0.6

    def _sentence(self) -> None:
        w = self.w
        kind = w.pick(
            ("continue", "entity", "stranger", "definition", "senses", "place"),
            (self._continue_weight(), 0.16, 0.24, 0.025, 0.07, 0.05),
        )
        if kind == "senses":
            return s.two_senses(w)
        if kind == "place":
            return s.describe_place(w, self.topic)
        if kind == "definition":
            return s.define(w, w.pick(self.world.entities, self.entity_weights))
        capital = s.open_sentence(w, self.stage)
        if kind == "entity":
            self.person = w.pick(self.world.entities, self.entity_weights)
            return s.introduce_entity(w, self.person, capital=capital)
        if kind == "stranger":
            self.person = s.draw_stranger(w, self.profession_weights)
            return s.introduce_stranger(w, self.person, capital=capital)
        self._settle_pronoun()
        assert self.person is not None
        return s.continue_person(w, self.person, capital=capital)


_BLOCKS = {
    "narration": _Author._narration,
    "excited": _Author._excited,
    "dialogue": _Author._dialogue,
    "Orrin": _Author._language,
    "Thelic": _Author._language,
    "list": _Author._list,
    "code": _Author._code,
}
