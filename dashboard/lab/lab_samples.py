"""Prompts to begin with, from the run's own text: by a feature's firings, or by the words of a label.

A beginning is what the model saw before the firing, so the feature fires on it as it did in the run. That it does is
no evidence for a label: what holds a label to account is drawn by the label's words alone.
"""

from __future__ import annotations

import re

import numpy as np

from core.errors import InputError
from core.store import Run
from dashboard import readers

N = 24
"""Of each kind."""
LONGEST = 40
"""Tokens of one prompt."""
MAX_CONTEXTS = 4_000
"""Read for the words of a label."""
WORD = re.compile(r"\w{3,}")
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


def sample_by_words(run: Run, label: str) -> tuple[list[str], list[str]]:
    """Beginnings of contexts with the words of a label, and ones of the same kind with none of them; blind to acts.

    With every word that occurs in these texts at all, or with any where fewer than three texts have all. InputError
    where no text has one.
    """
    rng, n_contexts = np.random.default_rng(7), int(run.manifest["corpus"]["n_contexts"])
    drawn = np.sort(rng.permutation(n_contexts)[:MAX_CONTEXTS])
    places = zip(drawn.tolist(), rng.integers(5, LONGEST, len(drawn)).tolist(), strict=True)
    texts = [str(t) for t in rng.permutation(np.array(_different(run, list(places), most=MAX_CONTEXTS), dtype=object))]
    wanted, words = _words(label), [_words(text) for text in texts]
    known = wanted & set().union(*words)
    full = [t for t, w in zip(texts, words, strict=True) if known and known <= w]
    some = [t for t, w in zip(texts, words, strict=True) if known & w]
    if not some:
        raise InputError(
            "no text of the run has a word of this label",
            f"looked for {', '.join(sorted(wanted)[:10]) or 'words of three letters or more'} in {len(texts):,} texts",
            "write prompts on which the feature should fire",
        )
    none = [t for t, w in zip(texts, words, strict=True) if not wanted & w]
    return (full if len(full) >= 3 else some)[:N], none[:N]


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))


def _different(run: Run, places: list[tuple[int, int]], taken: set[str] | None = None, most: int = N) -> list[str]:
    """Beginnings of contexts up to positions, on one line, each once, at most ``most``."""
    found: list[str] = []
    seen, special = set(taken or ()), run.special_ids
    rows = readers.contexts(run, np.array([context for context, _ in places], np.int64)) if places else []
    for row, (_, pos) in zip(rows, places, strict=True):
        if len(found) == most:
            break
        ids = [int(i) for i in row.token_ids]
        stop = min(pos, len(ids) - 1)
        while stop < min(len(ids), LONGEST + 10) - 1 and not END.search(run.str_tokens[ids[stop]]):
            stop += 1
        text = " ".join("".join(run.str_tokens[i] for i in ids[: stop + 1] if i not in special).split())
        if text and text not in seen:
            seen.add(text)
            found.append(text)
    return found
