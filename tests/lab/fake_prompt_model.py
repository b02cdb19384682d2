"""A ``PromptModel`` over a planted language that needs no torch, and a run whose stored acts agree with it.

A text is words. Every feature has a density and fires where a hash of feature, word and the word before it says so:
equal texts have equal acts, and features know nothing of each other. Planted features fire on one word only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.analyses.prompt_model import (
    Advance,
    Continuation,
    Decoded,
    Prompt,
    PromptActs,
    TokenActs,
    TokenEffect,
    TokenView,
    silent,
)
from core.lab.prompts import spelt
from core.store import Run
from tests import factories

N_FILLERS, CONTEXT = 400, 64
_A, _B, _C = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)


def _uniform(*keys: np.ndarray) -> np.ndarray:
    """Numbers in 0..1 that look random and depend on nothing but the keys."""
    with np.errstate(over="ignore"):
        h = np.uint64(0x27D4EB2F165667C5)
        for key, factor in zip(keys, (_A, _B, _C, _A ^ _B), strict=False):
            h = (h ^ (key.astype(np.uint64) * factor)) * np.uint64(0xFF51AFD7ED558CCD)
            h = h ^ (h >> np.uint64(29))
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return (h >> np.uint64(11)).astype(np.float64) / 2**53


@dataclass
class Language:
    """``planted[feature]``: the word it fires on, never else. All other features fire anywhere, each at its density."""

    n_features: int = 120
    seed: int = 0
    planted: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.words = [f"w{i}" for i in range(N_FILLERS)] + sorted(set(self.planted.values()))
        self.number = {w: i + 1 for i, w in enumerate(self.words)}
        self.density = np.exp(rng.uniform(np.log(0.0005), np.log(0.2), self.n_features))
        self.density[list(self.planted)] = 0

    def ids(self, text: str) -> np.ndarray:
        """0 stands for a word that the language lacks."""
        return np.array([self.number.get(w, 0) for w in text.split()], np.int64)

    def acts(self, ids: np.ndarray) -> np.ndarray:
        """float32 ``[n_words, n_features]``."""
        before = np.concatenate([[0], ids[:-1]])
        feature = np.arange(self.n_features)[None, :]
        keys = (feature + 1000 * self.seed, ids[:, None], before[:, None])
        out = np.where(_uniform(*keys) < self.density, 0.1 + 4 * _uniform(*keys, np.array(7)), 0)
        for j, word in self.planted.items():
            out[:, j] = np.where(ids == self.number[word], 1 + _uniform(ids + j, before), 0)
        return out.astype(np.float32)

    def text(self, rng: np.random.Generator, n: int, word: str = "", share: float = 1.0) -> str:
        """``n`` fillers; with chance ``share`` one of them is ``word``."""
        words = [self.words[i] for i in rng.integers(0, N_FILLERS, n)]
        if word and rng.random() < share:
            words[int(rng.integers(n))] = word
        return " ".join(words)

    def write(self, cache_dir: Path, n_contexts: int = 1200, n_pos: int = 48, share: float = 0.02) -> Run:
        """A run of contexts of fillers, one a document; each planted word stands in ``share`` of them."""
        rng = np.random.default_rng(self.seed + 1)
        texts = [self.text(rng, n_pos) for _ in range(n_contexts)]
        for word in set(self.planted.values()):
            for c in np.flatnonzero(rng.random(n_contexts) < share):
                words = texts[c].split()
                words[int(rng.integers(n_pos))] = word
                texts[c] = " ".join(words)
        tokens = np.array([[0, *self.ids(t)] for t in texts], np.int32)
        acts = np.zeros((*tokens.shape, self.n_features), np.float32)
        for c, row in enumerate(tokens):
            acts[c, 1:] = self.acts(row[1:].astype(np.int64))
        old, factories.WORDS = factories.WORDS, self.words
        try:
            return factories.write_run(cache_dir, "language", factories.World(tokens, acts, np.arange(n_contexts)))
        finally:
            factories.WORDS = old


class FakePromptModel:
    """One BOS, then words; a context of 64 words. ``n_prompts`` counts what was measured."""

    has_chat_template = True

    def __init__(self, language: Language) -> None:
        self.language, self.n_prompts = language, 0

    @property
    def about(self) -> dict[str, Any]:
        return {"source": "a fake", "seed": self.language.seed}

    def _ids(self, prompt: Prompt) -> np.ndarray:
        return self.language.ids(spelt(prompt))[:CONTEXT]

    def views(self, prompts: Sequence[Prompt]) -> tuple[TokenView, ...]:
        return tuple(self._view(p) for p in prompts)

    def _view(self, prompt: Prompt) -> TokenView:
        words, ids = spelt(prompt).split(), self._ids(prompt)
        if not words:
            none = np.zeros(0, bool)
            return TokenView(np.zeros(0, np.int32), (), none, none, 0, "there is no token in it")
        tokens = ("<s>", *(f" {w}" for w in words[:CONTEXT]))
        special = np.arange(len(tokens)) == 0
        unknown = np.concatenate([[False], ids == 0])
        all_ids = np.concatenate([[0], ids]).astype(np.int32)
        return TokenView(all_ids, tokens, special, unknown, max(0, len(words) - CONTEXT))

    def _dense(self, prompts: Sequence[Prompt], advance: Advance) -> list[np.ndarray]:
        out = []
        for prompt in prompts:
            self.n_prompts += 1
            out.append(self.language.acts(self._ids(prompt)))
            advance(1)
        return out

    def token_acts(self, prompts: Sequence[Prompt], features: Sequence[int], advance: Advance = silent) -> TokenActs:
        wanted = np.array(sorted(features), np.int64)
        parts = []
        for i, acts in enumerate(self._dense(prompts, advance)):
            pos, column = np.nonzero(acts[:, wanted])
            parts.append((wanted[column], np.full(len(pos), i), pos + 1, acts[pos, wanted[column]]))
        columns = [np.concatenate(p) for p in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 4
        feature, prompt, pos, act = columns
        order = np.lexsort((pos, prompt, feature))
        whole = (x[order].astype(np.int32) for x in (feature, prompt, pos))
        return TokenActs(*whole, act[order].astype(np.float32))

    def prompt_acts(
        self, prompts: Sequence[Prompt], features: Sequence[int] | None = None, advance: Advance = silent
    ) -> PromptActs:
        wanted = np.arange(self.language.n_features) if features is None else np.array(sorted(features))
        parts = []
        for i, acts in enumerate(self._dense(prompts, advance)):
            mine = acts[:, wanted]
            if not len(mine):
                continue
            c = np.flatnonzero(mine.max(0))
            parts.append((wanted[c], np.full(len(c), i), mine.max(0)[c], mine.mean(0)[c], mine[-1, c],
                          (mine > 0).sum(0)[c]))  # fmt: skip
        columns = [np.concatenate(p) for p in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 6
        order = np.lexsort((columns[1], columns[0]))
        kinds = (np.int32, np.int32, np.float32, np.float32, np.float32, np.int32)
        return PromptActs(*(x[order].astype(k) for x, k in zip(columns, kinds, strict=True)))

    def log_probs(self, prompts: Sequence[Prompt], advance: Advance = silent) -> tuple[np.ndarray, ...]:
        out = []
        for prompt in prompts:
            advance(1)
            ids = self._ids(prompt)
            logs = np.concatenate([[np.nan], -ids / 100]) if len(ids) else np.zeros(0)
            out.append(logs.astype(np.float32))
        return tuple(out)

    def decode(self, values: Mapping[int, float], n_tokens: int = 10, seed: int = 0) -> Decoded:
        size = float(np.sqrt(sum(v * v for v in values.values())))
        up = tuple(TokenEffect(i + 1, f" {self.language.words[i]}", size / (i + 1)) for i in range(n_tokens))
        down = tuple(TokenEffect(e.token_id, e.str_token, -e.logit) for e in up)
        return Decoded(size, 10.0, up, down, size / 2.5, 20)

    def continuations(
        self,
        prompt: Prompt,
        values: Mapping[int, float],
        strengths: Sequence[float],
        n_tokens: int = 20,
        temperature: float = 0.0,
        seed: int = 0,
        advance: Advance = silent,
    ) -> tuple[Continuation, ...]:
        kinds: list[Any] = [("unsteered", 0.0), *((k, s) for s in strengths for k in ("steered", "random"))]
        ids = np.arange(1, n_tokens + 1, dtype=np.int32)
        words = tuple(f" {self.language.words[i]}" for i in range(n_tokens))
        plain = np.full(n_tokens, -2, np.float32)
        return tuple(Continuation(kind, s, ids, words, plain + np.float32(s), plain) for kind, s in kinds)
