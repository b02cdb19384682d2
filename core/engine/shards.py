"""The work of an encode on disk, shard by shard, and the merge into the sorted tables.

A shard is the firings of a fixed range of contexts, sorted by feature: ``NNNNN.bin`` (raw arrays one after the other)
and ``NNNNN.json`` (their lengths, the range, a sha256), written last. Contexts ascend from shard to shard, so merging
is putting each feature's runs end to end, read feature block by feature block: memory does not grow with the corpus.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core import parquet
from core.errors import DamagedError
from core.maths.near_misses import NearMisses
from core.maths.sorting import copy_runs, merge_starts, offsets
from core.run_folder import write_json
from core.tables import ACTIVATION_INDEX, NEAR_MISSES, activations_spec

MERGE_ROWS = 2_000_000
"""Firings merged at once; a feature with more is streamed shard by shard."""

ACT_DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype(np.float16), "float32": np.dtype(np.float32)}


@dataclass(frozen=True)
class Shard:
    """Firings of contexts ``first .. first + n_contexts`` and the near misses found among them.

    ``ptr [n_columns + 1]``: column ``j`` owns firings ``ptr[j] : ptr[j + 1]`` of ``context``, ``pos`` and ``act``
    (the stored dtype). ``near_*`` are parallel arrays, all still among the highest 20 of their column when the shard
    was done.
    """

    first: int
    n_contexts: int
    seconds: float
    ptr: np.ndarray
    context: np.ndarray
    pos: np.ndarray
    act: np.ndarray
    near_column: np.ndarray
    near_pre: np.ndarray
    near_context: np.ndarray
    near_pos: np.ndarray


ARRAYS = ("ptr", "context", "pos", "act", "near_column", "near_pre", "near_context", "near_pos")


class Shards:
    """The folder of shards of one unfinished run."""

    def __init__(self, folder: Path, store_dtype: str) -> None:
        self.folder, self.store_dtype = folder, store_dtype
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, i: int, shard: Shard) -> None:
        """Write a shard so that it is either there as a whole or not."""
        path, temporary = self._path(i), self.folder / f"{i:05d}.tmp"
        digest, lengths = hashlib.sha256(), {}
        with temporary.open("wb") as stream:
            for name in ARRAYS:
                values = np.ascontiguousarray(getattr(shard, name))
                content = values.view(np.uint8).data
                stream.write(content)
                digest.update(content)
                lengths[name] = [values.dtype.str, len(values)]
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        facts = {"first": shard.first, "n_contexts": shard.n_contexts, "seconds": shard.seconds}
        write_json(self._note(i), facts | {"sha256": digest.hexdigest(), "arrays": lengths})

    def good(self, i: int, first: int, n_contexts: int) -> bool:
        """Whether shard ``i`` is there, covers this range and is byte for byte what was written."""
        try:
            note = self.note(i)
            return (note["first"], note["n_contexts"]) == (first, n_contexts) and (
                parquet.sha256(self._path(i)) == note["sha256"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def note(self, i: int) -> dict[str, Any]:
        """What was written beside a shard: first, n_contexts, seconds, sha256, arrays."""
        return json.loads(self._note(i).read_text(encoding="utf-8"))

    def offer_misses(self, i: int, state: NearMisses) -> None:
        """Take a stored shard's near misses into ``state``."""
        reader = self.reader(i)
        column, pre, context, pos = (reader.read(name) for name in ARRAYS[4:])
        state.offer(column, pre, context, pos)

    def reader(self, i: int) -> ShardReader:
        return ShardReader(self._path(i), self.note(i)["arrays"])

    def any_there(self) -> bool:
        return any(self.folder.glob("*.json"))

    def _path(self, i: int) -> Path:
        return self.folder / f"{i:05d}.bin"

    def _note(self, i: int) -> Path:
        return self.folder / f"{i:05d}.json"


class ShardReader:
    """Slices of a shard's arrays, each one read from disk: nothing stays mapped or open."""

    def __init__(self, path: Path, arrays: dict[str, list[Any]]) -> None:
        self.path = path
        self._arrays: dict[str, tuple[np.dtype[Any], int, int]] = {}
        start = 0
        for name in ARRAYS:
            dtype, length = np.dtype(arrays[name][0]), int(arrays[name][1])
            self._arrays[name] = (dtype, start, length)
            start += dtype.itemsize * length

    def read(self, name: str, first: int = 0, n: int | None = None) -> np.ndarray:
        """``n`` values of an array from ``first`` on; all of the rest by default."""
        dtype, start, length = self._arrays[name]
        n = length - first if n is None else n
        values = np.fromfile(self.path, dtype, n, offset=start + first * dtype.itemsize)
        if len(values) != n:
            raise DamagedError(f"{self.path.name} is shorter than it was written", str(self.path), "run again")
        return values


