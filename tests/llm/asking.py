"""One small question, asked again and again in tests."""

from __future__ import annotations

from core.llm.base import Message, Request
from core.llm.question import Question
from core.llm.schema import PHRASES, PhrasesReply, read_json


def request(text: str = "rain", sample: int = 0, **rest: object) -> Request:
    message = Message("user", f"Write exactly 3 phrases about {text}.")
    return Request((message,), PHRASES, sample=sample, **rest)  # type: ignore[arg-type]


def question(text: str = "rain", sample: int = 0, **rest: object) -> Question[PhrasesReply]:
    return Question(request(text, sample, **rest), lambda reply: read_json(reply, PhrasesReply))


def questions(n: int) -> list[Question[PhrasesReply]]:
    return [question(f"topic {i}") for i in range(n)]
