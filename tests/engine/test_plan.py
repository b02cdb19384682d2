"""The dry run: read from configurations, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.engine import models, saes
from core.engine.plan import plan_recipe
from core.engine.rates import flops_per_token, layers_run
from core.engine.run import run_recipe
from core.errors import InputError
from core.recipe import Recipe, parse_recipe
from core.store import Store
from core.types import ModelInfo, SAEInfo
from tests.engine.tiny import D_MODEL, D_SAE, metadata, save_model, save_sae
from tests.fakes import sentences


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    save_model(folder / "model", "llama")
    save_sae(folder / "topk", "topk", k=6, metadata=metadata("model.layers.1"))
    save_sae(folder / "relu", "standard", metadata=metadata("model.layers.1"))
    (folder / "text.json").write_text(json.dumps(sentences(50)))
    return folder


def recipe(name: str = "planned", sae: str = "topk", **corpus: object) -> Recipe:
    return parse_recipe(
        {
            "name": name,
            "model": {"name": "model"},
            "sae": {"path": sae},
            "corpus": {"path": "text.json", "n_contexts": 40} | corpus,
            "encode": {"device": "cpu"},
            "fidelity": {"stop": False},
        }
    )


def test_a_plan_loads_and_writes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((saes, "load_sae"), (models, "load_model")):
        monkeypatch.setattr(module, name, lambda *args: pytest.fail("loaded"))
    plan = plan_recipe(recipe(), folder, Store(tmp_path / "cache"))
    assert plan.state == "would begin"
    assert not (tmp_path / "cache").exists()
    json.dumps(plan.as_dict(), allow_nan=False)
    assert all(isinstance(line, str) and "None" not in line for line in plan.lines().values())


def test_sizes_follow_from_the_configuration(folder: Path, tmp_path: Path) -> None:
    plan = plan_recipe(recipe(), folder, Store(tmp_path))
    n_tokens = 40 * (32 - 1)
    assert (plan.n_tokens_at_most, plan.l0_expected, plan.n_activations) == (n_tokens, 6, 6 * n_tokens)
    assert plan.table_bytes == 4 * 6 * n_tokens
    assert plan.disk_peak_bytes == (4 + 8) * 6 * n_tokens
    assert plan.sae_parameters == 2 * D_MODEL * D_SAE + D_MODEL + D_SAE
    assert 1.1e9 < plan.memory_peak_bytes < 1.2e9  # the libraries and 500 MB; this model is nothing beside them
    assert plan.seconds is not None
    assert "measured just now" in plan.seconds_basis


def test_what_cannot_be_known_is_said_to_be_unknown(folder: Path, tmp_path: Path) -> None:
    plan = plan_recipe(recipe(sae="relu"), folder, Store(tmp_path))
    assert plan.n_activations is plan.table_bytes is None
    assert plan.lines()["tables"] == "not known before the fidelity check"


def test_time_is_taken_from_an_earlier_run_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    run = run_recipe(recipe("earlier"), folder, Store(tmp_path))
    plan = plan_recipe(recipe("later", n_contexts=4000), folder, Store(tmp_path))
    assert "run earlier" in plan.seconds_basis
    assert plan.seconds == pytest.approx(plan.n_tokens_at_most / run.manifest["provenance"]["tokens_per_s"])


def test_the_state_says_finished_or_refused(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    run_recipe(recipe(), folder, store)
    assert plan_recipe(recipe(), folder, store).state.startswith("finished")
    state = plan_recipe(recipe(seed=5), folder, store).state
    assert "refused without --replace" in state
    assert "corpus.seed: 0 -> 5" in state


def test_mistakes_are_found_without_loading(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="context_size 33"):
        plan_recipe(recipe(context_size=33), folder, Store(tmp_path))


@pytest.mark.parametrize(
    ("hook_name", "expected"),
    [
        ("blocks.8.hook_resid_pre", 8),
        ("blocks.8.hook_resid_post", 9),
        ("blocks.8.attn.hook_z", 9),
        ("model.layers.2", 3),
        ("ln_final.hook_normalized", 12),
        ("hook_embed", 0),
    ],
)
def test_only_blocks_up_to_the_hook_are_counted(hook_name: str, expected: int) -> None:
    assert layers_run(hook_name, 12) == expected


def test_flops_of_gpt2_small_are_those_of_its_matrix_products() -> None:
    """PERFORMANCE: 8 blocks of GPT-2 small and an SAE of 24,576 features on 128 tokens."""
    model = ModelInfo(
        "gpt2", "x", "h", d_model=768, n_layers=12, n_ctx=1024, dtype="float32", device="cpu", n_parameters=0
    )
    sae = SAEInfo("standard", "relu", 768, 24_576, "blocks.8.hook_resid_pre", "gpt2", None)
    language_model, encoder = flops_per_token(model, sae, 24_576, 128)
    blocks = 2 * (768 * 3 * 768 + 768 * 768 + 2 * 768 * 3072)
    attention = 2 * 2 * 128 * 768
    assert language_model == 8 * (blocks + attention)
    assert encoder == 2 * 768 * 24_576
    assert flops_per_token(model, sae, 100, 128)[1] == 2 * 768 * 100
