"""What every HTTP attempt to an endpoint goes through: headers are filtered, attempts and 429s counted, bodies bounded.

These are hooks of the official client's own HTTP layer, because its retries must be seen one by one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from core.llm.endpoint import Endpoint
from core.llm.limiter import AdaptiveLimit

MAX_REPLY_BYTES = 4_000_000

#: Headers a foreign endpoint gets to see; anything else the client takes from the environment (organisation, project,
#: custom headers with credentials) stays at the environment's endpoint.
_PLAIN_HEADERS = frozenset({
    "host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length",
    "idempotency-key",
})  # fmt: skip


class Attempts:
    """Hooks for one endpoint, and what they saw of the calling thread's current request."""

    def __init__(self, endpoint: Endpoint, limit: AdaptiveLimit, timeout_s: float) -> None:
        self._endpoint, self._limit, self._timeout_s = endpoint, limit, timeout_s
        self._here = threading.local()

    def start(self) -> None:
        """A new request begins in this thread."""
        self._here.n, self._here.n_limited, self._here.deadline = 0, 0, 0.0

    @property
    def n_retries(self) -> int:
        return max(0, self._here.n - 1)

    @property
    def n_limited(self) -> int:
        return int(self._here.n_limited)

    @property
    def hooks(self) -> dict[str, list[Any]]:
        return {"request": [self._before], "response": [self._after]}

    def _before(self, request: Any) -> None:
        self._here.n += 1
        self._here.deadline = time.monotonic() + self._timeout_s
        if self._endpoint.ambient:
            return
        for name in list(request.headers):
            if name.lower() not in _PLAIN_HEADERS and not name.lower().startswith("x-stainless-"):
                del request.headers[name]
        if self._endpoint.key:
            request.headers["Authorization"] = f"Bearer {self._endpoint.key.reveal()}"

    def _after(self, response: Any) -> None:
        response.stream = _bounded(response.stream, self._here.deadline)
        if response.status_code != 429:
            return
        no_credit = False
        try:
            no_credit = says_no_credit(_json(response.read()))
        finally:
            if no_credit:
                response.headers["x-should-retry"] = "false"  # the client obeys: waiting does not fill an account
            else:
                self._here.n_limited += 1
                self._limit.limited()


def says_no_credit(body: Any) -> bool:
    """Whether an error's body says that the account cannot pay: OpenAI answers 429 to that, as to a rate limit."""
    error = body.get("error", body) if isinstance(body, dict) else None
    return isinstance(error, dict) and "insufficient_quota" in (error.get("code"), error.get("type"))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _bounded(stream: Any, deadline: float) -> Any:
    """The body, given up when it is too long or drips: the library's timeout is per read, not for the whole."""
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for chunk in stream:
                size += len(chunk)
                if size > MAX_REPLY_BYTES:
                    raise ValueError(f"the reply is longer than {MAX_REPLY_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout("the reply took too long")
                yield chunk

        def close(self) -> None:
            stream.close()

    return Bounded()
