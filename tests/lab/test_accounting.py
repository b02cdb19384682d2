"""Hypotheses held to account: right labels, random firing, firing that only follows length."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from core.errors import InputError
from core.lab.accounting import AccountParams, hold_to_account, phrases_csv, positives
from core.lab.prompts import PromptTable
from core.lab.result import LabResult
from core.proposals.upload import read_upload
from tests.lab.conftest import groups, prompts
from tests.lab.fake_prompt_model import FakePromptModel, Language


def rate(result: LabResult, level: str, measure: str) -> dict[str, float]:
    rows = result.table("account_rates")
    (row,) = rows[(rows["level"] == level) & (rows["measure"] == measure)].to_dict("records")
    return row


def test_a_true_label_has_its_sensitivity_and_specificity(language: Language, model: FakePromptModel) -> None:
    table = groups(prompts(language, 50, "alpha", 0.8), prompts(language, 50, seed=1), labels=True)
    result = hold_to_account(model, table, 5, "the word alpha")
    sense, spare = rate(result, "text", "sensitivity"), rate(result, "text", "specificity")
    n_words = sum("alpha" in t.text.split() for t in table.prompts[:50])
    assert sense["value"] == n_words / 50
    assert sense["value_lo"] < sense["value"] < sense["value_hi"]
    assert spare["value"] == 1
    assert spare["value_lo"] == pytest.approx(0.025 ** (1 / 50), abs=1e-6), "Clopper and Pearson without a miss"
    assert rate(result, "text", "balanced accuracy")["value_lo"] > 0.75
    assert rate(result, "token", "precision")["value"] == 1
    tokens = result.table("account_tokens")
    assert tokens["str_token"].tolist() == [" alpha"]
    assert tokens["n_firing_positive"].tolist() == tokens["n_positive"].tolist() == [n_words]


def test_random_firing_comes_out_at_chance_everywhere(language: Language) -> None:
    """Twenty-four hypotheses about features that know nothing: each measure's mean is its chance, intervals hold it."""
    random = np.flatnonzero((language.density > 0.02) & (language.density < 0.1))[:6]
    found, held = [], []
    for seed in range(4):
        table = groups(
            prompts(language, 40, seed=2 * seed + 10), prompts(language, 40, seed=2 * seed + 11), labels=True
        )
        for feature in random:
            result = hold_to_account(
                FakePromptModel(language), table, int(feature), "anything", AccountParams(seed=seed)
            )
            rows = result.table("account_rates")
            rows = rows[rows["measure"] != "AUROC of length"]
            found.append(rows["value"].to_numpy() - rows["chance"].to_numpy())
            held.append((rows["value_lo"] <= rows["chance"]) & (rows["chance"] <= rows["value_hi"]))
    np.testing.assert_allclose(np.nanmean(found, axis=0), 0, atol=0.04)
    assert np.mean(held) > 0.9
    balanced = [v[2] for v in found]
    assert abs(np.mean(balanced)) < 0.03


def test_firing_that_only_follows_length_is_said_to(language: Language, model: FakePromptModel) -> None:
    rng = np.random.default_rng(0)
    long, short = ([language.text(rng, n) for _ in range(60)] for n in (50, 6))
    dense = int(np.argmin(np.abs(language.density - 0.03)))
    result = hold_to_account(model, groups(long, short, labels=True), dense, "anything")
    balanced = rate(result, "text", "balanced accuracy")
    assert balanced["value_lo"] > 0.55, "it looks like a good label"
    assert balanced["by_length"] == pytest.approx(balanced["value"], abs=0.1)
    assert rate(result, "text", "AUROC of length")["value"] == 1
    assert any("longer" in note for note in result.notes)
    tokens = rate(result, "token", "balanced accuracy")
    assert tokens["value_lo"] < 0.5 < tokens["value_hi"]


