"""Prompts through the run's own model and SAE give what the run stored, and what SAELens and transformers say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from core.analyses.activation_source import Stimulus
from core.analyses.prompt_model import Prompt
from core.engine import log_probs, prompt_acts, prompt_model
from core.engine.prompt_model import RunPromptModel, run_prompt_model
from core.engine.run import run_recipe
from core.errors import InputError, MachineError
from core.recipe import load_recipe
from core.store import Run, Store
from tests.engine.prompt_models import LOADERS, tiny_prompt_model
from tests.engine.tiny import D_SAE
from tests.test_prompt_model_contract import DEMO

TEXTS = [f"phrase {'x' * (n % 9)} number {n}" for n in range(40)]


# --- parity with the run ------------------------------------------------------------------------------------


def require_stored_acts(run: Run, model: RunPromptModel, n_contexts: int, n_features: int, least: int) -> None:
    """Prompts that are a run's contexts have the very firings that the run stored for them."""
    rows = run.contexts(np.arange(n_contexts))
    texts = ["".join(run.str_tokens[i] for i in ids if i not in run.special_ids) for ids in rows["token_ids"]]
    texts = [text.removeprefix(" ") for text in texts]  # sentencepiece begins every text with one of its own
    views = model.views([Prompt(t) for t in texts])
    same = [k for k, v in enumerate(views) if np.array_equal(v.token_ids, rows["token_ids"].iloc[k])]
    assert len(same) >= least  # the rest begins inside a word
    index = run.features().sort_values("n_firings", ascending=False)
    features = index["feature"].to_numpy()[:n_features]
    found = model.token_acts([Prompt(texts[k]) for k in same], features)
    assert len(found.act) > 100
    for feature in features:
        stored, mine = run.acts(int(feature)), found.feature == feature
        here = np.isin(stored.context, same)
        assert (np.asarray(same)[found.prompt[mine]] == stored.context[here]).all()
        assert (found.pos[mine] == stored.pos[here]).all()
        assert np.allclose(found.act[mine], stored.act[here], rtol=2e-3, atol=1e-4)  # stored as float16


def test_the_demos_contexts_as_prompts_have_the_stored_acts_jumprelu() -> None:
    run = Run(DEMO)
    require_stored_acts(run, run_prompt_model(run, "cpu"), 60, 80, 60)


def test_real_stories_as_prompts_have_the_stored_acts_topk(shared: Path, tmp_path: Path) -> None:
    recipes = Path(prompt_model.__file__).parents[1] / "recipes"
    recipe = load_recipe(recipes / "stories260K.toml")
    recipe = replace(recipe, corpus=replace(recipe.corpus, n_contexts=40, context_size=64))
    run = run_recipe(recipe, recipes, Store(tmp_path))
    require_stored_acts(run, run_prompt_model(run, "cpu"), 30, 60, 8)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk", "gated"])
def test_acts_are_those_of_sae_lens_prompt_by_prompt(tmp_path: Path, architecture: str) -> None:
    model = tiny_prompt_model(tmp_path, architecture)
    features = list(range(0, D_SAE, 5))
    found = model.token_acts([Prompt(t) for t in TEXTS], features)
    for i, view in enumerate(model.views([Prompt(t) for t in TEXTS])):
        resid = model._parts.model.resid(torch.from_numpy(view.token_ids.astype(np.int64))[None])[0]
        expected = model._parts.sae._sae.encode(resid).detach().numpy()
        expected[view.is_special] = 0
        mine, here = np.zeros_like(expected), found.prompt == i
        mine[found.pos[here], found.feature[here]] = found.act[here]
        assert np.allclose(mine[:, features], expected[:, features], atol=1e-5)


def test_acts_are_those_of_the_source_that_tests_labels(tmp_path: Path) -> None:
    model = tiny_prompt_model(tmp_path)
    source = model.measure([Stimulus(t) for t in TEXTS], [3, 0, 17])
    found = model.prompt_acts([Prompt(t) for t in TEXTS], [3, 0, 17])
    mine = np.zeros((len(TEXTS), D_SAE))
    mine[found.prompt, found.feature] = found.max_act
    assert np.allclose(mine[:, [3, 0, 17]], source.max_act, atol=1e-6)
    assert model.about["sae_sha256"]


def test_a_run_with_other_weights_now_is_refused(tmp_path: Path) -> None:
    import shutil

    from tests.engine.tiny import save_model

    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("conjecture", "decomposition", "*distances"))
    save_model(tmp_path / "demo" / "model", "llama", d_model=128)
    with pytest.raises(InputError):
        run_prompt_model(Run(tmp_path / "demo"), "cpu")


# --- bounds ---------------------------------------------------------------------------------------------------


def test_too_many_firings_are_refused_before_memory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_prompt_model(tmp_path)
    prompts = [Prompt(t) for t in TEXTS]
    n = len(model.prompt_acts(prompts).max_act)
    monkeypatch.setattr(prompt_acts, "MAX_FIRINGS", n)
    assert len(model.prompt_acts(prompts).max_act) == n
    with pytest.raises(InputError, match="too many"):
        model.prompt_acts([*prompts, Prompt("another one")])
    with pytest.raises(InputError, match="too many"):  # repeats cost room too
        model.prompt_acts([*prompts, *prompts])


def test_equal_prompts_go_through_the_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = tiny_prompt_model(tmp_path), []
    inner = model._parts.model.resid
    monkeypatch.setattr(model._parts.model, "resid", lambda tokens: rows.append(len(tokens)) or inner(tokens))
    model.token_acts([Prompt("same")] * 500 + [Prompt("other")], [1])
    assert sum(rows) == 2


def test_values_that_are_not_finite_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_prompt_model(tmp_path)
    inner = model._parts.model.resid
    monkeypatch.setattr(model._parts.model, "resid", lambda tokens: inner(tokens) * torch.nan)
    with pytest.raises(MachineError, match="not finite"):
        model.prompt_acts([Prompt("a")])


# --- log-probabilities ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loader", LOADERS)
def test_log_probs_are_those_of_transformers(tmp_path: Path, loader: str) -> None:
    family, hook, more = LOADERS[loader]
    model = tiny_prompt_model(tmp_path, "standard", family, hook, **more)
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "model", attn_implementation="eager").eval()
    prompts = [Prompt(t) for t in TEXTS[:12]]
    for view, mine in zip(model.views(prompts), model.log_probs(prompts), strict=True):
        ids = torch.from_numpy(view.token_ids.astype(np.int64))[None]
        with torch.no_grad():
            expected = net(ids).logits[0].log_softmax(-1)[torch.arange(len(view.token_ids) - 1), ids[0, 1:]]
        assert np.allclose(mine[1:], expected, atol=2e-4)


def test_log_probs_do_not_depend_on_how_many_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_prompt_model(tmp_path)
    prompts = [Prompt(t) for t in TEXTS]
    whole = model.log_probs(prompts)
    for most in (4 * 300 * 7, 300 * 90):
        monkeypatch.setattr(log_probs, "LOGITS", most)
        for a, b in zip(whole, model.log_probs(prompts), strict=True):
            assert np.allclose(a, b, atol=1e-5, equal_nan=True)
