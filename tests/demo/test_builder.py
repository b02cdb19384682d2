"""A tiny demo is built from nothing: it loads elsewhere, learns, and its truth fits its text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.analyses.base import Silent
from core.analyses.truth import ANALYSIS, span_units, token_units
from core.annotation import FOLDER, load_annotation
from core.demo.builder import HELD_OUT_START, DemoPaths, build_demo
from core.demo.committed import encode_demo
from core.demo.world import World
from core.results import require_result
from core.store import Store

pytest.importorskip("torch")
pytest.importorskip("sae_lens")

SEED = 3


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoPaths, list[tuple[str, int, int]]]:
    told: list[tuple[str, int, int]] = []
    out = tmp_path_factory.mktemp("demo")
    return build_demo(out, SEED, "tiny", lambda stage, done, total, _: told.append((stage, done, total))), told


def test_progress_is_told_for_both_trainings(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    last = {stage: (done, total) for stage, done, total in built[1]}
    assert set(last) == {"model", "sae"}
    assert all(done == total for done, total in last.values())


def test_model_learns_from_a_few_steps(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    about = json.loads(built[0].world.read_text())
    assert about["loss"] < 0.9 * np.log(about["model"]["vocab_size"])
    assert about["loss"] > about["surprisal"]


def test_sae_metadata_says_everything_needed_to_use_it(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    paths = built[0]
    cfg = json.loads((paths.sae / "cfg.json").read_text())
    assert cfg["architecture"] == "jumprelu"
    wanted = {
        "model_name": str(paths.model),
        "model_class_name": "AutoModelForCausalLM",
        "hook_name": "model.layers.0",
        "prepend_bos": True,
        "context_size": 128,
        "dataset_path": f"planted-world-{SEED}",
    }
    assert {k: cfg["metadata"][k] for k in wanted} == wanted
    assert "l0" not in cfg["metadata"]


def test_corpus_holds_the_held_out_documents(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    lines = [json.loads(line) for line in built[0].corpus.read_text().splitlines()]
    documents = list(World(SEED).documents(HELD_OUT_START, len(lines)))
    assert [x["text"] for x in lines] == [d.text for d in documents]


def test_truth_fits_what_the_sae_fires_on(built: tuple[DemoPaths, list[tuple[str, int, int]]], tmp_path: Path) -> None:
    """Through the product's own run: every annotated token is a unit, every firing is counted once."""
    parts = tmp_path / "parts"
    shutil.copytree(built[0].model.parent, parts)
    run = encode_demo(Store(tmp_path / "cache"), "tiny", parts, Silent(), stop=False)
    units = token_units(run, load_annotation(run.path / FOLDER))
    assert units.acts.nnz == run.manifest["counts"]["n_firings"]
    assert units.acts.shape[0] == run.manifest["corpus"]["n_tokens"]
    annotation = load_annotation(built[0].annotation)
    assert units.truth.sum() == len(annotation.tokens)
    sentences = span_units(units, annotation, "sentence")
    assert sentences.acts.max() == units.acts.max()
    truth = require_result(run, ANALYSIS).table("truth")
    assert set(truth["level"]) == {"token", "span"}
    assert set(truth["form"]) == {"single", "or", "and"}
    assert truth["f1"].between(0, 1).all()
    assert not run.verify()
    assert run.manifest["provenance"]["recipe_folder"] == "."


def test_annotation_counts_tokens_of_the_document(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    annotation = load_annotation(built[0].annotation)
    document = World(SEED).document(HELD_OUT_START)
    first = annotation.tokens[annotation.tokens.document == 0]
    assert first.token.min() == 0
    year = annotation.concepts.index[annotation.concepts.concept == "pattern=year"][0]
    years = [i for i, held in enumerate(document.concepts) if "pattern=year" in held]
    assert first[first.concept == year].token.tolist() == years


def test_same_seed_makes_the_same_weights_again(
    built: tuple[DemoPaths, list[tuple[str, int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On one machine with one thread count; elsewhere only within a tolerance."""
    again = build_demo(tmp_path_factory.mktemp("again"), SEED, "tiny")
    for a, b in ((built[0].model / "model.safetensors", again.model / "model.safetensors"),
                 (built[0].sae / "sae_weights.safetensors", again.sae / "sae_weights.safetensors"),
                 (built[0].corpus, again.corpus)):  # fmt: skip
        assert a.read_bytes() == b.read_bytes(), a.name
