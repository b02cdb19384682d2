"""What every task of the lab gives: plain frames and numbers, the same whether just measured or read from a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from core.tables import TableSpec

Task = Literal["test", "find", "contrast", "account", "decode"]
TASKS: tuple[Task, ...] = ("test", "find", "contrast", "account", "decode")


@dataclass(frozen=True)
class LabResult:
    """One answer. ``frames`` by table name (see ``core.lab.tables``), ``params`` with every default written out.

    ``summary`` are the headline numbers, each beside its null and its interval; None: not defined. ``notes`` are
    sentences that whoever reads the numbers has to know.
    """

    task: Task
    params: dict[str, Any]
    summary: dict[str, Any]
    notes: tuple[str, ...]
    frames: dict[str, pd.DataFrame]

    def table(self, name: str) -> pd.DataFrame:
        return self.frames[name]


def frame(spec: TableSpec, columns: pd.DataFrame | Mapping[str, Any] | Sequence[Any]) -> pd.DataFrame:
    """Columns, or rows, as the frame that reading the stored table gives: NaN is absent, whole numbers stay."""
    if isinstance(columns, (Mapping, pd.DataFrame)):
        table = pa.table({c.name: pa.array(columns[c.name], c.type, from_pandas=True) for c in spec.columns})
    else:
        table = pa.Table.from_pylist([dict(row) for row in columns], schema=spec.schema)
    return to_frame(table)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Absent whole numbers and truths stay absent instead of turning a column into floats."""
    nullable = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    absent = {f.type for f in table.schema if table[f.name].null_count and f.type in nullable}
    return table.to_pandas(types_mapper=lambda kind: nullable.get(kind) if kind in absent else None)
