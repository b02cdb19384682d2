"""Reading and writing parquet so that damage is noticed: page checksums are written and always verified.

A plain parquet file reads most flipped bits back silently wrong; pyarrow verifies checksums when asked,
polars and duckdb never do, so every read of a run goes through this module. Checksums cover pages, not the
footer, where one flipped bit hides rows or ends the process inside pyarrow: ``footer_sha256`` covers that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import DamagedError
from core.tables import TableSpec

MAX_CELLS = 4_000_000_000  # rows x columns a footer may announce: parquet footers of strangers lie
MAX_READ_CELLS = 500_000_000  # values read at once; a small file may hold more than fits in memory

UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, IndexError)  # what pyarrow says of broken bytes


@contextmanager
def open_writer(path: Path, spec: TableSpec, row_group_size: int | None = None) -> Iterator[ChunkWriter]:
    """A writer that cuts whatever tables it is given into row groups of exactly ``spec.row_group_size`` rows."""
    writer = ChunkWriter(path, spec, row_group_size or spec.row_group_size)
    try:
        yield writer
        writer.flush()
    finally:
        writer.close()


class ChunkWriter:
    """Streams tables into one file with row groups of constant size, so that row number gives row group."""

    def __init__(self, path: Path, spec: TableSpec, row_group_size: int) -> None:
        self.spec, self.size = spec, row_group_size
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self._writer = pq.ParquetWriter(path, spec.schema, **_write_options(spec))

    def write(self, table: pa.Table) -> None:
        self._waiting.append(self.spec.check(table))
        self._n_waiting += table.num_rows
        if self._n_waiting >= self.size:
            self._write_whole_groups()

    def _write_whole_groups(self) -> None:
        table = pa.concat_tables(self._waiting)
        whole = table.num_rows // self.size * self.size
        self._writer.write_table(table.slice(0, whole), row_group_size=self.size)
        self._waiting, self._n_waiting = [table.slice(whole)], table.num_rows - whole

    def flush(self) -> None:
        if self._n_waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=self.size)
            self._waiting, self._n_waiting = [], 0

    def close(self) -> None:
        self._writer.close()


def write_table(path: Path, table: pa.Table, spec: TableSpec) -> None:
    """Write one table that fits in memory, checked against its spec, to ``path`` (not atomic: see store)."""
    with open_writer(path, spec) as writer:
        writer.write(table)


def _write_options(spec: TableSpec) -> dict[str, object]:
    """zstd everywhere; sorted ids delta-coded and floats byte-split, which halves the activations table."""
    delta = [c.name for c in spec.columns if pa.types.is_integer(c.type) and c.type.bit_width >= 32]
    split = [c.name for c in spec.columns if pa.types.is_floating(c.type)]
    encoding = dict.fromkeys(delta, "DELTA_BINARY_PACKED") | dict.fromkeys(split, "BYTE_STREAM_SPLIT")
    text = [c.name for c in spec.columns if pa.types.is_string(c.type)]
    small = [c.name for c in spec.columns if pa.types.is_integer(c.type) and c.type.bit_width < 32]
    return {
        "compression": "zstd",
        "write_page_checksum": True,
        "use_dictionary": text + small or False,
        "column_encoding": encoding or None,
        "write_statistics": True,
    }


def open_file(path: Path, footer: str | None = None) -> pq.ParquetFile:
    """An open parquet file that verifies page checksums on every read.

    ``footer`` is what ``footer_sha256`` said when the file was written; None: not known, not checked.
    """
    try:
        if footer is not None and footer_sha256(path) != footer:
            raise damaged(path, "its footer is not the one that was written")
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise damaged(path, "the file is missing") from None
    except UNREADABLE as error:
        raise damaged(path, str(error)) from error
    if file.metadata.num_rows * file.metadata.num_columns > MAX_CELLS:
        raise damaged(path, f"its footer announces {file.metadata.num_rows} rows")
    return file


def read_table(path: Path, columns: list[str] | None = None, footer: str | None = None) -> pa.Table:
    """Read a whole table, verified; ``footer`` as in ``open_file``."""
    with open_file(path, footer) as file, reporting(path):
        return _read(file, path, range(file.metadata.num_row_groups), columns or file.schema_arrow.names, threads=True)


def read_where(path: Path, column: str, value: int | None, footer: str | None = None) -> pa.Table:
    """The rows of a table where a whole-number column has a value (None: is absent), verified.

    Row groups whose statistics rule the value out are not read: in a table sorted by that column it is a short read.
    """
    with open_file(path, footer) as file, reporting(path):
        meta, names = file.metadata, file.schema_arrow.names
        if column not in names:
            raise damaged(path, f"it lacks the column {column}")
        groups = [g for g in range(meta.num_row_groups) if _may_hold(meta.row_group(g), column, value)]
        table = _read(file, path, groups, names, threads=False)
    kept = pc.is_null(table[column]) if value is None else pc.equal(table[column], value)
    return table.filter(kept)


def _may_hold(group: pq.RowGroupMetaData, column: str, value: int | None) -> bool:
    """False only where the statistics of a row group say that it does not hold the value."""
    (known,) = (c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column)
    found = known.statistics
    if found is None:
        return True
    if value is None:
        return not found.has_null_count or found.null_count > 0
    return not found.has_min_max or found.min <= value <= found.max


def read_row_groups(file: pq.ParquetFile, path: Path, groups: Iterable[int], columns: list[str]) -> pa.Table:
    """Read some row groups of an open file, verified; ``path`` only names it in errors."""
    with reporting(path):
        return _read(file, path, groups, columns, threads=False)


def _read(file: pq.ParquetFile, path: Path, groups: Iterable[int], columns: list[str], threads: bool) -> pa.Table:
    wanted, have = list(groups), file.schema_arrow.names
    missing = [name for name in columns if name not in have]  # pyarrow leaves them out without a word
    if missing:
        raise damaged(path, f"it lacks the columns {', '.join(missing)}")
    parts = [file.metadata.row_group(g) for g in wanted]
    if any(pa.types.is_nested(kind) for kind in file.schema_arrow.types):  # a row may hold any number of values
        n_values = sum(part.column(c).num_values for part in parts for c in range(part.num_columns))
    else:
        n_values = sum(part.num_rows for part in parts) * len(columns)
    if n_values > MAX_READ_CELLS:
        raise damaged(path, f"its footer announces {n_values} values to be read at once")
    return file.read_row_groups(wanted, columns=columns, use_threads=threads)


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn whatever pyarrow says about broken bytes into a DamagedError naming the file and the remedy."""
    try:
        yield
    except UNREADABLE as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> DamagedError:
    run = next((p.name for p in path.parents if (p / "run.json").exists()), path.parent.name)
    return DamagedError(
        f"the table {path.name} of run {run!r} is damaged",
        f"{path}: {why}",
        f"see what else is wrong with `prism verify {run}`, then copy the run again or encode it anew with "
        f"`prism run RECIPE.toml --replace`",
    )


def footer_sha256(path: Path) -> str:
    """Hex digest of a parquet file's end: schema, statistics and places of the pages, which no checksum covers."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 8))
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, size - 8 - length))
        return hashlib.sha256(stream.read()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the files of a folder and their names durable before it is renamed into place."""
    for path in [p for p in folder.rglob("*") if p.is_file()] + [folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
