"""A tiny demo is built from nothing: it loads elsewhere, learns, and its truth fits its text."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from core.demo.builder import HELD_OUT_START, DemoPaths, build_demo
from core.demo.truth import compute_truth, span_units, token_units
from core.demo.truth_tables import load_annotation
from core.demo.world import World

pytest.importorskip("torch")
pytest.importorskip("sae_lens")

SEED = 3


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoPaths, list[tuple[str, int, int]]]:
    told: list[tuple[str, int, int]] = []
    out = tmp_path_factory.mktemp("demo")
    return build_demo(out, SEED, "tiny", lambda stage, done, total, _: told.append((stage, done, total))), told


def _encode(paths: DemoPaths) -> tuple[pd.DataFrame, int]:
    """Activations of the held-out corpus by transformers and SAELens alone, special tokens left out."""
    import torch
    from sae_lens import SAE
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(paths.model)
    model = AutoModelForCausalLM.from_pretrained(paths.model)
    sae = SAE.load_from_disk(str(paths.sae))
    layer = int(sae.cfg.metadata.hook_name.split(".")[-1])
    frames = []
    for context, line in enumerate(paths.corpus.read_text().splitlines()):
        ids = torch.tensor([tokenizer(json.loads(line)["text"]).input_ids])
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states
            acts = sae.encode(states[layer + 1])[0].numpy()
        pos, feature = np.nonzero(acts[1:])
        frames.append(
            pd.DataFrame({"feature": feature, "context": context, "pos": pos + 1, "act": acts[pos + 1, feature]})
        )
    return pd.concat(frames, ignore_index=True), sae.cfg.d_sae


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


def test_truth_fits_what_the_sae_fires_on(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    paths = built[0]
    annotation = load_annotation(paths.truth)
    activations, d_sae = _encode(paths)
    units = token_units(activations, annotation, d_sae)
    assert units.acts.nnz == len(activations)
    sentences = span_units(units, annotation, "sentence")
    assert sentences.acts.max() == units.acts.max()
    tables = compute_truth(activations, annotation, d_sae, n_boot=10)
    assert set(tables.truth.level) == {"token", "span"}
    assert set(tables.truth.form) == {"single", "or", "and"}
    assert tables.truth.f1.between(0, 1).all()
    assert len(tables.features) == d_sae


def test_annotation_positions_count_from_bos(built: tuple[DemoPaths, list[tuple[str, int, int]]]) -> None:
    annotation = load_annotation(built[0].truth)
    document = World(SEED).document(HELD_OUT_START)
    first = annotation.tokens[annotation.tokens.context == 0]
    assert first.pos.min() == 1
    year = annotation.concepts.index[annotation.concepts.concept == "pattern=year"][0]
    years = [i + 1 for i, held in enumerate(document.concepts) if "pattern=year" in held]
    assert first[first.concept == year].pos.tolist() == years


def test_same_seed_makes_the_same_weights_again(
    built: tuple[DemoPaths, list[tuple[str, int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On one machine with one thread count; elsewhere only within a tolerance."""
    again = build_demo(tmp_path_factory.mktemp("again"), SEED, "tiny")
    for a, b in ((built[0].model / "model.safetensors", again.model / "model.safetensors"),
                 (built[0].sae / "sae_weights.safetensors", again.sae / "sae_weights.safetensors"),
                 (built[0].corpus, again.corpus)):  # fmt: skip
        assert a.read_bytes() == b.read_bytes(), a.name
