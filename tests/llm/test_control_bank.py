"""The bank reads like varied real text: measured, not promised."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from core.llm.control_bank import GROUP_SIZE, control_bank
from core.proposals.check import Checker

GROUPS = control_bank()
PHRASES = [p for g in GROUPS for p in g.phrases]
WITHOUT_SPACES = {"Chinese", "Japanese"}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def distinct_bigrams(phrases: list[str]) -> float:
    """Distinct pairs of neighbouring words among all such pairs."""
    pairs = [pair for p in phrases for w in [words(p)] for pair in pairwise(w)]
    return len(set(pairs)) / len(pairs)


def test_there_are_at_least_300_groups_of_twelve() -> None:
    assert len(GROUPS) >= 300
    assert {len(g.phrases) for g in GROUPS} == {GROUP_SIZE} == {12}
    assert len({g.name for g in GROUPS}) == len(GROUPS)


def test_every_kind_of_text_is_there_and_prose_is_most() -> None:
    kinds = Counter(g.kind for g in GROUPS)
    assert set(kinds) == {"prose", "register", "language", "code", "format"}
    assert kinds["prose"] + kinds["register"] > 0.5 * len(GROUPS)
    assert min(kinds.values()) >= 20


def test_no_phrase_is_there_twice_and_all_are_usable_as_phrases() -> None:
    checker = Checker()
    assert checker.take(PHRASES) == PHRASES
    assert checker.sentences() == ()


def test_lengths_are_those_of_proposals() -> None:
    lengths = [len(p.split()) for g in GROUPS if g.name not in WITHOUT_SPACES for p in g.phrases]
    assert (min(lengths), max(lengths)) == (6, 20)
    assert sum(8 <= n <= 16 for n in lengths) / len(lengths) > 0.9


def test_vocabulary_and_word_pairs_are_those_of_varied_text() -> None:
    assert len({w for p in PHRASES for w in words(p)}) > 7_000
    prose = [p for g in GROUPS if g.kind in ("prose", "register") for p in g.phrases]
    assert distinct_bigrams(prose) > 0.7
    assert distinct_bigrams(PHRASES) > 0.5
    repeated = [f"{a} {b}" for a in ("the cat sat on", "a dog ran to") for b in ("the mat", "a tree", "the cat")] * 9
    assert distinct_bigrams(repeated) < 0.2


def test_no_beginning_is_a_habit() -> None:
    starts = Counter(" ".join(p.split()[:2]).casefold() for p in PHRASES)
    assert starts.most_common(1)[0][1] < 0.005 * len(PHRASES)


def test_phrases_of_a_group_are_not_variations_of_one_sentence() -> None:
    """Within a hand-written group the mean overlap of words is low; templates may overlap more."""
    overlaps = []
    for group in GROUPS:
        if group.kind in ("prose", "register"):
            sets = [set(words(p)) for p in group.phrases]
            pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
            overlaps.append(sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs))
    assert max(overlaps) < 0.2
    assert sum(overlaps) / len(overlaps) < 0.08


def test_many_scripts_and_many_characters_occur() -> None:
    text = "".join(PHRASES)
    for characters in ("åäöñçłßğ", "жщы", "θψ", "שא", "عر", "हि", "的在们", "のに", "는다", "{}<>=;", "€£°²→😂"):
        assert any(c in text for c in characters), characters
