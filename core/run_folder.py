"""What a run's folder has to have, its manifest, and how it is changed so that no reader sees half of a change."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core import parquet
from core.errors import MachineError

FORMAT = 1
LOCK_S = 30
MANIFEST = "run.json"


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Held while a run's folder is replaced or what people add to it is changed; MachineError where that cannot be."""
    lock = FileLock(folder.parent / f".lock.{folder.name}", timeout=LOCK_S)
    try:
        lock.acquire()
    except Timeout:
        raise MachineError(
            f"the run {folder.name!r} is being changed by another process",
            f"waited {LOCK_S} s for {lock.lock_file}",
            "try again when it is done",
        ) from None
    except OSError as error:
        raise MachineError(
            f"the run {folder.name!r} cannot be changed", str(error), f"make {folder.parent} writable"
        ) from error
    try:
        yield
    finally:
        lock.release()


def sync_names(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def table_entry(path: Path, folder: Path | None = None) -> dict[str, Any]:
    """What a manifest says of one written table; ``folder`` is the manifest's (default: the table's own)."""
    with parquet.open_file(path) as file:
        n_rows = file.metadata.num_rows
    return {
        "file": path.relative_to(folder or path.parent).as_posix(),
        "n_rows": n_rows,
        "bytes": path.stat().st_size,
        "sha256": parquet.sha256(path),
        "footer_sha256": parquet.footer_sha256(path),
    }


def write_sealed(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a run's ``run.json`` with its seal, so that a changed one is noticed."""
    as_read_back = json.loads(json.dumps(manifest, allow_nan=False))
    write_json(folder / MANIFEST, as_read_back | {"seal": seal(as_read_back)})


def seal(manifest: dict[str, Any]) -> str:
    """Hex digest of a manifest without its entry ``seal``."""
    values = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
