"""Planted truth for decomposition tests: counts at stated rates, and features built over a small world of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.maths.control_bank import ControlBank
from core.maths.evidence import Evidence
from core.maths.verdict_rules import Counts

R0, N, N_PARTS, N_GROUPS, N_WHOLE = 0.05, 12, 5, 300, 40


@dataclass(frozen=True)
class Profile:
    """True firing rates of five parts, of phrases for the whole label and of own text, and the class they deserve."""

    parts: tuple[float, ...]
    whole: float
    right: str
    own: float = 0.9


PROFILES = {
    "all parts": Profile((0.7,) * 5, 0.8, "ALL-PARTS"),
    "one facet": Profile((0.8, R0, R0, R0, R0), 0.8, "SOME-PARTS"),
    "whole only": Profile((R0,) * 5, 0.8, "WHOLE-ONLY"),
    "wrong label": Profile((R0,) * 5, R0, "LABEL-FAILS"),
    "weak": Profile((0.2,) * 5, 0.4, "UNDECIDED"),
}


def fired(rng: np.random.Generator, rate: np.ndarray | float, shape: tuple[int, ...], n: int, icc: float) -> np.ndarray:
    """Firing phrases of groups of ``n``: binomial, or beta-binomial where phrases of a group resemble each other."""
    rates = np.broadcast_to(rate, shape)
    if icc:
        spread = 1 / icc - 1
        rates = rng.beta(np.maximum(rates * spread, 1e-9), np.maximum((1 - rates) * spread, 1e-9))
    return rng.binomial(n, rates)


def counts(
    profile: Profile, n_features: int, icc: float = 0.0, n: int = N, seed: int = 0, whole_bank: bool = True
) -> Counts:
    """Counts of features of one profile. Phrases for a whole label come from four calls, alike inside a call."""
    rng = np.random.default_rng(seed)
    own_n = np.full(n_features, N_WHOLE)
    bank = ControlBank(fired(rng, R0, (n_features, N_GROUPS), n, icc), n)
    calls = fired(rng, R0, (n_features, N_GROUPS, 4), N_WHOLE // 4, icc).sum(-1)
    return Counts(
        parts_fired=fired(rng, np.array(profile.parts), (n_features, len(profile.parts)), n, icc),
        parts_n=np.full((n_features, len(profile.parts)), n),
        whole_fired=fired(rng, profile.whole, (n_features, 4), N_WHOLE // 4, icc).sum(-1),
        whole_n=np.full(n_features, N_WHOLE),
        own_fired=rng.binomial(own_n, profile.own),
        own_n=own_n,
        bank=bank,
        whole_bank=ControlBank(calls, N_WHOLE) if whole_bank else bank,
        ever_fires=np.ones(n_features, bool),
    )


def acts(rng: np.random.Generator, rate: np.ndarray | float, shape: tuple[int, ...]) -> np.ndarray:
    """Acts of a dense feature of which a share ``rate`` lies above 1 - R0, where the bank's theta5 comes to lie."""
    hit = rng.random(shape) < rate
    return np.where(hit, 1 - R0 * rng.random(shape), (1 - R0) * (1e-6 + rng.random(shape) * (1 - 1e-6)))


def evidence(profile: Profile, seed: int, n: int = N, n_groups: int = N_GROUPS) -> Evidence:
    """Acts of one feature with a profile's rates at theta5; at theta 0 it fires on every phrase."""
    rng = np.random.default_rng(seed)
    return Evidence(
        parts=acts(rng, np.array(profile.parts)[:, None], (len(profile.parts), n)),
        whole=acts(rng, profile.whole, (N_WHOLE,)),
        own=acts(rng, profile.own, (N_WHOLE,)),
        bank=acts(rng, R0, (n_groups, n)),
    )


# --- a small world of tokens -------------------------------------------------------------------------------------

N_FILLERS, N_CONCEPTS, PER_CONCEPT, N_TOKENS = 800, 400, 4, 12
KINDS = {
    "OR": {"ALL-PARTS"},
    "AND": {"WHOLE-ONLY"},
    "one facet": {"SOME-PARTS"},
    "token set": {"ALL-PARTS"},
    "region": {"UNTESTABLE"},
    "random": {"LABEL-FAILS", "UNTESTABLE"},
    "swapped label": {"LABEL-FAILS"},
    "no firing": {"NO-FIRING"},
}
"""Constructed features and the classes that are right for them. ``random`` is right either way: it may fire on its
own text for reasons of its own (LABEL-FAILS), or not even there (UNTESTABLE)."""


