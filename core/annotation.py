"""What is known to be true of a text, token by token and span by span: the ``annotation/`` folder of a run.

Planted text knows it by construction; a corpus annotated by hand may bring it too (recipe key ``corpus.annotation``).
Offsets count the document's tokens from 0, without special tokens, as ``contexts.start`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from core.errors import NotFoundError
from core.parquet import read_table, write_table
from core.tables import Column, TableSpec

FOLDER = "annotation"

_i16, _i32, _f64, _text = pa.int16(), pa.int32(), pa.float64(), pa.string()

CONCEPTS = TableSpec(
    "concepts",
    "everything that may hold in the text",
    (
        Column("concept", _text, "", "name, unique"),
        Column("kind", _text, "", "family of the concept"),
        Column("level", _text, "", "partition in which it is judged at span level: sentence, block, ..."),
        Column("prevalence", _f64, "share of tokens", "how often it holds in the annotated documents"),
    ),
    sort=(),
)
TOKENS = TableSpec(
    "tokens",
    "one row per token and concept that holds there",
    (
        Column("document", _i32, "", "row in the corpus, from 0, whatever the order in which a run reads it"),
        Column("token", _i32, "tokens", "offset in the document"),
        Column("concept", _i16, "", "row of concepts"),
    ),
    sort=("document", "token"),
)
SPANS = TableSpec(
    "spans",
    "stretches of text; those of one level meet and never overlap",
    (
        Column("document", _i32, "", "row in the corpus, from 0, whatever the order in which a run reads it"),
        Column("level", _text, "", "name of the partition"),
        Column("start", _i32, "tokens", "first token"),
        Column("stop", _i32, "tokens", "one past the last token"),
    ),
    sort=("document", "level", "start"),
)
SPECS = (CONCEPTS, TOKENS, SPANS)


@dataclass(frozen=True)
class Annotation:
    """The three tables as frames, with the columns of their specs."""

    concepts: pd.DataFrame
    tokens: pd.DataFrame
    spans: pd.DataFrame


def save_annotation(folder: Path, annotation: Annotation) -> None:
    """Write the three tables as parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = (annotation.concepts, annotation.tokens, annotation.spans)
    for spec, frame in zip(SPECS, frames, strict=True):
        table = pa.Table.from_pandas(frame, schema=spec.schema, preserve_index=False)
        write_table(folder / f"{spec.name}.parquet", table, spec)


def load_annotation(folder: Path) -> Annotation:
    """Read what ``save_annotation`` wrote, verified; NotFoundError where the text has no annotation."""
    if not folder.is_dir():
        raise NotFoundError(
            "nothing is known of what is true in this text",
            f"expected a folder {folder.name}/ with {', '.join(f'{s.name}.parquet' for s in SPECS)}",
            "only planted or annotated text has one: set corpus.annotation in the recipe",
        )
    return Annotation(*(read_table(folder / f"{spec.name}.parquet").to_pandas() for spec in SPECS))
