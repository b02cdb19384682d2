"""What a recipe leaves open, decided: the features, the window's size, the size of a shard."""

from __future__ import annotations

import numpy as np

from core.engine.corpus import DEFAULT_CONTEXT_SIZE
from core.errors import InputError
from core.recipe import Recipe
from core.types import SAEInfo

SHARD_FIRINGS = 1_500_000
SHARD_TOKENS = 65_536


def chosen_features(recipe: Recipe, d_sae: int) -> np.ndarray:
    """int32, ascending: the features the recipe asks for. Raises InputError for one the SAE does not have."""
    wanted = recipe.encode.features
    if wanted == "all":
        return np.arange(d_sae, dtype=np.int32)
    if isinstance(wanted, str):
        n = int(wanted.removeprefix("random:"))
        if n > d_sae:
            raise InputError(f"{n} random features were asked for", f"the SAE has {d_sae}", 'use features = "all"')
        return np.sort(np.random.default_rng(recipe.corpus.seed).choice(d_sae, n, replace=False)).astype(np.int32)
    if max(wanted) >= d_sae:
        raise InputError(
            f"there is no feature {max(wanted)}", f"this SAE has features 0 to {d_sae - 1}", "mend encode.features"
        )
    return np.asarray(sorted(set(wanted)), np.int32)


def context_size(recipe: Recipe, info: SAEInfo, n_ctx: int) -> int:
    """Positions of a window: the recipe's, else the SAE's, else 128 or what the model can read."""
    return recipe.corpus.context_size or info.context_size or min(DEFAULT_CONTEXT_SIZE, n_ctx)


def shard_contexts(l0: float, tokens_each: float) -> int:
    """Contexts of one shard, so that it holds about ``SHARD_FIRINGS`` firings and at most ``SHARD_TOKENS`` tokens.

    ``l0`` are firings per token among the wanted features, ``tokens_each`` real tokens per context.
    """
    tokens = min(SHARD_TOKENS, SHARD_FIRINGS / max(l0, 1e-9)) if np.isfinite(l0) else 1024
    return max(1, int(tokens / max(tokens_each, 1)))
