"""Proposals from a file of phrases: CSV with a header line, or one JSON object a line.

``phrase`` and ``part`` are needed; ``feature`` and ``label`` where the caller does not name them; ``kind`` is ``part``
(default) or ``whole``, for phrases of the whole label, which need no part; ``call`` groups phrases written together.
Other columns are ignored and named in the problems.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import InputError, did_you_mean
from core.proposals.check import MAX_WORD, Checker, clean
from core.proposals.proposal import NotProposed, Part, Phrase, Proposal, Proposals, Style

MAX_BYTES = 20_000_000
MAX_ROWS = 200_000
COLUMNS = ("feature", "label", "part", "phrase", "kind", "call")


@dataclass(frozen=True)
class Uploaded:
    """What a file gave. ``rejected`` are (line, why) of rows left out; the others are used."""

    proposals: Proposals
    rejected: tuple[tuple[int, str], ...]
    n_rows: int


def read_upload(
    data: bytes,
    name: str,
    feature: int | None = None,
    label: str = "",
    known: Callable[[int], bool] = lambda feature: True,
    style: Style = "isolated",
) -> Uploaded:
    """Proposals from an uploaded file's bytes; ``name`` decides by its ending and is only shown.

    ``feature`` and ``label`` hold for rows that do not say. ``known`` tells which features exist. InputError when the
    file as a whole cannot be used; single rows that cannot are rejected, the rest goes on.
    """
    if len(data) > MAX_BYTES:
        raise _bad(name, f"it has {len(data):,} bytes, more than {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(name, f"it is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}") from None
    lines = _csv(text, name) if name.lower().endswith(".csv") else _jsonl(text, name)
    drafts: dict[int, _Draft] = {}
    rejected: list[tuple[int, str]] = []
    n_rows = 0
    for n_rows, (line, row) in enumerate(lines, 1):
        if n_rows > MAX_ROWS:
            raise _bad(name, f"it has more than {MAX_ROWS:,} rows")
        why = row if isinstance(row, str) else _take(row, drafts, feature, label, known)
        if why:
            rejected.append((line, why))
    if not n_rows:
        raise _bad(name, "it has no rows")
    outcomes = [draft.finish(f, name, style) for f, draft in drafts.items()]
    made = tuple(o for o in outcomes if isinstance(o, Proposal))
    failed = tuple(o for o in outcomes if isinstance(o, NotProposed))
    return Uploaded(Proposals(made, failed), tuple(rejected), n_rows)


def _csv(text: str, name: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [h.strip().lower() for h in reader.fieldnames or []]
        _check_columns(header, name)
        reader.fieldnames = header
        for row in reader:
            yield reader.line_num, "more fields than columns" if None in row else row
    except csv.Error as error:
        raise _bad(name, f"line {reader.line_num}: {error}") from error


def _jsonl(text: str, name: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    checked = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "not JSON"
            continue
        if not isinstance(row, dict):
            yield number, "not a JSON object"
            continue
        if not checked:
            _check_columns(list(row), name)
            checked = True
        yield number, row


def _check_columns(columns: list[str], name: str) -> None:
    missing = {"part", "phrase"} - set(columns)
    if missing:
        hints = " ".join(filter(None, (did_you_mean(c, COLUMNS) for c in columns if c not in COLUMNS)))
        found = ", ".join(columns[:20])[:200] or "none"
        raise _bad(name, f"it lacks {' and '.join(sorted(missing))}; columns found: {found}. {hints}".strip())


def _take(
    row: dict[str, Any], drafts: dict[int, _Draft], feature: int | None, label: str, known: Callable[[int], bool]
) -> str:
    """Put a row where it belongs; why not, or ""."""
    named = _whole_number(row.get("feature")) if row.get("feature") not in (None, "") else feature
    if named is None:
        return "no feature is named" if row.get("feature") in (None, "") else "the feature is not a whole number"
    if not known(named):
        return f"there is no feature {named}"
    texts = {c: _text(row.get(c)) for c in ("part", "phrase", "kind", "label")}
    wrong = [c for c, value in texts.items() if value is None]
    if wrong:
        return f"{wrong[0]} is not a text"
    part, phrase, kind, says = (value or "" for value in texts.values())
    kind = kind.strip().lower() or "part"
    if kind not in ("part", "whole"):
        return "kind is neither part nor whole"
    word = clean(part)[:MAX_WORD]
    if kind == "part" and not word:
        return "the part is empty"
    call = _whole_number(row.get("call")) or 0
    draft = drafts.setdefault(named, _Draft(clean(says) or label))
    return draft.add(word if kind == "part" else None, phrase, call)


def _text(value: Any) -> str | None:
    """A text, "" for one that is absent, None for anything else."""
    return "" if value is None else value if isinstance(value, str) else None


def _whole_number(value: Any) -> int | None:
    """12 and "12", but not 12.5, true or "-1"."""
    if isinstance(value, str):
        value = value.strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    return value if type(value) is int and 0 <= value < 10**9 else None


class _Draft:
    """One feature's rows."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.checker = Checker()
        self.parts: dict[str, tuple[str, list[Phrase]]] = {}
        self.whole: list[Phrase] = []

    def add(self, word: str | None, phrase: str, call: int) -> str:
        taken = self.checker.take([phrase])
        if not taken:
            return "the phrase is empty, too long, or there twice"
        target = self.whole if word is None else self.parts.setdefault(word.casefold(), (word, []))[1]
        target.append(Phrase(taken[0], call))
        return ""

    def finish(self, feature: int, name: str, style: Style) -> Proposal | NotProposed:
        if not self.parts:
            return NotProposed(feature, self.label, "no row names a part")
        parts = tuple(Part(word, tuple(phrases)) for word, phrases in self.parts.values())
        return Proposal(
            feature,
            self.label,
            "upload",
            style,
            parts,
            tuple(self.whole),
            "upload",
            name,
            problems=self.checker.sentences(),
        )


def _bad(name: str, why: str) -> InputError:
    return InputError(
        f"{name[:80]!r} cannot be read as phrases",
        why,
        "a CSV file with the columns part,phrase (and feature, for more than one), or one JSON object a line",
    )
