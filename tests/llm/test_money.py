"""Prices, estimates, budgets: what is not known is not invented, and a budget is never exceeded."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.llm.base import Message, Reply, Request
from core.llm.budget import Budget, Spent
from core.llm.prices import Price, PriceTable, likely_tokens_in, load_prices, parse_prices
from tests.llm.asking import request

PRICES = PriceTable("EUR", {"m": Price(2.0, 10.0)})


def test_cost_is_tokens_times_price() -> None:
    assert PRICES.cost("m", Reply("", n_tokens_in=1_000_000, n_tokens_out=500_000)) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("model", "n_in", "n_out"), [("other", 1, 1), ("m", None, 1), ("m", 1, None)]
)  # fmt: skip
def test_an_unknown_price_or_count_is_an_unknown_cost(model: str, n_in: int | None, n_out: int | None) -> None:
    assert PRICES.cost(model, Reply("", n_tokens_in=n_in, n_tokens_out=n_out)) is None


def test_prices_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('currency = "EUR"\n[models."m"]\ninput = 2\noutput = 10.0\n')
    assert load_prices(path) == PRICES


@pytest.mark.parametrize(
    "values",
    [
        {"model": {}}, {"models": []}, {"models": {"m": {"input": 1}}}, {"models": {"m": {"input": -1, "output": 1}}},
        {"models": {"m": {"input": "1", "output": 1}}}, {"models": {"m": {"input": float("nan"), "output": 1}}},
        {"models": {"m": {"input": True, "output": 1}}}, {"currency": 5}, {"models": {"m": 3}},
    ],
)  # fmt: skip
def test_price_tables_with_mistakes_are_refused(values: dict) -> None:
    with pytest.raises(InputError, match="price table"):
        parse_prices(values)


def test_a_missing_or_broken_price_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("= 3")
    for name in ("absent.toml", "broken.toml"):
        with pytest.raises(InputError):
            load_prices(tmp_path / name)


@given(st.text(max_size=300))
def test_no_estimate_is_above_the_greatest_possible(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    asked = Request((Message("user", text),), None, about_tokens=50, max_tokens=100)
    likely, most = PRICES.likely("m", asked), PRICES.most("m", asked)
    assert likely is not None
    assert most is not None
    assert 0 < likely <= most
    assert likely_tokens_in(asked) >= len(text) / 4


def test_a_budget_in_money_needs_a_price() -> None:
    with pytest.raises(InputError, match="needs the price"):
        Budget(PRICES, "other", money=1.0)


@pytest.mark.parametrize("limits", [{"money": -1.0}, {"calls": -1}, {"money": float("nan")}])
def test_budgets_below_nothing_are_refused(limits: dict) -> None:
    with pytest.raises(InputError):
        Budget(PRICES, "m", **limits)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4096), min_size=1, max_size=60), st.floats(0, 0.5))
def test_a_budget_is_never_exceeded_whatever_replies_cost(replies: list[int], money: float) -> None:
    budget, asked = Budget(PRICES, "m", money=money), request(max_tokens=4096)

    def ask(n_out: int) -> float:
        reserved = budget.reserve(asked)
        if reserved is None:
            return 0.0
        cost = PRICES.cost("m", Reply("", n_tokens_in=20, n_tokens_out=n_out))
        assert cost is not None
        budget.settle(reserved, cost)
        return cost

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, replies)) <= money + 1e-12


def test_a_call_waits_for_those_under_way_when_only_what_is_set_aside_for_them_is_in_its_way() -> None:
    asked, most = request(), PRICES.most("m", request())
    assert most is not None
    budget, answers = Budget(PRICES, "m", money=1.5 * most), []
    first = budget.reserve(asked)
    assert first is not None
    second = threading.Thread(target=lambda: answers.append(budget.reserve(asked)))
    second.start()
    second.join(0.1)
    assert answers == [], "it neither fails nor exceeds the budget"
    budget.settle(first, 0.1 * most)
    second.join(5)
    assert answers == [most]
    budget.settle(most, most)
    assert budget.reserve(asked) is None


def test_a_budget_in_calls_holds_between_threads() -> None:
    budget, granted = Budget(PRICES, "m", calls=10), []

    def ask() -> None:
        for _ in range(5):
            reserved = budget.reserve(request())
            if reserved is not None:
                granted.append(reserved)
                budget.settle(reserved, 0.0)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(granted) == 10


def test_an_unknown_cost_counts_against_the_budget_as_the_greatest_possible() -> None:
    most = PRICES.most("m", request())
    assert most is not None
    budget = Budget(PRICES, "m", money=1.5 * most)
    reserved = budget.reserve(request())
    assert reserved is not None
    budget.settle(reserved, None)
    assert budget.reserve(request()) is None


def test_cost_in_words_never_hides_what_is_not_known() -> None:
    assert Spent("EUR", n_calls=2, n_cost_unknown=2).cost_text == "cost not known"
    assert Spent("EUR", n_calls=2, cost=0.5).cost_text == "0.5000 EUR"
    assert "1 call" in dataclasses.replace(Spent("EUR", n_calls=2, cost=0.5), n_cost_unknown=1).cost_text
