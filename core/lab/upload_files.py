"""Kinds of files that may hold prompts: what columns they have, and their rows one by one."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import InputError
from core.hosting import Limits

Row = dict[str, Any] | str
"""Values by column, or why the row has none."""
ENDINGS = {".txt": "txt", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip (an archive, or a spreadsheet's own format)", b"BZh": "bzip2",
          b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}  # fmt: skip
MAGIC = b"PAR1"
CHILD_S = 60
CHILD_MEMORY = 800_000_000  # bytes of address space to start with; the text read comes on top
MAX_NAME = 200  # characters of a column's name
LOOK_AHEAD = 1000  # rows of a jsonl file whose names are its columns
csv.field_size_limit(max(csv.field_size_limit(), 8_000_000))  # a prompt's own limit is checked, and said, later


@dataclass(frozen=True)
class Opened:
    """A file whose rows can be read. ``columns`` is empty for txt, whose rows have the one column ""."""

    kind: str
    columns: tuple[str, ...]
    n_rows: int
    rows: Callable[[Sequence[str]], Iterator[tuple[int, Row]]]
    notes: tuple[str, ...] = ()


def open_upload(data: bytes, name: str, limits: Limits) -> Opened:
    """What the ending says it is, if its bytes agree; InputError otherwise."""
    if len(data) > limits.upload_mb * 1_000_000:
        raise bad(name, f"it has more than {limits.upload_mb} MB", "send a part of it")
    kind = next((k for ending, k in ENDINGS.items() if name.lower().endswith(ending)), "")
    packed = next((what for magic, what in PACKED.items() if data.startswith(magic)), "")
    if packed:
        raise bad(name, f"it is packed: {packed}", "unpack it, and save spreadsheets as CSV")
    if not kind:
        raise bad(name, "the ending decides, and it is none of these")
    if not data.strip():
        raise bad(name, "it is empty")
    if (kind == "parquet") != data.startswith(MAGIC):
        raise bad(name, "its ending says one kind of file and its bytes another", "give it the ending of what it is")
    opened = {"txt": _txt, "csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind](data, name, limits)
    if len(opened.columns) > limits.n_columns:
        raise bad(name, f"it has {len(opened.columns):,} columns, more than {limits.n_columns:,}")
    if opened.n_rows > limits.n_rows:
        raise bad(name, f"it has {opened.n_rows:,} rows, more than {limits.n_rows:,}", "send a part of it")
    return opened


# --- text ---------------------------------------------------------------------------------------------


def decoded(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text and what had to be assumed; UTF-8, UTF-16 and UTF-32 with a byte order mark, else latin-1."""
    for mark, encoding in ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
                           (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):  # fmt: skip
        if not data.startswith(mark):
            continue
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            if mark:
                raise bad(name, f"it begins as {encoding.upper()} does and is not: byte {error.start}") from None
            break
        _require_text(text, name)
        return text, ()
    text = data.decode("latin-1")
    _require_text(text, name)
    return text, ("the file is not UTF-8: it was read as latin-1, so look at letters with accents",)


def _require_text(text: str, name: str) -> None:
    """Bytes that are no text, or UTF-16 without its mark, show as NULs."""
    start = text[:4096]
    if start.count("\0") > len(start) / 20:
        raise bad(name, "it is no text, or UTF-16 without a byte order mark", "save it as UTF-8")


