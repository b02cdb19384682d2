"""Chosen features on prompts: one number a cell, whatever the threshold, equal to what the acts say."""

from __future__ import annotations

import numpy as np
import pytest

from core.analyses.prompt_model import Prompt, Turn
from core.errors import InputError
from core.lab.prompts import PromptTable, spelt
from core.lab.testing import measure_features, summarise
from core.store import Run
from tests.lab.conftest import prompts
from tests.lab.fake_prompt_model import FakePromptModel, Language

FEATURES = [60, 5, 3, 99]


@pytest.mark.parametrize("theta", [0.0, 1.5])
def test_the_matrix_equals_the_acts_of_each_prompt(language: Language, model: FakePromptModel, theta: float) -> None:
    texts = [*prompts(language, 30, "alpha", 0.5), "", "w1 w2 alpha"]
    found = measure_features(model, PromptTable.of_texts(texts), FEATURES).matrix(theta)
    for i, text in enumerate(texts):
        acts = language.acts(language.ids(text))[:, FEATURES]
        if not text:
            assert np.isnan(found.max_act[i]).all()
            assert found.n_firing[i].sum() == 0
            continue
        np.testing.assert_allclose(found.max_act[i], acts.max(0))
        np.testing.assert_allclose(found.mean_act[i], acts.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found.last_act[i], acts[-1])
        np.testing.assert_array_equal(found.n_firing[i], (acts > theta).sum(0))


def test_rates_stand_beside_the_runs_own(language: Language, run: Run, model: FakePromptModel) -> None:
    measured = measure_features(model, PromptTable.of_texts(prompts(language, 40, "alpha")), FEATURES)
    result = summarise(measured, 0.0, run)
    rows = result.table("tested").set_index("feature")
    assert rows.index.tolist() == sorted(FEATURES)
    density = run.features().set_index("feature")["density"]
    np.testing.assert_allclose(rows["run_density"], density[rows.index])
    assert rows.loc[5, "share"] == 1
    assert rows.loc[5, "share_lo"] == pytest.approx(0.025 ** (1 / 40), abs=1e-6)
    assert rows.loc[5, "token_share"] > 10 * rows.loc[5, "run_density"]


def test_cells_of_a_prompt_without_tokens_are_absent_not_zero(language: Language, model: FakePromptModel) -> None:
    result = summarise(measure_features(model, PromptTable.of_texts(["w1 w2", " "]), FEATURES, log_probs=True))
    cells = result.table("cells")
    blank = cells[cells["prompt"] == 1]
    assert blank[["max_act", "mean_act", "last_act", "n_firing", "fires"]].isna().all().all()
    assert cells[cells["prompt"] == 0].notna().all().all()
    assert result.table("tested")["n_prompts"].tolist() == [1] * 4
    logs = result.table("prompts")["log_probs"]
    assert np.isnan(logs[0][0])
    assert len(logs[0]) == 3


def test_conversations_keep_their_turns(language: Language, model: FakePromptModel) -> None:
    prompt = Prompt(turns=(Turn("user", "w1 alpha"), Turn("assistant", "w2")))
    result = summarise(measure_features(model, PromptTable((prompt,)), [5]))
    row = result.table("prompts").iloc[0]
    assert row["text"] == spelt(prompt) == "user: w1 alpha\nassistant: w2"
    assert row["turns"] == '[{"role": "user", "content": "w1 alpha"}, {"role": "assistant", "content": "w2"}]'


def test_a_test_of_nothing_is_refused(language: Language, model: FakePromptModel) -> None:
    with pytest.raises(InputError, match="no feature"):
        measure_features(model, PromptTable.of_texts(["w1"]), [])
    with pytest.raises(InputError, match="no prompts"):
        measure_features(model, PromptTable(()), [5])
    many = PromptTable.of_texts(["w1"] * 20_001)
    with pytest.raises(InputError, match="too much"):
        measure_features(model, many, range(1000))
    assert model.n_prompts == 0


def test_whoever_watches_can_stop_it(language: Language, model: FakePromptModel) -> None:
    class Enough(Exception):
        pass

    class Watcher:
        def stage(self, name: str, total: float | None = None, unit: str = "") -> None: ...
        def note(self, text: str) -> None: ...
        def advance(self, n: float) -> None:
            raise Enough

    with pytest.raises(Enough):
        measure_features(model, PromptTable.of_texts(prompts(language, 50)), [5], progress=Watcher())
    assert model.n_prompts == 1