def merge(shards: Shards, n_shards: int, features: np.ndarray, folder: Path) -> Iterator[int]:
    """Write ``activations`` and ``activation_index`` from the shards; yields how many firings each step wrote.

    ``features [n_columns]`` int32 are the feature numbers of the columns, ascending.
    """
    readers = [shards.reader(i) for i in range(n_shards)]
    totals = np.zeros(len(features), np.int64)
    for reader in readers:
        totals += np.diff(reader.read("ptr"))
    spec = activations_spec(shards.store_dtype)
    with parquet.open_writer(folder / "activations.parquet", spec) as writer:
        for start, stop in _blocks(totals):
            for table in _merged(readers, features, start, stop, totals, shards.store_dtype):
                writer.write(table)
                yield table.num_rows
    index = [
        pa.array(features, pa.int32()),
        pa.array(offsets(totals)[:-1], pa.int64()),
        pa.array(totals, pa.int64()),
    ]
    table = pa.table(index, schema=ACTIVATION_INDEX.schema)
    parquet.write_table(folder / "activation_index.parquet", table, ACTIVATION_INDEX)


def write_near_misses(state: NearMisses, features: np.ndarray, folder: Path) -> None:
    """Write the ``near_misses`` table."""
    column, rank, pre, context, pos = state.rows()
    columns = [
        pa.array(features[column], pa.int32()),
        pa.array(rank, pa.int8()),
        pa.array(context, pa.int32()),
        pa.array(pos, pa.int16()),
        pa.array(pre, pa.float32()),
    ]
    table = pa.table(columns, schema=NEAR_MISSES.schema)
    parquet.write_table(folder / "near_misses.parquet", table, NEAR_MISSES)


def _blocks(totals: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of columns with at most ``MERGE_ROWS`` firings; a column with more comes alone."""
    ends = np.cumsum(totals)
    start = 0
    while start < len(totals):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + MERGE_ROWS, side="right")))
        yield start, stop
        start = stop


def _merged(
    readers: list[ShardReader], features: np.ndarray, start: int, stop: int, totals: np.ndarray, store_dtype: str
) -> Iterator[pa.Table]:
    """The rows of columns ``start .. stop``: as one table, or shard by shard for one column that is too large."""
    ptrs = np.stack([reader.read("ptr", start, stop - start + 1) for reader in readers])
    if stop - start == 1 and totals[start] > MERGE_ROWS:
        for reader, (a, b) in zip(readers, ptrs, strict=True):
            parts = {name: reader.read(name, a, b - a) for name in ("context", "pos", "act")}
            yield _table(np.full(b - a, features[start], np.int32), parts, store_dtype)
        return
    counts = np.diff(ptrs, axis=1)
    starts = merge_starts(counts)
    n = int(counts.sum())
    dtypes: dict[str, np.dtype[Any]] = {
        "context": np.dtype(np.int32),
        "pos": np.dtype(np.int16),
        "act": ACT_DTYPES[store_dtype],
    }
    parts = {name: np.empty(n, dtype) for name, dtype in dtypes.items()}
    for k, reader in enumerate(readers):
        rows = int(ptrs[k, -1] - ptrs[k, 0])
        for name in parts if rows else ():
            source = reader.read(name, int(ptrs[k, 0]), rows)
            bits = np.uint16 if source.itemsize == 2 else np.uint32  # copied as bits: one compiled kernel per width
            copy_runs(source.view(bits), counts[k], starts[k], parts[name].view(bits))
    yield _table(np.repeat(features[start:stop], totals[start:stop]), parts, store_dtype)


def _table(feature: np.ndarray, parts: dict[str, np.ndarray], store_dtype: str) -> pa.Table:
    spec = activations_spec(store_dtype)
    return pa.table([pa.array(feature), *(pa.array(parts[n]) for n in ("context", "pos", "act"))], schema=spec.schema)