def _txt(data: bytes, name: str, limits: Limits) -> Opened:
    text, notes = decoded(data, name)
    lines = text.removesuffix("\n").split("\n")

    def rows(columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
        yield from ((i, {"": line.removesuffix("\r")}) for i, line in enumerate(lines, 1))

    return Opened("txt", (), len(lines), rows, notes)


def _csv(data: bytes, name: str, limits: Limits) -> Opened:
    text, notes = decoded(data, name)
    header = text.split("\n", 1)[0]
    by = "," if "," in header else max(";\t", key=header.count) if ";" in header or "\t" in header else ","

    def lines() -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=by)
        at = 1
        try:
            for row in reader:
                if row:
                    yield at, row
                at = reader.line_num + 1
        except csv.Error as error:
            how = "quote cells that hold commas, quotes or line ends, and double the quotes in them"
            raise bad(name, f"line {reader.line_num}: {error}", how) from error

    first = next(lines(), (1, []))[1]
    names, said = _unlike([h.strip() for h in first])

    def rows(columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
        at = [(c, names.index(c)) for c in columns]
        for line, row in itertools.islice(lines(), 1, None):
            if len(row) > len(names):
                yield line, "it has more fields than the header"
            elif len(row) < len(names):
                yield line, "it has fewer fields than the header"
            else:
                yield line, {c: row[i] for c, i in at}

    return Opened("csv", tuple(names), max(0, sum(1 for _ in lines()) - 1), rows, (*notes, *said))


def _unlike(names: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Different names for all columns: the second "text" is "text (2)", a nameless one is "column 3"."""
    out: list[str] = []
    twice: list[str] = []
    for i, name in enumerate(names, 1):
        base = name[:MAX_NAME] or f"column {i}"
        unique, n = base, 1
        while unique in out:
            n += 1
            unique = f"{base} ({n})"
        twice += [base] if n > 1 else []
        out.append(unique)
    said = f"columns of equal name are numbered: {', '.join(repr(t[:40]) for t in dict.fromkeys(twice[:10]))}"
    return out, (said,) if twice else ()


def _jsonl(data: bytes, name: str, limits: Limits) -> Opened:
    text, notes = decoded(data, name)
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > limits.n_rows:
        raise bad(name, f"it has {len(lines):,} rows, more than {limits.n_rows:,}")
    names: dict[str, None] = {}
    for _, line in lines[:LOOK_AHEAD]:
        row = _json(line)
        names |= dict.fromkeys(k[:MAX_NAME] for k in row) if isinstance(row, dict) else {}
    if not names:
        raise bad(name, "no line is a JSON object", 'one object a line, such as {"prompt": "...", "group": "a"}')

    def rows(columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
        for i, line in lines:
            row = _json(line)
            yield i, {c: row.get(c) for c in columns} if isinstance(row, dict) else str(row)

    return Opened("jsonl", tuple(names), len(lines), rows, notes)


def _json(line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "it is not JSON"
    return row if isinstance(row, dict) else "it is not a JSON object"


# --- parquet ------------------------------------------------------------------------------------------


def _parquet(data: bytes, name: str, limits: Limits) -> Opened:
    """Read by a process of its own (``parquet_child``), so that a bad file ends that one."""
    (head,) = _ask_child(data, name, limits, None)
    announced, leaves = int(head["n_rows"]), max(1, int(head["n_leaves"]))
    if announced * leaves > limits.n_rows * limits.n_columns:
        raise bad(name, f"it announces {announced:,} rows of {leaves:,} columns")
    columns = tuple(str(c) for c in head["columns"])
    if len(set(columns)) < len(columns):
        raise bad(name, "several of its columns have one name", "give them different names")

    def rows(wanted: Sequence[str]) -> Iterator[tuple[int, Row]]:
        for column in wanted:
            if head["kinds"][column]:
                what = f"the column {column[:80]!r} holds {head['kinds'][column]}, not text"
                raise bad(name, what, "choose a column of text")
        found = iter(_ask_child(data, name, limits, list(wanted)))
        next(found)
        yield from ((i, dict(zip(wanted, values, strict=True))) for i, values in enumerate(found, 1))

    return Opened("parquet", columns, announced, rows)


def _ask_child(data: bytes, name: str, limits: Limits, columns: list[str] | None) -> list[Any]:
    """Its lines; InputError with what it says, or that the file ended it."""
    memory = CHILD_MEMORY + 40 * limits.n_chars
    asked = json.dumps({"columns": columns, "n_rows": limits.n_rows, "n_chars": limits.n_chars, "memory": memory})
    command = [sys.executable, "-m", "core.lab.parquet_child", asked]
    environment = dict(os.environ) | {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # others reserve what they never use
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=CHILD_S, env=environment, check=False)
    except subprocess.TimeoutExpired:
        raise bad(name, f"reading it took more than {CHILD_S} s") from None
    try:
        lines = [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]
    except ValueError:
        lines = []
    if lines and isinstance(lines[-1], dict) and "error" in lines[-1]:
        raise bad(name, str(lines[-1]["error"]))
    if done.returncode or not lines:
        raise bad(name, "it is so damaged that reading it had to be stopped")
    return lines


def bad(name: str, why: str, remedy: str = "") -> InputError:
    """What every refusal of a file looks like."""
    return InputError(
        f"{name[:80]!r} cannot be read as prompts",
        why,
        remedy or "txt with one prompt a line; csv, jsonl or parquet with a column prompt (and label, group, document)",
    )
