"""Tables of activation-pattern SVD, and what the command line says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from core.tables import Column, TableSpec

_i8, _i16, _i32, _i64, _f64, _text = pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float64(), pa.string()

MATRIX = TableSpec(
    "matrix",
    "what was factorised and what was left out: one row",
    (
        Column("n_rows", _i64, "rows", "contexts or positions"),
        Column("n_features", _i32, "features", "columns"),
        Column("n_rare", _i32, "features", "left out: fewer firings than min_firings"),
        Column("n_constant", _i32, "features", "left out: fire in every row"),
        Column("n_short", _i32, "contexts", "left out: shorter than 9 tokens (rows = random) or empty"),
        Column("n_firings", _i64, "firings", "non-zeros of A"),
        Column("n_documents", _i32, "documents", "that the rows are of"),
        Column("punctuation_share", _f64, "share", "of rows whose token holds no letter or digit"),
        Column("n_alone", _i64, "rows", "whose token no other document has: 0 in the residual; null: residual = false"),
        Column("k", _i32, "", "prototypes in the other tables; 0: none stands above its null"),
        Column("stable_rank", _f64, "", "||A||_F^2 / s_1^2, centred"),
        Column("stable_rank_null", _f64, "", "the same of shuffled columns"),
        Column("participation_ratio", _f64, "", "(sum s^2)^2 / sum s^4, centred"),
        Column("participation_ratio_null", _f64, "", "the same of shuffled columns"),
        Column("nmf", _text, "", "why NMF was left out; empty: it was not"),
    ),
    sort=(),
)
SPECTRUM = TableSpec(
    "spectrum",
    "singular values of A, of the centred A, and of its nulls",
    (
        Column("component", _i32, "", "0 = largest"),
        Column("singular_value", _f64, "units of A", "of A as scaled"),
        Column("explained_variance", _f64, "share", "of the sum of squares of A"),
        Column("explained_variance_total", _f64, "share", "of this and all larger components"),
        Column("centred_value", _f64, "units of A", "of A less column means, which is what nulls are compared with"),
        Column("null_mean", _f64, "units of A", "mean over shuffled copies, centred"),
        Column("null_q95", _f64, "units of A", "95th percentile over shuffled copies, centred"),
        Column("shift_q95", _f64, "units of A", "the same over circular shifts; null unless rows = all"),
        Column("above_null", pa.bool_(), "", "centred_value > null_q95; k counts those before the first that is not"),
        Column("excess", _f64, "share", "explained variance up to here, centred, less that of shuffled copies"),
    ),
    sort=("component",),
)
RANKS = TableSpec(
    "ranks",
    "how many components, by criterion",
    (
        Column("criterion", _text, "", "parallel analysis (recommended) | circular shift | elbow"),
        Column("k", _i32, "components", "its answer; equal to at_most: at least so many"),
        Column("assumes", _text, "", "what it takes for granted"),
        Column("at_most", _i32, "components", "how many were computed"),
    ),
    sort=(),
)
PROTOTYPES = TableSpec(
    "prototypes",
    "every prototype of every method: how large, how concentrated, how token-driven, how stable",
    (
        Column("method", _text, "", "svd | varimax | nmf"),
        Column("prototype", _i32, "", "0 = largest"),
        Column("explained_variance", _f64, "share", "of the sum of squares of A (nmf: its own, they overlap)"),
        Column("hoyer_u", _f64, "0..1", "Hoyer sparsity over rows: 1 = one row"),
        Column("hoyer_v", _f64, "0..1", "Hoyer sparsity over features: 1 = one feature"),
        Column("hoyer_v_null", _f64, "0..1", "mean of the same on shuffled columns"),
        Column("top10_mass", _f64, "share", "of its loadings' squares in the ten largest"),
        Column("token_r2", _f64, "share", "of its scores that the row's token explains on held-out documents"),
        Column("token_r2_null", _f64, "share", "the same with tokens permuted over the rows"),
        Column("split_half", _f64, "|cosine|", "loadings on one half of the documents against the other; null: one"),
        Column("split_half_null", _f64, "|cosine|", "95th percentile of the same on shuffled columns"),
        Column("bootstrap", _f64, "|cosine|", "mean match on resampled documents; null for nmf"),
        Column("seeds", _f64, "|cosine|", "mean match over other random starts; null for svd, which has none"),
        Column("degenerate", pa.bool_(), "", "shares its singular value: its direction is arbitrary"),
        Column("residual", _f64, "of s_1", "largest error of the singular vectors; null for nmf"),
    ),
    sort=("method", "prototype"),
)
PROTOTYPE_ROWS = TableSpec(
    "prototype_rows",
    "rows at both ends of every prototype, one per context",
    (
        Column("method", _text, "", "svd | varimax | nmf"),
        Column("prototype", _i32, "", "number"),
        Column("end", _text, "", "+ | -"),
        Column("rank", _i8, "", "0 = farthest out"),
        Column("context", _i32, "", "row of contexts"),
        Column("pos", _i16, "tokens", "position in the window, special tokens counted"),
        Column("score", _f64, "", "entry of the prototype, which has length 1"),
    ),
    sort=("method", "prototype", "end", "rank"),
)
LOADINGS = TableSpec(
    "loadings",
    "the features that make up every prototype",
    (
        Column("method", _text, "", "svd | varimax | nmf"),
        Column("prototype", _i32, "", "number"),
        Column("rank", _i8, "", "0 = largest in size"),
        Column("feature", _i32, "", "SAE unit"),
        Column("loading", _f64, "", "entry of the prototype's loadings, which have length 1"),
    ),
    sort=("method", "prototype", "rank"),
)
COEFFICIENTS = TableSpec(
    "coefficients",
    "every feature as a mix of prototypes: a column of C",
    (
        Column("feature", _i32, "", "SAE unit"),
        Column("method", _text, "", "svd | varimax | nmf"),
        Column("r2", _f64, "share", "of the feature's own sum of squares that all k prototypes give back"),
        Column("r2_null", _f64, "share", "the same on shuffled columns, with as many prototypes of their own"),
        Column("coefficients", pa.list_(pa.float32()), "units of A", "one per prototype; prototypes have length 1"),
    ),
    sort=("feature", "method"),
    row_group_size=2_048,
)


def summarise(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """The matrix, the ranks and the prototypes by method, as rows for the command line."""
    prototypes = tables["prototypes"]
    columns = [c for name in ("hoyer_v", "token_r2", "split_half") for c in (name, f"{name}_null")]
    by_method = prototypes.groupby("method", sort=False)[[*columns, "bootstrap", "seeds"]].median().reset_index()
    matrix = tables["matrix"].T.reset_index().set_axis(["of the matrix", "value"], axis=1)
    frames = {
        "the matrix": matrix,
        "components above chance": tables["ranks"],
        "prototypes, medians beside their nulls": by_method,
    }
    return {t: f.astype(object).where(f.notna(), None).to_dict("records") for t, f in frames.items()}
