"""Named prompt sets in a run: ``<run>/prompt_sets/<name>/`` with ``manifest.json`` and the tables of one answer.

Everything a page shows of an answer is in it, so that a link shows the same numbers to somebody without the model.
Written as runs are: tables first, manifest last, one rename; who is killed in between leaves the old set or none.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from core import parquet
from core.errors import DamagedError, InputError, MachineError, NotFoundError, did_you_mean
from core.lab.result import TASKS, LabResult, to_frame
from core.lab.tables import SPECS
from core.recipe import NAME
from core.results import PACKAGES
from core.run_folder import changing, seal, sync_names, table_entry, write_json
from core.store import Run, check_name

FOLDER, MANIFEST, FORMAT = "prompt_sets", "manifest.json", 1
MAX_SETS = 1_000
MAX_NOTE = 2_000


@dataclass(frozen=True)
class PromptSet:
    """A stored answer. ``manifest``: task, params, summary, notes, title, model, run, hashes, packages, created_at."""

    name: str
    manifest: dict[str, Any]
    result: LabResult


def set_names(run: Run) -> list[str]:
    """Names of the run's sets, sorted."""
    folder = run.path / FOLDER
    found = {p.parent.name for p in folder.glob(f"*/{MANIFEST}")}
    found |= {p.parent.name.removeprefix(".old-") for p in folder.glob(f".old-*/{MANIFEST}")}
    return sorted(name for name in found if NAME.fullmatch(name))


def save_set(
    run: Run,
    name: str,
    result: LabResult,
    model_about: Mapping[str, Any],
    title: str = "",
    replace: bool = False,
) -> Path:
    """Write an answer under a name; InputError where the name is taken and ``replace`` is not asked for."""
    check_name(name)
    tables = {key: _arrow(key, frame) for key, frame in result.frames.items()}
    folder = run.path / FOLDER
    target, partial = folder / name, folder / f".partial-{name}-{os.getpid()}"
    with _writable(run, name), changing(run.path):
        folder.mkdir(exist_ok=True)
        _put_back(folder, name)
        if target.exists() and not replace:
            raise _taken(name)
        if len(set_names(run)) >= MAX_SETS and not target.exists():
            raise InputError(f"a run holds at most {MAX_SETS:,} prompt sets", "it has that many", "delete some")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for key, table in tables.items():
            parquet.write_table(partial / f"{key}.parquet", table, SPECS[key])
        manifest = _manifest(run, name, result, model_about, title, partial)
        write_json(partial / MANIFEST, manifest | {"seal": seal(manifest)})
        parquet.sync_folder(partial)
        _take_place(partial, target)
    return target


def check_free(run: Run, name: str, replace: bool = False) -> None:
    """InputError where a set of that name could not be saved, before anything long begins."""
    if check_name(name) in set_names(run) and not replace:
        raise _taken(name)


def load_set(run: Run, name: str) -> PromptSet:
    """A set as it was saved; NotFoundError with the nearest names, DamagedError where it is not what was written."""
    check_name(name)
    path = _folder_of(run, name)
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        whole = isinstance(manifest, dict) and seal(manifest) == manifest.get("seal")
        if not whole or manifest["format"] != FORMAT or manifest["task"] not in TASKS:
            raise ValueError("its manifest is not what was written")
        footers = {key: entry["footer_sha256"] for key, entry in manifest["tables"].items() if key in SPECS}
        frames = {key: to_frame(_read(path, key, footer)) for key, footer in footers.items()}
        result = LabResult(manifest["task"], manifest["params"], manifest["summary"], tuple(manifest["notes"]), frames)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(run, name, str(error)) from error
    except DamagedError as error:
        raise _damaged(run, name, error.detail) from error
    return PromptSet(name, manifest, result)


def delete_set(run: Run, name: str) -> None:
    """Remove a set; one that is not there is no error."""
    check_name(name)
    folder = run.path / FOLDER
    if name not in set_names(run):
        return
    with _writable(run, name), changing(run.path):
        for path in (folder / f".old-{name}", folder / name):
            if path.exists():
                gone = folder / f".gone-{name}-{os.getpid()}"
                shutil.rmtree(gone, ignore_errors=True)
                path.rename(gone)
                sync_names(folder)
                shutil.rmtree(gone, ignore_errors=True)


def _arrow(key: str, frame: Any) -> pa.Table:
    return pa.Table.from_pandas(frame, schema=SPECS[key].schema, preserve_index=False).replace_schema_metadata(None)


def _read(path: Path, key: str, footer: str) -> pa.Table:
    return SPECS[key].check(parquet.read_table(path / f"{key}.parquet", SPECS[key].schema.names, footer))


def _manifest(
    run: Run, name: str, result: LabResult, about: Mapping[str, Any], title: str, partial: Path
) -> dict[str, Any]:
    """Everything that could change a number, as it reads back from JSON."""
    said = {
        "format": FORMAT, "name": name, "title": title[:MAX_NOTE], "task": result.task, "params": result.params,
        "summary": result.summary, "notes": list(result.notes), "model": dict(about), "run": run.name,
        "run_tables": {key: entry["sha256"] for key, entry in run.manifest["tables"].items() if key != "labels"},
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {p: version(p) for p in PACKAGES}, "python": platform.python_version(),
        "tables": {key: table_entry(partial / f"{key}.parquet") for key in result.frames},
    }  # fmt: skip
    return json.loads(json.dumps(said, allow_nan=False, default=str))


def _take_place(partial: Path, target: Path) -> None:
    """Two renames where a set is replaced; between them the old one waits under ``.old-``, where readers look too."""
    old = target.with_name(f".old-{target.name}")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    partial.rename(target)
    sync_names(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _put_back(folder: Path, name: str) -> None:
    """What a killed attempt left: the old set takes its place again, half-written ones go."""
    old, target = folder / f".old-{name}", folder / name
    if (old / MANIFEST).is_file() and not target.exists():
        old.rename(target)
    for left in (*folder.glob(f".partial-{name}-*"), *folder.glob(f".gone-{name}-*")):
        shutil.rmtree(left, ignore_errors=True)


def _folder_of(run: Run, name: str) -> Path:
    for path in (run.path / FOLDER / name, run.path / FOLDER / f".old-{name}"):
        if (path / MANIFEST).is_file():
            return path
    known = set_names(run)
    raise NotFoundError(
        f"run {run.name!r} has no prompt set {name!r}",
        did_you_mean(name, known) or f"its prompt sets: {', '.join(known[:20]) or 'none'}",
        "save it first, or choose another",
    )


def _taken(name: str) -> InputError:
    return InputError(
        f"the run has a prompt set {name!r} already",
        "its numbers would be lost",
        "choose another name, or replace it: --replace",
    )


class _writable:
    """Turns whatever the disk refuses into a MachineError."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise MachineError(f"the prompt set {self.name!r} could not be written", str(error),
                               f"make {self.run.path} writable, or download the answer") from error  # fmt: skip


def _damaged(run: Run, name: str, why: str) -> DamagedError:
    return DamagedError(f"the prompt set {name!r} of run {run.name!r} is damaged", why, "delete it and save it anew")
