"""One JSON request to a service, with the standard library: no redirects, bounded in time and size."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 16_000_000


@dataclass(frozen=True)
class Answer:
    """What came back. ``status`` 0: nothing did, and ``message`` says why. ``body`` None: it was no JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]
    message: str

    def whole_number(self, header: str) -> int | None:
        """A header that is a whole number; None when it is absent or something else."""
        value = self.headers.get(header, "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 8 else None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: following it would carry the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def post_json(url: str, body: Any, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """Send ``body`` as JSON and return whatever is answered; never raises for what the network or the server do."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method="POST")
    try:
        with _opener.open(request, timeout=timeout_s) as response:
            return _answer(response.status, response, timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error, timeout_s)
    except (OSError, ValueError, EOFError) as error:
        return Answer(0, None, {}, str(getattr(error, "reason", error)))
    except Exception as error:  # noqa: BLE001  http.client's own exceptions share no useful base
        return Answer(0, None, {}, f"{type(error).__name__}: {error}")


def _answer(status: int, response: Any, timeout_s: float) -> Answer:
    headers = {k.lower(): v for k, v in response.headers.items()}
    try:
        raw = _read(response, time.monotonic() + timeout_s)
    except (OSError, EOFError) as error:
        return Answer(0, None, headers, str(error))
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return Answer(status, None, headers, raw[:300].decode("utf-8", "replace"))
    message = body.get("error") or body.get("message") if isinstance(body, dict) else ""
    return Answer(status, body, headers, str(message or raw[:300].decode("utf-8", "replace")))


def _read(response: Any, deadline: float) -> bytes:
    """The body, given up when it is too long or drips."""
    chunks, size = [], 0
    while chunk := response.read1(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES or time.monotonic() > deadline:
            raise OSError(f"the answer is longer than {MAX_BYTES:,} bytes, or took too long")
    expected = response.headers.get("content-length", "")
    if expected.isdigit() and size < int(expected):
        raise OSError("the answer was cut off")
    return b"".join(chunks)
