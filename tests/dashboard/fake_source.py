"""A model that needs no torch: words are tokens, and a feature's act on a word is a sum anybody can redo."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.analyses.activation_source import Measured, Stimulus


def act_of(word: str, feature: int) -> float:
    """What ``FakeSource`` says: features fire on words that begin with their letter, by the word's length."""
    return float(len(word)) if word.lower().startswith("abcdefgh"[feature % 8]) else 0.0


class FakeSource:
    """Waits at ``gate`` before each text when there is one; counts how often it was asked."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.gate, self.n_asked = gate, 0

    @property
    def about(self) -> dict[str, Any]:
        return {"source": "a fake"}

    def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
        return None

    def measure(
        self, stimuli: Sequence[Stimulus], features: Sequence[int], advance: Callable[[float], None] = lambda n: None
    ) -> Measured:
        self.n_asked += 1
        tokens = [tuple(s.text.split()) for s in stimuli]
        for _ in stimuli:
            while self.gate is not None and not self.gate.wait(0.005):
                advance(0)
            advance(1)
        acts = {
            (i, f): np.array([act_of(word, f) for word in words], np.float32)
            for i, words in enumerate(tokens)
            for f in features
        }
        largest = [[acts[i, f].max() if len(acts[i, f]) else np.nan for f in features] for i in range(len(stimuli))]
        return Measured(
            max_act=np.array(largest, np.float32).reshape(len(stimuli), len(features)),
            str_tokens=tuple(tuple(f" {word}" for word in words) for words in tokens),
            acts=acts,
            problems={i: "there is no token in it" for i, words in enumerate(tokens) if not words},
        )
