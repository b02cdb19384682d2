"""Sessions for the two ways of answering: an endpoint with a key, and a ledger without one."""

from __future__ import annotations

from core.errors import InputError
from core.llm.base import EndpointError, Reply, Request
from core.llm.ledger import Ledger
from core.llm.limiter import AdaptiveLimit
from core.llm.prices import PriceTable
from core.llm.session import Session


class Replay:
    """A ``TextGenerator`` that knows nothing: with a ledger, only what was asked before is answered."""

    def __init__(self, model: str, base_url: str) -> None:
        self.model, self.base_url, self.limit = model, base_url, AdaptiveLimit(16, 16)

    @classmethod
    def of(cls, ledger: Ledger, model: str | None = None) -> Replay:
        """Replay what a ledger holds: of ``model``, or of the only model in it."""
        sources = [s for s in ledger.sources() if model in (None, s[0])]
        if len(sources) != 1:
            held = ", ".join(f"{m} at {u}" for m, u in ledger.sources()) or "nothing"
            which = "nothing to replay" if not sources else "more than one model to replay"
            raise InputError(which, f"{ledger.path.name} holds: {held}", "name the model")
        return cls(*sources[0])

    def generate(self, request: Request) -> Reply:
        raise EndpointError("not in ledger", "this question was never asked", "ask it with an endpoint and a key")


def open_session(
    endpoint_url: str | None,
    model: str,
    ledger: Ledger,
    prices: PriceTable | None = None,
    money: float | None = None,
    calls: int | None = None,
    key: str | None = None,
) -> Session:
    """A session with an OpenAI-compatible endpoint; see ``endpoint.resolve_endpoint`` for whose key is used."""
    from core.llm.client import OpenAIGenerator
    from core.llm.endpoint import resolve_endpoint

    if not model.strip():
        raise InputError("no model was named", "an endpoint may serve many", "--model NAME")
    return Session(OpenAIGenerator(resolve_endpoint(endpoint_url, key), model), ledger, prices, money, calls)


def replay_session(ledger: Ledger, model: str | None = None) -> Session:
    """A session that answers from the ledger alone: no endpoint, no key, no cost."""
    return Session(Replay.of(ledger, model), ledger)
