"""Labels on features they do not belong to: how often each class is given where nothing is to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

MAX_DENSITY_RATIO = 4.0


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
