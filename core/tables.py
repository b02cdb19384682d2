"""The tables of a run: columns, types, units and sort order, and the check that a frame keeps to them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from core.errors import PrismError


@dataclass(frozen=True)
class Column:
    """One column. ``unit`` is empty for names and ids; ``about`` also says what absence (null) means."""

    name: str
    type: pa.DataType
    unit: str
    about: str


@dataclass(frozen=True)
class TableSpec:
    """One parquet table: ``sort`` names the columns it is ordered by, ``row_group_size`` its rows per read."""

    name: str
    about: str
    columns: tuple[Column, ...]
    sort: tuple[str, ...]
    row_group_size: int = 32_768

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type) for c in self.columns])

    def check(self, table: pa.Table) -> pa.Table:
        """Return ``table`` with exactly this spec's columns and types, or name the first wrong column."""
        for column in self.columns:
            if column.name not in table.column_names:
                raise PrismError(f"table {self.name!r} lacks the column {column.name!r}")
            have = table.schema.field(column.name).type
            if have != column.type:
                raise PrismError(
                    f"column {column.name!r} of table {self.name!r} has the wrong type",
                    f"expected {column.type}, found {have}",
                )
        extra = set(table.column_names) - {c.name for c in self.columns}
        if extra:
            raise PrismError(f"table {self.name!r} has unknown columns", ", ".join(sorted(extra)))
        return table.select([c.name for c in self.columns])


i8, i16, i32, i64 = pa.int8(), pa.int16(), pa.int32(), pa.int64()
f32, f64, text, flag = pa.float32(), pa.float64(), pa.string(), pa.bool_()

CONTEXTS = TableSpec(
    "contexts",
    "one tokenised window of one document; documents are never concatenated",
    (
        Column("context", i32, "", "0-based id, also the row number"),
        Column("document", i32, "", "number of the document in reading order, which is random (recipe: corpus.seed)"),
        Column("start", i32, "tokens", "offset of the window's first real token in its document"),
        Column("token_ids", pa.list_(i32), "", "all ids of the window, special tokens included"),
        Column("n_tokens", i32, "tokens", "positions that are not special"),
        Column("source", text, "", "where the document lies in the file or dataset of the manifest: line 12, row 12"),
    ),
    sort=("context",),
    row_group_size=256,
)


def activations_spec(store_dtype: str) -> TableSpec:
    """The activations table; ``store_dtype`` is ``float16`` or ``float32``."""
    act = {"float16": pa.float16(), "float32": pa.float32()}[store_dtype]
    return TableSpec(
        "activations",
        "every firing: act > 0 at a non-special position",
        (
            Column("feature", i32, "", "SAE unit"),
            Column("context", i32, "", "row of contexts"),
            Column("pos", i16, "tokens", "position in the window, special tokens counted"),
            Column("act", act, "SAE units", "post-nonlinearity, unfolded as SAELens loads; always > 0"),
        ),
        sort=("feature", "context", "pos"),
    )


ACTIVATION_INDEX = TableSpec(
    "activation_index",
    "where a feature's rows lie in activations",
    (
        Column("feature", i32, "", "every encoded feature, ascending"),
        Column("first_row", i64, "rows", "row number of its first firing"),
        Column("n_firings", i64, "positions", "its number of rows; 0 = no firing"),
    ),
    sort=("feature",),
)

NEAR_MISSES = TableSpec(
    "near_misses",
    "per feature the 20 highest pre-activations that did not fire (fewer when fewer exist)",
    (
        Column("feature", i32, "", "SAE unit"),
        Column("rank", i8, "", "0 = highest"),
        Column("context", i32, "", "row of contexts"),
        Column("pos", i16, "tokens", "position in the window"),
        Column("hidden_pre", f32, "SAE units", "pre-activation whose crossing decides firing (gated: the gate's)"),
    ),
    sort=("feature", "rank"),
)

