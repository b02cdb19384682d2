"""A ``PromptModel`` that needs no torch: words are tokens behind one BOS, and its numbers anybody can redo."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
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
from tests.dashboard.fake_source import FakeSource, act_of

N_FEATURES = 40
CONTEXT = 12
"""Words that fit behind the BOS."""


def words_of(prompt: Prompt) -> list[str]:
    return [w for t in prompt.turns for w in (f"<{t.role}>", *t.content.split())] or prompt.text.split()


def log_prob_of(word: str) -> float:
    """Minus half the word's length."""
    return -len(word) / 2


class FakePromptModel(FakeSource):
    """Features fire as ``act_of`` says; words with a "?" are unknown; waits at ``gate`` before each prompt."""

    has_chat_template = True

    def __init__(self, gate: threading.Event | None = None) -> None:
        super().__init__(gate)
        self.asked: list[str] = []

    @property
    def about(self) -> dict[str, Any]:
        return {"source": "a fake"}

    def views(self, prompts: Sequence[Prompt]) -> tuple[TokenView, ...]:
        self.asked.append("views")
        return tuple(self._view(p) for p in prompts)

    def _view(self, prompt: Prompt) -> TokenView:
        words = words_of(prompt)
        kept = words[:CONTEXT]
        if not kept:
            return TokenView(
                np.zeros(0, np.int32), (), np.zeros(0, bool), np.zeros(0, bool), 0, "there is no token in it"
            )
        tokens = ("<bos>", *(f" {w}" for w in kept))
        return TokenView(
            np.arange(len(tokens), dtype=np.int32), tokens, np.array([True] + [False] * len(kept)),
            np.array([False] + ["?" in w for w in kept]), len(words) - len(kept),
        )  # fmt: skip

    def token_acts(self, prompts: Sequence[Prompt], features: Sequence[int], advance: Advance = silent) -> TokenActs:
        self.asked.append("token_acts")
        rows = []
        for p, prompt in enumerate(prompts):
            self._wait(advance)
            for f in features:
                for pos, word in enumerate(words_of(prompt)[:CONTEXT]):
                    if (act := act_of(word, f)) > 0:
                        rows.append((f, p, pos + 1, act))
        rows.sort()
        f_, p_, s_, a_ = (np.array([r[i] for r in rows]) for i in range(4)) if rows else (np.zeros(0),) * 4
        return TokenActs(f_.astype(np.int32), p_.astype(np.int32), s_.astype(np.int32), a_.astype(np.float32))

    def _wait(self, advance: Advance) -> None:
        while self.gate is not None and not self.gate.wait(0.005):
            advance(0)
        advance(1)

    def prompt_acts(
        self, prompts: Sequence[Prompt], features: Sequence[int] | None = None, advance: Advance = silent
    ) -> PromptActs:
        wanted = range(N_FEATURES) if features is None else features
        acts, n = self.token_acts(prompts, wanted, advance), [len(words_of(p)[:CONTEXT]) for p in prompts]
        keys = sorted(set(zip(acts.feature.tolist(), acts.prompt.tolist(), strict=True)))
        of = [acts.act[(acts.feature == f) & (acts.prompt == p)] for f, p in keys]
        last = [acts.act[(acts.feature == f) & (acts.prompt == p) & (acts.pos == n[p])].sum() for f, p in keys]
        return PromptActs(
            np.array([f for f, _ in keys], np.int32), np.array([p for _, p in keys], np.int32),
            np.array([a.max() for a in of], np.float32),
            np.array([a.sum() / n[p] for a, (_, p) in zip(of, keys, strict=True)], np.float32),
            np.array(last, np.float32), np.array([len(a) for a in of], np.int32),
        )  # fmt: skip

    def log_probs(self, prompts: Sequence[Prompt], advance: Advance = silent) -> tuple[np.ndarray, ...]:
        self.asked.append("log_probs")
        found = []
        for prompt in prompts:
            advance(1)
            words = words_of(prompt)[:CONTEXT]
            found.append(np.array([np.nan] + [log_prob_of(w) for w in words], np.float32) if words else np.zeros(0))
        return tuple(found)

    def decode(self, values: Mapping[int, float], n_tokens: int = 10, seed: int = 0) -> Decoded:
        self.asked.append("decode")
        size = sum(abs(v) for v in values.values())
        up = tuple(TokenEffect(i, f"<b>up{i}</b>", size / (i + 1)) for i in range(n_tokens))
        return Decoded(
            size, 10.0, up, tuple(TokenEffect(i, f"down{i}", -e.logit) for i, e in enumerate(up)), size / 4, 20
        )

    def continuations(
        self, prompt: Prompt, values: Mapping[int, float], strengths: Sequence[float], n_tokens: int = 20,
        temperature: float = 0.0, seed: int = 0, advance: Advance = silent,
    ) -> tuple[Continuation, ...]:  # fmt: skip
        self.asked.append("continuations")
        kinds: list[Any] = [("unsteered", 0.0), *((k, s) for s in strengths for k in ("steered", "random"))]
        return tuple(
            Continuation(
                kind, strength, np.arange(3, dtype=np.int32), (" and", " <i>so</i>", " on"),
                np.array([-1, -2, -3], np.float32) + np.float32(strength if kind == "steered" else 0),
                np.array([-1, -2, -3], np.float32),
            )
            for kind, strength in kinds
        )  # fmt: skip
