"""A published csv as a run of its own: one phrase is one context, and the pages open it without any model.

A phrase was tried on the feature it was written for and on no other, so a feature's density is over its own phrases
only. What needs the model, the SAE's weights or text that was not written for the feature is absent: fidelity,
pre-activations, decoder rows, token R2. Acts are as Neuronpedia returns them: decoder norm folded in, one positive
factor per feature away from those of a run encoded here.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import parquet
from core.analyses.decomposition import ANALYSIS
from core.engine import work
from core.errors import InputError
from core.formats.decomposability import PublishedCsv, read_decomposability
from core.formats.decomposability_contexts import write_tables
from core.formats.decomposability_counts import LabelTest, summary, tests_of
from core.formats.decomposability_manifest import IMPORTED, VERSION, command, write_manifest
from core.formats.decomposability_tables import result_tables
from core.publish import publish
from core.results import store_result
from core.store import Run, Store, check_name


@dataclass(frozen=True)
class Imported:
    """The run and what the import counted; ``already_there`` when this very file was imported before."""

    run: Run
    counts: dict[str, Any]
    already_there: bool


def import_decomposability(path: Path, store: Store, name: str, replace: bool = False) -> Imported:
    """Make a run of a published csv. InputError where the file is none, or the name is taken by another run."""
    check_name(name)
    with work.locked(store, name), work.disk_errors(store.cache_dir):
        started = time.monotonic()
        if not replace and (found := _known(store, name, path)) is not None:
            return Imported(found, found.manifest[IMPORTED], True)
        csv = read_decomposability(path)
        tests = tests_of(csv)
        counts = {"file": csv.name} | summary(csv, tests)
        folder = store.partial(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_tables(folder, csv, tests)
        write_manifest(folder, name, csv, counts, time.monotonic() - started)
        _write_result(Run(folder), name, csv, tests, started)
        return Imported(publish(store, name), counts, False)


def _known(store: Store, name: str, path: Path) -> Run | None:
    """The run made of this very file; None where the name is free. InputError where something else has it."""
    if name in store.names():
        run = store.run(name)
        made_of = run.manifest["recipe"].get(IMPORTED, {}).get("sha256")
        if path.is_file() and made_of == parquet.sha256(path):
            return run
        what = "a run made of something else"
    elif store.partial(name).exists() and work.Work.read(store.partial(name)) is not None:
        what = "unfinished work"
    else:
        return None
    raise InputError(
        f"there is {what} of this name: {name!r}",
        f"in {store.cache_dir}",
        "choose another --name, or discard what is there with --replace",
    )


def _write_result(run: Run, name: str, csv: PublishedCsv, tests: list[LabelTest], started: float) -> None:
    identity = {
        "analysis": ANALYSIS.key,
        "version": VERSION,
        "params": {"proposer": "upload", "style": "published", "source": csv.name},
        "inputs": {"csv": csv.sha256},
    }
    store_result(run, identity, result_tables(csv, tests), time.monotonic() - started, {"command": command(name, csv)})
