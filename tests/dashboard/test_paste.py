"""The box that takes anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.paste import Index, RunCard, card_of, find_run, understand

NP = "gemma-2-2b/20-gemmascope-res-16k"
CARDS = [
    RunCard("gpt2", release="gpt2-small-res-jb", sae_id="blocks.8.hook_resid_pre"),
    RunCard(
        "gemma", release="gemma-scope-2b-pt-res-canonical", sae_id="layer_20/width_16k/canonical", neuronpedia_id=NP
    ),
    RunCard("mine", path="saes/mine"),
]


@pytest.mark.parametrize(
    ("text", "kind", "feature"),
    [
        ("", "empty", None),
        ("  \n ", "empty", None),
        ("12", "feature", 12),
        (" #12 ", "feature", 12),
        ("feature 12", "feature", 12),
        ("latent #7", "feature", 7),
        ("-3", "feature", -3),
        ("1000000000", "feature", 10**9),
        ("12, 40", "features", None),
        ("12 40 7", "features", None),
        (NP, "neuronpedia", None),
        (f"{NP}/10956", "neuronpedia", 10956),
        (f"https://www.neuronpedia.org/{NP}/10956", "neuronpedia", 10956),
        (f"neuronpedia.org/{NP}/10956?embed=true", "neuronpedia", 10956),
        (f"https://www.neuronpedia.org/api/feature/{NP}/10956", "neuronpedia", 10956),
        ("gpt2-small-res-jb:blocks.8.hook_resid_pre", "sae", None),
        ("gpt2-small-res-jb blocks.8.hook_resid_pre", "sae", None),
        ("gpt2-small-res-jb:blocks.8.hook_resid_pre 77", "sae", 77),
        ("gemma-scope-2b-pt-res-canonical layer_20/width_16k/canonical", "sae", None),
        ("gpt2", "link", None),
        ("http://localhost:8501/feature?run=gpt2&feature=5", "link", 5),
        ("http://localhost:8501/?run=gpt2", "link", None),
        ("black cat", "words", None),
        ("well-known cat", "words", None),
        ("https://example.com/page", "words", None),
        ("The quick brown fox jumps over the lazy dog.", "words", None),
        ("<script>alert(1)</script>", "words", None),
    ],
)
def test_what_is_understood(text: str, kind: str, feature: int | None) -> None:
    pasted = understand(text, [c.run for c in CARDS])
    assert (pasted.kind, pasted.feature) == (kind, feature)


def test_a_list_keeps_its_order_and_each_feature_once() -> None:
    assert understand("40, 12; 40 7").features == (40, 12, 7)


@given(st.text(max_size=300))
def test_every_text_is_understood_as_something(text: str) -> None:
    pasted = understand(text, ["gpt2"])
    assert pasted.kind in {"empty", "feature", "features", "neuronpedia", "sae", "link", "words"}
    assert (pasted.kind == "empty") == (not text.split())


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("gpt2-small-res-jb:blocks.8.hook_resid_pre", ["gpt2"]),
        (f"{NP}/3", ["gemma"]),
        ("saes/mine", ["mine"]),
        ("https://x.org/?run=mine", ["mine"]),
        ("gpt2-small-res-jb:blocks.7.hook_resid_pre", []),
        ("https://x.org/?run=mien", []),
    ],
)
def test_the_run_meant_is_found_or_not(text: str, runs: list[str]) -> None:
    assert find_run(understand(text), CARDS)[0] == runs


def test_a_near_miss_names_the_nearest_first() -> None:
    _, near = find_run(understand("gpt2-small-res-jb:blocks.7.hook_resid_pre"), CARDS)
    assert near[0] == "gpt2-small-res-jb:blocks.8.hook_resid_pre"
    _, near = find_run(understand("gemma-2-2b/20-gemmascope-res-65k/1"), CARDS)
    assert near[0] == NP


def test_a_card_reads_a_manifest_that_says_nothing() -> None:
    assert card_of({}, "bare") == RunCard("bare")
    assert card_of({"sae": {"release": None}, "recipe": {"sae": {"path": "p"}}}, "x") == RunCard("x", path="p")


INDEX = Index.of(
    ["names of cats", "", "function words", ""],
    [[" cat", " Cats"], [" dog", " cat"], [" the", " of"], [" the", "#"]],
)


def test_features_that_share_words_come_rarest_word_first() -> None:
    rows, near = INDEX.rank("the dog", 4)
    assert rows.tolist() == [1, 2, 3]
    assert near == []


def test_a_word_in_a_label_counts_twice_and_letter_case_does_not() -> None:
    assert INDEX.rank("CATS", 4)[0].tolist() == [0]
    assert INDEX.rank("OF", 4)[0].tolist() == [0, 2]


def test_a_sign_can_be_searched() -> None:
    assert INDEX.rank("#", 4)[0].tolist() == [3]


def test_unknown_words_name_the_nearest_known() -> None:
    rows, near = INDEX.rank("dogg", 4)
    assert rows.tolist() == []
    assert near == ["dog"]


def test_an_empty_index_answers() -> None:
    assert Index.of([], []).rank("cat", 0)[0].tolist() == []
