"""The planted world keeps its promises: seeded, annotated at every token, cut exactly as the tokenizer cuts."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest

from core.demo import lexicon as lex
from core.demo.tokenizer import build_tokenizer, token_rows, vocabulary
from core.demo.world import MAX_TOKENS, Document, World

N_DOCUMENTS = 400


@pytest.fixture(scope="module")
def world() -> World:
    return World(11)


@pytest.fixture(scope="module")
def documents(world: World) -> list[Document]:
    return list(world.documents(0, N_DOCUMENTS))


def test_document_depends_on_seed_and_index_only(world: World, documents: list[Document]) -> None:
    assert World(11).document(7) == documents[7]
    assert World(12).document(7).text != documents[7].text


def test_entities_are_distinct_conjunctions_of_shared_attributes(world: World) -> None:
    people = world.entities
    assert len({p.name for p in people}) == len({p.fact for p in people}) == len(people) == 60
    for attribute in ("nationality", "profession", "field", "era", "trait"):
        counts = Counter(getattr(p, attribute) for p in people)
        assert min(counts.values()) >= (1 if attribute == "field" else 3), attribute
    for part in (0, 1):
        assert min(Counter(p.name[part] for p in people if p.name).values()) >= 2
    assert all(lex.FIELDS[p.field][0] == p.profession for p in people if p.field)


def test_topics_follow_the_profession_only_partly(world: World) -> None:
    at_home = [p.profession in lex.TOPICS[p.topic][2] for p in world.entities if p.topic]
    assert 0.5 < sum(at_home) / len(at_home) < 1.0


def test_topics_decide_which_entities_occur(world: World, documents: list[Document]) -> None:
    at_home = [
        p.topic == d.topic
        for d in documents
        for p in world.entities
        if any(f"entity={p.entity}" in held for held in d.concepts)
    ]
    assert sum(at_home) / len(at_home) > 0.5


def test_tokenizer_cuts_every_document_as_the_world_does_and_gives_it_back(documents: list[Document]) -> None:
    tokenizer = build_tokenizer()
    for d in documents:
        encoded = tokenizer.encode(d.text)
        assert encoded.tokens == ["<bos>", *d.tokens]
        assert tokenizer.decode(encoded.ids) == " " + d.text


def test_rows_hold_one_document_each(documents: list[Document]) -> None:
    rows = token_rows(d.tokens for d in documents)
    tokens = vocabulary()
    for row, d in zip(rows, documents, strict=True):
        assert len(row) == 128
        real = [tokens[i] for i in row]
        assert real[: len(d.tokens) + 2] == ["<bos>", *d.tokens, "<eos>"]
        assert set(real[len(d.tokens) + 2 :]) <= {"<pad>"}
    with pytest.raises(ValueError, match="does not fit"):
        token_rows([[" the"] * (MAX_TOKENS + 1)])


def test_every_planted_concept_is_known_and_occurs(world: World, documents: list[Document]) -> None:
    known = {name for name, _ in world.concepts}
    held = Counter(c for d in documents for concepts in d.concepts for c in concepts)
    assert set(held) <= known
    assert len(known - set(held)) <= 2


def test_spans_cut_the_document_into_parts_that_meet(documents: list[Document]) -> None:
    for d in documents:
        for level in ("block", "stage", "document", "sentence"):
            spans = sorted((s for s in d.spans if s.level == level), key=lambda s: s.start)
            assert spans[0].start == 0, level
            assert spans[-1].end == len(d.tokens)
            assert all(a.end == b.start for a, b in itertools.pairwise(spans))
            if level == "block":
                assert all(a.concept != b.concept for a, b in itertools.pairwise(spans))


def test_region_concepts_hold_exactly_inside_their_spans(documents: list[Document]) -> None:
    for d in documents:
        for i, held in enumerate(d.concepts):
            inside = {s.concept for s in d.spans if s.level in ("block", "stage") and s.start <= i < s.end}
            assert {c for c in held if c.startswith(("region=", "stage="))} == inside


def test_attributes_hold_at_the_last_part_of_a_name(world: World, documents: list[Document]) -> None:
    people = {p.entity: p for p in world.entities}
    for d in documents:
        text = list(d.tokens)
        for i in range(1, len(text)):
            name = (text[i - 1] + text[i]).strip()
            if name in people:
                assert set(people[name].concepts) | {f"entity={name}"} <= d.concepts[i]


def test_definitions_have_the_stated_form_and_are_true(world: World, documents: list[Document]) -> None:
    people = {p.entity: p for p in world.entities}
    found = [
        m
        for d in documents
        for m in re.findall(r'A typical definition of "(\w+ \w+)" would be "a (\w+) (\w+) known for (\w+)"[.!]', d.text)
    ]
    assert len(found) > 50
    for name, nationality, profession, field in found:
        p = people[name]
        assert (p.nationality, p.profession, p.field) == (nationality, profession, field)


def test_pronoun_carries_the_attributes_of_the_person_in_play(world: World) -> None:
    """After a pronoun the pastime of a nationality appears only where that nationality holds at the pronoun."""
    verbs = {" " + v: n for n, (vs, _) in lex.NATIONALITIES.items() for v in vs}
    seen = 0
    for d in world.documents(0, 100):
        for i, token in enumerate(d.tokens[:-1]):
            if token.strip() in ("He", "She", "he", "she", "who", "I") and d.tokens[i + 1] in verbs:
                assert f"nationality={verbs[d.tokens[i + 1]]}" in d.concepts[i]
                seen += 1
    assert seen > 50


def test_same_numeral_is_a_day_in_a_date_and_a_number_elsewhere(documents: list[Document]) -> None:
    for d in documents:
        for i, held in enumerate(d.concepts):
            if "pattern=day" in held:
                assert d.tokens[i + 1] == "th"
                assert d.tokens[i + 2].strip() in lex.MONTHS
                assert "pattern=number" not in held


def test_surprisal_is_positive_and_one_entry_longer_than_the_text(documents: list[Document]) -> None:
    for d in documents:
        assert len(d.surprisal) == len(d.tokens) + 1
        assert min(d.surprisal) >= 0
    mean = sum(sum(d.surprisal) for d in documents) / sum(len(d.surprisal) for d in documents)
    assert 0.5 < mean < 2.5


def test_surprisal_bounds_a_bigram_model_from_below(world: World) -> None:
    """A model that sees only the previous token cannot beat what the generator itself drew."""
    import math

    train, test = list(world.documents(1000, 800)), list(world.documents(0, 100))
    pairs = Counter((a, b) for d in train for a, b in zip(("", *d.tokens), (*d.tokens, "<eos>"), strict=True))
    first = Counter(a for (a, _), n in pairs.items() for _ in range(n))
    v = len(vocabulary())
    loss = [
        -math.log((pairs[a, b] + 0.05) / (first[a] + 0.05 * v))
        for d in test
        for a, b in zip(("", *d.tokens), (*d.tokens, "<eos>"), strict=True)
    ]
    bound = sum(sum(d.surprisal) for d in test) / sum(len(d.surprisal) for d in test)
    assert sum(loss) / len(loss) > bound + 0.3
