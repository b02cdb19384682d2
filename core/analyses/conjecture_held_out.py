"""The held-out test of every variant of C: similarities fitted on one half, scored on the other, beside their nulls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from core.maths.cofiring_excess import (
    Judge,
    Target,
    choose_pairs,
    density_baseline,
    excess_of,
    pair_similarity,
    target_of,
)
from core.maths.column_nulls import shuffle_columns
from core.maths.conjecture_scores import Variant, kernel_variants, variants
from core.maths.pair_counts import pair_counts
from core.maths.scaling import SCALES

LEAST_PAIRS = 100
NAME = ["scale", "similarity", "k"]


@dataclass(frozen=True)
class Limits:
    """Pairs compared and features in the Jaccard kernel at most, and shuffled copies of the pipeline."""

    n_pairs: int
    n_kernel: int
    n_null: int


@dataclass(frozen=True)
class Halves:
    """Activations of the fitted rows and firings of the scored rows; columns fire in both."""

    fit: sparse.csr_matrix
    fit_binary: sparse.csc_matrix
    test_binary: sparse.csc_matrix
    document: np.ndarray  # of the scored rows

    @classmethod
    def of(cls, acts: sparse.csr_matrix, rows: tuple[np.ndarray, np.ndarray], document: np.ndarray) -> Halves:
        fit, test = acts[rows[0]], acts[rows[1]]
        return cls(fit, binary_of(fit), binary_of(test), document[rows[1]])

    def shuffled(self, rng: np.random.Generator) -> Halves:
        fit = shuffle_columns(self.fit, rng)
        return Halves(fit.tocsr(), binary_of(fit), shuffle_columns(self.test_binary, rng), self.document)


def binary_of(acts: sparse.spmatrix) -> sparse.csc_matrix:
    csc = sparse.csc_matrix(acts)
    csc.sort_indices()
    return sparse.csc_matrix((np.ones(csc.nnz), csc.indices, csc.indptr), shape=csc.shape)


def score_variants(
    halves: Halves,
    target: Target,
    ks: list[int],
    decoder: np.ndarray | None,
    limits: Limits,
    seed: int,
    done: Callable[[float], None],
) -> pd.DataFrame:
    """One row per variant: Spearman with the held-out excess, its interval and its nulls; see the table ``scores``.

    ``done`` is told of every fit.
    """
    sample = _kernel_sample(halves, limits.n_kernel, seed)
    real = [*_all_variants(halves, target.pairs, ks, sample), *_baselines(halves, target, decoder)]
    rows = _judged(real, target, halves)
    done(1)
    nulls: list[pd.DataFrame] = []
    for rng in np.random.default_rng([seed, 22]).spawn(limits.n_null):
        twin = halves.shuffled(rng)
        own = target_of(twin.test_binary, twin.document, limits.n_pairs, 0, rng)
        of_null = _judged(_all_variants(twin, own.pairs, ks, sample), own, twin)
        plain = Target(target.pairs, target.excess, target.draws[:0], target.n_possible)
        of_density = _judged(_all_variants(twin, target.pairs, ks, sample), plain, twin)[[*NAME, "spearman"]]
        nulls.append(of_null.merge(of_density.rename(columns={"spearman": "density_twin"}), on=NAME))
        done(1)
    by = pd.concat(nulls).groupby(NAME)
    null = by.agg(
        null_mean=("spearman", "mean"),
        null_lo=("spearman", "min"),
        null_hi=("spearman", "max"),
        partial_null_hi=("partial", "max"),
        density_twin=("density_twin", "mean"),
    )
    rows = rows.merge(null.reset_index(), on=NAME, how="left")
    return rows.assign(k=rows["k"].where(rows["k"] > 0).astype("Int32"))


def _judged(found: list[Variant], target: Target, halves: Halves) -> pd.DataFrame:
    """Every variant's scores; those that speak of some pairs only are judged on these."""
    n, judges, rows = np.diff(halves.fit_binary.indptr), {}, []
    for v in found:
        n_pairs = len(v.values)
        if n_pairs < LEAST_PAIRS:
            continue
        key = None if v.pairs is None else "some"
        if key not in judges:
            judges[key] = Judge.of(target, n, v.pairs)
        scale, similarity, k = v.name
        rows.append(
            {"scale": scale, "similarity": similarity, "k": k, "n_pairs": n_pairs} | judges[key].score(v.values)
        )
    return pd.DataFrame(rows)


def _kernel_sample(halves: Halves, n_kernel: int, seed: int) -> np.ndarray:
    """Features of the Jaccard kernel: those that fire in both halves, ``n_kernel`` at random."""
    both = np.minimum(np.diff(halves.fit_binary.indptr), np.diff(halves.test_binary.indptr)) > 0
    there = np.flatnonzero(both)
    rng = np.random.default_rng([seed, 23])
    return np.sort(rng.permutation(there)[:n_kernel])


def _all_variants(halves: Halves, pairs: np.ndarray, ks: list[int], sample: np.ndarray) -> list[Variant]:
    kernel = kernel_variants(halves.fit_binary, pairs, sample, ks) if len(sample) > 1 else ()
    return [*variants(halves.fit, pairs, SCALES, ks), *kernel]


def _baselines(halves: Halves, target: Target, decoder: np.ndarray | None) -> list[Variant]:
    """What needs no C: densities, decoder cosine, and the fitted half's own excess, which is all the data there is."""
    n, n_rows = np.diff(halves.fit_binary.indptr), halves.fit.shape[0]
    fit_pairs = choose_pairs(n, n_rows, 200_000, np.random.default_rng(0))[0]  # which pairs hardly matters

    def own(pairs: np.ndarray) -> np.ndarray:
        return excess_of(pair_counts(halves.fit_binary, pairs), n[pairs[:, 0]] * n[pairs[:, 1]] / n_rows)

    density = density_baseline(n, own(fit_pairs), fit_pairs, target.pairs)
    found = [("density only", density), ("excess on the fitted half", own(target.pairs))]
    if decoder is not None:
        found.append(("decoder cosine", pair_similarity(decoder.astype(np.float64), target.pairs, "cosine")))
    return [Variant(name, "baseline", None, values) for name, values in found]
