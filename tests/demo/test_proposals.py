"""Phrases that the planted world writes show what they are to show, and nothing of the other parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.demo.annotate import annotate
from core.demo.proposals import START, FromWorld
from core.demo.tokenizer import build_tokenizer
from core.demo.world import World
from core.errors import InputError
from core.proposals.asking import Asking, Label
from core.proposals.proposal import Proposal
from tests.factories import write_run


@pytest.fixture(scope="module")
def proposer() -> FromWorld:
    return FromWorld(World(7), Asking(), n_documents=1500)


def propose(proposer: FromWorld, concept: str, sample: int = 0) -> Proposal:
    found = proposer.propose([Label(3, concept, "test")], sample, lambda n: None)
    assert not found.failed, found.failed
    return found.made[0]


def test_an_entity_is_its_attributes_each_shown_by_people_without_a_name(proposer: FromWorld) -> None:
    person = proposer.world.entities[0]
    made = propose(proposer, f"entity={person.entity}")
    values = [getattr(person, a) for a in ("nationality", "profession", "field", "era", "trait")]
    assert [p.word for p in made.parts] == values
    names = {last for p in proposer.world.entities for last in (p.name or ())[1:]}
    for part in made.parts:
        assert len(part.phrases) >= 6
        others = set(values) - {part.word} - ({person.profession} if part.word == person.field else set())
        for text in part.texts:
            words = set(text.replace(".", " ").replace("!", " ").split())
            assert part.word in words
            assert words.isdisjoint(others)
            assert words.isdisjoint(names)
    assert all(" ".join(person.name or ()) in p.text for p in made.whole)


def test_an_attribute_is_shown_by_somebody_unnamed_and_by_named_people_apart(proposer: FromWorld) -> None:
    made = propose(proposer, "nationality=German")
    unnamed, *named = made.parts
    assert all("German" in text for text in unnamed.texts)
    assert len(named) == 4
    for part in named:
        assert all(part.word in text and "German" not in text for text in part.texts)
        carrier = next(p for p in proposer.world.entities if p.entity == part.word)
        assert carrier.nationality == "German"


def test_a_sense_is_told_by_the_word_before_and_the_phrase_ends_there(proposer: FromWorld) -> None:
    made = propose(proposer, "sense=bank (money)")
    assert [p.word for p in made.parts] == ["wealthy", "marble"]
    assert all(text.endswith(f"{part.word} bank") for part in made.parts for text in part.texts)


def test_words_of_a_pattern_are_dealt_into_parts_that_do_not_mix(proposer: FromWorld) -> None:
    made = propose(proposer, "pattern=month")
    assert len(made.parts) == 5
    assert len({k for part in made.parts for k in part.keywords}) >= 10
    for part in made.parts:
        others = {k for other in made.parts if other is not part for k in other.keywords}
        for text in part.texts:
            words = set(text.split())
            assert words & set(part.keywords)
            assert words.isdisjoint(others)


def test_every_concept_of_the_world_has_a_proposal_that_the_tokenizer_can_read(proposer: FromWorld) -> None:
    tokenizer = build_tokenizer()
    unknown = total = 0
    for concept, _ in proposer.world.concepts:
        made = propose(proposer, concept)
        assert made.n_phrases >= 12, concept
        assert made.label == concept
        for text in [t for p in made.parts for t in p.texts] + [p.text for p in made.whole]:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            total, unknown = total + len(ids), unknown + ids.count(3)
            assert 4 <= len(ids) <= 20
    assert unknown < 0.01 * total


def test_the_same_label_has_the_same_phrases_and_another_sample_others(proposer: FromWorld) -> None:
    first, again = propose(proposer, "era=modern"), propose(proposer, "era=modern")
    assert first == again
    other = propose(proposer, "era=modern", sample=1)
    assert [p.word for p in other.parts] == [p.word for p in first.parts]
    texts = [{t for p in made.parts for t in p.texts} for made in (first, other)]
    assert len(texts[0] & texts[1]) <= 0.2 * len(texts[0])  # the world says simple things more than once


def test_phrases_are_of_documents_that_nothing_was_trained_on() -> None:
    from core.demo.builder import MODEL_START, SAE_START, SCALES

    largest = max(SAE_START + SCALES["full"].n_sae_documents, MODEL_START + 2400 * 16)
    assert largest < START


def test_a_label_that_is_no_concept_is_not_proposed_and_the_rest_is(proposer: FromWorld) -> None:
    labels = [Label(1, "something else", "x"), Label(2, "", ""), Label(3, "trait=patient", "x")]
    found = proposer.propose(labels, 0, lambda n: None)
    assert [f.reason for f in found.failed] == ["it names no concept of the planted world", "the feature has no label"]
    assert [p.label for p in found.made] == ["trait=patient"]


def test_only_runs_of_a_world_have_truth(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    with pytest.raises(InputError, match="nothing is known to be true"):
        FromWorld.of_run(run, Asking())
    (run.path / "world.json").write_text("[]")
    with pytest.raises(InputError):
        FromWorld.of_run(run, Asking())
    people = [{"name": ["A", "B"]}] * 60
    (run.path / "world.json").write_text(json.dumps({"seed": 7, "entities": people}))
    assert FromWorld.of_run(run, Asking()).world.seed == 7


def test_concepts_of_the_proposer_are_those_of_the_annotation(proposer: FromWorld) -> None:
    world = proposer.world
    names = annotate(world, list(world.documents(0, 3))).concepts["concept"].tolist()
    assert names == [name for name, _ in world.concepts]
