"""Firing rates of groups of phrases: exact intervals, the threshold that a control bank sets, p for several groups.

A *bank* is the acts of one feature on control phrases, ``[..., n_groups, n]``: groups of n phrases that were written
for something else. Every function works on any number of features at once (leading axes).
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv


def upper_limit(fired: np.ndarray, n: np.ndarray, level: float = 0.95) -> np.ndarray:
    """One-sided Clopper-Pearson limit: the largest rate that ``fired`` of ``n`` does not refute at 1 - ``level``.

    1 where every phrase fired and where no phrase was tried (n = 0).
    """
    fired, n = np.asarray(fired, float), np.asarray(n, float)
    return np.where(fired >= n, 1.0, betaincinv(fired + 1, np.maximum(n - fired, 1), level))


def lower_limit(fired: np.ndarray, n: np.ndarray, level: float = 0.95) -> np.ndarray:
    """One-sided Clopper-Pearson limit from below; 0 where nothing fired or nothing was tried."""
    fired, n = np.asarray(fired, float), np.asarray(n, float)
    return np.where(fired <= 0, 0.0, betaincinv(np.maximum(fired, 1), np.maximum(n - fired, 0) + 1, 1 - level))


def clopper_pearson(fired: np.ndarray, n: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Two-sided exact binomial interval ``(lo, hi)``; (0, 1) where no phrase was tried."""
    side = (1 + level) / 2
    return lower_limit(fired, n, side), upper_limit(fired, n, side)


def rate(fired: np.ndarray, n: np.ndarray) -> np.ndarray:
    """fired / n; NaN where no phrase was tried."""
    n = np.asarray(n, float)
    return np.divide(fired, n, out=np.full(np.broadcast(fired, n).shape, np.nan), where=n > 0)


def bank_threshold(acts: np.ndarray, share: float = 0.05) -> np.ndarray:
    """theta: the smallest act of the bank above which at most ``share`` of the bank's phrases lie. ``[...]``.

    ``acts [..., n_groups, n]``, all >= 0. The convention is the inverse of the empirical distribution at 1 - share
    (numpy's ``inverted_cdf``: an act that occurs, never a mean of two), and firing is ``act > theta``, so that the
    bank's own rate is share or just below it. It is 0 for a feature that fires on fewer phrases than that: theta5
    and theta 0 are then the same threshold and the bank's rate is below share.
    """
    flat = acts.reshape(*acts.shape[:-2], -1)
    n = flat.shape[-1]
    # counted in whole phrases because (1 - share) * n is not exact in floating point
    above = int(np.floor(share * n + 1e-9))
    return np.partition(flat, n - above - 1, axis=-1)[..., n - above - 1]


def held_out_fired(acts: np.ndarray, share: float = 0.05, seed: int = 0) -> np.ndarray:
    """Firing phrases of the groups in one random half of the bank, at the threshold of the other half.

    ``[..., n_groups - n_groups // 2]``. Whole groups go to one half or the other, so phrases that were written
    together never check themselves. One direction only: were both averaged, a threshold too high in one half and so
    too low in the other would cancel, and the check would say ``share`` whatever happens.
    """
    order = np.random.default_rng(seed).permutation(acts.shape[-2])
    fit, test = np.split(order, [acts.shape[-2] // 2])
    theta = bank_threshold(acts[..., fit, :], share)
    return (acts[..., test, :] > theta[..., None, None]).sum(-1)


def group_interval(fired: np.ndarray, n: int, n_boot: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a bank's rate, ``fired [n_features, n_groups]`` of ``n`` each, by a bootstrap over groups.

    Groups are resampled whole because phrases of one group resemble each other. Where no phrase fired, or all did,
    the bootstrap cannot vary and the exact interval over groups stands in (a group being one trial).
    """
    n_groups = fired.shape[1]
    ordered = np.sort(fired, axis=1)  # so that the order of groups cannot move the interval
    weights = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_boot)
    draws = ordered @ weights.T.astype(float) / (n_groups * n)
    lo, hi = np.quantile(draws, [0.025, 0.975], axis=1)
    mean = fired.mean(axis=1) / n
    exact_lo, exact_hi = clopper_pearson(np.where(mean > 0.5, n_groups, 0), np.full(len(mean), n_groups))
    flat = (mean == 0) | (mean == 1)
    return np.where(flat, exact_lo, np.minimum(lo, mean)), np.where(flat, exact_hi, np.maximum(hi, mean))


def adjust(p: np.ndarray, correction: str = "hochberg") -> np.ndarray:
    """p adjusted for looking at several groups, over the last axis: reject where <= alpha.

    ``holm`` steps down from the smallest p, ``hochberg`` up from the largest, both at alpha, alpha / 2, alpha / 3 ...
    and both keep the chance of any false rejection at alpha, Holm always, Hochberg (1988) for p-values that are
    independent or rise and fall together, as those of groups ranked in one bank do. Hochberg rejects whatever Holm
    does, and all of them when the largest p is <= alpha.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    if correction == "holm":
        adjusted = np.maximum.accumulate(steps, axis=-1)
    else:
        adjusted = np.minimum.accumulate(steps[..., ::-1], axis=-1)[..., ::-1]
    out = np.empty_like(p)
    np.put_along_axis(out, order, np.minimum(adjusted, 1.0), -1)
    return out
