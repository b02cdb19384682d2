"""What is asked of a language model and what comes back, as plain values; no network, no library."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, Protocol

from core.errors import MachineError
from core.llm.limiter import AdaptiveLimit

FailureKind = Literal[
    "key refused",  # the endpoint does not take the key, or wants one
    "no credit",  # the account behind the key cannot pay
    "no model",  # the endpoint does not know the model
    "redirect",  # the endpoint answers from elsewhere; keys do not follow
    "rate limited",  # still limited after all retries
    "server error",
    "timeout",
    "no connection",
    "bad request",  # the endpoint will not take this one request, for instance because it is too long
    "not a reply",  # an answer that is no chat completion
    "refusal",  # the model, or a filter before it, declined
    "truncated",  # cut off at the token limit, also with twice as many tokens
    "unreadable",  # no JSON of the shape asked for, also after one repair
    "budget",  # not asked: the budget would have been exceeded
    "not asked",  # not asked: the endpoint was down, or the work was stopped
    "not in ledger",  # replay: this was never asked
]

#: Failures after which nothing more is sent to the endpoint: the next request would fare the same.
FATAL: frozenset[FailureKind] = frozenset({"key refused", "no credit", "no model", "redirect"})


def whole_text(text: str) -> str:
    """The text with halves of surrogate pairs, which no file or request can hold, as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Schema:
    """A JSON schema by name; ``json`` is its text, so that the whole is hashable."""

    name: str
    json: str


@dataclass(frozen=True)
class Request:
    """One question. ``sample`` tells repeated askings of the same question apart.

    ``max_tokens`` bounds the reply and ``about_tokens`` is its likely length; neither is part of the key.
    """

    messages: tuple[Message, ...]
    schema: Schema | None
    temperature: float | None = 1.0  # None: the endpoint's default
    sample: int = 0
    max_tokens: int = 4096
    about_tokens: int = 1000

    def key(self, model: str, base_url: str) -> str:
        """Hex sha256 of everything a reply depends on: under this the ledger keeps it."""
        identity = {
            "model": model,
            "base_url": base_url,
            "messages": [[m.role, m.content] for m in self.messages],
            "schema": None if self.schema is None else [self.schema.name, self.schema.json],
            "temperature": self.temperature,
            "sample": self.sample,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What came back. ``None`` for tokens: the endpoint did not say."""

    text: str
    finish_reason: str = "stop"  # "length": cut off at the token limit
    refusal: str | None = None
    n_tokens_in: int | None = None
    n_tokens_out: int | None = None
    model: str = ""  # as the endpoint reports it
    structured: bool = True  # False: the schema was asked for in the prompt, the endpoint does not enforce it
    temperature: float | None = None  # as sent; None: not sent
    n_retries: int = 0
    n_limited: int = 0  # answers 429 among them
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """Why there is no answer."""

    kind: FailureKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class EndpointError(MachineError):
    """One request failed for good, after the client's own retries."""

    def __init__(
        self, kind: FailureKind, detail: str, remedy: str = "", n_retries: int = 0, n_limited: int = 0
    ) -> None:
        super().__init__(f"the language model's endpoint: {kind}", detail, remedy)
        self.kind, self.n_retries, self.n_limited = kind, n_retries, n_limited

    @property
    def failure(self) -> Failure:
        return Failure(self.kind, " ".join(part for part in (self.detail, self.remedy) if part))


class TextGenerator(Protocol):
    """Something that answers requests; safe to call from several threads.

    ``model`` and ``base_url`` name it in the ledger and in every proposal. ``limit`` is how many requests may be made
    at once: the caller holds a slot of it, the generator reports answers 429 to it. ``generate`` raises EndpointError.
    """

    model: str
    base_url: str
    limit: AdaptiveLimit

    def generate(self, request: Request) -> Reply: ...
