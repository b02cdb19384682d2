"""JSON out of replies: the schemas asked for, and reading what came back, whoever wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

import cattrs
from cattrs.v import format_exception

from core.llm.base import Schema

T = TypeVar("T")
MAX_REPLY_CHARS = 400_000
MAX_TRIES = 200  # opening braces looked at: text of many braces must not take quadratic time
_THINKING = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)


class Unreadable(Exception):
    """A reply is not of the shape asked for; the message says why, in words a model can act on."""


@dataclass(frozen=True)
class PartReply:
    word: str
    phrases: list[str]


@dataclass(frozen=True)
class PartsReply:
    parts: list[PartReply]


@dataclass(frozen=True)
class PhrasesReply:
    phrases: list[str]


def _object(**properties: Any) -> dict[str, Any]:
    """A JSON schema as strict structured outputs want it: everything required, nothing else allowed."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXTS = {"type": "array", "items": {"type": "string"}}
PARTS = Schema(
    "parts", json.dumps(_object(parts={"type": "array", "items": _object(word={"type": "string"}, phrases=_TEXTS)}))
)
PHRASES = Schema("phrases", json.dumps(_object(phrases=_TEXTS)))


def read_json(text: str, kind: type[T]) -> T:
    """The first JSON object in ``text`` that is a ``kind``; prose, fences and reasoning around it are skipped.

    Unknown keys are ignored: nothing is ever taken from a reply but the fields of ``kind``. Raises Unreadable.
    """
    if len(text) > MAX_REPLY_CHARS:
        raise Unreadable(f"the reply has {len(text):,} characters, more than {MAX_REPLY_CHARS:,}")
    problem = "there is no JSON object in the reply"
    for found in _objects(_THINKING.sub("", text)):
        try:
            return _converter.structure(found, kind)
        except cattrs.BaseValidationError as error:
            problem = "; ".join(cattrs.transform_error(error, path="reply", format_exception=_words))[:300]
        except TypeError as error:
            problem = str(error)
    raise Unreadable(problem)


def _objects(text: str) -> Iterator[Any]:
    """JSON objects in a text, outermost first."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(MAX_TRIES):
        if start < 0:
            return
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        yield found
        start = text.find("{", end)


def _words(error: BaseException, kind: type | None) -> str:
    return str(error) if isinstance(error, TypeError) else str(format_exception(error, kind))


def _text(value: Any, _: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"expected a text, found {json.dumps(value)[:60]}")
    return value


def _list(value: Any, kind: Any) -> list[Any]:
    """A text is no list of its letters."""
    if type(value) is not list:
        raise TypeError(f"expected a list, found {json.dumps(value)[:60]}")
    return [_converter.structure(item, get_args(kind)[0]) for item in value]


_converter = cattrs.Converter(detailed_validation=True)
_converter.register_structure_hook_func(lambda kind: get_origin(kind) is list, _list)
_converter.register_structure_hook(str, _text)
