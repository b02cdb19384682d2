"""Features found on prompts: the planted ones, and none where prompts are text like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.analyses.prompt_model import Prompt
from core.errors import InputError
from core.lab.finding import FindParams, find_features
from core.lab.prompts import PromptTable
from core.store import Run
from tests.lab.conftest import prompts
from tests.lab.fake_prompt_model import FakePromptModel, Language


def test_the_planted_feature_is_found_with_its_numbers(language: Language, run: Run, model: FakePromptModel) -> None:
    result = find_features(model, run, PromptTable.of_texts(prompts(language, 60, "alpha", 0.9)))
    table = result.table("found")
    best = table.iloc[0]
    assert table.loc[table["found"], "feature"].tolist() == [5]
    assert best["share_lo"] < 0.9 < best["share_hi"]
    assert best["base_share"] < 0.02
    assert best["lift_lo"] > 10
    assert best["auroc_lo"] > 0.85
    assert best["n_fired"] / result.summary["n_prompts"] == best["share"]


def test_text_like_the_runs_finds_nothing_beyond_the_false_discovery_rate(language: Language, run: Run) -> None:
    """Every discovery is false here, so the share of draws with any is what the rate promises to bound."""
    any_found = []
    for seed in range(25):
        table = PromptTable.of_texts(prompts(language, 40, seed=seed + 1))
        found = find_features(FakePromptModel(language), run, table, FindParams(seed=seed))
        any_found.append(found.summary["n_found"] > 0)
    assert np.mean(any_found) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 25)


def test_contexts_of_the_run_itself_find_nothing(language: Language, run: Run, model: FakePromptModel) -> None:
    rows = run.contexts(np.random.default_rng(0).choice(1200, 50, replace=False))
    texts = ["".join(run.str_tokens[ids[1:]]).strip() for ids in rows["token_ids"]]
    assert find_features(model, run, PromptTable.of_texts(texts)).summary["n_found"] == 0


@pytest.mark.parametrize("n_words", [3, 45])
def test_the_base_follows_the_prompts_length(
    language: Language, run: Run, model: FakePromptModel, n_words: int
) -> None:
    """Dense features fire on more of long texts and on fewer of short ones; neither is a discovery."""
    rng = np.random.default_rng(5)
    result = find_features(model, run, PromptTable.of_texts([language.text(rng, n_words) for _ in range(80)]))
    table = result.table("found").set_index("feature")
    dense = int(np.argmax(language.density))
    expected = 1 - (1 - language.density[dense]) ** n_words
    assert table.loc[dense, "base_share"] == pytest.approx(expected, abs=0.06)
    assert result.summary["n_found"] == 0


def test_a_threshold_leaves_weak_firings_out(language: Language, run: Run, model: FakePromptModel) -> None:
    table = PromptTable.of_texts(prompts(language, 60, "alpha"))
    strict = find_features(model, run, table, FindParams(theta=2.5)).table("found")
    assert 5 not in strict.loc[strict["found"], "feature"].tolist(), "its acts lie between 1 and 2"
    assert (strict["max_act"].dropna() > 2.5).all()


def test_silent_features_are_counted_and_not_tested(language: Language, run: Run, model: FakePromptModel) -> None:
    result = find_features(model, run, PromptTable.of_texts(prompts(language, 20)), FindParams(theta=4.05))
    assert result.summary["n_tested"] + result.summary["n_silent"] == language.n_features
    assert result.summary["n_silent"] > 0
    assert len(result.table("found")) == result.summary["n_tested"]


def test_equal_prompts_and_prompts_of_one_document_count_once(
    language: Language, run: Run, model: FakePromptModel
) -> None:
    texts = prompts(language, 10, "alpha")
    many = find_features(model, run, PromptTable.of_texts(texts * 20 + ["", "  "]))
    assert many.summary["n_prompts"] == 10
    assert any("equal" in note for note in many.notes)
    assert any("no token" in note for note in many.notes)
    table = replace(PromptTable.of_texts(texts), documents=("x", "x", "x", "y", *[""] * 6))
    assert find_features(model, run, table).summary["n_prompts"] == 8


def test_too_few_prompts_are_refused(run: Run, model: FakePromptModel) -> None:
    with pytest.raises(InputError, match="too few"):
        find_features(model, run, PromptTable((Prompt("w1 w2"),)))


def test_what_fires_at_the_start_of_any_text_is_no_discovery(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A feature for the first word fires on all prompts, and on all beginnings of contexts."""

    class First(Language):
        def acts(self, ids: np.ndarray) -> np.ndarray:
            out = super().acts(ids)
            out[:, 9] = np.arange(len(ids)) == 0
            return out

    language = First(n_features=30)
    made = language.write(tmp_path_factory.mktemp("first"), 600)
    result = find_features(FakePromptModel(language), made, PromptTable.of_texts(prompts(language, 50)))
    row = result.table("found").set_index("feature").loc[9]
    assert row["share"] == 1
    assert row["base"] == "beginnings"
    assert not row["found"]
