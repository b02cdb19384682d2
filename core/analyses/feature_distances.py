"""Which features fire together: nearest features by six affinities, histograms over all pairs, dendrograms of samples.

One pass over co-firing counts; a matrix of all pairs is never made. Samples are stated: the Jaccard kernel and the
dendrograms are exact for the features they name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from core.analyses.base import Analysis, Progress
from core.analyses.decoder import load_decoder
from core.analyses.feature_distances_histograms import Histograms, dense_nulls, histogram_rows
from core.analyses.feature_distances_samples import clusters, kernel, orders
from core.analyses.feature_distances_tables import (
    CLUSTERS,
    COEFFICIENTS,
    DENDROGRAM,
    DISTANCE_HISTOGRAMS,
    DISTANCE_NEIGHBOURS,
    KERNEL,
    ORDER,
    UNITS,
    summarise,
)
from core.analyses.patterns import Patterns, pattern_matrix
from core.errors import InputError
from core.maths.affinities import dice, jaccard, overlap, phi
from core.maths.cofiring import RANKED, CofiringPass, cofiring_pass
from core.maths.column_nulls import shuffle_columns
from core.maths.dense_neighbours import dense_neighbours
from core.maths.pair_counts import pair_counts
from core.maths.scaling import Scale, scale_acts
from core.maths.svd import truncated_svd
from core.store import Run
from core.tables import TableSpec

N_NEIGHBOURS = 20


@dataclass(frozen=True)
class Params:
    """``per`` what counts as firing together; ``scale`` and ``k`` of the C whose columns are compared.

    ``n_dendrogram`` features are ordered, the most frequent or random ones; ``n_kernel`` of them enter the kernel. All
    are put into at most ``n_clusters`` clusters, one for four features where they are few.
    """

    per: Literal["token", "context"] = "token"
    scale: Scale = "unit"
    k: int = 24
    min_firings: int = 20
    n_dendrogram: int = 1_000
    n_kernel: int = 500
    n_clusters: int = 300
    sample: Literal["random", "dense"] = "random"
    decoder: bool = True
    seed: int = 0


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """Nearest features, histograms, kernel and dendrograms; see the table specs."""
    sizes = (params.n_dendrogram, 2, 4_000), (params.n_kernel, 2, 2_000), (params.n_clusters, 1, 4_000)
    if params.k < 1 or not all(least <= value <= most for value, least, most in sizes):
        bounds = "n_dendrogram 2..4000, n_kernel 2..2000, n_clusters 1..4000, k >= 1"
        raise InputError("parameters out of bounds", bounds, "choose one within them")
    p = pattern_matrix(run, "all", params.min_firings, params.seed, per_context=params.per == "context")
    decoder = load_decoder(run, p.features) if params.decoder else None
    k = min(params.k, *p.acts.shape)
    coefficients = truncated_svd(scale_acts(p.acts, params.scale), k).coefficients
    progress.stage("all pairs", 3, "passes")
    index, histograms = _nearest(p.binary, coefficients, decoder)
    progress.advance(1)
    shuffled = shuffle_columns(p.acts, np.random.default_rng([params.seed, 40]))
    twin = cofiring_pass(shuffled, N_NEIGHBOURS)
    null = {name: twin.histograms[m].sum(0, dtype=np.int64) for m, name in enumerate(RANKED)}
    luck = np.random.default_rng([params.seed, 44])
    null |= dense_nulls(shuffled, params.scale, k, decoder, histograms, luck)
    progress.advance(1)
    sample = _sample(p, params)
    order, tree = orders(p, sample, coefficients, decoder)
    frames = {
        UNITS: pd.DataFrame([_units(p, len(sample), k) | _nearest_by_chance(shuffled, twin)]),
        DISTANCE_NEIGHBOURS: _neighbours(p, index, coefficients, decoder),
        DISTANCE_HISTOGRAMS: histogram_rows(p, histograms, null),
        COEFFICIENTS: pd.DataFrame({"feature": p.features, "coefficients": list(coefficients.astype(np.float32))}),
        CLUSTERS: clusters(p, coefficients, params.n_clusters, params.seed),
        KERNEL: kernel(
            p, sample[: params.n_kernel] if params.sample == "dense" else sample, params.n_kernel, params.seed
        ),
        ORDER: order,
        DENDROGRAM: tree,
    }
    progress.advance(1)
    return {spec: pa.Table.from_pandas(f, schema=spec.schema, preserve_index=False) for spec, f in frames.items()}


def _units(p: Patterns, n_sample: int, k: int) -> dict[str, int]:
    return {
        "n_units": p.acts.shape[0], "n_features": p.acts.shape[1], "n_rare": p.n_rare, "n_constant": p.n_constant,
        "n_sample": n_sample, "k": k,
    }  # fmt: skip


def _nearest_by_chance(shuffled: sparse.csc_matrix, twin: CofiringPass) -> dict[str, float]:
    """Median affinity of the nearest feature where columns are shuffled; NaN where none fire together."""
    n, out = np.diff(shuffled.indptr), {}
    for name, m in (("jaccard", 0), ("phi", 2)):
        nearest = twin.index[m, :, 0]
        some = np.flatnonzero(nearest >= 0)
        both, n_a, n_b = pair_counts(shuffled, np.stack([some, nearest[some]], 1)), n[some], n[nearest[some]]
        values = jaccard(both, n_a, n_b) if name == "jaccard" else phi(both, n_a, n_b, shuffled.shape[0])
        out[f"nearest_{name}_null"] = float(np.median(values)) if len(values) else np.nan
    return out


def _nearest(
    binary: sparse.csc_matrix, coefficients: np.ndarray, decoder: np.ndarray | None
) -> tuple[dict[str, np.ndarray], Histograms]:
    """By affinity: nearest columns ``[n, 20]``, and histograms ``[n, 20 bins]`` with their range."""
    firing = cofiring_pass(binary, N_NEIGHBOURS)
    index = {name: firing.index[m] for m, name in enumerate(RANKED)}
    histograms: Histograms = {
        name: (firing.histograms[m], -1.0 if name == "phi" else 0.0, 1.0) for m, name in enumerate(RANKED)
    }
    vectors = [("c_cosine", coefficients, "cosine"), ("c_euclid", coefficients, "euclid")]
    vectors += [("decoder_cosine", decoder, "cosine")] if decoder is not None else []
    for name, rows, by in vectors:
        found = dense_neighbours(rows, by, N_NEIGHBOURS)
        index[name], histograms[name] = found.index, (found.histograms, found.lo, found.hi)
    return index, histograms


def _neighbours(
    p: Patterns, index: dict[str, np.ndarray], coefficients: np.ndarray, decoder: np.ndarray | None
) -> pd.DataFrame:
    """Every nearest pair with all its affinities."""
    parts = []
    for name, nearest in index.items():
        row, rank = np.nonzero(nearest >= 0)
        parts.append(pd.DataFrame({"affinity": name, "a": row, "b": nearest[row, rank], "rank": rank}))
    found = pd.concat(parts, ignore_index=True)
    pairs = found[["a", "b"]].to_numpy()
    n, both = np.diff(p.acts.indptr), pair_counts(p.binary, pairs)
    n_a, n_b = n[pairs[:, 0]], n[pairs[:, 1]]
    a, b = coefficients[pairs[:, 0]], coefficients[pairs[:, 1]]
    frame = found.assign(
        feature=p.features[pairs[:, 0]],
        neighbour=p.features[pairs[:, 1]],
        n_both=both,
        jaccard=jaccard(both, n_a, n_b),
        dice=dice(both, n_a, n_b),
        overlap=overlap(both, n_a, n_b),
        phi=phi(both, n_a, n_b, p.acts.shape[0]),
        c_cosine=_cosine(a, b),
        c_euclid=np.linalg.norm(a - b, axis=1),
        decoder_cosine=np.nan if decoder is None else _cosine(decoder[pairs[:, 0]], decoder[pairs[:, 1]]),
    )
    return frame.sort_values(["feature", "affinity", "rank"]).drop(columns=["a", "b"])


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.einsum("ij,ij->i", a, b) / np.where(length > 0, length, np.nan)


def _sample(p: Patterns, params: Params) -> np.ndarray:
    """Columns of the dendrograms: all when few, else random or the most frequent."""
    n = np.diff(p.acts.indptr)
    if params.sample == "dense":
        return np.argsort(-n, kind="stable")[: params.n_dendrogram]
    return np.sort(np.random.default_rng([params.seed, 41]).permutation(len(n))[: params.n_dendrogram])


ANALYSIS = Analysis(
    key="feature_distances",
    title="Distances",
    question="Which features fire together, and do their directions and coefficients agree?",
    method="Jaccard, Dice, overlap, phi from co-firing counts; cosines of decoder rows and of columns of C",
    null="shuffled columns; random decoder rows of the same covariance",
    version=2,
    params=Params,
    tables=(UNITS, DISTANCE_NEIGHBOURS, DISTANCE_HISTOGRAMS, COEFFICIENTS, CLUSTERS, KERNEL, ORDER, DENDROGRAM),
    inputs=("activations", "contexts", "vocabulary", "features"),
    compute=compute,
    summary=summarise,
)
