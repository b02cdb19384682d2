"""Append-only files of JSON lines that survive a kill: a line is whole and as it was written, or it does not count.

Each line is ``{"checksum": ..., "record": {...}}``. A line torn by a kill or a full disk is skipped and counted; the
next line begins on a line of its own. Several threads and processes may append to one journal: its lock lies beside
the journal's folder, ``.lock.FOLDER@NAME``, as a run's does (``core.store``), so that the folder holds only data.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.errors import MachineError


class Journal:
    """One journal. ``n_damaged`` counts the lines read so far that are not what was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_damaged = 0
        self._offset = 0
        self._thread_lock = threading.RLock()
        folder = path.absolute().parent
        # a run's name has no @, so that no run's own lock is taken for this one
        self._process_lock = FileLock(folder.parent / f".lock.{folder.name}@{path.name}")

    def append(self, record: dict[str, Any]) -> None:
        """Add one record and make it durable before returning. MachineError when the disk refuses."""
        body = _canonical(record)
        line = f'{{"checksum": "{_checksum(body)}", "record": {body}}}\n'.encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._thread_lock, self._process_lock:
                _write(self.path, line)
        except OSError as error:
            raise MachineError(
                f"could not write to {self.path.name}",
                str(error),
                "make room or choose another folder; nothing is lost",
            ) from error

    def new_records(self) -> list[dict[str, Any]]:
        """The records, in order, that this object has not returned yet, whichever process wrote them."""
        with self._thread_lock:
            data = self._unread()
            end = data.rfind(b"\n") + 1  # an unfinished last line may still be in writing
            self._offset += end
            return [r for r in map(self._record, data[:end].splitlines()) if r is not None]

    def _unread(self) -> bytes:
        try:
            with self.path.open("rb") as stream:
                if os.fstat(stream.fileno()).st_size < self._offset:
                    self._offset = self.n_damaged = 0  # replaced by another file
                stream.seek(self._offset)
                return stream.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise MachineError(f"could not read {self.path.name}", str(error), "check its permissions") from error

    def _record(self, line: bytes) -> dict[str, Any] | None:
        """The record of one line; None, and one more in ``n_damaged``, when it is not as written."""
        if not line.strip():
            return None
        try:
            entry = json.loads(line)
            if _checksum(_canonical(entry["record"])) == entry["checksum"]:
                return dict(entry["record"])
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        self.n_damaged += 1
        return None


def _write(path: Path, line: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line  # whatever was torn here before must not swallow this line
        while line:
            line = line[os.write(handle, line) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _canonical(record: dict[str, Any]) -> str:
    """ASCII JSON with one spelling per value: what the checksum is of."""
    return json.dumps(record, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
