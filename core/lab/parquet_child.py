"""Reads a stranger's parquet file in a process of its own, whose end is nobody else's.

A damaged footer can end the process inside pyarrow, and a page of a few kilobytes can unpack to gigabytes before
anybody is asked. So the file comes on standard input, memory is limited by the system, and what leaves is one JSON
value a line: columns and how many rows are announced, then one list a row; ``{"error": why}`` is the last line of what
failed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

BATCH = 512


def main() -> None:
    """Arguments: one JSON object with ``columns`` (null: only say which there are) and the bounds.

    ``memory`` is in bytes of address space.
    """
    asked = json.loads(sys.argv[1])
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
    try:
        for value in answers(sys.stdin.buffer.read(), asked):
            sys.stdout.write(json.dumps(value, default=str) + "\n")
    except MemoryError:
        sys.stdout.write(json.dumps({"error": "it unpacks to more than fits in memory"}) + "\n")
    except Exception as error:  # noqa: BLE001  whatever pyarrow says of broken bytes
        sys.stdout.write(json.dumps({"error": f"it is damaged, or no parquet file: {str(error)[:200]}"}) + "\n")


def answers(data: bytes, asked: dict[str, Any]) -> Iterator[Any]:
    """What is written, line by line."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    meta, schema = file.metadata, file.schema_arrow
    kinds = {f.name: _kind(f.type) for f in schema}
    yield {"columns": schema.names, "kinds": kinds, "n_rows": meta.num_rows, "n_leaves": meta.num_columns}
    wanted = asked["columns"]
    if wanted is None:
        return
    if meta.num_rows > asked["n_rows"]:
        raise ValueError(f"{meta.num_rows:,} rows are announced")
    plain = [c for c in wanted if pa.types.is_string(schema.field(c).type)]
    # dictionaries stay dictionaries: a long text that is repeated a million times is held once
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, read_dictionary=plain)
    n_chars = 0
    for batch in file.iter_batches(BATCH, columns=wanted, use_threads=False):
        for row in zip(*(batch.column(c) for c in wanted), strict=True):
            values = [scalar.as_py() for scalar in row]
            n_chars += sum(_size(v) for v in values)
            if n_chars > asked["n_chars"]:
                yield {"error": f"its text has more than {asked['n_chars']:,} characters together"}
                return
            yield values


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(str(value)) if isinstance(value, list) else 0


def _kind(kind: Any) -> str:
    """ "" for columns that can be used; else what the column holds."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    asks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer,
            pa.types.is_floating, pa.types.is_null, pa.types.is_list, pa.types.is_large_list)  # fmt: skip
    return "" if any(ask(kind) for ask in asks) else str(kind)[:80]


if __name__ == "__main__":
    main()
