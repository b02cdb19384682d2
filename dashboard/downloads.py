"""Tables as files to take away: exact csv, csv for spreadsheets, parquet that carries its manifest. No streamlit."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet compute a cell instead of showing it, full-width forms included."""
MANIFEST_KEY = b"prism_manifest"


def stem(run: str | None, page: str, what: str) -> str:
    """The name of a downloaded file without its ending: run, page, what it is about, day (UTC)."""
    return f"prism_{run}_{page}_{what}_{datetime.now(UTC):%Y-%m-%d}"


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The table exactly: UTF-8, texts as they are, lists as JSON. Spreadsheets would run cells with formulas.

    Lines end as RFC 4180 says, because Python quotes a cell with a carriage return only then.
    """
    return _written_lists(frame).to_csv(index=False, lineterminator="\r\n").encode()


def sheet_csv_bytes(frame: pd.DataFrame) -> bytes:
    """The table for spreadsheets: formula cells and column names get an apostrophe before them, every text is quoted.

    Text is changed by that, so the exact file stands beside it. Begins with a byte order mark, by which spreadsheets
    know UTF-8.
    """
    flat = _written_lists(frame)
    for column in flat.columns:
        if not pd.api.types.is_numeric_dtype(flat[column]):
            flat[column] = flat[column].map(_as_text)
    flat.columns = [_as_text(str(column)) for column in flat.columns]
    return flat.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").encode("utf-8-sig")


def _as_text(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not compute; what is no text stays."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith(FORMULA) or value.lstrip().startswith(FORMULA) else value


def _written_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy in which lists and arrays are JSON: numpy's own spelling leaves out the middle of long ones."""
    flat = frame.copy()
    for column in flat.columns:
        if flat[column].dtype == object:
            flat[column] = flat[column].map(_plain)
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple, dict)) else value


def parquet_bytes(frame: pd.DataFrame, manifest: Mapping[str, Any]) -> bytes:
    """The table as parquet with page checksums; its schema carries the manifest under ``prism_manifest``."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    known = table.schema.metadata or {}
    table = table.replace_schema_metadata({**known, MANIFEST_KEY: json.dumps(manifest, ensure_ascii=False)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def manifest_of(run: Mapping[str, Any], page: str, what: str, link: str, n_rows: int | None = None) -> dict[str, Any]:
    """What a downloaded table says of itself: the view it is of, and the run behind it with the hash of every table."""
    made = run.get("provenance") or {}
    return {
        "page": page,
        "what": what,
        "link": link,
        "n_rows": n_rows,
        "downloaded_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "run": {
            "name": run.get("name"),
            "created_at": run.get("created_at"),
            "recipe_digest": run.get("digest"),
            "recipe": run.get("recipe"),
            "sae": run.get("sae"),
            "model": run.get("model"),
            "packages": made.get("packages"),
            "licence_of_text": (run.get("corpus") or {}).get("licence"),
            "tables": {name: entry.get("sha256") for name, entry in (run.get("tables") or {}).items()},
        },
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=1, ensure_ascii=False).encode()
