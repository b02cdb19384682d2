"""Makes the demo's parts: the world, a model that has learnt it, an SAE, held-out text and its planted truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.annotation import FOLDER, save_annotation
from core.demo.annotate import annotate
from core.demo.tokenizer import SPECIAL_TOKENS, save_tokenizer, token_rows, vocabulary
from core.demo.world import Document, World

Progress = Callable[[str, int, int, dict[str, float]], None]

#: documents are numbered once for all uses, so that no text is used twice
HELD_OUT_START, MODEL_START, SAE_START = 0, 100_000, 1_000_000


@dataclass(frozen=True)
class Scale:
    """How large a demo is made: counts of documents, and settings handed to the two trainings."""

    n_held_out: int
    n_sae_documents: int
    model: dict[str, Any]
    sae: dict[str, Any]


SCALES = {
    "full": Scale(2000, 40_000, {}, {}),
    "tiny": Scale(
        60,
        200,
        {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_mlp": 64, "n_steps": 60, "warmup_steps": 10},
        {"hook_name": "model.layers.0", "d_sae": 64, "n_tokens": 40_000, "batch_tokens": 1024},
    ),
}


@dataclass(frozen=True)
class DemoPaths:
    """What was made.

    ``annotation`` holds concepts, tokens and spans as parquet (see `core.annotation`).
    """

    model: Path
    sae: Path
    corpus: Path
    annotation: Path
    world: Path


def silent(stage: str, done: int, total: int, numbers: dict[str, float]) -> None:
    """A progress callback that says nothing."""


def build_demo(
    out: Path, seed: int, scale: str = "full", progress: Progress = silent, model_name: str = ""
) -> DemoPaths:
    """Train and write everything below ``out``; a folder that exists is written over file by file.

    ``model_name`` is what the SAE's metadata will call the model (default: the folder it is written to). Same seed,
    same CPU type, same thread count: same files. Full scale takes about ten minutes on two free cores.
    """
    from core.engine.train import LanguageModelConfig, train_language_model
    from core.engine.train_sae import SAETrainingConfig, train_sae

    size, world = SCALES[scale], World(seed)
    paths = DemoPaths(*(out / name for name in ("model", "sae", "corpus.jsonl", FOLDER, "world.json")))
    out.mkdir(parents=True, exist_ok=True)

    model = LanguageModelConfig(vocab_size=len(vocabulary()), seed=seed, **size.model)
    rows = _rows(world, MODEL_START, model.n_steps * model.batch_size)
    train_language_model(rows, model, paths.model, progress)
    save_tokenizer(paths.model)

    sae = SAETrainingConfig(
        seed=seed,
        model_name=model_name or str(paths.model),
        special_ids=tuple(range(len(SPECIAL_TOKENS))),
        dataset_path=f"planted-world-{seed}",
        **size.sae,
    )
    train_sae(paths.model, _rows(world, SAE_START, size.n_sae_documents), sae, paths.sae, progress)

    documents = list(world.documents(HELD_OUT_START, size.n_held_out))
    write_corpus(paths.corpus, documents)
    save_annotation(paths.annotation, annotate(world, documents))
    about = {
        "seed": seed,
        "scale": scale,
        "model": asdict(model),
        "sae": asdict(sae) | {"model_name": sae.model_name},
        "entities": [asdict(person) for person in world.entities],
        **_loss_beside_surprisal(paths.model, documents),
    }
    paths.world.write_text(json.dumps(about, indent=2, default=list) + "\n")
    return paths


def _rows(world: World, start: int, n: int) -> list[list[int]]:
    return token_rows(d.tokens for d in world.documents(start, n))


def write_corpus(path: Path, documents: list[Document]) -> None:
    """One JSON object per line: ``document`` (its number in the world), ``topic``, ``text``."""
    with path.open("w", encoding="utf-8") as file:
        for d in documents:
            file.write(json.dumps({"document": d.index, "topic": d.topic, "text": d.text}) + "\n")


def _loss_beside_surprisal(model: Path, documents: list[Document]) -> dict[str, float]:
    """Held-out loss of the model and the generator's own surprisal, nats per token (end of document included)."""
    from core.engine.train import language_model_loss

    loss = language_model_loss(model, token_rows(d.tokens for d in documents))
    surprisal = sum(sum(d.surprisal) for d in documents) / sum(len(d.surprisal) for d in documents)
    return {"loss": float(np.nanmean(loss)), "surprisal": surprisal}
