"""Does the conjecture hold: do distances between columns of C mirror which features fire together?

C is fitted on half of the documents; what it says of every pair is compared with how much more the pair fires together
on the other half than its densities say. The correlation with Jaccard, which measures density, stands beside the same
correlation of shuffled columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from core.analyses.base import Analysis, Progress
from core.analyses.conjecture_planted import planted_pairs
from core.analyses.conjecture_tables import PLANTED, RAW, SCATTER, SCORES, VERDICT, summarise, verdict_of
from core.analyses.decoder import load_decoder
from core.analyses.patterns import Patterns, Rows, pattern_matrix
from core.annotation import FOLDER, SPECS
from core.errors import InputError
from core.maths.cofiring_excess import (
    Judge,
    Target,
    choose_pairs,
    density_baseline,
    excess_of,
    pair_counts,
    pair_similarity,
    ranks,
    target_of,
)
from core.maths.column_nulls import shuffle_columns
from core.maths.conjecture_scores import (
    Variant,
    jaccard_distance,
    kernel_variants,
    sample_pairs,
    variants,
)
from core.maths.rank_choice import null_spectrum, parallel_k
from core.maths.scaling import SCALES, scale_acts
from core.maths.svd import singular_values
from core.store import Run
from core.tables import TableSpec

N_BINS = 40
LEAST_PAIRS = 100
NAME = ["scale", "similarity", "k"]


@dataclass(frozen=True)
class Params:
    """``ks`` ranks besides full rank and the one that parallel analysis finds on the fitted half.

    ``n_pairs`` at most are compared, ``n_kernel`` features at most in the Jaccard kernel; ``n_null`` shuffled copies
    of the whole pipeline, ``n_boot`` resamples of the scored documents. ``decoder``: compare with decoder cosine.
    """

    rows: Rows = "random"
    ks: tuple[int, ...] = (4, 8, 16, 24, 32, 64)
    min_firings: int = 20
    n_pairs: int = 100_000
    n_kernel: int = 1_000
    n_null: int = 5
    n_boot: int = 200
    decoder: bool = True
    seed: int = 0


@dataclass(frozen=True)
class _Halves:
    """Activations of the fitted rows and firings of the scored rows; columns fire in both."""

    fit: sparse.csr_matrix
    fit_binary: sparse.csc_matrix
    test_binary: sparse.csc_matrix
    document: np.ndarray  # of the scored rows

    @classmethod
    def of(cls, acts: sparse.csr_matrix, rows: tuple[np.ndarray, np.ndarray], document: np.ndarray) -> _Halves:
        fit, test = acts[rows[0]], acts[rows[1]]
        return cls(fit, _binary(fit), _binary(test), document[rows[1]])

    def shuffled(self, rng: np.random.Generator) -> _Halves:
        fit = shuffle_columns(self.fit, rng)
        return _Halves(fit.tocsr(), _binary(fit), shuffle_columns(self.test_binary, rng), self.document)


def _binary(acts: sparse.spmatrix) -> sparse.csc_matrix:
    csc = sparse.csc_matrix(acts)
    csc.sort_indices()
    return sparse.csc_matrix((np.ones(csc.nnz), csc.indices, csc.indptr), shape=csc.shape)


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """The held-out test of every variant with nulls, baselines and intervals; see the table specs."""
    if not params.ks or min(params.ks) < 1 or params.n_null < 2 or params.n_boot < 20:
        raise InputError("parameters too small", "ks >= 1, n_null >= 2, n_boot >= 20", "leave them out")
    p = pattern_matrix(run, params.rows, params.min_firings, params.seed)
    decoder = load_decoder(run)[np.searchsorted(run.encoded_features, p.features)] if params.decoder else None
    halves = _Halves.of(p.acts.tocsr(), p.halves(params.seed), p.document)
    rng = np.random.default_rng([params.seed, 20])
    progress.stage("held-out test", 3 + params.n_null, "fits")
    k_own = max(1, _own_k(halves.fit, [params.seed, 21]))
    ks = sorted({*params.ks, k_own})
    target = target_of(halves.test_binary, halves.document, params.n_pairs, params.n_boot, rng)
    if len(target.pairs) < LEAST_PAIRS:
        raise InputError(
            f"{len(target.pairs)} pairs of features are expected together more than once in the scored half",
            f"{len(p.features)} features, {halves.test_binary.shape[0]} rows; at least {LEAST_PAIRS} pairs are needed",
            "--param rows=all, or more text",
        )
    progress.advance(1)
    scores = _scores(halves, target, ks, params, decoder, progress)
    raw, scatter = _raw(p, ks, k_own, params)
    progress.advance(1)
    planted = planted_pairs(run, p, k_own, params.seed)
    frames = {SCORES: scores, RAW: raw, SCATTER: scatter, PLANTED: planted}
    frames[VERDICT] = verdict_of(scores, planted, k_own, len(target.pairs), target.n_possible, len(p.features))
    progress.advance(1)
    return {
        spec: pa.Table.from_pandas(f, schema=spec.schema, preserve_index=False) if len(f) else spec.schema.empty_table()
        for spec, f in frames.items()
    }


def _own_k(fit: sparse.csr_matrix, seed: list[int]) -> int:
    """Components of the centred binary matrix above shuffled columns: the rank at which the verdict is given."""

    def centred(acts: sparse.spmatrix):  # type: ignore[no-untyped-def]
        return scale_acts(acts, "binary").centred()

    n = min(64, fit.shape[1], fit.shape[0] - 1)
    return parallel_k(singular_values(centred(fit), n), null_spectrum(fit, centred, shuffle_columns, n, 10, seed))


def _scores(
    halves: _Halves, target: Target, ks: list[int], params: Params, decoder: np.ndarray | None, progress: Progress
) -> pd.DataFrame:
    """One row per variant: Spearman with the held-out excess, its interval and its nulls."""
    sample = _kernel_sample(halves, params)
    real = [*_all_variants(halves, target.pairs, ks, sample), *_baselines(halves, target, decoder)]
    rows = _judged(real, target, halves)
    progress.advance(1)
    nulls: list[pd.DataFrame] = []
    for rng in np.random.default_rng([params.seed, 22]).spawn(params.n_null):
        twin = halves.shuffled(rng)
        own = target_of(twin.test_binary, twin.document, params.n_pairs, 0, rng)
        of_null = _judged(_all_variants(twin, own.pairs, ks, sample), own, twin)
        plain = Target(target.pairs, target.excess, target.draws[:0], target.n_possible)
        of_density = _judged(_all_variants(twin, target.pairs, ks, sample), plain, twin)[[*NAME, "spearman"]]
        nulls.append(of_null.merge(of_density.rename(columns={"spearman": "density_twin"}), on=NAME))
        progress.advance(1)
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


def _judged(found: list[Variant], target: Target, halves: _Halves) -> pd.DataFrame:
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


def _kernel_sample(halves: _Halves, params: Params) -> np.ndarray:
    """Features of the Jaccard kernel: those that fire in both halves, ``n_kernel`` at random."""
    both = np.minimum(np.diff(halves.fit_binary.indptr), np.diff(halves.test_binary.indptr)) > 0
    there = np.flatnonzero(both)
    rng = np.random.default_rng([params.seed, 23])
    return np.sort(rng.permutation(there)[: params.n_kernel])


def _all_variants(halves: _Halves, pairs: np.ndarray, ks: list[int], sample: np.ndarray) -> list[Variant]:
    kernel = kernel_variants(halves.fit_binary, pairs, sample, ks) if len(sample) > 1 else ()
    return [*variants(halves.fit, pairs, SCALES, ks), *kernel]


def _baselines(halves: _Halves, target: Target, decoder: np.ndarray | None) -> list[Variant]:
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


def _raw(p: Patterns, ks: list[int], k_own: int, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Distances in C against Jaccard distance over all pairs, beside the same of shuffled columns."""
    rng = np.random.default_rng([params.seed, 24])
    pairs = sample_pairs(p.acts.shape[1], params.n_pairs, rng)
    sides = {"real": p.acts.tocsr(), "shuffled": shuffle_columns(p.acts, rng).tocsr()}
    rows: dict[tuple[str, str, int], dict[str, object]] = {}
    scatter = []
    for side, acts in sides.items():
        distance = jaccard_distance(_binary(acts), pairs)
        own = ranks(distance)[0]
        n = np.diff(_binary(acts).indptr)
        size = Variant("density only", "sqrt(p + q)", None, -np.sqrt(n[pairs].sum(1)))
        sample = np.sort(np.random.default_rng([params.seed, 25]).permutation(acts.shape[1])[: params.n_kernel])
        for v in [*variants(acts, pairs, SCALES, ks), *kernel_variants(_binary(acts), pairs, sample, ks), size]:
            far, judged = -v.values, distance if v.pairs is None else distance[v.pairs]
            if len(far) < LEAST_PAIRS:
                continue
            row = rows.setdefault(v.name, {"scale": v.scale, "similarity": v.similarity, "k": v.k, "n_pairs": len(far)})
            at = own if v.pairs is None else ranks(judged)[0]
            row["spearman" if side == "real" else "spearman_shuffled"] = float(ranks(far)[0] @ at)
            if v.similarity == "euclid" and side == "real":
                row["pearson_squared"] = (
                    float(np.corrcoef(far**2, judged)[0, 1]) if far.std() and judged.std() else np.nan
                )
            if v.similarity == "euclid" and v.k in (None, k_own):
                scatter.append({"scale": v.scale, "k": v.k, "side": side} | _binned(far, distance))
    return _with_k(pd.DataFrame(list(rows.values()))), _with_k(pd.DataFrame(scatter))


def _with_k(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(k=frame["k"].astype("Int32"))


def _binned(x: np.ndarray, y: np.ndarray) -> dict[str, object]:
    hi = float(x.max()) or 1.0
    counts = np.histogram2d(x, y, bins=N_BINS, range=[[0, hi], [0, 1]])[0]
    return {"distance_max": hi, "counts": counts.astype(np.int32).ravel()}


ANALYSIS = Analysis(
    key="conjecture",
    title="Conjecture",
    question="Do distances between features' coefficients say which features fire together?",
    method="C fitted on half of the documents against co-firing excess on the other half, Spearman over pairs",
    null="the same pipeline on shuffled columns; density alone; decoder cosine",
    version=1,
    params=Params,
    tables=(VERDICT, SCORES, RAW, SCATTER, PLANTED),
    inputs=("activations", "contexts", "vocabulary", "features", *(f"{FOLDER}/{spec.name}" for spec in SPECS)),
    compute=compute,
    summary=summarise,
)
