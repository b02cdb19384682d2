"""Tables of the conjecture's test, its verdict in one sentence, and what the command line says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from core.tables import Column, TableSpec

_i32, _i64, _f64, _text = pa.int32(), pa.int64(), pa.float64(), pa.string()

WEAK = 0.2  # below it the verdict says "only weakly"

SCORES = TableSpec(
    "scores",
    "Spearman between similarity and co-firing excess on documents that C was not fitted on",
    (
        Column("scale", _text, "", "raw | binary | unit | phi | log1p | jaccard kernel | name of a baseline"),
        Column("similarity", _text, "", "cosine | euclid (minus the distance) | baseline"),
        Column("k", _i32, "components", "null: full rank, or a baseline"),
        Column("spearman", _f64, "", "over pairs expected together more than once; positive: similar features co-fire"),
        Column("lo", _f64, "", "lower end of the 95 % interval, bootstrap over the scored documents, re-centred"),
        Column("hi", _f64, "", "upper end"),
        Column("partial", _f64, "", "the same with what both densities explain taken off similarity and excess"),
        Column("partial_lo", _f64, "", "lower end of its 95 % interval"),
        Column("partial_hi", _f64, "", "upper end"),
        Column("null_mean", _f64, "", "the same pipeline on shuffled columns; null for baselines"),
        Column("null_lo", _f64, "", "lowest of the shuffled copies"),
        Column("null_hi", _f64, "", "highest of the shuffled copies"),
        Column("partial_null_hi", _f64, "", "highest partial of the shuffled copies"),
        Column("density_twin", _f64, "", "C of shuffled columns against the real excess: what density alone carries"),
        Column("n_pairs", _i64, "pairs", "compared"),
    ),
    sort=(),
)
RAW = TableSpec(
    "raw",
    "Spearman between distance in C and Jaccard distance over all pairs: it measures density, see the shuffled twin",
    (
        Column("scale", _text, "", "raw .. log1p | jaccard kernel (the exact control) | density only"),
        Column("similarity", _text, "", "cosine | euclid | sqrt(p + q)"),
        Column("k", _i32, "components", "null: full rank"),
        Column("spearman", _f64, "", "distance with Jaccard distance"),
        Column("spearman_shuffled", _f64, "", "the same on shuffled columns"),
        Column("pearson_squared", _f64, "", "Pearson of squared Euclid with 1 - J: 1 for the kernel at full rank"),
        Column("n_pairs", _i64, "pairs", "compared"),
    ),
    sort=(),
)
SCATTER = TableSpec(
    "scatter",
    "pairs by distance in C or in the kernel (40 bins) and Jaccard distance (40 bins), real and shuffled",
    (
        Column("scale", _text, "", "raw | binary | unit | phi | log1p | jaccard kernel"),
        Column("k", _i32, "components", "null: full rank"),
        Column("side", _text, "", "real | shuffled"),
        Column("distance_max", _f64, "units of A", "right edge; the left is 0"),
        Column("counts", pa.list_(_i32), "pairs", "40 x 40, distance outermost"),
    ),
    sort=(),
)
PLANTED = TableSpec(
    "planted",
    "whether features of one planted concept share a prototype; empty without annotation",
    (
        Column("method", _text, "", "svd | varimax, at the verdict's k"),
        Column("pairs", _text, "", "one concept | density-matched"),
        Column("n_pairs", _i64, "pairs", "of features"),
        Column("n_concepts", _i32, "concepts", "that two or more features stand for"),
        Column("share", _f64, "share", "of pairs whose largest coefficient is on the same prototype"),
        Column("lo", _f64, "share", "lower end of the 95 % interval, bootstrap over concepts"),
        Column("hi", _f64, "share", "upper end"),
        Column("cosine", _f64, "cosine", "mean over pairs, between columns of C"),
    ),
    sort=(),
)
VERDICT = TableSpec(
    "verdict",
    "what this run shows: one row",
    (
        Column("sentence", _text, "", "in words"),
        Column("proposed_holds", pa.bool_(), "", "Euclid in raw C, beyond density, above its null"),
        Column("cosine_holds", pa.bool_(), "", "cosine in unit-norm C, beyond density, above its null"),
        Column("k", _i32, "components", "parallel analysis of the fitted half, centred binary; chosen before scoring"),
        Column("n_pairs", _i64, "pairs", "scored"),
        Column("n_possible", _i64, "pairs", "with more than one firing together expected"),
        Column("n_features", _i32, "features", "in A"),
    ),
    sort=(),
)


def _row(scores: pd.DataFrame, scale: str, similarity: str, k: int | None) -> pd.Series | None:
    at = (scores["scale"] == scale) & (scores["similarity"] == similarity)
    at &= scores["k"].isna() if k is None else (scores["k"] == k).fillna(False)
    return scores[at].iloc[0] if at.any() else None


def holds(row: pd.Series | None) -> bool:
    """Surely above 0 and above every shuffled copy once densities are taken off."""
    return row is not None and bool(row["partial_lo"] > max(0.0, row["partial_null_hi"]))


def _says(row: pd.Series | None) -> str:
    if not holds(row):
        return "does not predict"
    return "predicts" if row is not None and row["partial"] >= WEAK else "only weakly predicts"


def _said(row: pd.Series | None) -> str:
    if row is None:
        return "not computed: the rank is lower"
    return (
        f"Spearman {row['spearman']:+.2f}, beyond density {row['partial']:+.2f} "
        f"[{row['partial_lo']:+.2f}, {row['partial_hi']:+.2f}], shuffled at most {row['partial_null_hi']:+.2f}"
    )


def verdict_of(
    scores: pd.DataFrame, planted: pd.DataFrame, k: int, n_pairs: int, n_possible: int, n_features: int
) -> pd.DataFrame:
    """The sentence and the two answers, for variants named before any score was seen."""
    density = _row(scores, "density only", "baseline", None)
    proposed, cosine = _row(scores, "raw", "euclid", k), _row(scores, "unit", "cosine", k)
    decoder, own = (_row(scores, n, "baseline", None) for n in ("decoder cosine", "excess on the fitted half"))
    first, second = holds(proposed), holds(cosine)
    named = {"decoder cosine": decoder, "co-firing counted directly": own}
    others = [f"{name} {row['partial']:+.2f}" for name, row in named.items() if row is not None]
    alone = "" if density is None else f"; density alone: Spearman {density['spearman']:+.2f}"
    sentence = (
        f"Distance in C as proposed (raw, k = {k}) {_says(proposed)} which features fire "
        f"together on new documents beyond their densities ({_said(proposed)}); cosine between unit-norm columns "
        f"{_says(cosine)} it ({_said(cosine)}). Beyond density as well: {', '.join(others)}{alone}."
    )
    answers = {"proposed_holds": first, "cosine_holds": second, "k": k}
    counts = {"n_pairs": n_pairs, "n_possible": n_possible, "n_features": n_features}
    return pd.DataFrame([{"sentence": sentence + _planted_said(planted)} | answers | counts])


def _planted_said(planted: pd.DataFrame) -> str:
    if not len(planted):
        return ""
    at = planted[planted["method"] == "varimax"].set_index("pairs")
    one, other = at.loc["one concept"], at.loc["density-matched"]
    return (
        f" Features of one planted concept share their largest prototype (varimax) in {one['share']:.0%} of pairs "
        f"[{one['lo']:.0%}, {one['hi']:.0%}], density-matched pairs in {other['share']:.0%}."
    )


PRINTED = ("scale", "similarity", "k", "spearman", "partial", "partial_lo", "partial_hi", "partial_null_hi")


def summarise(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """The verdict and the scores as rows for the command line."""
    scores = tables["scores"].assign(k=tables["scores"]["k"].astype("Int32"))
    frames = {
        "what this run shows": tables["verdict"][["sentence"]],
        "held-out co-firing excess: Spearman with similarity": scores[list(PRINTED)],
        "planted concepts": tables["planted"],
    }
    return {t: f.astype(object).where(f.notna(), None).to_dict("records") for t, f in frames.items() if len(f)}
