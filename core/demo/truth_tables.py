"""Layout of the truth tables on disk, and how they are written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from core.demo.truth import Annotation
from core.parquet import read_table, write_table
from core.tables import Column, TableSpec

_i16, _i32, _i64, _f64, _text = pa.int16(), pa.int32(), pa.int64(), pa.float64(), pa.string()

CONCEPTS = TableSpec(
    "concepts",
    "everything the world can plant",
    (
        Column("concept", _text, "", "name: kind=value"),
        Column("kind", _text, "", "entity, nationality, profession, field, era, trait, topic, stage, sense, ..."),
        Column("prevalence", _f64, "share of tokens", "how often it holds in the held-out documents"),
    ),
    sort=(),
)
TOKENS = TableSpec(
    "tokens",
    "one row per token and concept that holds there",
    (
        Column("context", _i32, "", "row of contexts; one document each"),
        Column("pos", _i16, "tokens", "counts from 0 at BOS"),
        Column("concept", _i16, "", "row of concepts"),
    ),
    sort=("context", "pos"),
)
SPANS = TableSpec(
    "spans",
    "stretches of text; those of one level meet and never overlap",
    (
        Column("context", _i32, "", "row of contexts"),
        Column("level", _text, "", "sentence, block, stage or document"),
        Column("start", _i16, "tokens", "first pos"),
        Column("end", _i16, "tokens", "one past the last pos"),
        Column("concept", _i16, "", "row of concepts; -1 for a sentence, whose concepts are those of its tokens"),
    ),
    sort=("context", "level", "start"),
)
DOCUMENTS = TableSpec(
    "documents",
    "the held-out documents",
    (
        Column("context", _i32, "", "row of contexts"),
        Column("n_tokens", _i64, "tokens", "without special tokens"),
    ),
    sort=("context",),
)


def save_annotation(folder: Path, annotation: Annotation) -> None:
    """Write concepts, tokens, spans and documents as parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = pd.DataFrame(
        {"context": np.arange(len(annotation.n_tokens), dtype=np.int32), "n_tokens": annotation.n_tokens}
    )
    for spec, frame in (
        (CONCEPTS, annotation.concepts),
        (TOKENS, annotation.tokens),
        (SPANS, annotation.spans),
        (DOCUMENTS, documents),
    ):
        table = pa.Table.from_pandas(frame, schema=spec.schema, preserve_index=False)
        write_table(folder / f"{spec.name}.parquet", table, spec)


def load_annotation(folder: Path) -> Annotation:
    """Read what `save_annotation` wrote; damage is an error."""
    concepts, tokens, spans, documents = (
        read_table(folder / f"{spec.name}.parquet").to_pandas() for spec in (CONCEPTS, TOKENS, SPANS, DOCUMENTS)
    )
    return Annotation(concepts, tokens, spans, documents["n_tokens"].to_numpy())
