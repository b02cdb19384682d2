"""Speed of the encode against the matmuls it cannot avoid, and of storage: bytes a firing, time of a lookup."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.engine import models, saes
from core.engine.choices import chosen_features, context_size
from core.engine.corpus import Tally, draw_windows, require_windowing
from core.engine.device import choose_device
from core.engine.documents import open_documents
from core.engine.encode import Encoder, chunk_rows, padded
from core.engine.rates import clock, matmul_rate
from core.engine.tokens import special_ids
from core.errors import CorpusError
from core.maths.near_misses import NearMisses
from core.recipe import Recipe, located
from core.store import Run


def bench_encode(recipe: Recipe, folder: Path, n_contexts: int = 64) -> dict[str, Any]:
    """Tokens per second of encoding ``n_contexts`` windows, beside the time of its matrix products alone.

    As many windows again are encoded first, so that compiling and the first near misses are not counted. The floor is
    the products' operations at the best rate measured on these shapes in this process, before and after. ``seconds``
    are the device's own (on a CPU: all threads' CPU time by their number), so that other work on the machine does
    not count; ``wall_seconds`` and ``tokens_per_s`` are what a user waits for.
    """
    here = located(recipe, folder)
    encoder = _encoder(recipe, here)
    contexts = _contexts(recipe, here, encoder, 2 * n_contexts)
    half = len(contexts) // 2
    state = NearMisses.empty(encoder.n_columns)
    encoder.encode(contexts[:half], 0, state)
    flops = _flops(encoder, contexts[half:])
    rate = _rate(encoder, contexts)
    spent, wall = clock(encoder.device), time.perf_counter()
    firings = encoder.encode(contexts[half:], half, state)
    spent, wall = clock(encoder.device) - spent, time.perf_counter() - wall
    rate = max(rate, _rate(encoder, contexts))
    n_real = sum(int((~np.isin(c, list(encoder.special_ids))).sum()) for c in contexts[half:])
    return {
        "device": encoder.device,
        "threads": torch.get_num_threads(),
        "contexts": len(contexts) - half,
        "tokens": n_real,
        "features": encoder.n_columns,
        "activations_per_token": _short(len(firings.act) / max(n_real, 1)),
        "wall_seconds": _short(wall),
        "seconds": _short(spent),
        "tokens_per_s": _short(n_real / wall),
        "matmul_gflop": _short(flops / 1e9),
        "matmul_gflop_per_s": _short(rate / 1e9),
        "floor_seconds": _short(flops / rate),
        "ratio": _short(spent * rate / flops),
    }


def bench_lookup(run: Run, n: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Bytes per stored activation, and milliseconds to read one feature's firings (warm, verified checksums).

    Features are drawn uniformly; the largest is timed on its own.
    """
    entry, index = run.manifest["tables"]["activations"], run.table("activation_index")
    drawn = np.random.default_rng(seed).choice(index["feature"].to_numpy(), n)
    run.acts(int(drawn[0]))
    wall, cpu = np.array([_milliseconds(run, int(feature)) for feature in drawn]).T
    largest = index.iloc[int(index["n_firings"].argmax())]
    return {
        "activations": entry["n_rows"],
        "bytes_per_activation": _short(entry["bytes"] / max(entry["n_rows"], 1)),
        "lookups": n,
        "median_ms": _short(np.median(wall)),
        "p95_ms": _short(np.quantile(wall, 0.95)),
        "median_cpu_ms": _short(np.median(cpu)),
        "p95_cpu_ms": _short(np.quantile(cpu, 0.95)),
        "largest_rows": int(largest["n_firings"]),
        "largest_ms": _short(min(_milliseconds(run, int(largest["feature"]))[0] for _ in range(5))),
    }


def _short(value: Any) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")


def _milliseconds(run: Run, feature: int) -> tuple[float, float]:
    """Of one lookup: wall clock, and this thread's CPU time, which other work on the machine does not stretch."""
    wall, cpu = time.perf_counter(), time.thread_time()
    run.acts(feature)
    return (time.perf_counter() - wall) * 1e3, (time.thread_time() - cpu) * 1e3


def _encoder(recipe: Recipe, here: Recipe) -> Encoder:
    device = choose_device(recipe.encode.device)
    sae = saes.load_sae(here.sae, device)
    features = chosen_features(recipe, sae.info.d_sae)
    model = models.load_model(here.model, sae.info, device)
    wanted = sae.columns(None if len(features) == sae.info.d_sae else features)
    special = special_ids(model.tokenizer)
    return Encoder(model, wanted, len(features), special, recipe.encode.batch_tokens, device)


def _contexts(recipe: Recipe, here: Recipe, encoder: Encoder, n: int) -> list[np.ndarray]:
    info = encoder.sae.info
    size = context_size(recipe, info, encoder.model.info.n_ctx)
    models.require_context_size(encoder.model.info, size)
    windowing = require_windowing(encoder.model.tokenizer, size, info.prepend_bos, encoder.special_ids)
    corpus = dataclasses.replace(here.corpus, n_contexts=n, n_tokens=None)
    contexts = [window.token_ids for window in draw_windows(open_documents(corpus), corpus, windowing, Tally())]
    if len(contexts) < 2:
        raise CorpusError("the corpus gives fewer than two contexts", "", "name a larger one in [corpus]")
    return contexts


def _flops(encoder: Encoder, contexts: list[np.ndarray]) -> float:
    """Operations of all matrix products for these contexts, padding not counted."""
    one = torch.from_numpy(padded(contexts[:1])).to(encoder.device)
    with FlopCounterMode(display=False) as counter:
        encoder.model.resid(one)
    n_positions = sum(map(len, contexts))
    n_real = sum(int((~np.isin(c, list(encoder.special_ids))).sum()) for c in contexts)
    info = encoder.sae.info
    columns = encoder.n_columns if info.elementwise else info.d_sae
    return counter.get_total_flops() / one.shape[1] * n_positions + 2.0 * info.d_in * columns * n_real


def _rate(encoder: Encoder, contexts: list[np.ndarray]) -> float:
    """Best rate on the shapes of the model's and the SAE's largest products."""
    d, info, device = encoder.model.info.d_model, encoder.sae.info, encoder.device
    rows = min(encoder.batch_tokens, sum(map(len, contexts)))
    columns = encoder.n_columns if info.elementwise else info.d_sae
    model_shapes = [(rows, d, 4 * d), (rows, 4 * d, d)]
    rate = matmul_rate(model_shapes, device=device, dtype=encoder.model.info.dtype)
    shape = (min(rows, chunk_rows(columns, device)), info.d_in, columns)
    return max(rate, matmul_rate([shape], device=device, dtype=info.dtype))
