"""Results: what one analysis made of a run, ``<run>/<analysis>/<key>/`` with a manifest and its own tables.

The key is a hash of everything that could change a number, so the same question is answered once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from core import parquet
from core.analyses.base import Analysis, Progress, Silent
from core.errors import NotFoundError, RecipeError
from core.recipe import structure
from core.run_folder import table_entry, write_json
from core.store import Run
from core.tables import TableSpec

MANIFEST = "manifest.json"
PACKAGES = ("sae-prism", "numpy", "scipy", "pandas", "pyarrow", "numba")


@dataclass(frozen=True)
class Result:
    """One stored result, read lazily."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """analysis, version, params, inputs (hashes), packages, created_at, seconds, tables."""
        return json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """One of the result's tables as a frame."""
        footer = self.manifest["tables"].get(name, {}).get("footer_sha256")
        return parquet.read_table(self.path / f"{name}.parquet", columns, footer).to_pandas()

    def rows(self, name: str, column: str, value: int | None) -> pd.DataFrame:
        """The rows of one table where a whole-number column has a value; a short read where it is sorted by it."""
        footer = self.manifest["tables"].get(name, {}).get("footer_sha256")
        return parquet.read_where(self.path / f"{name}.parquet", column, value, footer).to_pandas()


def results(run: Run, analysis: str) -> list[Result]:
    """The run's results of one analysis, newest first."""
    found = [Result(p.parent) for p in (run.path / analysis).glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda r: r.manifest["created_at"], reverse=True)


def require_result(run: Run, analysis: Analysis) -> Result:
    """The newest result of an analysis, or the command that makes one."""
    found = results(run, analysis.key)
    if not found:
        raise NotFoundError(
            f"{analysis.title} has not been computed for the run {run.name!r}",
            analysis.question,
            f"prism analyze {run.name} {analysis.key}",
        )
    return found[0]


def run_analysis(run: Run, analysis: Analysis, values: dict[str, Any], progress: Progress | None = None) -> Result:
    """Compute an analysis with the parameters given, or return the stored result of the very same question."""
    params = checked_params(analysis, values)
    identity = identity_of(run, analysis, params)
    if (stored := stored_result(run, identity)) is not None:
        return stored
    started = time.monotonic()
    tables = analysis.compute(run, params, progress or Silent())
    return store_result(run, identity, tables, time.monotonic() - started)


def stored_result(run: Run, identity: dict[str, Any]) -> Result | None:
    """The stored result of the very same question; None when it was never asked."""
    target = _folder(run, identity)
    return Result(target) if (target / MANIFEST).exists() else None


def store_result(
    run: Run,
    identity: dict[str, Any],
    tables: dict[TableSpec, Any],
    seconds: float,
    about: dict[str, Any] | None = None,
) -> Result:
    """Write a result under the key of its identity; ``about`` is what the manifest says beyond it."""
    return _write(_folder(run, identity), identity, tables, seconds, about)


def _folder(run: Run, identity: dict[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return run.path / str(identity["analysis"]) / key


def checked_params(analysis: Analysis, values: dict[str, Any]) -> Any:
    """An analysis' parameters with defaults filled in; RecipeError naming every mistake."""
    return structure(values, analysis.params, f"parameters of {analysis.key}", RecipeError)


def identity_of(run: Run, analysis: Analysis, params: Any, inputs: dict[str, str] | None = None) -> dict[str, Any]:
    """Everything that could change a number, and nothing else; ``inputs`` are hashes of what is no table of the run."""
    known = run.manifest["tables"]
    hashes = {name: known[name]["sha256"] for name in analysis.inputs if name in known}
    return {
        "analysis": analysis.key,
        "version": analysis.version,
        "params": dataclasses.asdict(params),
        "inputs": hashes | (inputs or {}),
    }


def _write(
    target: Path,
    identity: dict[str, Any],
    tables: dict[TableSpec, Any],
    seconds: float,
    about: dict[str, Any] | None = None,
) -> Result:
    """Tables first, manifest last, one rename."""
    partial = target.with_name(f".partial-{target.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for spec, table in tables.items():
        parquet.write_table(partial / f"{spec.name}.parquet", table, spec)
    manifest = (
        (about or {})
        | identity
        | {
            "created_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "seconds": round(seconds, 3),
            "packages": {name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "tables": {spec.name: table_entry(partial / f"{spec.name}.parquet") for spec in tables},
        }
    )
    write_json(partial / MANIFEST, manifest)
    parquet.sync_folder(partial)
    partial.rename(target)
    return Result(target)
