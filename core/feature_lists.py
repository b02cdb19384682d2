"""Named lists of features, kept as small JSON files in the run they belong to: ``<run>/lists/<name>.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from core.errors import DamagedError, InputError, MachineError, NotFoundError, did_you_mean
from core.run_folder import write_json
from core.store import Run, check_name

FOLDER = "lists"
FORMAT = 1
MAX_FEATURES = 10_000


def list_names(run: Run) -> list[str]:
    """Names of the run's lists, sorted."""
    return sorted(p.stem for p in (run.path / FOLDER).glob("*.json") if not p.name.startswith("."))


def save_list(run: Run, name: str, features: Iterable[int]) -> Path:
    """Write a list, replacing an old one of that name in one step; every feature must be encoded in the run."""
    check_name(name)
    chosen = [run.require_feature(int(f)) for f in dict.fromkeys(features)]
    if not 0 < len(chosen) <= MAX_FEATURES:
        raise InputError(f"a list has 1 to {MAX_FEATURES:,} features", f"found {len(chosen)}", "choose some first")
    folder = run.path / FOLDER
    path = folder / f"{name}.json"
    try:
        folder.mkdir(exist_ok=True)
        write_json(path, {"format": FORMAT, "run": run.name, "name": name, "features": chosen})
    except OSError as error:
        raise MachineError(
            f"the list {name!r} could not be written", str(error), f"make {folder} writable, or download the list"
        ) from error
    return path


def load_list(run: Run, name: str) -> list[int]:
    """The features of a list, in its order."""
    if check_name(name) not in (known := list_names(run)):
        raise NotFoundError(
            f"run {run.name!r} has no list {name!r}",
            did_you_mean(name, known) or f"its lists: {', '.join(known) or 'none'}",
            "save it first, or choose another",
        )
    path = run.path / FOLDER / f"{name}.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        features = value["features"]
        whole = isinstance(features, list) and 0 < len(features) <= MAX_FEATURES
        if not whole or not all(type(f) is int for f in features):
            raise ValueError("its features are not a list of whole numbers")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"the list {name!r} is damaged", f"{path}: {error}", "delete it and save it anew") from error
    return [run.require_feature(f) for f in features]


def delete_list(run: Run, name: str) -> None:
    """Remove a list; one that is not there is no error."""
    try:
        (run.path / FOLDER / f"{check_name(name)}.json").unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"the list {name!r} could not be deleted", str(error), "make the run writable") from error
