"""Controls: which phrases may be one, how own text is cut, which features labels are swapped with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decompose.bank import GROUP, Bank, Group, shipped_bank, text_bank, unknown_share
from core.decompose.near import Controls, Words, labels_near, stems
from core.decompose.own_text import own_text
from core.decompose.stimuli import shuffles
from core.decompose.swaps import swapped_pairs
from core.proposals.corpus import Corpus, held_out_contexts
from core.proposals.proposal import Part, Phrase, Proposal
from core.store import Run
from tests.decompose.planted import Planted, PlantedSource


def proposal(label: str, *parts: str, keywords: tuple[str, ...] = ()) -> Proposal:
    made = tuple(Part(word, (Phrase("x y"),), keywords) for word in parts)
    return Proposal(0, label, "test", "isolated", made, (), "upload", "test")


@pytest.mark.parametrize(("a", "b"), [("bees", "bee"), ("physicist", "physics"), ("Beekeepers", "beekeeping")])
def test_forms_of_a_word_are_one_word(a: str, b: str) -> None:
    assert stems([a]) == stems([b])


@pytest.mark.parametrize(("a", "b"), [("glass", "gla"), ("cat", "car"), ("bus", "bu"), ("harbour", "harvest")])
def test_other_words_are_not(a: str, b: str) -> None:
    assert stems([a]) != stems([b])


def test_labels_are_near_when_they_or_two_of_their_parts_share_words() -> None:
    bees = Words.of(proposal("references to honey bees", "hive", "queen"))
    assert labels_near(bees, Words.of(proposal("a bee in a garden", "flower")))
    assert labels_near(bees, Words.of(proposal("monarchies", "queen", "hive")))
    assert not labels_near(bees, Words.of(proposal("monarchies", "queen", "crown")))
    assert not labels_near(bees, Words.of(proposal("references to words", "text")))


def test_a_shipped_group_about_the_label_is_no_control_and_others_are() -> None:
    controls = Controls(shipped_bank())
    near = controls.near(Words.of(proposal("beekeeping", "honey", "hive", "queen", "smoker", "swarm")))
    left = {controls.bank.phrases[r] for r in controls.rows(near).ravel()}
    groups = {g.name: g.phrases for g in controls.bank.groups}
    assert left.isdisjoint(groups["beekeeping"])
    assert set(groups["plumbing"]) <= left
    assert len(controls.rows(near)) >= 250


def test_of_groups_cut_from_text_only_windows_with_the_words_go() -> None:
    phrases = tuple(f"number {n} of the rest {'harbour' if n < 5 else ''}" for n in range(20))
    bank = Bank("text", tuple(Group(f"w{k}", tuple(f"{p} {k}" for p in phrases)) for k in range(3)))
    controls = Controls(bank)
    near = controls.near(Words.of(proposal("ships", "harbours", "boat")))
    assert len(near) == 15
    rows = controls.rows(near)
    assert rows.shape == (3, GROUP)
    assert not any("harbour" in bank.phrases[r] for r in rows.ravel())


def test_words_that_stand_everywhere_do_not_empty_the_bank() -> None:
    bank = Bank("text", tuple(Group(f"w{k}", tuple(f"the {k} {n}" for n in range(20))) for k in range(5)))
    controls = Controls(bank)
    words = Words.of(proposal("articles", "the", keywords=("the", "3")))
    assert controls.rows(controls.near(words)).shape[0] >= 3


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted(each=1, seed=5)


@pytest.fixture(scope="module")
def run(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted.write(tmp_path_factory.mktemp("cache"))


def test_a_text_bank_is_of_held_out_documents_and_follows_its_seed(run: Run) -> None:
    corpus = Corpus(run, 0)
    bank = text_bank(corpus, 120, seed=0)
    assert len(bank.groups) == 120
    assert all(len(g.phrases) >= GROUP for g in bank.groups)
    assert all(g.name in p.casefold().split() for g in bank.groups[:20] for p in g.phrases)
    flat = run.flat_contexts()
    training = np.flatnonzero(~held_out_contexts(flat.document, 0))
    texts = [" ".join(run.str_tokens[flat.token_ids[flat.ptr[c] + 1 : flat.ptr[c + 1]]]) for c in training]
    squeezed = ["".join(t.split()) for t in texts]
    assert not any("".join(p.split()) in t for p in bank.phrases[:40] for t in squeezed)
    assert text_bank(corpus, 120, seed=0).sha256 == bank.sha256 != text_bank(corpus, 120, seed=1).sha256


def test_own_text_is_held_out_uniform_and_as_long_as_asked(run: Run, planted: Planted) -> None:
    feature = planted.kinds.index("OR")
    corpus = Corpus(run, 0)
    phrases = own_text(corpus, run.acts(feature), feature, 9)
    held = {int(d) for d in np.unique(corpus.document[corpus.is_held_out])}
    assert 10 <= len(phrases) <= 40
    assert {p.document for p in phrases} <= held
    assert all(len(p.text.split()) <= 9 for p in phrases)
    ends = [planted.acts(p.text.split()).get(feature, np.zeros(1))[-1] for p in phrases if " " in p.text]
    assert min(ends) > 0
    assert own_text(corpus, run.acts(feature), feature, 9) == phrases
    assert own_text(corpus, run.acts(feature), feature, 9, seed=1) != phrases


def test_a_feature_that_never_fires_has_no_own_text(run: Run, planted: Planted) -> None:
    silent = planted.kinds.index("no firing")
    assert own_text(Corpus(run, 0), run.acts(silent), silent, 12) == []


def test_unknown_words_of_the_bank_are_counted(planted: Planted) -> None:
    assert unknown_share(PlantedSource(planted), shipped_bank(), 0) == 0
    unknown = Bank("shipped", (Group("g", ("<unk> a <unk> b",) * 12),))
    assert unknown_share(PlantedSource(planted), unknown, 0) == 0.5


@given(st.lists(st.sampled_from("abcde"), max_size=8), st.integers(0, 20), st.integers(0, 3))
def test_shuffles_are_orders_of_the_same_words_and_never_the_label(words: list[str], n: int, seed: int) -> None:
    label = " ".join(words)
    made = [p.text for p in shuffles(label, n, seed)]
    assert len(made) == len(set(made)) <= n
    assert all(sorted(t.split()) == sorted(words) and t != label for t in made)


def test_swaps_are_of_like_density_and_avoid_what_is_near() -> None:
    density = {0: 0.01, 1: 0.011, 2: 0.3, 3: 0.012, 4: 0.0, 5: 0.009}
    pairs = swapped_pairs([0, 2], [0, 1, 2, 3, 4, 5], density, [frozenset({1}), frozenset()], 2)
    assert pairs[0][0] == 0
    assert pairs[0][1] in (3, 5)
    assert all(i != 1 for i, _ in pairs)  # nothing is as dense as feature 2
    assert all(f not in (0, 1, 4) for _, f in pairs)


def test_swaps_use_no_feature_twice_until_all_are_used_and_no_pair_twice() -> None:
    density = dict.fromkeys(range(20), 0.01)
    forbidden = [frozenset({i}) for i in range(20)]
    once = swapped_pairs(range(20), range(20), density, forbidden, 20)
    assert len(once) == 20 == len({f for _, f in once})
    many = swapped_pairs(range(20), range(20), density, forbidden, 100)
    assert len(many) == len(set(many)) == 100
    assert swapped_pairs([0], [0], density, [frozenset()], 5) == []
    assert swapped_pairs([], [], {}, [], 5) == []


def test_some_of_a_bank_are_drawn_by_seed_and_keep_their_order() -> None:
    bank = shipped_bank()
    some = bank.some(100, 0)
    names = [g.name for g in bank.groups]
    order = [names.index(g.name) for g in some.groups]
    assert len(order) == 100
    assert order == sorted(order)
    assert some.sha256 == bank.some(100, 0).sha256 != bank.some(100, 1).sha256
    assert bank.some(1000, 0).sha256 == bank.sha256


def test_the_bank_ships_whole() -> None:
    bank = shipped_bank()
    assert len(bank.groups) >= 300
    assert all(len(g.phrases) == GROUP for g in bank.groups)
    assert len(bank.rows) == len(bank.groups)
    assert bank.rows[1] == range(12, 24)
