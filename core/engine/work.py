"""The state of an unfinished run: which recipe it is for, which stages are done, what may be resumed.

``.partial-<name>/work.json`` grows stage by stage; a stage counts as done when its entry is there. A run is refused
when it would overwrite work of another recipe.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core import parquet
from core.errors import DamagedError, InputError, MachineError
from core.recipe import Recipe, difference
from core.run_folder import MANIFEST, write_json
from core.store import Run, Store

WORK, SHARDS = "work.json", "shards"
PACKAGES = (
    "sae-prism", "torch", "sae-lens", "transformer-lens", "transformers", "tokenizers", "datasets", "safetensors",
    "numpy", "pyarrow", "numba", "scipy",
)  # fmt: skip


@dataclass
class Work:
    """An unfinished run on disk. ``values`` is what ``work.json`` holds."""

    folder: Path
    values: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Work | None:
        """The work of a partial folder; None when there is none, or none that can be understood."""
        try:
            values = json.loads((folder / WORK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return cls(folder, values) if isinstance(values, dict) and isinstance(values.get("recipe"), dict) else None

    @classmethod
    def begin(cls, folder: Path, recipe: Recipe) -> Work:
        """Clear the folder and note whose work it will hold."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / SHARDS).mkdir(parents=True)
        work = cls(folder, {"recipe": recipe.as_dict(), "packages": packages(), "seconds": {}})
        work.save()
        return work

    def save(self) -> None:
        write_json(self.folder / WORK, self.values)

    def note(self, **entries: Any) -> None:
        """Add entries: the stages they stand for are done."""
        self.values |= entries
        self.save()

    def spent(self, stage: str, seconds: float) -> None:
        """Add time to a stage, over all attempts; saved with the next note."""
        self.values["seconds"][stage] = round(self.values["seconds"].get(stage, 0.0) + seconds, 3)

    def has_file(self, name: str) -> bool:
        """Whether a table written by a finished stage is still what it was."""
        path, entry = self.folder / f"{name}.parquet", self.values.get("files", {}).get(name)
        return entry is not None and path.is_file() and parquet.sha256(path) == entry

    def n_shards_noted(self) -> int:
        return len(list((self.folder / SHARDS).glob("*.json")))


def encode_part(recipe: dict[str, Any]) -> dict[str, Any]:
    """A stored ``Recipe.as_dict`` cut down to what decides the encoded tables, as ``Recipe.encode_dict`` is."""
    values = {key: value for key, value in recipe.items() if key != "analyses"}
    for section, key in (("encode", "device"), ("fidelity", "stop")):
        if isinstance(values.get(section), dict):
            values[section] = {k: v for k, v in values[section].items() if k != key}
    return values


def changes(stored: dict[str, Any], recipe: Recipe) -> list[str]:
    """Lines saying how a stored recipe differs from this one; empty when both make the same tables."""
    return difference(encode_part(stored), recipe.encode_dict())


def finished(store: Store, recipe: Recipe, located: Recipe) -> Run | None:
    """The finished run of this very recipe; None when there is none of that name.

    Raises InputError when the run of that name came from another recipe, or from another file of the same path.
    """
    if recipe.name not in store.names():
        return None
    run = store.run(recipe.name)
    lines = changes(run.manifest["recipe"], recipe)
    corpus, known = located.corpus.path, run.manifest["corpus"].get("sha256")
    if not lines and corpus and known and Path(corpus).is_file() and parquet.sha256(Path(corpus)) != known:
        lines = [f"corpus.path: the content of {recipe.corpus.path!r} has changed"]
    if lines:
        raise refusal(recipe.name, "there is a run of this name made by another recipe", lines)
    missing = [e["file"] for e in run.manifest["tables"].values() if not (run.path / e["file"]).is_file()]
    if missing:
        raise parquet.damaged(run.path / missing[0], "the file is missing")
    return run


def resumable(store: Store, recipe: Recipe, replace: bool) -> Work | None:
    """The unfinished work of this very recipe; None when there is none (or none worth keeping).

    Raises InputError when finished shards of another recipe would be lost and ``replace`` does not allow it.
    """
    work = Work.read(store.partial(recipe.name))
    if work is None:
        return None
    lines = changes(work.values["recipe"], recipe)
    if lines and work.n_shards_noted() and not replace:
        raise refusal(recipe.name, "there is unfinished work of this name made by another recipe", lines)
    return None if lines else work


def complete(store: Store, recipe: Recipe) -> bool:
    """Whether the partial folder is a whole run of this recipe that only lacks its place."""
    run = Run(store.partial(recipe.name))
    if not (run.path / MANIFEST).is_file():
        return False
    try:
        return not changes(run.manifest["recipe"], recipe) and not run.verify()
    except (DamagedError, KeyError, TypeError):
        return False


def refusal(name: str, title: str, lines: list[str]) -> InputError:
    return InputError(
        f"{title}: {name!r}",
        "\n".join(f"  {line}" for line in lines),
        "choose another name, or discard what is there with `prism run RECIPE.toml --replace`",
    )


def packages() -> dict[str, str]:
    """Versions of everything that may change a number."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def plain(value: Any) -> Any:
    """A value for JSON: NaN and infinities, which it does not know, become None."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def locked(store: Store, name: str) -> Iterator[None]:
    """Only one process makes a run of one name."""
    with disk_errors(store.cache_dir):
        store.cache_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(store.cache_dir / f".lock-{name}", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise MachineError(
                f"the run {name!r} is being made by another process",
                f"in {store.cache_dir}",
                "wait for it, or stop it first: it resumes",
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say a full or unwritable disk so that it can be mended; what was written stays and is resumed."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full:
            raise MachineError(
                f"the disk of {folder} is full",
                f"{error}; {shutil.disk_usage(folder).free / 1e6:,.0f} MB are free" if folder.exists() else str(error),
                "make room (`prism run RECIPE.toml --dry-run` says how much) or use another --cache-dir, "
                "then run the same command again: it goes on where it stopped",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise MachineError(
                f"cannot write to {folder}", str(error), "mend its permissions or use another --cache-dir"
            ) from error
        raise
