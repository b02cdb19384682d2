"""Money and calls that may be spent, and what was: a budget is never exceeded, not even by requests under way."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from core.errors import InputError
from core.llm.base import Request
from core.llm.prices import PriceTable


@dataclass(frozen=True)
class Spent:
    """What was paid for. ``cost`` leaves out ``n_cost_unknown`` calls whose price or token counts are not known."""

    currency: str = ""
    n_calls: int = 0
    n_tokens_in: int = 0
    n_tokens_out: int = 0
    cost: float = 0.0
    n_cost_unknown: int = 0

    @property
    def cost_text(self) -> str:
        """For people: never a number that leaves something out without saying so."""
        if self.n_calls and self.n_cost_unknown == self.n_calls:
            return "cost not known"
        more = f" and {self.n_cost_unknown} calls whose cost is not known" if self.n_cost_unknown else ""
        return f"{self.cost:.4f} {self.currency}{more}"


class Budget:
    """Limits on one piece of work; ``None`` is no limit. Thread-safe.

    Before a call its greatest possible cost is set aside, afterwards its real cost is booked; where the endpoint
    reports no tokens the greatest possible cost counts against the limit.
    """

    def __init__(self, prices: PriceTable, model: str, money: float | None = None, calls: int | None = None) -> None:
        for name, value in (("money", money), ("calls", calls)):
            if value is not None and not value >= 0:
                raise InputError(
                    f"the budget in {name} must be 0 or more", f"found {value}", "leave it out for no limit"
                )
        if money is not None and model not in prices.models:
            raise InputError(
                f"a budget in money needs the price of {model!r}",
                f"prices are known for: {', '.join(sorted(prices.models)) or 'no model'}",
                "give a price table, or limit the number of calls instead",
            )
        self.prices, self.model, self.money, self.calls = prices, model, money, calls
        self._changed = threading.Condition()
        self._booked = 0.0
        self._set_aside = 0.0
        self._n_calls = 0
        self._n_under_way = 0

    def reserve(self, request: Request) -> float | None:
        """Set a call's greatest cost aside; None when that would exceed a limit, and the call must not be made.

        Calls under way mostly cost far less than was set aside for them, so one that does not fit beside them waits
        until they end; only what is booked decides.
        """
        most = self.prices.most(self.model, request) or 0.0
        with self._changed:
            while self._fits(most) and not self._fits(most + self._set_aside):
                self._changed.wait()
            if not self._fits(most) or (self.calls is not None and self._n_calls >= self.calls):
                return None
            self._set_aside += most
            self._n_calls += 1
            self._n_under_way += 1
            return most

    def _fits(self, cost: float) -> bool:
        return self.money is None or self._booked + cost <= self.money

    def settle(self, reserved: float, cost: float | None) -> None:
        """A call ended: book ``cost``; None books what was set aside."""
        with self._changed:
            self._n_under_way -= 1
            self._set_aside = self._set_aside - reserved if self._n_under_way else 0.0  # no rest of rounding: none wait
            self._booked += reserved if cost is None else cost
            self._changed.notify_all()
