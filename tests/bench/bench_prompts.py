"""By hand: 5,000 prompts of 30 tokens against 50 features of the demo, beside a loop of one prompt at a time.

``python -m tests.bench.bench_prompts``; seconds are the process' own CPU time, so other work does not count. The loop
is what one would write: tokenise, run the model up to the hook, ``sae.encode``, pick the features.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from core.analyses.prompt_model import Prompt
from core.engine.prompt_model import RunPromptModel, run_prompt_model
from core.store import Run

DEMO = Path(__file__).parents[2] / "cache" / "demo"


def random_prompts(run: Run, n: int, n_tokens: int) -> list[Prompt]:
    """Words of the run in random order."""
    words = [str(t).strip() for i, t in enumerate(run.str_tokens) if i not in run.special_ids]
    rng = np.random.default_rng(0)
    return [Prompt(" ".join(rng.choice(words, n_tokens))) for _ in range(n)]


def one_by_one(model: RunPromptModel, prompts: list[Prompt], features: np.ndarray) -> np.ndarray:
    """Largest acts ``[n_prompts, n_features]``."""
    parts, rows = model._parts, []
    for prompt in prompts:
        ids = parts.windowing.tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
        tokens = torch.tensor([[parts.windowing.bos_id, *ids]])
        with torch.inference_mode():
            acts = parts.sae._sae.encode(parts.model.resid(tokens)[0, 1:])
        rows.append(acts[:, features].max(0).values.numpy())
    return np.stack(rows)


def bench(n: int = 5000, n_tokens: int = 30, n_features: int = 50, n_loop: int = 500) -> dict[str, float]:
    """The loop is timed on ``n_loop`` prompts. Raises AssertionError when the two disagree."""
    run = Run(DEMO)
    model, prompts = run_prompt_model(run, "cpu"), random_prompts(run, n, n_tokens)
    features = run.encoded_features[:n_features].astype(np.int64)
    model.prompt_acts(prompts[:20], features)  # compiles
    spent, wall = time.process_time(), time.perf_counter()
    found = model.prompt_acts(prompts, features)
    spent, wall = time.process_time() - spent, time.perf_counter() - wall
    start = time.process_time()
    expected = one_by_one(model, prompts[:n_loop], features)
    loop = (time.process_time() - start) * n / n_loop
    mine = np.zeros((n, run.manifest["sae"]["d_sae"]), np.float32)
    mine[found.prompt, found.feature] = found.max_act
    assert np.allclose(mine[:n_loop, features], expected, atol=1e-3)
    return {"prompts": n, "tokens": n_tokens, "features": n_features, "wall_seconds": round(wall, 2),
            "seconds": round(spent, 2), "loop_seconds": round(loop, 2), "ratio": round(loop / spent, 1)}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(bench()))
