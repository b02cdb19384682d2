"""Contrasts of two groups: planted ones are found, shuffled ones are not, documents are taken whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import InputError
from core.lab.contrasting import ContrastParams, contrast_groups
from core.lab.prompts import PromptTable
from core.store import Run
from tests.lab.conftest import groups, prompts
from tests.lab.fake_prompt_model import FakePromptModel, Language


def test_the_planted_contrast_is_found_in_its_direction(language: Language, run: Run, model: FakePromptModel) -> None:
    a, b = prompts(language, 50, "alpha", 0.8), prompts(language, 50, "beta", 0.8, seed=1)
    result = contrast_groups(model, run, groups(a, b))
    table = result.table("contrasted").set_index("feature")
    assert sorted(table.index[table["found"]]) == [5, 6]
    assert table.loc[5, "auroc"] > 0.75
    assert table.loc[6, "auroc"] < 0.25
    assert table.loc[5, "difference_lo"] > 0.5
    assert table.loc[6, "difference_hi"] < -0.5
    assert (table.loc[[5, 6], "held_out_auroc"] > 0.75).all()
    assert (table.loc[[5, 6], "p_max"] < 0.01).all()
    assert set(result.table("folds")["feature"]) <= {5, 6}
    assert result.summary["best_auroc"] > result.summary["shuffled_best_95"] or table.loc[6, "auroc"] < 0.25
    assert result.summary["chosen_held_out_auroc"] > 0.75


def test_shuffled_groups_give_nothing(language: Language, run: Run) -> None:
    texts = prompts(language, 60, "alpha", 0.5)
    any_found, beaten = [], []
    for seed in range(40):
        said = np.random.default_rng(seed).permutation(["a"] * 30 + ["b"] * 30).tolist()
        result = contrast_groups(
            FakePromptModel(language), run, PromptTable.of_texts(texts, said), ContrastParams(n_shuffles=100, seed=seed)
        )
        any_found.append(result.summary["n_found"] > 0)
        beaten.append(result.summary["best_p_max"] <= 0.05)
    assert np.mean(any_found) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 40)
    assert np.mean(beaten) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 40)


def test_documents_are_shuffled_whole(language: Language, run: Run, model: FakePromptModel) -> None:
    """Six documents a group, one word in all prompts of one of them: no difference between groups of documents."""
    texts = prompts(language, 120, seed=3)
    texts[:10] = prompts(language, 10, "alpha", seed=4)
    said = ["a"] * 60 + ["b"] * 60
    table = PromptTable.of_texts(texts, said)
    alone = contrast_groups(model, run, table).table("contrasted").set_index("feature")
    documents = replace(table, documents=tuple(str(i // 10) for i in range(120)))
    together = contrast_groups(model, run, documents).table("contrasted").set_index("feature")
    assert alone.loc[5, "p"] < 0.01
    assert together.loc[5, "p"] > 0.3
    assert not together["found"].any()
    assert together.loc[5, "difference_lo"] < 0.02 < alone.loc[5, "difference_lo"]


def test_longer_prompts_in_one_group_are_said(language: Language, run: Run, model: FakePromptModel) -> None:
    rng = np.random.default_rng(0)
    a, b = ([language.text(rng, n) for _ in range(30)] for n in (40, 10))
    result = contrast_groups(model, run, groups(a, b))
    assert any("longer" in note and "'a'" in note for note in result.notes)


@pytest.mark.parametrize(
    ("said", "params"),
    [
        (["a", "b", "c"] * 5, ContrastParams()),
        (["a"] * 15, ContrastParams()),
        ([""] * 15, ContrastParams()),
        (["a", "b", "c"] * 5, ContrastParams(a="a", b="z")),
        (["a", "b", "c"] * 5, ContrastParams(a="a", b="a")),
        (["a", "b", "c"] * 5, ContrastParams(a="a")),
        (["a"] * 13 + ["b"] * 2, ContrastParams()),
    ],
)
def test_groups_that_are_not_two_are_refused(
    language: Language, model: FakePromptModel, said: list[str], params: ContrastParams
) -> None:
    with pytest.raises(InputError):
        contrast_groups(model, None, PromptTable.of_texts(prompts(language, 15), said), params)


def test_named_groups_are_compared_in_that_order_and_the_rest_left_out(
    language: Language, model: FakePromptModel
) -> None:
    table = PromptTable.of_texts(prompts(language, 45), ["x", "y", "z"] * 15)
    result = contrast_groups(model, None, table, ContrastParams(a="z", b="x", n_shuffles=100))
    assert (result.params["a"], result.params["b"]) == ("z", "x")
    assert result.summary["n_a"] == result.summary["n_b"] == 15
    assert any("neither" in note for note in result.notes)
