"""What a host would serve: whether runs are whole, licences, memory, keys in their files; a line for each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from core import host_files, parquet
from core.errors import PrismError
from core.licences import licence
from core.settings import Settings
from core.store import Run, Store
from core.units import human_bytes

State = Literal["ok", "warn", "fail"]
COMMUNITY_CLOUD, SPACES = 690e6, 16e9
"""Memory of the free tiers, bytes: what Community Cloud guarantees, what a Space on a CPU has."""
GIT_FILE = 100e6
"""What git hosts take as one file, bytes."""


@dataclass(frozen=True)
class Finding:
    """One line of the check; ``remedy`` is the change or command that mends it, "" where there is nothing to do."""

    what: str
    state: State
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def readable_runs(store: Store) -> tuple[list[Run], list[Finding]]:
    """The runs whose manifest can be read, and a line for each of the others."""
    whole, damaged = [], []
    for name in store.names():
        try:
            run = store.run(name)
            run.manifest  # noqa: B018 - read now: a damaged one is a line of its own
            whole.append(run)
        except PrismError as error:
            damaged.append(Finding(f"run {name}", "fail", f"{error.title}: {error.detail}", error.remedy))
    return whole, damaged


def cache(store: Store, settings: Settings) -> Iterator[Finding]:
    """The cache directory: how many runs, how large, what git hosts refuse, whether it can be written."""
    folder, names = store.cache_dir, store.names()
    if not names:
        yield Finding("runs", "fail", f"no run in {folder}", "copy a run there, or set PRISM_CACHE_DIR")
        return
    size = host_files.folder_bytes(folder)
    yield Finding("runs", "ok", f"{len(names)} in {folder}, {human_bytes(size)}")
    if unfinished := store.unfinished():
        yield Finding("unfinished", "warn", f"{', '.join(unfinished)}: visitors see their names",
                      "finish them, or delete their .partial- folders")  # fmt: skip
    large = [p for p in folder.rglob("*") if p.is_file() and p.stat().st_size > GIT_FILE]
    if large:
        named = ", ".join(f"{p.relative_to(folder)} ({human_bytes(p.stat().st_size)})" for p in large[:5])
        yield Finding("large files", "warn", named, "git hosts refuse files over 100 MB: use git LFS, or a disk")
    if not os.access(folder, os.W_OK):
        needed = settings.hosted_write
        yield Finding("writing", "fail" if needed else "ok", f"{folder} cannot be written",
                      "unset PRISM_HOSTED_WRITE or make it writable" if needed else "")  # fmt: skip


def licence_of(run: Run) -> Finding:
    """Whether the run's text may be shown, by what its corpus says."""
    known = licence(run.manifest["corpus"].get("licence"))
    name = known.text or "not stated"
    states: Mapping[str, State] = {"open": "ok", "forbidden": "fail"}
    remedy = {"open": "", "forbidden": "do not host this run"}.get(
        known.standing, "read the licence; state it as corpus.licence in the recipe"
    )
    return Finding(f"licence of {run.name}", states.get(known.standing, "warn"), f"{name}: {known.said}", remedy)


def whole(run: Run) -> Finding:
    """Every table of the run and of its results against size and hash as written."""
    problems = run.verify()
    n_results = 0
    for path in sorted(run.path.glob("*/*/manifest.json")):
        n_results += 1
        problems += _damage(path, run.path)
    if problems:
        remedy = f"copy it again, then `prism verify {run.name}`"
        return Finding(f"run {run.name}", "fail", "; ".join(problems[:5]), remedy)
    n_tables = len(run.manifest["tables"])
    return Finding(f"run {run.name}", "ok", f"{n_tables} tables and {n_results} results are as written")


def _damage(manifest: Path, run: Path) -> list[str]:
    name = manifest.parent.relative_to(run)
    try:
        tables = json.loads(manifest.read_text(encoding="utf-8"))["tables"]
        entries = {e["file"]: (e["bytes"], e["sha256"]) for e in tables.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{name}/manifest.json cannot be read"]
    wrong = []
    for file, (size, sha) in entries.items():
        path = manifest.parent / file
        if not path.is_file() or path.stat().st_size != size or parquet.sha256(path) != sha:
            wrong.append(f"{name}/{file} is missing or not as written")
    return wrong


def memory(runs: list[Run], settings: Settings) -> Finding:
    """The memory all runs take, beside what free hosts have."""
    try:
        need = host_files.memory_bytes(runs, settings.hosted_live)
    except PrismError as error:
        return Finding("memory", "warn", error.title, error.remedy)
    said = f"about {human_bytes(need)} when all is visited; Community Cloud guarantees 690 MB, a free Space has 16 GB"
    if need <= COMMUNITY_CLOUD:
        return Finding("memory", "ok", said)
    where = "use a Space or a larger host" if need <= SPACES else "use a larger host"
    return Finding("memory", "warn", said, f"{where}, or serve fewer runs")


def keys(store: Store, folder: Path) -> Iterator[Finding]:
    """Keys in the runs' text files, and secrets that git would publish."""
    clean = True
    for place in {folder.resolve(), Path.cwd()}:
        if (found := host_files.secrets_file(place)) and found[1]:
            clean = False
            yield Finding("secrets", "fail", f"{found[0]} would be published", "git rm --cached it, and renew its keys")
    for path in host_files.files_with_keys(store.cache_dir) if store.cache_dir.is_dir() else []:
        clean = False
        yield Finding("key in a run", "fail", f"{path.relative_to(store.cache_dir)} holds what looks like a key",
                      "take it out and renew the key: run folders are public on a host")  # fmt: skip
    if clean:
        yield Finding("keys", "ok", "none in the runs' text files, no published secrets.toml")
