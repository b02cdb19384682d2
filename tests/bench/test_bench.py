"""The benchmarks run and their figures hang together; by hand, the targets on a GPT-2-small-shaped model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from core.engine.bench import bench_encode, bench_lookup
from core.engine.rates import matmul_rate
from core.engine.run import run_recipe
from core.recipe import Recipe, parse_recipe
from core.store import Store
from tests.engine.tiny import metadata, save_model, save_sae
from tests.fakes import fake_recipe, install, sentences


def recipe(folder: Path, **encode: object) -> Recipe:
    save_model(folder / "model", "llama")
    save_sae(folder / "sae", "standard", metadata=metadata("model.layers.1"))
    (folder / "text.json").write_text(json.dumps(sentences(60)))
    return parse_recipe(
        {
            "name": "bench",
            "model": {"name": "model"},
            "sae": {"path": "sae"},
            "corpus": {"path": "text.json", "n_contexts": 1},
            "encode": {"device": "cpu"} | encode,
        }
    )


def test_figures_of_the_encode_bench_hang_together(tmp_path: Path) -> None:
    found = bench_encode(recipe(tmp_path), tmp_path, n_contexts=20)
    assert found["contexts"] == 20
    assert 20 * 2 <= found["tokens"] <= 20 * 31
    assert found["features"] == 48
    assert found["floor_seconds"] == pytest.approx(found["matmul_gflop"] / found["matmul_gflop_per_s"], rel=0.01)
    assert found["ratio"] > 1  # nothing is faster than its own matrix products
    assert found["tokens_per_s"] == pytest.approx(found["tokens"] / found["wall_seconds"], rel=0.01)
    json.dumps(found, allow_nan=False)


def test_wanted_features_have_a_lower_floor(tmp_path: Path) -> None:
    few = bench_encode(recipe(tmp_path, features=[1, 2, 3]), tmp_path, n_contexts=20)
    assert few["features"] == 3
    assert few["matmul_gflop"] < bench_encode(recipe(tmp_path), tmp_path, n_contexts=20)["matmul_gflop"]


def test_the_matmul_rate_is_that_of_the_best_kernel() -> None:
    assert matmul_rate([(64, 64, 64), (256, 256, 256)], 0.05) > 1e8


def test_lookups_are_timed_on_features_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    (tmp_path / "text.json").write_text(json.dumps(sentences(60)))
    run = run_recipe(fake_recipe(), tmp_path, Store(tmp_path / "cache"))
    found = bench_lookup(run, n=50)
    assert found["activations"] == run.manifest["counts"]["n_firings"]
    assert found["bytes_per_activation"] > 1
    assert 0 < found["median_ms"] <= found["p95_ms"]
    assert found["largest_rows"] == run.features()["n_firings"].max()


@pytest.mark.slow
def test_encoding_gpt2_small_takes_less_than_twice_its_matrix_products(tmp_path: Path) -> None:
    """Random weights in GPT-2 small's shape, 24,576 features; needs 3 GB and a minute."""
    save_model(tmp_path / "model", "gpt2", d_model=768, n_layers=12, n_ctx=1024, vocabulary=300)
    _, sae = save_sae(
        tmp_path / "sae",
        "standard",
        d_in=768,
        d_sae=24_576,
        metadata=metadata("blocks.8.hook_resid_pre", context_size=128),
    )
    with torch.no_grad():
        sae.W_enc /= sae.W_enc.norm(dim=0)
        sae.b_enc.fill_(-3.0 * 0.5)
    sae.save_model(tmp_path / "sae")
    (tmp_path / "text.json").write_text(json.dumps([" ".join(sentences(20, seed)) for seed in range(80)]))
    gpt2 = {
        "name": "gpt2-shape",
        "model": {"name": "model"},
        "sae": {"path": "sae"},
        "corpus": {"path": "text.json", "n_contexts": 1},
        "encode": {"device": "cpu"},
    }
    found = bench_encode(parse_recipe(gpt2), tmp_path, n_contexts=32)
    print(found)
    assert found["ratio"] < 2
