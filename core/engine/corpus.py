"""Documents to contexts: tokenised windows that are unique, never cross a document, and are all accounted for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core import parquet
from core.analyses.base import Progress
from core.engine.documents import Documents
from core.errors import CorpusError
from core.recipe import CorpusRecipe
from core.tables import CONTEXTS
from core.types import CorpusCounts

MIN_REAL_TOKENS = 2
"""A window with fewer tokens of text is dropped: one token has no context."""

DEFAULT_CONTEXT_SIZE = 128
MAX_CONTEXT_SIZE = 32_767  # pos is int16
_WRITE_EVERY = 4096  # contexts


@dataclass(frozen=True)
class Window:
    """One context before it is written; ``document`` counts documents as they are read, in random order.

    ``start`` counts the document's tokens before it, ``source`` says where the document lies in its file or dataset.
    """

    document: int
    start: int
    token_ids: np.ndarray  # int32, BOS included
    n_tokens: int  # not special
    source: str


@dataclass
class Tally:
    """Running counts; every document read, window cut and position written is in exactly one.

    Documents: read = empty + duplicate + used, and ``cut`` of the used ones. Windows: contexts + duplicate + short.
    """

    documents: Counter[str] = field(default_factory=lambda: Counter(read=0, empty=0, duplicate=0, cut=0, used=0))
    windows: Counter[str] = field(default_factory=lambda: Counter(written=0, duplicate=0, short=0))
    n_tokens: int = 0
    n_special: int = 0

    def counts(self, licence: str) -> CorpusCounts:
        return CorpusCounts(
            **{f"n_documents_{name}": n for name, n in self.documents.items()},
            n_contexts=self.windows["written"],
            n_contexts_duplicate=self.windows["duplicate"],
            n_contexts_short=self.windows["short"],
            n_tokens=self.n_tokens,
            n_special=self.n_special,
            licence=licence,
        )


@dataclass(frozen=True)
class Windowing:
    """How text becomes windows: ``context_size`` positions, the first of them ``bos_id`` unless that is None."""

    tokenizer: Any
    context_size: int
    bos_id: int | None
    special_ids: frozenset[int]

    def windows(self, text: str) -> Iterator[tuple[int, np.ndarray, int]]:
        """(start, token_ids, n_tokens) of consecutive windows that do not overlap; the last may be short."""
        ids = np.asarray(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], np.int32)
        head = [] if self.bos_id is None else [self.bos_id]
        step = self.context_size - len(head)
        real = ~np.isin(ids, list(self.special_ids))
        for start in range(0, len(ids), step):
            body = ids[start : start + step]
            yield start, np.concatenate([np.asarray(head, np.int32), body]), int(real[start : start + step].sum())


def require_windowing(tokenizer: Any, context_size: int, prepend_bos: bool, special_ids: frozenset[int]) -> Windowing:
    """The way to cut windows, or a CorpusError that says why it cannot be done."""
    candidates = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id)
    bos_id = next((i for i in candidates if i is not None), None)
    if prepend_bos and bos_id is None:
        raise CorpusError(
            "the SAE expects contexts to begin with BOS, but the tokenizer has none",
            "neither bos_token, cls_token nor eos_token is set",
            "set bos_token in the model's tokenizer_config.json",
        )
    smallest = MIN_REAL_TOKENS + prepend_bos
    if not smallest <= context_size <= MAX_CONTEXT_SIZE:
        raise CorpusError(
            f"context_size {context_size} is not possible",
            f"expected {smallest} to {MAX_CONTEXT_SIZE} positions",
            "set context_size in [corpus]",
        )
    return Windowing(tokenizer, context_size, bos_id if prepend_bos else None, special_ids)


def write_contexts(
    path: Path, documents: Documents, recipe: CorpusRecipe, windowing: Windowing, progress: Progress
) -> CorpusCounts:
    """Draw documents in seeded random order and write their windows to ``path`` until there are enough.

    Enough is ``n_contexts`` windows, or ``n_tokens`` real tokens (the last window is kept whole). The same
    documents, recipe and tokenizer give the same file. Raises CorpusError when no window is left.
    """
    tally = Tally()
    wanted, unit = (recipe.n_contexts, "contexts") if recipe.n_contexts else (recipe.n_tokens, "tokens")
    progress.stage("tokenise", wanted, unit)
    with parquet.open_writer(path, CONTEXTS) as writer:
        waiting: list[Window] = []
        for window in draw_windows(documents, recipe, windowing, tally):
            waiting.append(window)
            progress.advance(1 if recipe.n_contexts else window.n_tokens)
            if len(waiting) == _WRITE_EVERY:
                writer.write(_table(waiting, tally.windows["written"] - len(waiting)))
                waiting = []
        if waiting:
            writer.write(_table(waiting, tally.windows["written"] - len(waiting)))
    _require_contexts(tally, documents.name)
    have = tally.windows["written"] if recipe.n_contexts else tally.n_tokens
    if wanted and have < wanted:
        progress.note(f"{documents.name} gave {have:,} of the {wanted:,} {unit} asked for: all of its text is used")
    return tally.counts(recipe.licence or documents.licence or "not stated")


def draw_windows(documents: Documents, recipe: CorpusRecipe, windowing: Windowing, tally: Tally) -> Iterator[Window]:
    """Windows to keep, in order, counting everything that is left out; stops when there are enough."""
    seen_documents: set[int] = set()
    seen_windows: set[int] = set()
    order = np.random.default_rng(recipe.seed).permutation(len(documents))
    for number, i in enumerate(order.tolist()):
        text, source = _document(documents, i, recipe, tally, seen_documents)
        if text is None:
            continue
        for start, ids, n_tokens in windowing.windows(text):
            if n_tokens < MIN_REAL_TOKENS:
                tally.windows["short"] += 1
            elif not _new(ids.tobytes(), seen_windows):
                tally.windows["duplicate"] += 1
            else:
                tally.windows["written"] += 1
                tally.n_tokens += n_tokens
                tally.n_special += len(ids) - n_tokens
                yield Window(number, start, ids, n_tokens, source)
                if tally.windows["written"] == recipe.n_contexts or tally.n_tokens >= (recipe.n_tokens or np.inf):
                    return


def _document(
    documents: Documents, i: int, recipe: CorpusRecipe, tally: Tally, seen: set[int]
) -> tuple[str | None, str]:
    """A document's text with the recipe's replacements made; None when it is empty or was there before."""
    document = documents[i]
    tally.documents["read"] += 1
    text = document.text
    for old, new in recipe.replace.items():
        text = text.replace(old, new)
    if not text.strip():
        tally.documents["empty"] += 1
        return None, document.source
    if not _new(text.encode("utf-8", "surrogatepass"), seen):
        tally.documents["duplicate"] += 1
        return None, document.source
    tally.documents["used"] += 1
    tally.documents["cut"] += document.cut
    return text, document.source


def _new(content: bytes, seen: set[int]) -> bool:
    """Whether this content was not seen before; 64-bit hashes, so 10 M windows collide with probability 3e-6."""
    key = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
    if key in seen:
        return False
    seen.add(key)
    return True


def _table(windows: list[Window], first: int) -> pa.Table:
    n = len(windows)
    columns = [
        pa.array(np.arange(first, first + n, dtype=np.int32)),
        pa.array([w.document for w in windows], pa.int32()),
        pa.array([w.start for w in windows], pa.int32()),
        pa.array([w.token_ids for w in windows], pa.list_(pa.int32())),
        pa.array([w.n_tokens for w in windows], pa.int32()),
        pa.array([w.source for w in windows], pa.string()),
    ]
    return pa.table(columns, schema=CONTEXTS.schema)


def _require_contexts(tally: Tally, name: str) -> None:
    documents, windows = tally.documents, tally.windows
    if documents["duplicate"] and documents["used"] == 1:
        raise CorpusError(
            f"all documents of {name} are the same",
            f"{documents['read']:,} documents were read, {documents['duplicate']:,} of them repeat another",
            "name a corpus of different texts",
        )
    if not windows["written"]:
        empty = documents["empty"] == documents["read"]
        why = "all are empty" if empty else f"all windows have fewer than {MIN_REAL_TOKENS} tokens"
        raise CorpusError(
            f"the corpus {name} gives no contexts",
            f"{documents['read']:,} documents were read: {why}",
            "name a corpus with longer texts",
        )
