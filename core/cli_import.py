"""``prism import``: labels into a run, and published tables as runs of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core import console
from core.errors import InputError
from core.formats.decomposability_run import import_decomposability
from core.formats.labels import DEFAULT_SOURCE, MAX_SOURCE, LabelFile, read_labels
from core.formats.run_labels import add_labels
from core.proposals.check import clean
from core.settings import Settings
from core.store import Store

DECOMPOSABILITY = "decomposability-csv"
KINDS = {"csv": "plain", "neuronpedia": "neuronpedia", "axbench": "axbench"}
"""Formats of labels that can be named; ``labels`` takes whatever the file turns out to be."""

Format = Literal["labels", "csv", "neuronpedia", "axbench", "decomposability-csv"]


def import_command(
    what: Annotated[
        Format,
        typer.Argument(
            metavar="FORMAT",
            help="labels (told by what is in the file) | csv | neuronpedia | axbench | decomposability-csv",
        ),
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file; for labels also a folder of batches.")],
    run: Annotated[
        str, typer.Option("--run", "--name", metavar="RUN", help="The run that gets the labels, or that is made.")
    ],
    source: Annotated[str | None, typer.Option(help="Who wrote the labels, where the file does not say.")] = None,
    any_sae: Annotated[
        bool, typer.Option("--any-sae", help="Take labels that name another SAE than the run, or one it does not.")
    ] = False,
    replace: Annotated[bool, typer.Option(help="Discard a run of the same name (decomposability-csv).")] = False,
    cache_dir: Annotated[Path | None, typer.Option("--cache-dir", help="Folder of runs [PRISM_CACHE_DIR].")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object and nothing else on standard output.")
    ] = False,
) -> None:
    """Labels into a run, or the published csv of phrases (decomposability-csv) as a run that needs no model."""
    store = Store((cache_dir or Settings.from_env().cache_dir).resolve())
    if what == DECOMPOSABILITY:
        _refuse(source is not None or any_sae, "--source and --any-sae are for labels")
        title, counts = _decomposability(store, path, run, replace)
    else:
        _refuse(replace, f"--replace is for {DECOMPOSABILITY}: labels are added to those that are there")
        title, counts = _labels(store, path, run, what, source, any_sae)
    if as_json:
        console.print_json(counts)
    else:
        console.print_pairs(title, _lines(counts))


def _refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise InputError("these options do not go together", why, "see `prism import --help`")


def _labels(
    store: Store, path: Path, run: str, what: str, source: str | None, any_sae: bool
) -> tuple[str, dict[str, Any]]:
    """Add a file's labels to a run; InputError when not one of them could be used."""
    opened, file = store.open_run(run), _of_kind(read_labels(path), KINDS.get(what, ""), path)
    labels = file.labels
    if source is not None and (writer := clean(source)[:MAX_SOURCE]):
        labels = tuple(
            dataclasses.replace(found, source=writer) if found.source == DEFAULT_SOURCE else found for found in labels
        )
    added = add_labels(opened, labels, any_sae=any_sae)
    rejected = {why: n for why, (n, _) in file.rejected.items()} | added.rejected
    counts = {
        "run": opened.name,
        "file": path.name,
        "format": file.kind,
        "rows": file.n_rows,
        "added": added.n_added,
        "features": added.n_features,
        "already_there": added.n_already_there,
        "rejected": rejected,
        "rejected_first_line": {why: line for why, (_, line) in file.rejected.items()},
    }
    if not added.n_added and not added.n_already_there:
        raise InputError(
            f"no label of {path.name!r} could be added to run {opened.name!r}",
            "\n".join(f"{n:,} times: {why}" for why, n in rejected.items()),
            "name the run of the SAE that the labels speak of; --any-sae takes labels that name another",
        )
    return f"labels of {path.name} in run {opened.name}", counts


def _of_kind(file: LabelFile, kind: str, path: Path) -> LabelFile:
    if not file.kind.startswith(kind):
        raise InputError(
            f"{path.name!r} is not what was named",
            f"its rows are of the kind {file.kind!r}, not {kind!r}",
            "`prism import labels` takes whatever it is",
        )
    return file


def _decomposability(store: Store, path: Path, name: str, replace: bool) -> tuple[str, dict[str, Any]]:
    made = import_decomposability(path, store, name, replace=replace)
    title = f"run {made.run.name} {'was imported before' if made.already_there else 'is ready'}"
    about = {"run": made.run.name, "path": str(made.run.path), "already_there": made.already_there}
    return title, about | made.counts


def _lines(counts: dict[str, Any]) -> dict[str, Any]:
    """Counts for people: tables inside a value become lines of their own."""
    lines: dict[str, Any] = {}
    for name, value in counts.items():
        if name == "rejected_first_line":
            continue
        if isinstance(value, dict):
            lines |= {f"{name.replace('_', ' ')}: {key}": inner for key, inner in value.items()} or {name: "none"}
        else:
            lines[name.replace("_", " ")] = value
    return lines