class World:
    """Phrases are rows of token ids; a concept is spoken of by any of its four tokens, fillers mean nothing."""

    def __init__(self, seed: int, miss: float = 0.06) -> None:
        self.rng, self.miss = np.random.default_rng(seed), miss

    def fillers(self, n: int) -> np.ndarray:
        return self.rng.integers(0, N_FILLERS, (n, N_TOKENS))

    def phrases(self, concepts: np.ndarray) -> np.ndarray:
        """One phrase per row of ``concepts [n, k]``, each holding its k concepts; a few are missed, as writers do."""
        token = N_FILLERS + concepts * PER_CONCEPT + self.rng.integers(0, PER_CONCEPT, concepts.shape)
        missed = self.rng.random(concepts.shape) < self.miss
        return self.insert(self.fillers(len(concepts)), np.where(missed, 0, token))

    def insert(self, phrases: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Put the tokens of each row ``[n, k]`` at random different positions."""
        n, k = tokens.shape
        where = self.rng.integers(0, N_TOKENS, (n, 1))
        if k > 1:
            where = self.rng.permuted(np.tile(np.arange(N_TOKENS), (n, 1)), axis=1)[:, :k]
        phrases[np.arange(len(phrases))[:, None], where] = tokens
        return phrases

    def bank(self, label: np.ndarray) -> np.ndarray:
        """``[groups * n, n_tokens]``: a concept per group, the label's own left out as near labels are.

        A feature whose label is wrong may well fire on some groups: its true concepts are among them.
        """
        concepts = np.setdiff1d(np.arange(N_CONCEPTS), label)
        return self.phrases(np.repeat(self.rng.choice(concepts, N_GROUPS), N)[:, None])


def tokens_of(concepts: np.ndarray | list[int]) -> np.ndarray:
    return (N_FILLERS + np.asarray(concepts)[:, None] * PER_CONCEPT + np.arange(PER_CONCEPT)).ravel()


def holds(phrases: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Which positions hold one of ``tokens``."""
    known = np.zeros(N_FILLERS + N_CONCEPTS * PER_CONCEPT, bool)
    known[tokens] = True
    return known[phrases]


class Feature:
    """A feature of one kind for five concepts; ``tokens`` are what it fires on, where it is a matter of tokens."""

    def __init__(self, kind: str, world: World, concepts: np.ndarray) -> None:
        self.kind, self.world, self.concepts = kind, world, concepts
        rng = world.rng
        self.share = rng.uniform(0.003, 0.02)  # of tokens: the random feature's density
        self.of_context = kind == "random" and rng.random() < 0.5
        self.tokens = {
            "one facet": tokens_of(concepts[:1]),
            "token set": np.concatenate([tokens_of([c])[:3] for c in concepts]),
            "random": rng.choice(N_FILLERS, max(1, int(self.share * N_FILLERS)), replace=False),
            "region": np.zeros(0, int),  # fires only after text that lies further back than a phrase
            "no firing": np.zeros(0, int),
        }.get(kind, tokens_of(concepts))

    def fires(self, phrases: np.ndarray) -> np.ndarray:
        """``[n, n_tokens]`` bool."""
        if self.of_context:
            return self.world.rng.random(phrases.shape) < self.share
        where = holds(phrases, self.tokens)
        if self.kind == "AND":
            where &= np.all([holds(phrases, tokens_of([c])).any(1) for c in self.concepts], axis=0)[:, None]
        return where

    def max_act(self, phrases: np.ndarray) -> np.ndarray:
        """``[n]``: also weakly active on 3 % of all tokens, as SAE features are, below what it is for."""
        rng = self.world.rng
        if self.kind == "no firing":
            return np.zeros(len(phrases))
        act = np.zeros(phrases.shape)
        weak, strong = rng.random(phrases.shape) < 0.03, self.fires(phrases)
        act[weak] = rng.uniform(0.05, 0.5, int(weak.sum()))
        act[strong] = rng.gamma(9.0, 0.25, int(strong.sum())) + 0.5
        return act.max(axis=1)

    def own_text(self) -> np.ndarray:
        """Firing windows cut to a phrase's length, ending at the peak: what fires is in them, its far context not."""
        windows = self.world.fillers(N_WHOLE)
        if self.kind == "AND":
            pick = self.world.rng.integers(0, PER_CONCEPT, (N_WHOLE, N_PARTS))
            return self.world.insert(windows, N_FILLERS + self.concepts * PER_CONCEPT + pick)
        if self.of_context or not len(self.tokens):
            return windows
        return self.world.insert(windows, self.world.rng.choice(self.tokens, (N_WHOLE, 1)))


def constructed(kind: str, world: World) -> Evidence:
    """One feature of a kind and a label of five concepts, measured on phrases for them."""
    label, other = world.rng.choice(N_CONCEPTS, (2, N_PARTS), replace=False)
    feature = Feature(kind, world, other if kind == "swapped label" else label)
    return Evidence(
        parts=np.stack([feature.max_act(world.phrases(np.full((N, 1), concept))) for concept in label]),
        whole=feature.max_act(world.phrases(np.tile(label, (N_WHOLE, 1)))),
        own=feature.max_act(feature.own_text()),
        bank=feature.max_act(world.bank(label)).reshape(N_GROUPS, N),
        ever_fires=kind != "no firing",
    )
