"""Tables as files to take away: exact csv, csv for spreadsheets, parquet that carries its manifest. No streamlit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.table_files import csv_bytes, sheet_csv_bytes

MANIFEST_KEY = b"prism_manifest"
__all__ = ["csv_bytes", "manifest_bytes", "manifest_of", "parquet_bytes", "sheet_csv_bytes", "stem"]


def stem(run: str | None, page: str, what: str) -> str:
    """The name of a downloaded file without its ending: run, page, what it is about, day (UTC)."""
    return f"prism_{run}_{page}_{what}_{datetime.now(UTC):%Y-%m-%d}"


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
