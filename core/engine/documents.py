"""Text from files and hub datasets as documents that can be drawn in any order, in bounded memory.

========== ================================================================================================
``.txt``    one document per line (as the hub's own text loader does); blank lines are no documents
``.jsonl``  one document per line: a string, or an object with the column
``.json``   a list of strings, or of objects with the column; read whole, so at most 128 MB
``.csv``    one document per row; the first row names the columns
``.parquet`` one document per row
dataset    one document per row of the split
========== ================================================================================================

Text is UTF-8 (a byte-order mark is dropped). A document ends at 1,000,000 characters: the rest is not read and the
document is counted as cut. A row without text (null, "") is an empty document.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from core.engine.hub import hub_errors
from core.engine.quiet import quiet
from core.errors import CorpusError, InputError, did_you_mean
from core.parquet import sha256
from core.recipe import CorpusRecipe

MAX_CHARACTERS = 1_000_000
MAX_JSON_BYTES = 128_000_000
_BLOCK = 1 << 20
_MEMORY = 64_000_000  # bytes of text kept in memory before the rest goes to a temporary file


@dataclass(frozen=True)
class Document:
    """One document. ``source`` says where it lies in its file or dataset; ``cut`` that it went on."""

    text: str
    source: str
    cut: bool


class Documents(Protocol):
    """Documents by number, with what the manifest says of them."""

    name: str
    licence: str | None  # None: the source does not say
    sha256: str | None  # of the file; None for a dataset
    revision: str | None  # a dataset's fingerprint; None for a file

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Document: ...


def open_documents(recipe: CorpusRecipe) -> Documents:
    """The recipe's documents. Raises CorpusError (file, column, split, bytes) or MachineError (dataset not here)."""
    return _FileDocuments(Path(recipe.path), recipe.column) if recipe.path else _HubDocuments(recipe)


# --- files ----------------------------------------------------------------------------------------------


class _FileDocuments:
    """All documents of a file as UTF-8 in one buffer that spills to disk, and where each begins."""

    licence: str | None = None
    revision: str | None = None

    def __init__(self, path: Path, column: str) -> None:
        self.name = path.name
        if not path.is_file():
            near = did_you_mean(path.name, [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else [])
            raise CorpusError(f"there is no corpus file {str(path)!r}", near, "check path in [corpus]")
        if path.stat().st_size == 0:
            raise _nothing(path.name, "the file is empty")
        self._text = tempfile.SpooledTemporaryFile(max_size=_MEMORY)  # noqa: SIM115 (lives as long as the corpus)
        self._ends, self._rows, self._cut = array("q"), array("q"), array("b")
        self._unit = "line" if path.suffix.lower() in (".txt", ".jsonl") else "row"
        for text, row, cut in _READERS[path.suffix.lower()](path, column):
            self._text.write(text[:MAX_CHARACTERS].encode("utf-8", "replace"))
            self._ends.append(self._text.tell())
            self._rows.append(row)
            self._cut.append(cut or len(text) > MAX_CHARACTERS)
        if not len(self):
            raise _nothing(path.name, "no line of it holds text")
        self.sha256: str | None = sha256(path)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> Document:
        start = self._ends[i - 1] if i else 0
        self._text.seek(start)
        text = self._text.read(self._ends[i] - start).decode("utf-8")
        return Document(text, f"{self._unit} {self._rows[i]}", bool(self._cut[i]))


Rows = Iterator[tuple[str, int, bool]]  # text, number in the file (lines from 1, rows from 0), cut


def _read_txt(path: Path, column: str) -> Rows:
    for i, (line, cut) in enumerate(_lines(path, MAX_CHARACTERS), 1):
        if line.strip():
            yield line, i, cut


def _read_jsonl(path: Path, column: str) -> Rows:
    for i, line in enumerate(_whole_lines(path), 1):
        if line.strip():
            yield _text_of(_parsed(line, path, f"line {i}"), column, path, f"line {i}"), i, False


def _read_json(path: Path, column: str) -> Rows:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise CorpusError(
            f"{path.name} is larger than 128 MB",
            "a .json file is read whole",
            "write it as .jsonl, one document a line: there is no limit then",
        )
    values = _parsed("".join(_blocks(path)), path, "the file")
    if not isinstance(values, list):
        raise CorpusError(
            f"{path.name} is not a list",
            f"expected a list of strings or of objects, found {type(values).__name__}",
            'write ["first document", "second document"]',
        )
    for i, value in enumerate(values):
        yield _text_of(value, column, path, f"item {i}"), i, False


def _read_csv(path: Path, column: str) -> Rows:
    limit = csv.field_size_limit(sys.maxsize)
    try:
        rows = csv.reader(line + "\n" for line in _whole_lines(path))
        names = next(rows, [])
        where = _column(column, names, path.name)
        for i, row in enumerate(rows):
            if row:
                yield row[where] if where < len(row) else "", i, False
    except csv.Error as error:
        raise CorpusError(f"{path.name} is not readable as CSV", str(error), "mend it, or write .jsonl") from error
    finally:
        csv.field_size_limit(limit)


def _read_parquet(path: Path, column: str) -> Rows:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        _column(column, file.schema_arrow.names, path.name)
        _require_text(file.schema_arrow.field(column).type, column, path.name)
        i = 0
        for batch in file.iter_batches(batch_size=256, columns=[column]):
            for value in batch.column(0):
                yield value.as_py() or "", i, False
                i += 1
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"{path.name} is not readable as parquet", str(error), "copy or write it again") from error


