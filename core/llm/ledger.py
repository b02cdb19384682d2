"""Every reply ever paid for, on disk: asked again it costs nothing, and a whole analysis replays without a key.

One journal (``core.journal``) with two kinds of records: ``reply`` with the question, the answer and what it cost,
and ``event`` for what went wrong. Keys are in neither.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import NotFoundError
from core.journal import Journal
from core.llm.base import Failure, Reply, Request


@dataclass(frozen=True)
class Exchange:
    """One question and its answer, as the pages show them."""

    key: str
    model: str
    base_url: str
    messages: tuple[tuple[str, str], ...]  # (role, text)
    schema: str  # its name, "" without one
    temperature: float | None
    sample: int
    reply: Reply
    cost: float | None  # None: not known
    currency: str
    asked_at: str  # UTC
    max_tokens: int


@dataclass(frozen=True)
class Totals:
    """What a ledger holds. ``cost`` leaves out ``n_cost_unknown`` replies; ``events`` counts failures by kind."""

    n_replies: int
    n_tokens_in: int
    n_tokens_out: int
    cost: dict[str, float]  # by currency
    n_cost_unknown: int
    n_retries: int
    n_limited: int
    n_refusals: int
    n_parse_failures: int
    events: dict[str, int]
    n_damaged: int  # lines that are not what was written; what they held would be paid for again


class Ledger:
    """The replies of one file, which is made with the first reply. Thread-safe; several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._lock = threading.Lock()
        self._replies: dict[str, Exchange] = {}
        self._events: Counter[str] = Counter()
        self._n_parse_failures = 0

    @property
    def path(self) -> Path:
        return self._journal.path

    def find(self, request: Request, model: str, base_url: str) -> Reply | None:
        """The recorded reply; None when it was never asked, or was cut off at a lower token limit than now."""
        with self._lock:
            self._read()
            found = self._replies.get(request.key(model, base_url))
        if found is None or (found.reply.finish_reason == "length" and found.max_tokens < request.max_tokens):
            return None
        return found.reply

    def record(
        self, request: Request, model: str, base_url: str, reply: Reply, cost: float | None, currency: str
    ) -> None:
        """Keep a reply; it is on disk when this returns."""
        schema = request.schema
        self._journal.append({
            "kind": "reply",
            "key": request.key(model, base_url),
            "model": model,
            "base_url": base_url,
            "messages": [[m.role, m.content] for m in request.messages],
            "schema": schema.name if schema else "",
            "schema_json": schema.json if schema else "",
            "temperature": request.temperature,
            "sample": request.sample,
            "max_tokens": request.max_tokens,
            "reply": dataclasses.asdict(reply),
            "cost": cost,
            "currency": currency if cost is not None else "",
            "asked_at": _now(),
        })  # fmt: skip

    def record_event(self, key: str, failure: Failure, n_retries: int = 0, n_limited: int = 0) -> None:
        """Keep what went wrong with a question."""
        self._journal.append({
            "kind": "event", "key": key, "what": failure.kind, "detail": failure.detail[:500],
            "n_retries": n_retries, "n_limited": n_limited, "at": _now(),
        })  # fmt: skip

    def record_parse_failure(self, key: str, why: str) -> None:
        """Keep that a reply was not of the shape asked for, whether or not a repair followed."""
        self._journal.append({"kind": "parse failure", "key": key, "detail": why[:500], "at": _now()})

    def exchange(self, key: str) -> Exchange:
        """One question and its answer by key; NotFoundError when it is not here."""
        with self._lock:
            self._read()
            found = self._replies.get(key)
        if found is None:
            raise NotFoundError(
                "that question is not in the ledger",
                f"{self.path.name} has no {key[:12]}",
                "ask it again: it costs a call",
            )
        return found

    def exchanges(self) -> Iterator[Exchange]:
        """All questions and answers, oldest first."""
        with self._lock:
            self._read()
            return iter(list(self._replies.values()))

    def sources(self) -> list[tuple[str, str]]:
        """(model, base URL) of everything recorded, most replies first: what can be replayed."""
        counted = Counter((e.model, e.base_url) for e in self.exchanges())
        return [source for source, _ in counted.most_common()]

    def totals(self) -> Totals:
        """Counts over the whole file."""
        all_ = list(self.exchanges())
        cost: dict[str, float] = {}
        for e in all_:
            if e.cost is not None:
                cost[e.currency] = cost.get(e.currency, 0.0) + e.cost
        return Totals(
            n_replies=len(all_),
            n_tokens_in=sum(e.reply.n_tokens_in or 0 for e in all_),
            n_tokens_out=sum(e.reply.n_tokens_out or 0 for e in all_),
            cost=cost,
            n_cost_unknown=sum(e.cost is None for e in all_),
            n_retries=sum(e.reply.n_retries for e in all_) + self._events["n_retries"],
            n_limited=sum(e.reply.n_limited for e in all_) + self._events["n_limited"],
            n_refusals=sum(e.reply.refusal is not None for e in all_),
            n_parse_failures=self._n_parse_failures,
            events={k: n for k, n in self._events.items() if k not in ("n_retries", "n_limited")},
            n_damaged=self._journal.n_damaged,
        )

    def _read(self) -> None:
        for record in self._journal.new_records():
            try:
                self._take(record)
            except (KeyError, TypeError, ValueError):
                self._journal.n_damaged += 1  # whole, but not one of ours

    def _take(self, record: dict[str, Any]) -> None:
        kind = record["kind"]
        if kind == "reply":
            self._replies[record["key"]] = _exchange(record)
        elif kind == "event":
            self._events.update({record["what"]: 1, "n_retries": record["n_retries"], "n_limited": record["n_limited"]})
        elif kind == "parse failure":
            self._n_parse_failures += 1


def _exchange(record: dict[str, Any]) -> Exchange:
    names = {f.name for f in dataclasses.fields(Exchange)} - {"messages", "reply"}
    messages = tuple((str(role), str(text)) for role, text in record["messages"])
    return Exchange(messages=messages, reply=Reply(**record["reply"]), **{name: record[name] for name in names})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
