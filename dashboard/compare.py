"""Two features side by side: how often they fire together, beside what chance would give. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from core.store import FeatureActs
from dashboard.facts import Fact
from dashboard.wording import count, number, percent


@dataclass(frozen=True)
class Together:
    """Positions (or contexts) in which both fire, and what two independent sets of these sizes would share."""

    n_a: int
    n_b: int
    n_both: int
    expected: float
    chance_lo: int  # 95 % of the hypergeometric null
    chance_hi: int

    @property
    def jaccard(self) -> float | None:
        """Shared by those of either; None when neither fires."""
        union = self.n_a + self.n_b - self.n_both
        return self.n_both / union if union else None


def together(a: np.ndarray, b: np.ndarray, n_all: int) -> Together:
    """Overlap of two sets of ids out of ``n_all``; the null draws both sets independently and uniformly."""
    a, b = np.unique(a), np.unique(b)
    n_both = len(np.intersect1d(a, b, assume_unique=True))
    lo, hi = hypergeom.interval(0.95, n_all, len(a), len(b)) if len(a) and len(b) else (0, 0)
    return Together(len(a), len(b), n_both, len(a) * len(b) / n_all if n_all else 0.0, int(lo), int(hi))


def positions(acts: FeatureActs) -> np.ndarray:
    """``[n_firings]`` int64: one id per context and position."""
    return acts.context.astype(np.int64) * 65_536 + acts.pos


def compare_facts(a: FeatureActs, b: FeatureActs, n_tokens: int, n_contexts: int) -> list[Fact]:
    """Shared positions and shared contexts of two features, each with its null."""
    pairs = (
        ("positions", together(positions(a), positions(b), n_tokens)),
        ("contexts", together(a.context, b.context, n_contexts)),
    )
    return [
        Fact(
            f"{what} in which both fire",
            count(t.n_both),
            f"if independent {number(t.expected)} [{count(t.chance_lo)}, {count(t.chance_hi)}]; "
            f"{percent(t.jaccard)} of the {what} of either",
            "95 % of the overlap of two independent uniform sets of these sizes",
        )
        for what, t in pairs
    ]
