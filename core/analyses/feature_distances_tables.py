"""Tables of feature distances, and what the command line says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from core.tables import Column, TableSpec

_i8, _i32, _i64, _f32, _f64, _text = pa.int8(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string()
AFFINITY = "jaccard | overlap | phi | c_cosine | c_euclid | decoder_cosine"

UNITS = TableSpec(
    "units",
    "what was compared over what: one row",
    (
        Column("n_units", _i64, "units", "positions, or contexts in which a feature fires anywhere"),
        Column("n_features", _i32, "features", "compared"),
        Column("n_rare", _i32, "features", "left out: fewer firings than min_firings"),
        Column("n_constant", _i32, "features", "left out: fire everywhere"),
        Column("n_sample", _i32, "features", "in the dendrograms"),
        Column("k", _i32, "components", "of C"),
        Column("nearest_jaccard_null", _f64, "0..1", "median Jaccard of the nearest feature, shuffled columns"),
        Column("nearest_phi_null", _f64, "-1..1", "median phi of the nearest feature, shuffled columns"),
    ),
    sort=(),
)
DISTANCE_NEIGHBOURS = TableSpec(
    "distance_neighbours",
    "the 20 nearest features by every affinity, each pair with all its affinities; Dice orders as Jaccard does",
    (
        Column("feature", _i32, "", "SAE unit"),
        Column("affinity", _text, "", f"what it is near by: {AFFINITY}"),
        Column("rank", _i8, "", "0 = nearest; fewer rows where fewer fire together"),
        Column("neighbour", _i32, "", "the other feature"),
        Column("n_both", _i32, "units", "where both fire"),
        Column("jaccard", _f32, "0..1", "both / either"),
        Column("dice", _f32, "0..1", "2 both / sum"),
        Column("overlap", _f32, "0..1", "both / the rarer"),
        Column("phi", _f32, "-1..1", "correlation of the firing patterns"),
        Column("c_cosine", _f32, "-1..1", "of columns of C; null for one without length"),
        Column("c_euclid", _f32, "units of A", "distance between columns of C"),
        Column("decoder_cosine", _f32, "-1..1", "of decoder rows; null: decoder = false"),
    ),
    sort=("feature", "affinity", "rank"),
)
DISTANCE_HISTOGRAMS = TableSpec(
    "distance_histograms",
    "how all pairs lie: 20 equal bins per feature and affinity; by chance: columns shuffled, or for decoder_cosine "
    "Gaussian rows with the mean and covariance of the real directions",
    (
        Column("feature", _i32, "", "SAE unit; null: all pairs, each counted from both sides"),
        Column("affinity", _text, "", AFFINITY),
        Column("lo", _f64, "", "left edge of the first bin"),
        Column("hi", _f64, "", "right edge of the last"),
        Column("counts", pa.list_(_i64), "pairs", "with every other feature"),
        Column(
            "null_counts", pa.list_(_i64), "pairs", "all pairs by chance, to be read as shares; null: of one feature"
        ),
    ),
    sort=("affinity", "feature"),
    row_group_size=2_048,
)
CLUSTERS = TableSpec(
    "clusters",
    "features in clusters by cosine in C, for choosing few that stand for all; those without length in C are in none",
    (
        Column("cluster", _i32, "", "0-based; near numbers: medoids near each other in a dendrogram"),
        Column("feature", _i32, "", "SAE unit"),
        Column("medoid", _i32, "", "the member with the highest mean cosine to the cluster: it stands for all of it"),
        Column("cosine", _f32, "-1..1", "of the feature's column of C with the cluster's mean direction"),
    ),
    sort=("cluster", "feature"),
)
KERNEL = TableSpec(
    "kernel",
    "eigenvalues of the Jaccard kernel of a sample: its factor is the one whose distances are exact",
    (
        Column("component", _i32, "", "0 = largest"),
        Column("eigenvalue", _f64, "", "never below 0 but for rounding"),
        Column("eigenvalue_null", _f64, "", "of shuffled columns"),
        Column("error", _f64, "", "largest gap of squared distances of coordinates up to here to 2 (1 - J); some rows"),
    ),
    sort=("component",),
)
COEFFICIENTS = TableSpec(
    "coefficients",
    "the columns of C that were compared, so that any pair's cosine and distance in C can be told",
    (
        Column("feature", _i32, "", "SAE unit"),
        Column("coefficients", pa.list_(_f32), "units of A", "one per component, largest singular value first"),
    ),
    sort=("feature",),
    row_group_size=2_048,
)
ORDER = TableSpec(
    "order",
    "leaves of the dendrograms, so that like stands beside like",
    (
        Column("affinity", _text, "", "jaccard | overlap | phi | c_cosine | decoder_cosine"),
        Column("place", _i32, "", "from one side"),
        Column("feature", _i32, "", "SAE unit"),
    ),
    sort=("affinity", "place"),
)
DENDROGRAM = TableSpec(
    "dendrogram",
    "merges of average linkage over 1 - affinity, as scipy writes them",
    (
        Column("affinity", _text, "", "as in order"),
        Column("merge", _i32, "", "number; makes cluster n_sample + merge"),
        Column("left", _i32, "", "cluster; below n_sample: a feature, in the order of the sample"),
        Column("right", _i32, "", "cluster"),
        Column("height", _f64, "", "mean of 1 - affinity between both"),
        Column("size", _i32, "features", "in the new cluster"),
    ),
    sort=("affinity", "merge"),
)


def summarise(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """Medians of the nearest neighbour's affinities, by what it is nearest by."""
    nearest = tables["distance_neighbours"].query("rank == 0")
    columns = ["jaccard", "phi", "c_cosine", "decoder_cosine"]
    medians = nearest.groupby("affinity")[columns].median().reset_index()
    frames = {
        "the nearest feature: medians, by what it is nearest by": medians,
        "what was compared": tables["units"],
    }
    return {t: f.astype(object).where(f.notna(), None).to_dict("records") for t, f in frames.items()}
