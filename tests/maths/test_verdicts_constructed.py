"""Features built to be of a kind get the class of their kind: 8 kinds x 20 features x 5 seeds."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from core.maths.verdicts import judge
from tests.maths.verdict_worlds import KINDS, World, constructed

SEEDS, EACH = range(5), 20


@cache
def confusion(kind: str) -> Counter[str]:
    got: Counter[str] = Counter()
    for seed in SEEDS:
        world = World(seed)
        got.update(v.kind for v in judge([constructed(kind, world) for _ in range(EACH)]))
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_constructed_features_get_their_class_and_false_decisive_is_at_most_5_percent(kind: str) -> None:
    got = confusion(kind)
    total = sum(got.values())
    assert total == len(SEEDS) * EACH
    false = sum(n for c, n in got.items() if c not in KINDS[kind] | {"UNDECIDED"})
    assert false <= 0.05 * total
    assert sum(got[c] for c in KINDS[kind]) >= 0.85 * total


def test_random_firing_is_never_all_parts() -> None:
    assert confusion("random")["ALL-PARTS"] == 0
