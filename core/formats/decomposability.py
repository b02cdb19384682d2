"""The published csv of phrases tried on features, read back: one row is one phrase and the service's whole reply.

Layout (METHODS: Exploring Decomposability, 2.6): ``phrase`` (the label), ``sub_component``, ``activating_phrase``,
``feature_index`` and ``raw_data``, a Python literal of Neuronpedia's reply with ``tokens`` and ``values``; other
columns are not needed. Rows repeat, some have no reply, and every number the file derives counts BOS.

Read here: each (feature, sub_component, activating_phrase) once, the first whole row of each; acts at special tokens
are told apart from the rest, never dropped unseen. The literal is parsed, never evaluated; a row that cannot be
read is counted with its reason, and the rest goes on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, did_you_mean
from core.formats.neuronpedia_activation import is_special
from core.formats.published_reply import FEATURE, NO_REPLY, Reply, parse_reply
from core.llm.base import whole_text
from core.parquet import sha256
from core.proposals.check import check_label, clean

COLUMNS = ("phrase", "sub_component", "activating_phrase", "feature_index", "raw_data")
MAX_BYTES = 2_000_000_000
MAX_LINE = 32_000_000  # characters of a line or cell; a longer one ends the reading
MAX_TEXT = 5_000  # characters of a phrase
MAX_PART = 300
MAX_PHRASES = 1_000_000
OTHER_SAE = "raw_data is of another SAE than the first row that names one"


@dataclass(frozen=True, slots=True)
class Tried:
    """One phrase on one feature. ``token_ids`` int32 and ``values`` float32 ``[n_tokens]``, special tokens included."""

    line: int
    feature: int
    label: str
    part: str
    phrase: str
    token_ids: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class PublishedCsv:
    """What a file holds. Lines count from 1, the header being the first."""

    name: str
    sha256: str
    sae: str  # Neuronpedia's model/source; "" where the file does not say
    tried: tuple[Tried, ...]  # in order of the file, each (feature, part, phrase) once
    str_tokens: tuple[str, ...]  # by token id, in order of appearance
    special: np.ndarray  # bool [n_vocabulary]
    n_rows: int
    n_repeated: int  # whole rows that repeat an earlier (feature, part, phrase)
    n_repeated_otherwise: int  # of those, with another reply
    n_without_bos: int  # phrases whose first token is not known as special; it is treated as BOS all the same
    n_without_reply: int  # phrases of which only the file's own sums are there: left out
    n_without_reply_firing: int  # of those, with total_activation > 0, which leaves BOS out
    rejected: dict[str, tuple[int, int]]  # reason -> (how many rows, first line)


def read_decomposability(path: Path) -> PublishedCsv:
    """Read one file in bounded memory; InputError where it is not of this layout or has no usable row."""
    reader = _Reader()
    try:
        if not path.is_file():
            raise bad(path, "there is no such file", "name a file that can be read")
        if path.stat().st_size > MAX_BYTES:
            raise bad(path, f"it has more than {MAX_BYTES:,} bytes", "split it, and import the parts as several runs")
        digest = sha256(path)
        with path.open("rb") as stream, _large_cells():
            for line, row in _rows(stream, path):
                reader.take(line, row)
    except OSError as error:
        raise bad(path, error.strerror or str(error), "name a file that can be read") from error
    if not reader.tried:
        found = "; ".join(f"{n:,} rows: {why}" for why, (n, _) in reader.rejected.items()) or "it has no rows"
        raise bad(path, f"no row can be used. {found}")
    if (n_other := reader.rejected.get(OTHER_SAE, (0, 0))[0]) > len(reader.tried):
        raise bad(path, f"{n_other:,} rows are of other SAEs than {reader.sae}", "import one SAE at a time")
    return reader.finish(path.name, digest)


# --- rows -----------------------------------------------------------------------------------------------


def _rows(stream: Any, path: Path) -> Iterator[tuple[int, dict[str | None, Any]]]:
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        reader = csv.DictReader(_lines(text, path))
        reader.fieldnames = [(name or "").strip().lower() for name in reader.fieldnames or []]
        _check_columns(reader.fieldnames, path)
        for row in reader:
            yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise bad(path, f"it is not UTF-8: {error.reason} at byte 0x{error.object[error.start]:02x}") from error
    except csv.Error as error:
        raise bad(path, f"it is not CSV: {error}") from error


def _lines(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    while line := text.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise bad(path, f"a line has more than {MAX_LINE:,} characters")
        yield line


def _check_columns(found: Any, path: Path) -> None:
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        near = [hint for name in missing if (hint := did_you_mean(name, found, n=1))]
        has = ", ".join(str(name) for name in found[:20])[:300] or "nothing"
        raise bad(path, f"it lacks the columns {', '.join(missing)}; it has {has}. {' '.join(near)}".strip())


@contextmanager
def _large_cells() -> Iterator[None]:
    """Let the csv module read cells over 128 kB, so that one of them costs its row and not the file."""
    before = csv.field_size_limit(MAX_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@dataclass
class _Reader:
    """Takes rows one by one: what is whole and new is kept, the rest is counted."""

    tried: dict[tuple[int, str, str], Tried] = field(default_factory=dict)
    vocabulary: dict[tuple[str, bool], int] = field(default_factory=dict)
    rejected: dict[str, tuple[int, int]] = field(default_factory=dict)
    without_reply: dict[tuple[int, str, str], bool] = field(default_factory=dict)  # whether total_activation > 0
    sae: str = ""  # set by the first row that names one
    n_rows: int = 0
    n_repeated: int = 0
    n_otherwise: int = 0
    n_without_bos: int = 0

    def take(self, line: int, row: dict[str | None, Any]) -> None:
        self.n_rows += 1
        why = "the row has more or fewer cells than columns" if None in row or None in row.values() else ""
        if why := why or self._use(line, {str(name): str(cell) for name, cell in row.items()}):
            n, first = self.rejected.get(why, (0, line))
            self.rejected[why] = (n + 1, first)

    def _use(self, line: int, row: dict[str, str]) -> str:
        """Keep a row, or say why not."""
        named = FEATURE.fullmatch(row["feature_index"])
        label, part, phrase = clean(row["phrase"]), clean(row["sub_component"]), whole_text(row["activating_phrase"])
        problem = _text_problem(label, part, phrase) or ("" if named else "feature_index is not a whole number")
        reply = problem or parse_reply(row["raw_data"], row.get("max_value", ""))
        if isinstance(reply, str) or named is None:
            if reply == NO_REPLY and named is not None and len(self.without_reply) < MAX_PHRASES:
                self.without_reply[int(named[1]), part, phrase] = _positive(row.get("total_activation", ""))
            return str(reply)
        feature = int(named[1])
        if reply.feature not in (None, feature):
            return "feature_index and raw_data name different features"
        self.sae = self.sae or reply.sae
        if reply.sae not in ("", self.sae):
            return OTHER_SAE
        return self._keep(Tried(line, feature, label, part, phrase, *self._arrays(reply, phrase)), reply.tokens[0])

    def _arrays(self, reply: Reply, phrase: str) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and values. The layout's own sums leave position 0 out, whatever token stands there."""
        ids = [
            self.vocabulary.setdefault((token, at == 0 or is_special(token, at, phrase)), len(self.vocabulary))
            for at, token in enumerate(reply.tokens)
        ]
        return np.array(ids, np.int32), np.array(reply.values, np.float32)

    def _keep(self, new: Tried, first_token: str) -> str:
        old = self.tried.setdefault((new.feature, new.part, new.phrase), new)
        if old is not new:
            same = np.array_equal(old.token_ids, new.token_ids) and np.array_equal(old.values, new.values)
            self.n_repeated, self.n_otherwise = self.n_repeated + 1, self.n_otherwise + (not same)
        elif len(self.tried) > MAX_PHRASES:
            del self.tried[new.feature, new.part, new.phrase]
            return f"the file has more than {MAX_PHRASES:,} phrases"
        else:
            self.n_without_bos += not is_special(first_token, 0, new.phrase)
        return ""

    def finish(self, name: str, digest: str) -> PublishedCsv:
        lost = [fires for key, fires in self.without_reply.items() if key not in self.tried]
        return PublishedCsv(
            name=name,
            sha256=digest,
            sae=self.sae,
            tried=tuple(self.tried.values()),
            str_tokens=tuple(token for token, _ in self.vocabulary),
            special=np.array([special for _, special in self.vocabulary], bool),
            n_rows=self.n_rows,
            n_repeated=self.n_repeated,
            n_repeated_otherwise=self.n_otherwise,
            n_without_bos=self.n_without_bos,
            n_without_reply=len(lost),
            n_without_reply_firing=sum(lost),
            rejected=self.rejected,
        )


def _positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _text_problem(label: str, part: str, phrase: str) -> str:
    if problem := check_label(label):
        return "the label is empty" if "empty" in problem else "the label is too long"
    if not part or len(part) > MAX_PART:
        return "the sub-component is too long" if part else "the sub-component is empty"
    if not phrase.strip() or len(phrase) > MAX_TEXT:
        return "the phrase is too long" if phrase.strip() else "the phrase is empty"
    return ""


def bad(path: Path, why: str, remedy: str = "") -> InputError:
    return InputError(
        f"{path.name!r} cannot be imported as a decomposability csv",
        why,
        remedy or f"give a UTF-8 CSV file with the columns {', '.join(COLUMNS)}",
    )
