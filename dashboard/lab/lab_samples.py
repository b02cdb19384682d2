"""Prompts to begin with, from the run's own text: beginnings of contexts up to a firing, and as many drawn at random.

A beginning is what the model saw before the firing, so the feature fires on it as it did in the run.
"""

from __future__ import annotations

import re

import numpy as np

from core.store import Run
from dashboard import readers

N = 24
"""Of each kind."""
LONGEST = 40
"""Tokens of one prompt."""
END = re.compile(r"[.!?]\s*$")


def sample_prompts(run: Run, feature: int) -> tuple[list[str], list[str]]:
    """Different beginnings that end with the sentence of a firing, and different ones of the same lengths.

    Both are drawn uniformly; the same feature has the same samples. The first list is empty where the feature never
    fires near the beginning of a context.
    """
    rng, acts = np.random.default_rng((7, feature)), readers.acts(run, feature)
    near = np.flatnonzero(acts.pos < LONGEST)
    chosen = rng.permutation(near)[: 4 * N]
    fires = _different(run, [(int(acts.context[i]), int(acts.pos[i])) for i in chosen])
    n_contexts = int(run.manifest["corpus"]["n_contexts"])
    lengths = acts.pos[chosen] if len(chosen) else rng.integers(5, LONGEST, 4 * N)
    places = zip(rng.integers(0, n_contexts, 4 * N).tolist(), np.resize(lengths, 4 * N).tolist(), strict=True)
    return fires, _different(run, list(places), set(fires))


def _different(run: Run, places: list[tuple[int, int]], taken: set[str] | None = None) -> list[str]:
    """Beginnings of contexts up to positions, on one line, each once, at most ``N``."""
    found: list[str] = []
    seen, special = set(taken or ()), run.special_ids
    for context, pos in places:
        if len(found) == N:
            break
        ids = [int(i) for i in readers.contexts(run, np.array([context]))[0].token_ids]
        stop = min(pos, len(ids) - 1)
        while stop < min(len(ids), LONGEST + 10) - 1 and not END.search(run.str_tokens[ids[stop]]):
            stop += 1
        text = " ".join("".join(run.str_tokens[i] for i in ids[: stop + 1] if i not in special).split())
        if text and text not in seen:
            seen.add(text)
            found.append(text)
    return found
