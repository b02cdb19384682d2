"""Labels on features they do not belong to: how often each class is given where nothing is to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.decompose.stimuli import words_a_phrase
from core.decompose.work import Work
from core.proposals.proposal import Phrase, Proposal

MAX_DENSITY_RATIO = 4.0
MIN_LABELS = 30  # from here on labels are swapped among the tested features; below, other features stand in
MAX_CANDIDATES = 400


def swaps(
    work: Work, proposals: Sequence[Proposal], near_labels: list[list[int]]
) -> dict[int, list[tuple[int, tuple[Phrase, ...]]]]:
    """Features on which each label is tested although it is not theirs, with their own text."""
    owners = [p.feature for p in proposals]
    tested = sorted(set(owners))
    candidates = tested if len(tested) >= MIN_LABELS else _others(work, tested)
    alike = [
        frozenset(proposals[j].feature for j in near_labels[i]) | _neighbours(work, p.feature)
        for i, p in enumerate(proposals)
    ]
    same = [frozenset(q.feature for q in proposals if q.label == p.label) for p in proposals]
    forbidden = [a | b for a, b in zip(alike, same, strict=True)]
    pairs: dict[int, list[tuple[int, tuple[Phrase, ...]]]] = {}
    for i, feature in swapped_pairs(owners, candidates, work.density, forbidden, work.params.n_swaps):
        pairs.setdefault(i, []).append((feature, work.own(feature, words_a_phrase(proposals[i]))))
    return pairs


def _others(work: Work, tested: list[int]) -> list[int]:
    """Features to swap with where few labels are tested: drawn from all that fire, the tested ones among them."""
    firing = [f for f, d in work.density.items() if d > 0]
    drawn = np.random.default_rng([work.params.seed, 7]).permutation(len(firing))[:MAX_CANDIDATES]
    return sorted({*tested, *(firing[i] for i in drawn.tolist())})


def _neighbours(work: Work, feature: int) -> frozenset[int]:
    return frozenset(int(f) for f in work.run.neighbours(feature)["neighbour"])


def swapped_pairs(
    owners: Sequence[int],
    candidates: Sequence[int],
    density: Mapping[int, float],
    forbidden: Sequence[frozenset[int]],
    n_pairs: int,
) -> list[tuple[int, int]]:
    """(label, feature) pairs: label ``i`` of feature ``owners[i]`` on a feature of as nearly its density as can be.

    One feature per label, and no feature twice, in each round; rounds are added until there are ``n_pairs``, and a
    pair is never repeated. ``forbidden[i]`` are features whose label or direction is near that of label ``i``. Pairs
    whose densities differ by more than a factor of four are left out, so that there may be fewer.
    """
    usable = [c for c in candidates if density.get(c, 0) > 0]
    labels = [i for i, f in enumerate(owners) if density.get(f, 0) > 0]
    if not usable or not labels:
        return []
    own = np.log([density[owners[i]] for i in labels])
    theirs = np.log([density[c] for c in usable])
    cost = np.abs(own[:, None] - theirs[None, :])
    column = {c: k for k, c in enumerate(usable)}
    for row, i in enumerate(labels):
        cost[row, [column[f] for f in forbidden[i] | {owners[i]} if f in column]] = np.inf
    cost[cost > np.log(MAX_DENSITY_RATIO)] = np.inf
    pairs: list[tuple[int, int]] = []
    while len(pairs) < n_pairs:
        rows, columns = linear_sum_assignment(np.where(np.isinf(cost), 1e6, cost))
        found = [(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if np.isfinite(cost[r, c])]
        if not found:
            break
        pairs += [(labels[r], usable[c]) for r, c in found]
        for r, c in found:
            cost[r, c] = np.inf
    return pairs
