"""A finished run takes its place in the cache directory, and what people put beside an older one goes with it."""

from __future__ import annotations

import shutil
from pathlib import Path

from core import parquet
from core.errors import DamagedError
from core.run_folder import changing, sync_names, table_entry, write_sealed
from core.store import Run, Store
from core.tables import LABELS

PARTS = ("model", "sae", "corpus.jsonl", "recipe.toml", "world.json")
"""What a run made by ``prism demo build`` holds besides its tables: the sources it was made from."""
ANSWERS = ("ledger.jsonl", "neuronpedia.jsonl")
"""What language models and services answered, kept by what they were asked: paid or waited for, true of any run."""


def publish(store: Store, name: str) -> Run:
    """Put a finished partial folder in its place with one rename; an old run of that name goes.

    What people put beside the old run's tables is copied over before, so that a kill at any moment leaves a
    whole run that has it.
    """
    target, old, new = store.cache_dir / name, store.replaced(name), store.partial(name)
    with changing(target):
        store.put_back(name)
        if target.exists():
            _carry_over(Run(target), Run(new))
        _clear_half_written(new)
        parquet.sync_folder(new)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        new.rename(target)
        sync_names(store.cache_dir)
        shutil.rmtree(old, ignore_errors=True)
    return Run(target)


def _carry_over(old: Run, new: Run) -> None:
    """Copy what people put beside the tables of a run into the one that will replace it.

    Answers always; parts unless the new run has its own; lists, prompt sets and labels where both are of the same
    SAE. What an attempt that was killed had copied is copied again.
    """
    try:
        was, now = (run.manifest["sae"].get("weights_sha256") for run in (old, new))
        same = was is not None and was == now
    except DamagedError:
        same = False
    for name in PARTS:
        if not (new.path / name).exists():
            _copy(old.path / name, new.path / name)
    for name in ANSWERS:
        _copy(old.path / name, new.path / name)
    labels = f"{LABELS.name}.parquet"
    if same:
        _copy(old.path / "lists", new.path / "lists")
        _copy(old.path / "prompt_sets", new.path / "prompt_sets")
    if same and _copy(old.path / labels, new.path / labels):
        manifest = dict(new.manifest)
        manifest["tables"] = manifest["tables"] | {LABELS.name: table_entry(new.path / labels)}
        write_sealed(new.path, manifest)


def _clear_half_written(folder: Path) -> None:
    """What a killed attempt left under a name of its own, ``.name...``; nothing of a run has such a name."""
    for path in folder.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _copy(source: Path, target: Path) -> bool:
    """Copy a file or folder over whatever is there, so that a kill leaves no half copy under that name."""
    if not source.exists():
        return False
    half = target.with_name(f".copy-{target.name}")
    for path in (half, target):
        if path.is_dir():
            shutil.rmtree(path)
    if source.is_dir():
        shutil.copytree(source, half)
    else:
        shutil.copy2(source, half)
    half.replace(target)
    return True
