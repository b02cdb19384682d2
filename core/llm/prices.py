"""What tokens cost, as the user says: prices are never built in, because they would be wrong next month."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.llm.base import Reply, Request


@dataclass(frozen=True)
class Price:
    """Money per million tokens, read and written."""

    input: float
    output: float

    def of(self, n_in: int, n_out: int) -> float:
        return (n_in * self.input + n_out * self.output) / 1e6


@dataclass(frozen=True)
class PriceTable:
    """Prices by model name, in one currency. A model that is not in it costs an unknown amount, not nothing."""

    currency: str = "USD"
    models: dict[str, Price] = field(default_factory=dict)

    def cost(self, model: str, reply: Reply) -> float | None:
        """What a reply cost; None when the price or the token counts are not known."""
        price = self.models.get(model)
        if price is None or reply.n_tokens_in is None or reply.n_tokens_out is None:
            return None
        return price.of(reply.n_tokens_in, reply.n_tokens_out)

    def likely(self, model: str, request: Request) -> float | None:
        """About what a request will cost; None without a price."""
        price = self.models.get(model)
        return None if price is None else price.of(likely_tokens_in(request), request.about_tokens)

    def most(self, model: str, request: Request, with_repair: bool = False) -> float | None:
        """What a request can cost at most, on wish with the one repair that may follow; None without a price.

        No tokenizer needs more tokens than a text has bytes, and the reply is bounded by ``max_tokens``.
        """
        price = self.models.get(model)
        if price is None:
            return None
        n_in = sum(len(m.content.encode()) + 16 for m in request.messages)
        n_in += 2 * len(request.schema.json) + 100 if request.schema else 0
        repair = price.of(n_in + request.max_tokens + 500, 2 * request.max_tokens) if with_repair else 0.0
        return price.of(n_in, request.max_tokens) + repair


def likely_tokens_in(request: Request) -> int:
    """About how many tokens a request has: four ASCII characters each, any other character one."""
    texts = [m.content for m in request.messages] + ([request.schema.json] if request.schema else [])
    n_ascii = sum(sum(c.isascii() for c in text) for text in texts)
    n_other = sum(map(len, texts)) - n_ascii
    return math.ceil(n_ascii / 4) + n_other + 8 * len(request.messages)


def load_prices(path: Path) -> PriceTable:
    """Prices from a TOML file::

    currency = "USD"
    [models."some-model"]
    input = 0.15      # per million tokens
    output = 0.60
    """
    try:
        return parse_prices(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise _bad(f"there is no file {path.name!r}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(str(error)) from error


def parse_prices(values: dict[str, Any]) -> PriceTable:
    """A price table from plain values; every mistake is named."""
    models = values.get("models", {})
    mistakes = [f"unknown key {key!r}" for key in values.keys() - {"currency", "models"}]
    prices = {}
    for name, entry in models.items() if isinstance(models, dict) else ():
        if not isinstance(entry, dict) or entry.keys() != {"input", "output"}:
            mistakes.append(f"model {name!r} needs exactly input and output")
        elif not all(type(v) in (int, float) and math.isfinite(v) and v >= 0 for v in entry.values()):
            mistakes.append(f"the prices of model {name!r} must be numbers, 0 or more")
        else:
            prices[name] = Price(float(entry["input"]), float(entry["output"]))
    if not isinstance(models, dict) or not isinstance(values.get("currency", ""), str):
        mistakes.append("expected a table models and a text currency")
    if mistakes:
        raise _bad("; ".join(mistakes))
    return PriceTable(values.get("currency", "USD"), prices)


def _bad(why: str) -> InputError:
    example = '[models."some-model"] with input = 0.15 and output = 0.60 (money per million tokens)'
    return InputError("the price table cannot be used", why, f"write {example}")
