"""The retrieval proposer: planted keywords are found, held-out acts are never looked at, chance stays chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from core.proposals.corpus import Corpus, held_out_contexts
from core.proposals.from_corpus import MIN_CONTEXTS, CorpusProposer
from core.proposals.proposal import Proposal
from core.store import FeatureActs, FlatContexts
from tests.factories import write_run

TOPICS = {
    "sea": ["sailor", "harbour", "anchor", "tide"],
    "bread": ["baker", "oven", "flour", "crust"],
    "chess": ["bishop", "pawn", "castle", "checkmate"],
    "snow": ["skier", "glacier", "frost", "sledge"],
    "music": ["violin", "chorus", "drummer", "melody"],
}
FILLER = [
    f"{a}{b}" for a in ("ba", "lo", "mi", "ru", "te", "so", "ne", "ka") for b in ("dor", "lin", "ves", "mot", "gar")
]


@dataclass(frozen=True)
class TextWorld:
    """A run in memory: ``acts_of[feature]`` are dense acts ``[n_contexts, n_pos]``; position 0 is BOS, id 0."""

    vocabulary: np.ndarray
    tokens: np.ndarray
    document: np.ndarray
    acts_of: dict[int, np.ndarray]

    @property
    def str_tokens(self) -> np.ndarray:
        return self.vocabulary

    @property
    def special_ids(self) -> frozenset[int]:
        return frozenset({0})

    def flat_contexts(self) -> FlatContexts:
        n, n_pos = self.tokens.shape
        return FlatContexts(np.arange(n + 1) * n_pos, self.tokens.ravel(), self.document)

    def acts(self, feature: int) -> FeatureActs:
        dense = self.acts_of[feature]
        context, pos = np.nonzero(dense)
        return FeatureActs(context.astype(np.int32), pos.astype(np.int16), dense[context, pos].astype(np.float32))


SEA, BREAD_OR_CHESS, RANDOM, RARE, SILENT, COMMA = range(6)


def make_world(seed: int = 0, n_contexts: int = 800, n_pos: int = 50) -> TextWorld:
    """Filler text with topic words sprinkled in, never two topics in one context.

    SEA fires on the sea words, BREAD_OR_CHESS on those two topics, RANDOM on a random twentieth of all positions,
    COMMA on commas, RARE five times, SILENT never.
    """
    rng = np.random.default_rng(seed)
    words = ["<s>", ",", *FILLER, *(w for topic in TOPICS.values() for w in topic)]
    number = {w: i for i, w in enumerate(words)}
    tokens = rng.choice([number[w] for w in FILLER], size=(n_contexts, n_pos))
    names = list(TOPICS)
    for c in range(n_contexts):
        topic = [number[w] for w in TOPICS[names[c % len(names)]]]
        tokens[c, rng.choice(np.arange(2, n_pos), 3, replace=False)] = rng.choice(topic, 3)
        tokens[c, rng.choice(np.arange(2, n_pos), 2, replace=False)] = number[","]
    tokens[:, 0] = 0
    ids = {t: np.isin(tokens, [number[w] for w in TOPICS[t]]) for t in TOPICS}
    strength = rng.gamma(2.0, 1.0, tokens.shape) + 0.1
    everywhere = rng.random(tokens.shape) < 0.05
    everywhere[:, 0] = False
    rare = np.zeros(tokens.shape, bool)
    rare[rng.choice(n_contexts, 5, replace=False), 7] = True
    acts = {
        SEA: ids["sea"] * strength,
        BREAD_OR_CHESS: (ids["bread"] | ids["chess"]) * strength,
        RANDOM: everywhere * strength,
        RARE: rare * strength,
        SILENT: np.zeros(tokens.shape),
        COMMA: (tokens == number[","]) * strength,
    }
    shown = np.array([w if w in ("<s>", ",") else f" {w}" for w in words], dtype=object)
    return TextWorld(shown, tokens.astype(np.int32), np.arange(n_contexts, dtype=np.int32) // 2, acts)


@pytest.fixture(scope="module")
def world() -> TextWorld:
    return make_world()


def proposal(world: TextWorld, feature: int, seed: int = 0) -> Proposal:
    (made,) = CorpusProposer(Corpus(world, seed)).propose([feature]).made
    return made


def fires(text: str, topics: list[str]) -> bool:
    return any(w in text.split() or f"{w}," in text.split() for t in topics for w in TOPICS[t])


def test_planted_words_become_parts_and_their_phrases_contain_them(world: TextWorld) -> None:
    made = proposal(world, SEA)
    assert {k for p in made.parts for k in p.keywords} >= set(TOPICS["sea"])
    for part in made.parts:
        if set(part.keywords) <= set(TOPICS["sea"]):
            assert len(part.phrases) == 12
            assert all(any(k in t for k in part.keywords) for t in part.texts)
    assert len(made.whole) == 40
    assert all(fires(p.text, ["sea"]) for p in made.whole)
    assert (made.source, made.style) == ("corpus", "isolated")


def test_an_or_of_topics_is_taken_apart_into_both(world: TextWorld) -> None:
    words = {k for p in proposal(world, BREAD_OR_CHESS).parts for k in p.keywords}
    assert words & set(TOPICS["bread"])
    assert words & set(TOPICS["chess"])
    assert not words & {w for t in ("sea", "snow", "music") for w in TOPICS[t]}


def test_punctuation_can_be_a_keyword(world: TextWorld) -> None:
    assert proposal(world, COMMA).parts[0].word == ","


def test_phrases_come_from_held_out_documents_word_for_word(world: TextWorld) -> None:
    held_out = set(world.document[held_out_contexts(world.document)].tolist())
    assert 0 < len(held_out) < len(np.unique(world.document))
    made = proposal(world, SEA)
    texts = {}
    for d, row in zip(world.document, world.tokens, strict=True):
        texts[int(d)] = texts.get(int(d), "") + "".join(world.vocabulary[t] for t in row[1:]) + "\n"
    for phrase in [p for part in made.parts for p in part.phrases] + list(made.whole):
        assert phrase.document in held_out
        assert phrase.text in texts[phrase.document]
        assert 8 <= len(phrase.text.split()) <= 16


def test_no_document_gives_a_part_two_phrases(world: TextWorld) -> None:
    made = proposal(world, SEA)
    for group in [p.phrases for p in made.parts] + [made.whole]:
        documents = [p.document for p in group]
        assert len(documents) == len(set(documents))


def test_phrases_of_a_part_hold_no_other_parts_name(world: TextWorld) -> None:
    made = proposal(world, BREAD_OR_CHESS)
    for part in made.parts:
        others = {p.word for p in made.parts} - {part.word}
        assert not any(others & set(t.replace(",", " ").split()) for t in part.texts)


@pytest.mark.parametrize("feature", [SEA, RANDOM])
def test_what_the_feature_does_in_held_out_text_changes_nothing(world: TextWorld, feature: int) -> None:
    held_out = held_out_contexts(world.document)
    rng = np.random.default_rng(5)
    for change in ("silent", "everywhere", "shuffled"):
        acts = world.acts_of[feature].copy()
        if change == "silent":
            acts[held_out] = 0
        elif change == "everywhere":
            acts[held_out, 1:] = 50.0
        else:
            acts[held_out, 1:] = rng.permutation(acts[held_out, 1:].ravel()).reshape(acts[held_out, 1:].shape)
        other = replace(world, acts_of={feature: acts})
        assert proposal(other, feature) == proposal(world, feature)


def test_what_it_does_in_training_text_changes_the_parts(world: TextWorld) -> None:
    held_out = held_out_contexts(world.document)
    acts = world.acts_of[SEA].copy()
    acts[~held_out] = world.acts_of[BREAD_OR_CHESS][~held_out]
    other = replace(world, acts_of={SEA: acts})
    assert {p.word for p in proposal(other, SEA).parts} & set(TOPICS["sea"]) == set()


def rates(world: TextWorld, made: Proposal, feature: int) -> list[float]:
    """Per part and for the whole: the share of phrases in which the feature fires where they were cut from."""
    corpus = Corpus(world)
    acts = world.acts_of[feature]

    def fired(text: str, document: int) -> bool:
        for row in np.flatnonzero(world.document == document):
            at = corpus.texts[row].find(text)
            if at >= 0:
                starts = np.cumsum([0] + [len(world.vocabulary[t]) for t in world.tokens[row, 1:]])
                inside = (starts[:-1] >= at - 1) & (starts[:-1] < at + len(text))
                return bool((acts[row, 1:][inside] > 0).any())
        raise AssertionError("a phrase that stands nowhere")

    groups = [p.phrases for p in made.parts] + [made.whole]
    return [float(np.mean([fired(p.text, p.document or 0) for p in group])) for group in groups]


def test_a_feature_that_follows_words_fires_on_its_held_out_phrases(world: TextWorld) -> None:
    made = proposal(world, SEA)
    found = rates(world, made, SEA)
    assert all(r == 1.0 for p, r in zip(made.parts, found, strict=False) if set(p.keywords) <= set(TOPICS["sea"]))
    assert found[-1] == 1.0


def test_a_feature_that_fires_at_random_gets_phrases_no_better_than_chance() -> None:
    """Against windows of the same lengths anywhere in held-out text; five worlds, 5 x 12 + 40 phrases each."""
    n_fired = n_phrases = 0
    chance = []
    for seed in range(5):
        world = make_world(seed)
        made = proposal(world, RANDOM)
        groups = [len(p.phrases) for p in made.parts] + [len(made.whole)]
        n_fired += sum(r * n for r, n in zip(rates(world, made, RANDOM), groups, strict=True))
        n_phrases += sum(groups)
        lengths = [len(p.text.replace(",", " ,").split()) for p in made.whole]
        fired = world.acts_of[RANDOM][held_out_contexts(world.document), 1:] > 0
        windows = [np.lib.stride_tricks.sliding_window_view(fired, n, axis=1).any(-1).mean() for n in lengths]
        chance.append(np.mean(windows))
    expected = float(np.mean(chance))
    error = np.sqrt(expected * (1 - expected) / n_phrases)
    assert n_phrases > 400
    assert abs(n_fired / n_phrases - expected) < 3 * error


def test_rare_and_silent_features_are_reported_not_guessed(world: TextWorld) -> None:
    result = CorpusProposer(Corpus(world)).propose([RARE, SILENT, SEA])
    assert [f.feature for f in result.failed] == [RARE, SILENT]
    assert all(f"at least {MIN_CONTEXTS}" in f.reason for f in result.failed)
    assert [p.feature for p in result.made] == [SEA]


def test_the_same_seed_gives_the_same_proposal_and_another_another(world: TextWorld) -> None:
    assert proposal(world, SEA) == proposal(world, SEA)
    assert proposal(world, SEA, seed=1).parts[0].texts != proposal(world, SEA).parts[0].texts


def test_words_cut_in_two_by_the_border_of_contexts_are_no_words() -> None:
    vocabulary = np.array(["<s>", " har", "bour", " sea", "."], dtype=object)
    tokens = np.array([[0, 3, 4, 1], [0, 2, 3, 4], [0, 1, 2, 4]], np.int32)
    world = TextWorld(vocabulary, tokens, np.array([0, 0, 1], np.int32), {})
    assert Corpus(world).words.tolist() == ["sea", ".", "harbour"]


def test_bytes_become_characters_again() -> None:
    vocabulary = np.array(["<s>", " caf", "<0xC3>", "<0xA9>", " at", "<0xE2>"], dtype=object)
    world = TextWorld(vocabulary, np.array([[0, 1, 2, 3, 4, 5]], np.int32), np.zeros(1, np.int32), {})
    corpus = Corpus(world)
    assert corpus.texts[0] == " café at\ufffd"
    assert corpus.words.tolist()[:2] == ["café", "at"]
    assert [corpus._unit_at(0, pos) for pos in (1, 2, 3, 4)] == [0, 0, 0, 1]


def test_it_works_on_a_run_on_disk(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    result = CorpusProposer(Corpus(run)).propose([0, 1, 2, 3])
    assert [f.feature for f in result.failed] == [0]
    cat, _, dense = result.made
    assert cat.parts[0].word == "cat"
    assert not any("not distinctive" in p and "'cat'" in p for p in cat.problems)
    assert any("not distinctive" in p for p in dense.problems)
