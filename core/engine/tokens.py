"""What a tokenizer's ids look like, and which of them are no text."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from core.tables import VOCABULARY

NAMED = ("bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
WORD_START = "\u2581"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_CLOSING = tuple(".,;:!?)]}%'\u2019\u201d")


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids that are masked everywhere: BOS, EOS, PAD, CLS, SEP, MASK and further control tokens.

    UNK stands for real text and is not special, unless the same id has one of the other roles (as in GPT-2).
    """
    named: set[Any] = {getattr(tokenizer, name, None) for name in NAMED} - {None}
    added = {i for i, token in getattr(tokenizer, "added_tokens_decoder", {}).items() if token.special}
    others = (set(tokenizer.all_special_ids) | added) - {tokenizer.unk_token_id}
    return frozenset(int(i) for i in named | others)


def vocabulary_table(tokenizer: Any) -> pa.Table:
    """The ``vocabulary`` table: one row per id from 0 to the highest; ids without a token read ``<unused 7>``."""
    texts, special = str_tokens(tokenizer), special_ids(tokenizer)
    return pa.table(
        {
            "token_id": pa.array(range(len(texts)), pa.int32()),
            "str_token": pa.array(texts, pa.string()),
            "is_special": pa.array([i in special for i in range(len(texts))], pa.bool_()),
        },
        schema=VOCABULARY.schema,
    )


def vocabulary_size(tokenizer: Any) -> int:
    """Highest id + 1, added tokens included."""
    return max(tokenizer.get_vocab().values()) + 1


def str_tokens(tokenizer: Any) -> list[str]:
    """Each id's text with its leading space, so that joining a document's tokens gives its text back.

    (sentencepiece and word tokenizers begin it with a space of their own.) Bytes that are no character alone are
    shown as ``<0xE2>``.
    """
    size = vocabulary_size(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(range(size)))
    plain = {i: token.content for i, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    read = _reader(tokenizer, [t for i, t in enumerate(tokens) if t is not None and i not in plain])
    texts = [f"<unused {i}>" if token is None else plain.get(i) or read(token) for i, token in enumerate(tokens)]
    return [text.encode("utf-8", "replace").decode() for text in texts]


def _reader(tokenizer: Any, tokens: list[str]) -> Callable[[str], str]:
    """How this tokenizer spells tokens: as its own definition says, else by the signs its tokens carry."""
    kinds = _kinds(tokenizer)
    if "ByteLevel" in kinds or (not kinds and any(t.startswith("\u0120") for t in tokens)):
        return _byte_level
    if kinds & {"Metaspace", "ByteFallback"} or any(t.startswith(WORD_START) for t in tokens):
        return _sentencepiece
    if kinds & {"WordPiece"}:
        return _wordpiece
    if kinds & {"Whitespace", "WhitespaceSplit", "BertPreTokenizer"}:
        return _word
    return str


def _kinds(tokenizer: Any) -> set[str]:
    """Types of the model, pre-tokenizers and decoders of a fast tokenizer; empty for a slow one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return set()
    definition = json.loads(backend.to_str())
    kinds: set[str] = {definition["model"].get("type") or ""}
    for part in (definition.get("pre_tokenizer"), definition.get("decoder")):
        steps = [part, *(part.get("pretokenizers") or part.get("decoders") or [])] if part else []
        kinds |= {step["type"] for step in steps}
    return kinds - {""}


def _byte_level(token: str) -> str:
    """GPT-2's spelling: one printable character per byte."""
    if not all(c in _BYTES for c in token):
        return token
    return bytes(_BYTES[c] for c in token).decode("utf-8", "prism-hex")


def _sentencepiece(token: str) -> str:
    byte = _BYTE_TOKEN.fullmatch(token)
    if byte:
        return bytes([int(byte[1], 16)]).decode("utf-8", "prism-hex")
    return token.replace(WORD_START, " ")


def _wordpiece(token: str) -> str:
    return token[2:] if token.startswith("##") else _word(token)


def _word(token: str) -> str:
    """Words that were split at spaces, which the tokenizer forgets: shown with one, except before closing marks."""
    return token if token.startswith(_CLOSING) else f" {token}"


def _hex(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"<0x{b:02X}>" for b in error.object[error.start : error.end]), error.end


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's map from characters to bytes: printable Latin-1 is itself, the other bytes follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + n): b for n, b in enumerate(others)}


_BYTES = _byte_alphabet()
codecs.register_error("prism-hex", _hex)
