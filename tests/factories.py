"""Small runs on disk with planted content, made without torch, for tests of the store and the pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from core import parquet
from core.analyses.feature_statistics import Directions, compute_feature_tables
from core.publish import publish
from core.run_folder import FORMAT, table_entry, write_sealed
from core.store import Run, Store
from core.tables import ACTIVATION_INDEX, CONTEXTS, NEAR_MISSES, RUN_TABLES, VOCABULARY, activations_spec

WORDS = [
    "the",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "<script>",
    "#",
    "and",
    "Paris",
    "1984",
    "naïve",
    "🦊",
    "&",
    "quick",
]


@dataclass(frozen=True)
class World:
    """``tokens [n_contexts, n_pos]`` (position 0 is BOS, id 0) and dense ``acts [n_contexts, n_pos, d_sae]``."""

    tokens: np.ndarray
    acts: np.ndarray
    documents: np.ndarray
    sources: tuple[str, ...] | None = None  # of the documents; None: their own number as row


def make_world(n_contexts: int = 200, n_pos: int = 24, d_sae: int = 40, seed: int = 0) -> World:
    """Feature 0 is dead, 1 fires on "cat", 2 on a random tenth of positions, 3 densely, others on one token each."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, len(WORDS) + 1, size=(n_contexts, n_pos)).astype(np.int32)
    tokens[:, 0] = 0
    acts = np.zeros((n_contexts, n_pos, d_sae), dtype=np.float32)
    for j in range(4, d_sae):
        acts[..., j] = (
            (tokens == 1 + j % len(WORDS)) * rng.gamma(2.0, 1.0, tokens.shape) * (rng.random(tokens.shape) < 0.5)
        )
    acts[..., 1] = (tokens == 2) * (1 + rng.random(tokens.shape))
    acts[..., 2] = (rng.random(tokens.shape) < 0.1) * rng.gamma(2.0, 1.0, tokens.shape)
    acts[..., 3] = (rng.random(tokens.shape) < 0.5) * rng.gamma(2.0, 1.0, tokens.shape)
    acts[:, 0] = 0
    return World(tokens, acts, np.arange(n_contexts) // 4)


def write_run(cache_dir: Path, name: str = "toy", world: World | None = None, neuronpedia_id: str | None = None) -> Run:
    """Write a world as a complete run, through the same specs, statistics and manifest that `prism run` uses."""
    world = world or make_world()
    store = Store(cache_dir)
    folder = store.partial(name)
    folder.mkdir(parents=True)
    _write_contexts(folder, world)
    _write_activations(folder, world)
    _write_near_misses(folder, world)
    d_sae = world.acts.shape[2]
    rng = np.random.default_rng(1)
    decoder = rng.normal(size=(d_sae, 16)).astype(np.float32)
    directions = Directions(decoder=decoder, bias=np.zeros(d_sae, np.float32), threshold=None)
    special = frozenset({0})
    for spec, table in compute_feature_tables(Run(folder), directions, special).items():
        parquet.write_table(folder / f"{spec.name}.parquet", table, spec)
    names = [spec.name for spec in RUN_TABLES] + ["activations"]
    tables = {n: table_entry(folder / f"{n}.parquet") for n in names}
    write_sealed(folder, _manifest(name, world, tables, neuronpedia_id))
    return publish(store, name)


def _write_contexts(folder: Path, world: World) -> None:
    n, n_pos = world.tokens.shape
    table = pa.table(
        {
            "context": pa.array(np.arange(n), pa.int32()),
            "document": pa.array(world.documents, pa.int32()),
            "start": pa.array(np.arange(n) % 4 * (n_pos - 1), pa.int32()),
            "token_ids": pa.array(list(world.tokens), pa.list_(pa.int32())),
            "n_tokens": pa.array(np.full(n, n_pos - 1), pa.int32()),
            "source": pa.array(_sources(world), pa.string()),
        }
    )
    parquet.write_table(folder / "contexts.parquet", table, CONTEXTS)
    vocabulary = pa.table(
        {
            "token_id": pa.array(range(len(WORDS) + 1), pa.int32()),
            "str_token": pa.array(["<s>"] + [f" {w}" for w in WORDS], pa.string()),
            "is_special": pa.array([True] + [False] * len(WORDS)),
        }
    )
    parquet.write_table(folder / "vocabulary.parquet", vocabulary, VOCABULARY)


def _sources(world: World) -> list[str]:
    return [world.sources[d] if world.sources else f"row {d}" for d in world.documents]


def _write_activations(folder: Path, world: World) -> None:
    feature, context, pos = np.nonzero(world.acts.transpose(2, 0, 1))
    act = world.acts[context, pos, feature].astype(np.float16)
    spec = activations_spec("float16")
    columns = {"feature": feature.astype(np.int32), "context": context.astype(np.int32), "pos": pos.astype(np.int16)}
    table = pa.table({**columns, "act": pa.array(act, pa.float16())}, schema=spec.schema)
    parquet.write_table(folder / "activations.parquet", table, spec)
    counts = np.bincount(feature, minlength=world.acts.shape[2])
    index = pa.table(
        {
            "feature": pa.array(np.arange(len(counts)), pa.int32()),
            "first_row": pa.array(np.cumsum(counts) - counts, pa.int64()),
            "n_firings": pa.array(counts, pa.int64()),
        }
    )
    parquet.write_table(folder / "activation_index.parquet", index, ACTIVATION_INDEX)


def _write_near_misses(folder: Path, world: World) -> None:
    rows = [(j, r, r, 5, -0.1 * (r + 1)) for j in range(world.acts.shape[2]) for r in range(5)]
    table = pa.Table.from_pylist(
        [dict(zip(NEAR_MISSES.schema.names, row, strict=True)) for row in rows], schema=NEAR_MISSES.schema
    )
    parquet.write_table(folder / "near_misses.parquet", table, NEAR_MISSES)


def _manifest(name: str, world: World, tables: dict, neuronpedia_id: str | None) -> dict:
    n, n_pos = world.tokens.shape
    d_sae = world.acts.shape[2]
    return {
        "format": FORMAT,
        "name": name,
        "recipe": {"name": name, "model": {"name": "toy-model"}, "sae": {"path": "toy-sae"}},
        "digest": "0" * 64,
        "created_at": "2026-01-02T03:04:05Z",
        "provenance": {"packages": {"sae-prism": "0.1.0"}, "device": "cpu", "python": "3.11", "seconds": 1.0},
        "sae": {
            "architecture": "standard", "kind": "relu", "d_in": 16, "d_sae": d_sae,
            "hook_name": "blocks.0.hook_resid_post", "neuronpedia_id": neuronpedia_id, "release": None,
            "sae_id": None, "context_size": n_pos, "prepend_bos": True,
        },
        "model": {"name": "toy-model", "loader": "transformers", "n_ctx": n_pos, "d_model": 16, "dtype": "float32"},
        "corpus": {
            "n_documents_read": 50, "n_documents_used": 50, "n_contexts": n, "n_tokens": n * (n_pos - 1),
            "n_special": n, "licence": "CC0-1.0", "name": "toy text",
        },
        "fidelity": {
            "verdict": "ok", "n_tokens": 100, "l0": 4.2, "explained_variance": 0.91, "dead_share": 0.05,
            "stated_l0": None, "stated_explained_variance": None, "loss_recovered": None, "cause": "", "tried": {},
        },
        "counts": {"n_features": d_sae, "n_firings": int((world.acts > 0).sum())},
        "tables": tables,
    }  # fmt: skip
