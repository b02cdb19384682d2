"""A question, its answer, and what asking would cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.llm.base import Failure, Request

T = TypeVar("T")


@dataclass(frozen=True)
class Question(Generic[T]):
    """A request and how to read its reply; ``read`` raises Unreadable."""

    request: Request
    read: Callable[[str], T]


@dataclass(frozen=True)
class Answer(Generic[T]):
    """``value`` is None exactly when ``failure`` is set. ``keys`` are the ledger's keys of what was asked."""

    value: T | None
    failure: Failure | None
    keys: tuple[str, ...]
    n_paid: int  # calls made now, not taken from the ledger
    repaired: bool = False


@dataclass(frozen=True)
class Estimate:
    """What asking would take, before anything is sent. ``cost`` None: the price is not known."""

    n_questions: int
    n_recorded: int  # answered by the ledger, at no cost
    n_calls: int  # to be paid for; a reply that needs repair adds one more
    n_tokens_in: int
    n_tokens_out: int
    cost: float | None
    cost_at_most: float | None
    currency: str

    @property
    def text(self) -> str:
        """For people."""
        tokens = f"about {self.n_tokens_in:,} tokens in, {self.n_tokens_out:,} out"
        known = self.cost is not None
        cost = f"about {self.cost:.4f} {self.currency}, at most {self.cost_at_most:.4f}" if known else "cost not known"
        return f"{self.n_calls:,} calls ({self.n_recorded:,} more are in the ledger), {tokens}, {cost}"
