"""How often a group of n phrases written for something else fires as much: the rank p of decomposition tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln
from scipy.stats import hypergeom


@dataclass(frozen=True, eq=False)
class ControlBank:
    """Firing phrases of every control group: ``fired [n_features, n_groups]`` ints, each of ``n`` phrases."""

    fired: np.ndarray
    n: int

    @property
    def n_groups(self) -> int:
        return self.fired.shape[1]

    def take(self, rows: np.ndarray) -> ControlBank:
        """The bank of some of the features."""
        return ControlBank(self.fired[rows], self.n)

    @cached_property
    def rate(self) -> np.ndarray:
        """``[n_features]``: share of the bank's phrases that fire (r0)."""
        return self.fired.mean(axis=1) / self.n

    @cached_property
    def icc(self) -> np.ndarray:
        """``[n_features]``: how much phrases of one group resemble each other, 0 (not at all) to 1, by moments."""
        m = self.rate
        noise = m * (1 - m) / self.n
        between = np.var(self.fired / self.n, axis=1, ddof=1)
        ratio = np.divide(between, noise, out=np.ones_like(m), where=noise > 0)
        return np.clip((ratio - 1) / (self.n - 1), 0.0, 1 - 1e-9) if self.n > 1 else np.zeros_like(m)

    def tail(self, n: int) -> np.ndarray:
        """``[n_features, n + 1]``: share of control groups of ``n`` phrases with at least k firing, k = 0 .. n.

        For the bank's own n these are the groups as they are. For smaller n every group is thinned to n phrases in
        all ways at once (hypergeometric), so missing phrases cost no randomness. For larger n, where the bank has no
        groups, the beta-binomial with the bank's rate and ICC extends it: groups of 40 made by joining small ones
        would hide that phrases for one thing resemble each other.
        """
        if n > self.n:
            return self._extended(n)
        rows = np.arange(len(self.fired))[:, None] * (self.n + 1)
        counts = np.bincount((rows + self.fired).ravel(), minlength=len(self.fired) * (self.n + 1))
        share = counts.reshape(-1, self.n + 1) / self.n_groups
        if n < self.n:
            share = share @ hypergeom.pmf(np.arange(n + 1), self.n, np.arange(self.n + 1)[:, None], n)
        return np.minimum(np.cumsum(share[:, ::-1], axis=1)[:, ::-1], 1.0)

    def _extended(self, n: int) -> np.ndarray:
        """Beta-binomial tail; with ICC 0 it is the binomial's. Sequence probabilities, so that no ICC divides by 0."""
        m, icc = self.rate[:, None], self.icc[:, None]
        i = np.arange(n)
        with np.errstate(divide="ignore"):
            fires, silent = np.log(m * (1 - icc) + i * icc), np.log((1 - m) * (1 - icc) + i * icc)
        both = np.log((1 - icc) + i * icc)
        zero = np.zeros((len(m), 1))
        fires, silent, both = (np.hstack([zero, np.cumsum(x, axis=1)]) for x in (fires, silent, both))
        k = np.arange(n + 1)
        ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        pmf = np.exp(ways + fires + silent[:, ::-1] - both[:, -1:])
        return np.clip(np.cumsum(pmf[:, ::-1], axis=1)[:, ::-1], 0.0, 1.0)

    def p_values(self, n: int) -> np.ndarray:
        """``[n_features, n + 1]``: (1 + control groups with at least k firing) / (1 + groups), for k = 0 .. n.

        The tested group counts as one of its own controls, so p is never 0 and, for exchangeable groups, at most
        alpha in at most a share alpha of cases.
        """
        # rounded because 1 + G * (c / G) can miss 1 + c by an ulp, which decides p <= alpha
        return np.round((1 + self.n_groups * self.tail(n)) / (1 + self.n_groups), 12)

    def p(self, fired: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Rank p of groups with ``fired`` of ``n`` phrases, both ``[n_features, ...]``; 1 where n = 0."""
        out = np.ones(fired.shape)
        for size in np.unique(n[n > 0]):
            where = np.nonzero(n == size)
            out[where] = self.p_values(int(size))[where[0], fired[where]]
        return out

    def critical(self, n: int, alpha: float) -> np.ndarray:
        """``[n_features]``: the smallest number of firing phrases of n whose p is <= alpha; n + 1 where none is."""
        return (self.p_values(n) > alpha).sum(axis=1)
