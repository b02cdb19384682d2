"""Labels from files of other tools or one's own; the kind of file is told by what is in it.

=====================  ============================================================================================
kind                   what a row has
=====================  ============================================================================================
plain                  ``feature``, ``label`` and optionally ``source``: CSV with a header, or JSON lines
neuronpedia            ``modelId``, ``layer`` (the source's id), ``index`` (a text), ``description``; JSON lines, also
                       gzipped, also a folder of ``batch-*.jsonl.gz``
neuronpedia feature    one JSON object with ``modelId``, ``layer``, ``index`` and ``explanations``
axbench                ``concept`` and ``ref``, the address of a feature page; JSON lines
=====================  ============================================================================================

Where a file names model and SAE, so does every label read: ``run_labels`` refuses those of another SAE.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.proposals.check import MAX_LABEL, check_label, clean

MAX_LINE = 4_000_000
MAX_READ = 8_000_000_000  # bytes after decompression
MAX_SOURCE = 200
DEFAULT_SOURCE = "file"
"""Who wrote a label of which the file does not say."""
_REF = re.compile(r"/([^/]+)/([^/]+)/(\d{1,9})/?(?:\?.*)?$")


@dataclass(frozen=True)
class FoundLabel:
    """One label as a file has it. ``sae`` is ``model/source`` where the file says of which SAE it speaks, else ""."""

    feature: int
    label: str
    source: str
    sae: str = ""


@dataclass(frozen=True)
class LabelFile:
    """What a file holds. ``rejected`` counts rows left out by reason, with the first line of each."""

    kind: str
    labels: tuple[FoundLabel, ...]
    rejected: dict[str, tuple[int, int]]  # reason -> (how many, first line)
    n_rows: int


# --- reading ------------------------------------------------------------------------------------------


def read_labels(path: Path) -> LabelFile:
    """The labels of one file, or of a folder of batches. InputError when it is none of the kinds above."""
    files = sorted(p for p in path.iterdir() if _ending(p)) if path.is_dir() else [path]
    if not files or not all(f.is_file() for f in files):
        raise _bad(path, "there is no such file, or the folder has no .csv, .json, .jsonl or .jsonl.gz in it")
    read = [_read_file(f) for f in files]
    rejected: dict[str, tuple[int, int]] = {}
    for file in read:
        for reason, (n, line) in file.rejected.items():
            rejected[reason] = (rejected.get(reason, (0, line))[0] + n, rejected.get(reason, (0, line))[1])
    labels = tuple(label for file in read for label in file.labels)
    return LabelFile(read[0].kind, labels, rejected, sum(file.n_rows for file in read))


def _ending(path: Path) -> str:
    name = path.name.lower()
    return next((e for e in (".jsonl.gz", ".jsonl", ".json", ".csv") if name.endswith(e)), "")


def _read_file(path: Path) -> LabelFile:
    ending = _ending(path)
    if not ending:
        raise _bad(path, "the ending decides: .csv, .json, .jsonl or .jsonl.gz")
    try:
        with gzip.open(path) if ending == ".jsonl.gz" else path.open("rb") as stream:
            rows = {".csv": _csv_rows, ".json": _json_rows}.get(ending, _jsonl_rows)(stream, path)
            return _sort_out(rows, path)
    except (OSError, EOFError, zlib.error) as error:
        raise _bad(path, str(error)) from error


def _csv_rows(stream: Any, path: Path) -> Iterator[tuple[int, Any]]:
    try:
        reader = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", newline=""), strict=True)
        reader.fieldnames = [(h or "").strip().lower() for h in reader.fieldnames or []]
        for row in reader:
            yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, f"not CSV in UTF-8: {error}") from error


def _jsonl_rows(stream: Any, path: Path) -> Iterator[tuple[int, Any]]:
    number = n_bytes = 0
    while line := stream.readline(MAX_LINE + 1):
        number, n_bytes = number + 1, n_bytes + len(line)
        if len(line) > MAX_LINE or n_bytes > MAX_READ:
            raise _bad(path, f"line {number} is longer than {MAX_LINE:,} bytes, or the file than {MAX_READ:,}")
        if line.strip():
            yield number, _parsed(line)


def _json_rows(stream: Any, path: Path) -> Iterator[tuple[int, Any]]:
    text = stream.read(200_000_001)
    value = _parsed(text) if len(text) <= 200_000_000 else None
    if value is None:
        raise _bad(path, "it is not JSON, or longer than 200 MB")
    yield from enumerate(value if isinstance(value, list) else [value], 1)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _sort_out(rows: Iterable[tuple[int, Any]], path: Path) -> LabelFile:
    """Labels and rejected rows. The first row decides which kind of file this is."""
    kind, labels, n_rows = "", [], 0
    rejected: dict[str, tuple[int, int]] = {}
    for line, row in rows:
        n_rows += 1
        kind = kind or (_kind(row, path) if isinstance(row, dict) else "")
        for found in _KINDS[kind](row) if isinstance(row, dict) else ["not a JSON object"]:
            if isinstance(found, FoundLabel):
                labels.append(found)
            else:
                n, first = rejected.get(found, (0, line))
                rejected[found] = (n + 1, first)
    if not kind:
        raise _bad(path, "it has no rows that could be labels")
    return LabelFile(kind, tuple(labels), rejected, n_rows)


def _kind(row: dict[str, Any], path: Path) -> str:
    keys = set(row)
    for kind, needed in _NEEDED.items():
        if needed <= keys:
            return kind
    found = ", ".join(str(k) for k in list(row)[:12])[:200] or "no names"
    raise _bad(path, f"the first row is of no known kind; it has: {found}")


# --- kinds of rows: each yields labels, or sentences that say why there is none ------------------------


def _plain(row: dict[str, Any]) -> Iterator[FoundLabel | str]:
    yield _found(row.get("feature"), row.get("label"), row.get("source") or DEFAULT_SOURCE)


def _neuronpedia(row: dict[str, Any]) -> Iterator[FoundLabel | str]:
    yield _found(row.get("index"), row.get("description"), _explainer(row), _sae(row))


def _neuronpedia_feature(row: dict[str, Any]) -> Iterator[FoundLabel | str]:
    explanations = row.get("explanations")
    if not isinstance(explanations, list) or not explanations:
        yield "the feature has no explanations"
        return
    for entry in explanations:
        ok = isinstance(entry, dict)
        yield _found(row.get("index"), entry.get("description"), _explainer(entry), _sae(row)) if ok else "no object"


def _axbench(row: dict[str, Any]) -> Iterator[FoundLabel | str]:
    match = _REF.search(row["ref"]) if isinstance(row.get("ref"), str) else None
    if match is None:
        yield "ref is not the address of a feature"
    else:
        yield _found(match[3], row.get("concept"), "axbench", f"{match[1]}/{match[2]}")


_KINDS = {
    "neuronpedia feature": _neuronpedia_feature,
    "neuronpedia": _neuronpedia,
    "axbench": _axbench,
    "plain": _plain,
}
_NEEDED = {
    "neuronpedia feature": {"index", "explanations"},
    "neuronpedia": {"index", "description"},
    "axbench": {"concept", "ref"},
    "plain": {"feature", "label"},
}


def _found(feature: Any, label: Any, source: Any, sae: str = "") -> FoundLabel | str:
    number = _number(feature)
    if number is None:
        return "the feature is not a whole number"
    if not isinstance(label, str):
        return "the label is not a text"
    problem = check_label(label)
    if problem:
        return problem if "empty" in problem else f"the label is longer than {MAX_LABEL:,} characters"
    return FoundLabel(number, clean(label), clean(str(source))[:MAX_SOURCE] or DEFAULT_SOURCE, sae)


def _number(value: Any) -> int | None:
    """12, "12" and " 12"; not 12.5, "12.0", true or "-1"."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    return value if type(value) is int and 0 <= value < 10**9 else None


def _explainer(row: dict[str, Any]) -> str:
    """Who wrote it, as Neuronpedia names method and model."""
    parts = [row.get("typeName"), row.get("explanationModelName")]
    return " ".join(["neuronpedia", *(p for p in parts if isinstance(p, str) and p)])


def _sae(row: dict[str, Any]) -> str:
    model, layer = row.get("modelId"), row.get("layer")
    return f"{model}/{layer}" if isinstance(model, str) and isinstance(layer, str) else ""


def _bad(path: Path, why: str) -> InputError:
    return InputError(
        f"{path.name!r} cannot be read as labels",
        why,
        "give a CSV file with feature,label,source or a Neuronpedia explanations file (README, 'Labels')",
    )
