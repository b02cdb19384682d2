"""Questions in, answers out: ledger first, then budget, then the endpoint. What fails is recorded, the rest goes on."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from core.llm.base import FATAL, EndpointError, Failure, Message, Reply, Request, TextGenerator
from core.llm.budget import Budget, Spent
from core.llm.ledger import Ledger
from core.llm.prices import PriceTable, likely_tokens_in
from core.llm.prompts import prompt
from core.llm.question import Answer, Estimate, Question
from core.llm.schema import Unreadable

T = TypeVar("T")
MAX_AT_ONCE = 16
MAX_FAILURES_IN_A_ROW = 5  # the last of a kind that speaks of the endpoint, not of the question; then it is down
MAX_OF_ANY_KIND = 20  # in a row: no list of questions is that bad
_OF_THE_ENDPOINT = ("no connection", "timeout", "server error", "rate limited", "not a reply")


class Session:
    """One generator with its ledger and budget. ``ask_all`` may be called again and again."""

    def __init__(
        self,
        generator: TextGenerator,
        ledger: Ledger,
        prices: PriceTable | None = None,
        money: float | None = None,
        calls: int | None = None,
    ) -> None:
        self.generator, self.ledger, self.prices = generator, ledger, prices or PriceTable()
        self.budget = Budget(self.prices, generator.model, money, calls)
        self._lock = threading.Lock()
        self._under_way: dict[str, threading.Lock] = {}
        self._spent = Spent(currency=self.prices.currency)
        self._down: Failure | None = None
        self._n_in_a_row = 0

    @property
    def spent(self) -> Spent:
        """What this session paid for so far."""
        return self._spent

    @property
    def name(self) -> str:
        """What a proposal says of its author."""
        return f"{self.generator.model} at {self.generator.base_url}"

    def stop(self) -> None:
        """Send nothing more; what is under way is still recorded."""
        self._down = Failure("not asked", "stopped")

    # --- many ---------------------------------------------------------------------------------------

    def ask_all(
        self, questions: Sequence[Question[T]], advance: Callable[[float], None] = lambda n: None
    ) -> list[Answer[T]]:
        """An answer for every question, in order. Interrupted, it waits for what is under way and records it."""
        answers: dict[int, Answer[T]] = {}
        with ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="llm") as pool:
            futures: dict[Future[Answer[T]], int] = {pool.submit(self.ask, q): i for i, q in enumerate(questions)}
            try:
                waiting = set(futures)
                while waiting:
                    done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        answers[futures[future]] = future.result()
                        advance(1)
            except BaseException:
                self.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return [answers[i] for i in range(len(questions))]

    def estimate(self, questions: Iterable[Question[Any]]) -> Estimate:
        """Calls and cost of what ``ask_all`` would do. Sends nothing, writes nothing."""
        model, base_url = self.generator.model, self.generator.base_url
        requests = {q.request.key(model, base_url): q.request for q in questions}
        new = [r for r in requests.values() if self.ledger.find(r, model, base_url) is None]
        priced = model in self.prices.models
        return Estimate(
            n_questions=len(requests),
            n_recorded=len(requests) - len(new),
            n_calls=len(new),
            n_tokens_in=sum(map(likely_tokens_in, new)),
            n_tokens_out=sum(r.about_tokens for r in new),
            cost=sum(self.prices.likely(model, r) or 0.0 for r in new) if priced else None,
            cost_at_most=sum(self.prices.most(model, r, with_repair=True) or 0.0 for r in new) if priced else None,
            currency=self.prices.currency,
        )

    # --- one ----------------------------------------------------------------------------------------

    def ask(self, question: Question[T]) -> Answer[T]:
        """One answer. A reply that cannot be read is asked for once more: repaired, or with twice the tokens."""
        request, n_paid, repaired = question.request, 0, False
        keys: list[str] = []
        failure = Failure("unreadable")
        for attempt in (1, 2):
            keys.append(request.key(self.generator.model, self.generator.base_url))
            asked = tuple(dict.fromkeys(keys))  # more room for the same question is the same question
            reply, paid = self._reply_to(request, keys[-1])
            n_paid += paid
            if isinstance(reply, Failure):
                return Answer(None, reply, asked, n_paid, repaired)
            if reply.refusal is not None:
                return Answer(None, Failure("refusal", reply.refusal), asked, n_paid, repaired)
            try:
                return Answer(question.read(reply.text), None, asked, n_paid, repaired)
            except Unreadable as problem:
                if paid:
                    self.ledger.record_parse_failure(keys[-1], str(problem))
                truncated = reply.finish_reason == "length"
                failure = Failure("truncated" if truncated else "unreadable", str(problem))
                request, repaired = _again(request, reply, str(problem), truncated), attempt == 1
        return Answer(None, failure, asked, n_paid, repaired)

    def _reply_to(self, request: Request, key: str) -> tuple[Reply | Failure, int]:
        """The reply, from the ledger or paid for, and whether it was paid for. The same question is sent once."""
        model, base_url = self.generator.model, self.generator.base_url
        with self._lock:
            mine = self._under_way.setdefault(key, threading.Lock())
        with mine:
            known = self.ledger.find(request, model, base_url)
            if known is not None:
                return known, 0
            return self._pay_for(request, key)

    def _pay_for(self, request: Request, key: str) -> tuple[Reply | Failure, int]:
        generator = self.generator
        with generator.limit.slot():
            if self._down is not None:
                return self._down, 0
            reserved = self.budget.reserve(request)
            if reserved is None:
                return Failure("budget", "asking this would exceed the budget"), 0
            if self._down is not None:  # while it waited for the money
                self.budget.settle(reserved, 0.0)
                return self._down, 0
            cost: float | None = None  # whatever ends this call, it may have been billed
            try:
                reply = generator.generate(request)
                cost = self.prices.cost(generator.model, reply)
            except EndpointError as error:
                cost = None if error.kind == "timeout" else 0.0
                return self._failed(error, key), 0
            finally:
                self.budget.settle(reserved, cost)
            generator.limit.succeeded()
        self.ledger.record(request, generator.model, generator.base_url, reply, cost, self.prices.currency)
        self._count(reply, cost)
        return reply, 1

    def _failed(self, error: EndpointError, key: str) -> Failure:
        failure = error.failure
        if failure.kind == "not in ledger":
            return failure
        self.ledger.record_event(key, failure, error.n_retries, error.n_limited)
        with self._lock:
            self._n_in_a_row += 1
            most = MAX_FAILURES_IN_A_ROW if failure.kind in _OF_THE_ENDPOINT else MAX_OF_ANY_KIND
            if self._down is None and (failure.kind in FATAL or self._n_in_a_row >= most):
                self._down = Failure("not asked", f"the endpoint gave up before: {failure}")
        return failure

    def _count(self, reply: Reply, cost: float | None) -> None:
        with self._lock:
            self._n_in_a_row = 0
            s = self._spent
            self._spent = dataclasses.replace(
                s,
                n_calls=s.n_calls + 1,
                n_tokens_in=s.n_tokens_in + (reply.n_tokens_in or 0),
                n_tokens_out=s.n_tokens_out + (reply.n_tokens_out or 0),
                cost=s.cost + (cost or 0.0),
                n_cost_unknown=s.n_cost_unknown + (cost is None),
            )


def _again(request: Request, reply: Reply, why: str, truncated: bool) -> Request:
    """The one second try: with room for twice as much, or with the reply and what is wrong with it."""
    if truncated:
        return dataclasses.replace(request, max_tokens=2 * request.max_tokens)
    back = (Message("assistant", reply.text), *prompt("repair").fill(why=why))
    return dataclasses.replace(request, messages=request.messages + back)