def test_counter_examples_come_first_loudest_negative_at_the_head(language: Language, model: FakePromptModel) -> None:
    rng = np.random.default_rng(1)
    wrong = [language.text(rng, 12, "alpha") for _ in range(3)]
    missed = [language.text(rng, n) for n in (9, 20)]
    fine = [language.text(rng, 12, "alpha") for _ in range(4)]
    table = PromptTable.of_texts([*fine, *missed, *wrong, *prompts(language, 5)], labels=["1"] * 6 + ["0"] * 8)
    rows = hold_to_account(model, table, 5, "alpha").table("account_texts")
    assert rows["counter_example"].tolist() == [True] * 5 + [False] * 9
    assert set(rows["prompt"][:3]) == {6, 7, 8}
    assert rows["max_act"][:3].is_monotonic_decreasing
    assert rows["prompt"][3:5].tolist() == [5, 4], "of the silent positives the longest first"
    assert rows["peak_token"].tolist()[:3] == [" alpha"] * 3
    assert rows["peak_pos"].isna().tolist() == (~rows["fires"]).tolist()


@pytest.mark.parametrize("n", [4, 12])
def test_a_token_rate_without_an_interval_is_explained(n: int, language: Language, model: FakePromptModel) -> None:
    table = groups(prompts(language, n, "alpha"), prompts(language, n, seed=1), labels=True)
    result = hold_to_account(model, table, 5, "alpha")
    assert np.isfinite(rate(result, "token", "sensitivity")["value_lo"]) == (n >= 10)
    assert any("it takes ten texts" in note for note in result.notes) == (n < 10)


def test_places_count_every_token_once(language: Language, model: FakePromptModel) -> None:
    table = groups(prompts(language, 20, "alpha"), prompts(language, 20, seed=1), labels=True)
    result = hold_to_account(model, table, 5, "alpha")
    places, texts = result.table("account_places"), result.table("account_texts")
    assert len(places) == 20
    for positive in (True, False):
        mine, theirs = places[places["positive"] == positive], texts[texts["positive"] == positive]
        assert mine["n_tokens"].sum() == theirs["n_tokens"].sum()
        assert mine["n_firing"].sum() == theirs["n_firing"].sum()


def test_a_threshold_counts_as_silence_what_lies_below(language: Language, model: FakePromptModel) -> None:
    table = groups(prompts(language, 20, "alpha"), prompts(language, 20, seed=1), labels=True)
    result = hold_to_account(model, table, 5, "alpha", AccountParams(theta=2.5))
    assert result.summary["sensitivity"] == 0
    assert any("none" in note for note in result.notes)
    assert result.summary["auroc"] > 0.9, "how strongly does not depend on the threshold"


@pytest.mark.parametrize(
    ("words", "positive", "expected"),
    [
        (["1", "0", ""], "", [True, False, None]),
        (["Yes", "no", "NO"], "", [True, False, False]),
        (["cat", "dog", ""], "Cat", [True, False, None]),
    ],
)
def test_labels_say_where_it_should_fire(words: list[str], positive: str, expected: list[bool | None]) -> None:
    texts = [f"w{i}" for i in range(len(words))]
    assert positives(PromptTable.of_texts(texts, labels=words), positive) == expected
    assert positives(PromptTable.of_texts(texts, words), positive) == expected, "groups where there are no labels"


@pytest.mark.parametrize(("words", "positive"), [(["cat", "dog"], ""), (["", ""], ""), (["1", "0"], "cat"), ([], "")])
def test_labels_that_do_not_say_are_refused(words: list[str], positive: str) -> None:
    with pytest.raises(InputError, match="not clear"):
        positives(PromptTable.of_texts(["w1", "w2"], labels=words), positive)


def test_only_positives_are_no_hypothesis(language: Language, model: FakePromptModel) -> None:
    table = PromptTable.of_texts(prompts(language, 5), labels=["1"] * 5)
    with pytest.raises(InputError, match="no negative"):
        hold_to_account(model, table, 5, "alpha")


def test_positives_become_phrases_that_decompose_takes(language: Language, model: FakePromptModel) -> None:
    table = groups(prompts(language, 9, "alpha"), prompts(language, 9, seed=1), labels=True)
    data = phrases_csv(hold_to_account(model, table, 5, "=words, such as alpha"))
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert [r["phrase"] for r in rows] == [p.text for p in table.prompts[:9]]
    uploaded = read_upload(data, "phrases.csv")
    (proposal,) = uploaded.proposals.made
    assert (proposal.feature, proposal.label, uploaded.rejected) == (5, "=words, such as alpha", ())
    assert len(proposal.parts) == 1
    assert len(proposal.parts[0].phrases) == 5
    assert len(proposal.whole) == 4
