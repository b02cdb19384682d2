"""A clean environment and small ready-made sessions against local servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.llm.client import OpenAIGenerator
from core.llm.endpoint import resolve_endpoint
from core.llm.ledger import Ledger
from core.llm.session import Session
from tests.fake_servers import ChatServer

KEY = "sk-test-Zq9vXw7LkP3mN8rT"


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["BASE_URL", "API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "CUSTOM_HEADERS", "LOG"]
    for name in [f"OPENAI_{n}" for n in names] + ["NEURONPEDIA_BASE_URL", "NEURONPEDIA_API_KEY"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def session(ledger: Ledger) -> Callable[..., Session]:
    """``session(server, money=..., calls=..., prices=..., max_retries=2, timeout_s=5)``."""

    def make(
        server: ChatServer, max_retries: int = 2, timeout_s: float = 5.0, key: str = KEY, **rest: object
    ) -> Session:
        generator = OpenAIGenerator(
            resolve_endpoint(server.base_url, key), "fake", max_retries=max_retries, timeout_s=timeout_s
        )
        return Session(generator, ledger, **rest)  # type: ignore[arg-type]

    return make
