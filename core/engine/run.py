"""``run_recipe``: from a recipe to a finished run folder, resumable at any moment."""

from __future__ import annotations

import contextlib
from pathlib import Path

from core.analyses.base import Progress, Silent
from core.engine import work
from core.engine.job import Job
from core.engine.work import Work
from core.errors import InputError
from core.publish import publish
from core.recipe import Recipe, located
from core.run_folder import MANIFEST
from core.store import Run, Store


def run_recipe(
    recipe: Recipe, folder: Path, store: Store, *, replace: bool = False, progress: Progress | None = None
) -> Run:
    """Encode a recipe's corpus into a run of its name; ``folder`` is the one its relative paths start from.

    A finished run of the same recipe is returned at once; unfinished work is resumed. Raises InputError (with the
    difference) when the name is taken by another recipe, unless ``replace``; MachineError when the disk is full
    or another process makes the same run; and what loading, reading and checking raise.
    """
    progress = progress or Silent()
    here = located(recipe, folder)
    with work.locked(store, recipe.name), work.disk_errors(store.cache_dir):
        if not replace and (run := work.finished(store, recipe, here)) is not None:
            progress.note(f"run {recipe.name} is finished and was made by this recipe")
            return run
        if not work.complete(store, recipe):
            job = Job(recipe, here, folder, store, _begin(store, recipe, replace, progress), progress)
            try:
                job.make()
            except InputError:
                job.forget_if_worthless()
                raise
        _clear_work(Run(store.partial(recipe.name)))
        return publish(store, recipe.name)


def _clear_work(run: Run) -> None:
    """Leave the manifest and the tables it names; shards, notes and what killed attempts left half-written go."""
    keep = {MANIFEST} | {entry["file"] for entry in run.manifest["tables"].values()}
    for path in sorted(run.path.rglob("*"), reverse=True):  # what a folder holds comes before the folder
        if path.is_dir():
            with contextlib.suppress(OSError):  # not empty: it holds tables
                path.rmdir()
        elif path.relative_to(run.path).as_posix() not in keep:
            path.unlink()


def _begin(store: Store, recipe: Recipe, replace: bool, progress: Progress) -> Work:
    """The work to go on with, or new work in an empty folder."""
    found = work.resumable(store, recipe, replace)
    if found is None:
        return Work.begin(store.partial(recipe.name), recipe)
    if found.values.get("packages") != work.packages():
        progress.note("resuming work that was begun with other package versions; the manifest names both")
    return found
