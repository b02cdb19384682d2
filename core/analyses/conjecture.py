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
from core.analyses.conjecture_held_out import LEAST_PAIRS, Halves, Limits, binary_of, score_variants
from core.analyses.conjecture_planted import planted_pairs
from core.analyses.conjecture_tables import PLANTED, RAW, SCATTER, SCORES, VERDICT, summarise, verdict_of
from core.analyses.decoder import load_decoder
from core.analyses.patterns import Patterns, Rows, pattern_matrix
from core.annotation import FOLDER, SPECS
from core.errors import InputError
from core.maths.cofiring_excess import (
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


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """The held-out test of every variant with nulls, baselines and intervals; see the table specs."""
    if not params.ks or min(params.ks) < 1 or params.n_null < 2 or params.n_boot < 20:
        raise InputError("parameters too small", "ks >= 1, n_null >= 2, n_boot >= 20", "leave them out")
    p = pattern_matrix(run, params.rows, params.min_firings, params.seed)
    decoder = load_decoder(run, p.features) if params.decoder else None
    halves = Halves.of(p.acts.tocsr(), p.halves(params.seed), p.document)
    rng = np.random.default_rng([params.seed, 20])
    progress.stage("held-out test", 3 + params.n_null, "fits")
    k_own = max(1, _own_k(halves.fit, [params.seed, 21]))
    ks = sorted({*params.ks, k_own})
    target = target_of(halves.test_binary, halves.document, params.n_pairs, params.n_boot, rng)
    if len(target.pairs) < LEAST_PAIRS:
        raise InputError(
            f"{len(target.pairs)} pairs of features are expected together more than once in the scored half",
            f"{len(p.features)} features, {halves.test_binary.shape[0]} rows; at least {LEAST_PAIRS} pairs are needed",
            "more text" if params.rows == "all" else "--param rows=all, or more text",
        )
    progress.advance(1)
    limits = Limits(params.n_pairs, params.n_kernel, params.n_null)
    scores = score_variants(halves, target, ks, decoder, limits, params.seed, progress.advance)
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


def _raw(p: Patterns, ks: list[int], k_own: int, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Distances in C against Jaccard distance over all pairs, beside the same of shuffled columns."""
    rng = np.random.default_rng([params.seed, 24])
    pairs = sample_pairs(p.acts.shape[1], params.n_pairs, rng)
    sides = {"real": p.acts.tocsr(), "shuffled": shuffle_columns(p.acts, rng).tocsr()}
    rows: dict[tuple[str, str, int], dict[str, object]] = {}
    scatter = []
    for side, acts in sides.items():
        distance = jaccard_distance(binary_of(acts), pairs)
        own = ranks(distance)[0]
        n = np.diff(binary_of(acts).indptr)
        size = Variant("density only", "sqrt(p + q)", None, -np.sqrt(n[pairs].sum(1)))
        sample = np.sort(np.random.default_rng([params.seed, 25]).permutation(acts.shape[1])[: params.n_kernel])
        for v in [*variants(acts, pairs, SCALES, ks), *kernel_variants(binary_of(acts), pairs, sample, ks), size]:
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
                scatter.append({"scale": v.scale, "k": v.k, "side": side} | _binned(far, judged))
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
    version=2,
    params=Params,
    tables=(VERDICT, SCORES, RAW, SCATTER, PLANTED),
    inputs=("activations", "contexts", "vocabulary", "features", *(f"{FOLDER}/{spec.name}" for spec in SPECS)),
    compute=compute,
    summary=summarise,
)