FEATURES = TableSpec(
    "features",
    "one row per encoded feature; statistics over all non-special positions of the run",
    (
        Column("feature", i32, "", "SAE unit"),
        Column("n_firings", i64, "positions", "positions with act > 0"),
        Column("n_contexts", i32, "contexts", "contexts with at least one firing"),
        Column("n_documents", i32, "documents", "documents with at least one firing"),
        Column("density", f64, "share", "n_firings / non-special positions"),
        Column("density_lo", f64, "share", "95 % interval, bootstrap over documents; null below 10 documents"),
        Column("density_hi", f64, "share", "upper end; without firings the rule-of-three bound over documents"),
        Column("flag", text, "", "dead | ultra-rare (< 10 firing contexts) | dense (density > 0.1) | empty"),
        Column("act_max", f32, "SAE units", "largest act; null without firings"),
        Column("act_mean", f32, "SAE units", "mean over firings; null without firings"),
        Column("act_q10", f32, "SAE units", "quantile over firings; null without firings"),
        Column("act_q50", f32, "SAE units", "median over firings; null without firings"),
        Column("act_q90", f32, "SAE units", "quantile over firings; null without firings"),
        Column("act_q99", f32, "SAE units", "quantile over firings; null without firings"),
        Column("token_r2", f32, "share", "held-out R2 of act on token id; null: undefined"),
        Column("token_r2_null", f32, "share", "the same with token ids rotated inside each context"),
        Column("top_divergence", f32, "bits", "peak tokens of top 20 against uniform; null: < 40 contexts"),
        Column("top_divergence_null", f32, "bits", "95th percentile of the same for uniform draws (split-half)"),
        Column("top_divergence_p", f32, "share", "share of null draws at least as divergent"),
        Column("top_tokens", text, "", "most frequent peak tokens as a JSON list, best first"),
        Column("decoder_norm", f32, "model units", "norm of the decoder row as loaded"),
        Column("bias", f32, "SAE units", "encoder bias (gated: the gate's)"),
        Column("threshold", f32, "SAE units", "JumpReLU threshold; null for other kinds"),
        Column("nearest_feature", i32, "", "encoded feature with the highest decoder cosine; null when alone"),
        Column("nearest_cosine", f32, "cosine", "that cosine"),
    ),
    sort=("feature",),
)  # fmt: skip

HISTOGRAMS = TableSpec(
    "histograms",
    "histogram of a feature's acts over its firings, on two scales",
    (
        Column("feature", i32, "", "SAE unit; features without firings have no row"),
        Column("scale", text, "", "linear | log"),
        Column("lo", f32, "SAE units", "left edge of the first bin"),
        Column("hi", f32, "SAE units", "right edge of the last bin; edges are equal (log: in ratio)"),
        Column("counts", pa.list_(i32), "positions", "firings per bin"),
    ),
    sort=("feature", "scale"),
    row_group_size=1_024,  # a page reads one feature: 40 counts a row decode slowly
)

NEIGHBOURS = TableSpec(
    "neighbours",
    "encoded features with the highest decoder cosine",
    (
        Column("feature", i32, "", "SAE unit"),
        Column("rank", i8, "", "0 = nearest"),
        Column("neighbour", i32, "", "the other feature"),
        Column("cosine", f32, "cosine", "of the two decoder rows"),
    ),
    sort=("feature", "rank"),
)

VOCABULARY = TableSpec(
    "vocabulary",
    "what each token id looks like, so that pages need no tokenizer",
    (
        Column("token_id", i32, "", "0-based, also the row number"),
        Column(
            "str_token",
            text,
            "",
            "readable text with its leading space; bytes that are no character as <0xE2>",
        ),
        Column("is_special", flag, "", "BOS, EOS, PAD ...: masked everywhere"),
    ),
    sort=("token_id",),
)

LABELS = TableSpec(
    "labels",
    "what features are said to mean; several per feature",
    (
        Column("feature", i32, "", "SAE unit"),
        Column("label", text, "", "the explanation"),
        Column("source", text, "", "who or what wrote it"),
        Column("added_at", text, "UTC", "ISO 8601"),
    ),
    sort=("feature", "source", "added_at"),
)

RUN_TABLES: tuple[TableSpec, ...] = (
    CONTEXTS,
    VOCABULARY,
    ACTIVATION_INDEX,
    NEAR_MISSES,
    FEATURES,
    HISTOGRAMS,
    NEIGHBOURS,
)
"""Tables every run has besides ``activations`` (whose act type follows the recipe) and ``labels`` (optional)."""