_READERS: dict[str, Callable[[Path, str], Rows]] = {
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def _whole_lines(path: Path) -> Iterator[str]:
    for i, (line, cut) in enumerate(_lines(path, MAX_JSON_BYTES), 1):
        if cut:
            raise CorpusError(f"line {i} of {path.name} is longer than 128 MB", "", "split it into documents")
        yield line


def _lines(path: Path, limit: int) -> Iterator[tuple[str, bool]]:
    """Lines of a UTF-8 file without their ends, each with whether it was cut at ``limit`` characters.

    Memory is bounded by ``limit`` and one block, whatever the length of a line. Only "\\n" ends a line ("\\r\\n" too);
    other Unicode separators are text.
    """
    line, length, cut = io.StringIO(), 0, False
    for block in _blocks(path):
        parts = block.split("\n")
        for k, part in enumerate(parts):
            cut = cut or length + len(part) > limit
            line.write(part[: limit - length])
            length = min(limit, length + len(part))
            if k < len(parts) - 1:
                yield line.getvalue().removesuffix("\r"), cut
                line, length, cut = io.StringIO(), 0, False
    if length:
        yield line.getvalue().removesuffix("\r"), cut


def _blocks(path: Path) -> Iterator[str]:
    """The file's text in blocks; a CorpusError names the first byte that is no UTF-8, or says that it is binary."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        if stream.read(3) != codecs.BOM_UTF8:
            stream.seek(0)
        while True:
            start = stream.tell()
            block = stream.read(_BLOCK)
            _require_text_bytes(block, path, start)
            unfinished = len(decoder.getstate()[0])  # bytes of a character that the block before began
            try:
                yield decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, start - unfinished + error.start, error) from error
            if not block:
                return


def _require_text_bytes(block: bytes, path: Path, start: int) -> None:
    if b"\0" in block:
        raise CorpusError(
            f"{path.name} is not text",
            f"it has a zero byte at offset {start + block.index(0):,}: a binary file, or UTF-16",
            f"name a text file; UTF-16 becomes UTF-8 with `iconv -f UTF-16 -t UTF-8 {path.name} > new{path.suffix}`",
        )


def _not_utf8(path: Path, offset: int, error: UnicodeDecodeError) -> CorpusError:
    byte = error.object[error.start]
    return CorpusError(
        f"{path.name} is not UTF-8",
        f"byte 0x{byte:02X} at offset {offset:,} starts no character ({error.reason})",
        f"convert it, for example `iconv -f WINDOWS-1252 -t UTF-8 {path.name} > new{path.suffix}`",
    )


def _parsed(text: str, path: Path, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{where} of {path.name} is not JSON", str(error) or "nested too deeply", "mend it at the place named"
        ) from error


def _text_of(value: Any, column: str, path: Path, where: str) -> str:
    """A document's text from one JSON value; null is an empty document."""
    if isinstance(value, dict):
        if column not in value:
            _column(column, list(value), f"{where} of {path.name}")
        value = value[column]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise CorpusError(
            f"{where} of {path.name} is not text",
            f"expected a string, or an object with the string {column!r}; found {type(value).__name__}",
            "mend it, or name another column in [corpus]",
        )
    return value


def _column(column: str, names: list[str], where: str) -> int:
    if column not in names:
        raise CorpusError(
            f"{where} has no column {column!r}",
            f"it has: {', '.join(names[:20]) or 'none'}",
            did_you_mean(column, names) or "set column in [corpus] to one of those",
        )
    return names.index(column)


def _require_text(kind: pa.DataType, column: str, where: str) -> None:
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise CorpusError(f"column {column!r} of {where} is not text", f"it holds {kind}", "name a column of strings")


def _nothing(name: str, why: str) -> CorpusError:
    return CorpusError(f"the corpus {name} gives no contexts", why, "name a file or dataset with text in [corpus]")


# --- datasets of the hub --------------------------------------------------------------------------------


class _HubDocuments:
    """A map-style dataset: rows by number, from the hub's own cache on disk."""

    sha256: str | None = None

    def __init__(self, recipe: CorpusRecipe) -> None:
        assert recipe.dataset is not None
        self.name, self._column = recipe.dataset, recipe.column
        self._rows = _load_dataset(recipe)
        _column(recipe.column, self._rows.column_names, f"the dataset {recipe.dataset!r}")
        _require_text(self._rows.data.schema.field(recipe.column).type, recipe.column, repr(recipe.dataset))
        if not len(self._rows):
            raise _nothing(recipe.dataset, f"the split {recipe.split!r} has no rows")
        self.licence: str | None = self._rows.info.license or _card_licence(recipe.dataset)
        self.revision: str | None = str(self._rows._fingerprint)
        self._rows = self._rows.select_columns([recipe.column])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> Document:
        text = self._rows[int(i)][self._column] or ""
        return Document(text[:MAX_CHARACTERS], f"row {i}", len(text) > MAX_CHARACTERS)


def _card_licence(name: str) -> str | None:
    """The licence line of the dataset's card, where the card is in the hub cache or the folder."""
    from huggingface_hub import DatasetCard, try_to_load_from_cache

    path: Any = Path(name, "README.md")
    if not Path(name).is_dir():
        path = try_to_load_from_cache(name, "README.md", repo_type="dataset")
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return None
    try:
        licence = DatasetCard(Path(path).read_text(encoding="utf-8")).data.to_dict().get("license")
    except (ValueError, UnicodeDecodeError):  # a card whose header is no YAML states nothing
        return None
    return ", ".join(licence) if isinstance(licence, list) else licence


def _load_dataset(recipe: CorpusRecipe) -> Any:
    import datasets

    name = str(recipe.dataset)
    command = f"hf download --repo-type dataset {name}"
    with hub_errors(f"the dataset {name!r}", name, command):
        try:
            with quiet():
                return datasets.load_dataset(name, recipe.config, split=recipe.split)
        except datasets.exceptions.DatasetNotFoundError as error:
            raise CorpusError(f"there is no dataset {name!r}", str(error), "check dataset in [corpus]") from error
        except (ValueError, datasets.exceptions.DatasetsError) as error:
            raise _refused(recipe, error) from error


def _refused(recipe: CorpusRecipe, error: Exception) -> InputError:
    """Unknown splits and configurations, which ``datasets`` raises as ValueErrors that list the known ones."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    what = "split" if "split" in lines[0].lower() else "configuration" if "onfig" in lines[0] else ""
    wanted = recipe.split if what == "split" else recipe.config or ""
    known = [part.strip(" '\"[]") for part in lines[0].partition("[")[2].split(",")] if "[" in lines[0] else []
    title = f"the dataset {recipe.dataset!r} has no {what} {wanted!r}" if what else f"cannot read {recipe.dataset!r}"
    return CorpusError(
        title,
        lines[0],
        did_you_mean(wanted, known) or f"set {what or 'dataset'} in [corpus] to one that exists",
    )
