"""How a feature's firing is spread over the parts of its label: do parts differ, how evenly, how much of the whole.

``fired`` and ``n`` are ``[n_features, n_parts]``: firing and tried phrases of every part (n = 0: no phrase of that
part was measured). Every number depends on the counts only, and not on the order of parts or of features.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np

from core.maths.rates import rate

N_PERMUTATIONS = 4_999
EXACT_UP_TO = 40  # phrases a part: beyond it the table of all outcomes takes seconds to make


def parts_differ(fired: np.ndarray, n: np.ndarray) -> np.ndarray:
    """``[n_features]``: permutation p that all parts have one rate, phrases being exchanged between parts.

    Statistic: sum of fired^2 / n, which for a fixed total orders outcomes as chi-square does. With equal n (at most
    40) every permutation is counted, exactly; otherwise 4,999 are drawn. 1 where fewer than two parts were tried, or
    none or all of the phrases fired. Phrases of a part count as independent: where they resemble each other the
    p is too small, which is why no class rests on it alone.
    """
    key = np.sort(n.astype(np.int64) * 100_000 + fired, axis=1)  # pairs sorted, so the order of parts is forgotten
    unique, inverse = np.unique(key, axis=0, return_inverse=True)
    p = np.array([_differ_p(tuple(int(x) for x in row if x >= 100_000)) for row in unique])
    return p[inverse.reshape(-1)]


def _differ_p(pairs: tuple[int, ...]) -> float:
    n, fired = np.array(pairs, np.int64) // 100_000, np.array(pairs, np.int64) % 100_000
    total = int(fired.sum())
    if len(n) < 2 or total in (0, n.sum()):
        return 1.0
    if n.min() == n.max() <= EXACT_UP_TO:
        return float(_exact_table(len(n), int(n[0]))[total, (fired**2).sum()])
    draws = np.random.default_rng(0).multivariate_hypergeometric(n, total, size=N_PERMUTATIONS, method="count")
    at_least = ((draws**2 / n).sum(1) >= (fired**2 / n).sum() - 1e-9).sum()
    return float((1 + at_least) / (1 + N_PERMUTATIONS))


@lru_cache(maxsize=16)
def _exact_table(n_parts: int, n: int) -> np.ndarray:
    """``[total, q]``: P(sum of squared counts >= q | total firing phrases) over all assignments of phrases to parts."""
    ways = np.array([comb(n, k) for k in range(n + 1)], float)
    table = np.ones((1, 1))
    for part in range(1, n_parts + 1):
        grown = np.zeros((part * n + 1, part * n * n + 1))
        for k in range(n + 1):
            grown[k : k + table.shape[0], k * k : k * k + table.shape[1]] += ways[k] * table
        table = grown
    table /= np.array([comb(n_parts * n, t) for t in range(n_parts * n + 1)], float)[:, None]
    return np.minimum(np.cumsum(table[:, ::-1], axis=1)[:, ::-1], 1.0)


def evenness(fired: np.ndarray, n: np.ndarray) -> np.ndarray:
    """``[n_features]``: exp(entropy of the parts' shares of the summed rates) / number of parts tried.

    1 = all parts fire alike, 1 / parts = one part alone does. NaN where no phrase of any part fired.
    """
    rates = np.sort(np.nan_to_num(rate(fired, n)), axis=1)  # sorted: sums must not depend on the order of parts
    total = rates.sum(axis=1)
    share = np.divide(rates, total[:, None], out=np.zeros_like(rates), where=total[:, None] > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    tried = np.maximum((n > 0).sum(axis=1), 1)
    return np.where(total > 0, np.exp(entropy) / tried, np.nan)


def index(parts_rate: np.ndarray, whole_rate: np.ndarray, r0: np.ndarray) -> np.ndarray:
    """DI = (mean rate of parts - r0) / (rate of the whole - r0), cut to 0 .. 1; 0 where the whole is not above r0."""
    above = whole_rate - r0
    return np.clip(np.divide(parts_rate - r0, above, out=np.zeros_like(above), where=above > 0), 0.0, 1.0)


def index_interval(
    fired: np.ndarray,
    n: np.ndarray,
    whole_fired: np.ndarray,
    whole_n: np.ndarray,
    r0: np.ndarray,
    n_boot: int = 2000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """DI with its 95 % percentile interval, each ``[n_features]``: phrases are resampled inside their own group.

    A resample of n phrases of which k fire is a binomial draw, so no phrase is touched. r0 stays fixed: it comes
    from thousands of phrases and, at theta5, by construction. Where every group is all or nothing the bootstrap has
    nothing to vary and the interval is a point: read the parts' own exact intervals beside it. NaN without parts.
    """
    order = np.lexsort((fired, n), axis=1)
    fired, n = np.take_along_axis(fired, order, 1), np.take_along_axis(n, order, 1)
    with np.errstate(invalid="ignore"):
        whole = _resampled(whole_fired[:, None], whole_n[:, None], n_boot, seed, first=fired.shape[1])[:, 0]
        tried = (n > 0).sum(axis=1)
        draws = np.nan_to_num(_resampled(fired, n, n_boot, seed)).sum(axis=1) / tried[:, None]
        di = index(draws, whole, np.broadcast_to(r0[:, None], whole.shape))
        point = index(np.nan_to_num(rate(fired, n)).sum(axis=1) / tried, rate(whole_fired, whole_n), r0)
        lo, hi = np.quantile(di, [0.025, 0.975], axis=1)
    return point, np.minimum(lo, point), np.maximum(hi, point)


def _resampled(fired: np.ndarray, n: np.ndarray, n_boot: int, seed: int, first: int = 0) -> np.ndarray:
    """Rates of ``n_boot`` resamples, ``[n_features, n_groups, n_boot]``; NaN where n = 0.

    Every pair (fired, n) has its own stream per column, so a feature's draws do not depend on the other features.
    """
    out = np.full((*fired.shape, n_boot), np.nan)
    for column in range(fired.shape[1]):
        pairs, inverse = np.unique(np.stack([fired[:, column], n[:, column]], 1), axis=0, return_inverse=True)
        table = np.full((len(pairs), n_boot), np.nan)
        for row, (k, size) in enumerate(pairs):
            if size:
                rng = np.random.default_rng([seed, first + column, int(k), int(size)])
                table[row] = rng.binomial(size, k / size, n_boot) / size
        out[:, column] = table[inverse.reshape(-1)]
    return out
