"""Local HTTP servers that speak chat completions and Neuronpedia's activation protocol, well and badly.

They listen on 127.0.0.1 at a free port, record what they were sent, and run in threads::

    with ChatServer(behave) as server:
        server.base_url, server.requests, server.most_at_once
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Answer:
    """One answer. ``cut`` announces the whole body and sends half of it; ``drip`` sends it byte by byte."""

    status: int = 200
    body: Any = None  # str and bytes are sent as they are, anything else as JSON
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    content_type: str = "application/json"
    cut: bool = False
    drip: float = 0.0


Behaviour = Callable[[int, Seen], Answer]


class Server:
    """Any POST is answered by ``behave(number of the request, request)``."""

    path = ""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[Seen] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # clients that hang up are part of the tests
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}{self.path}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, seen: Seen) -> Answer:
        with self._lock:
            number = len(self.requests)
            self.requests.append(seen)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            answer = self.behave(number, seen)
            time.sleep(answer.delay)
            return answer
        finally:
            with self._lock:
                self._now -= 1

    @property
    def now_at_once(self) -> int:
        return self._now

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {k.lower(): v for k, v in self.headers.items()}
                _send(self, server.answer(Seen(self.path, headers, json.loads(raw or b"null"), time.monotonic())))

            def do_GET(self) -> None:
                headers = {k.lower(): v for k, v in self.headers.items()}
                _send(self, server.answer(Seen(self.path, headers, None, time.monotonic())))

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    body = answer.body if isinstance(answer.body, bytes) else None
    if body is None:
        body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode(
            "utf-8", "surrogatepass"
        )
    handler.send_response(answer.status)
    handler.send_header("Content-Type", answer.content_type)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    if answer.cut:
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        handler.close_connection = True
        return
    if answer.drip:
        for i in range(len(body)):
            handler.wfile.write(body[i : i + 1])
            handler.wfile.flush()
            time.sleep(answer.drip)
        return
    handler.wfile.write(body)


# --- chat completions ---------------------------------------------------------------------------------


class ChatServer(Server):
    """``POST /v1/chat/completions``."""

    path = "/v1"

    def __init__(self, behave: Behaviour | None = None) -> None:
        super().__init__(behave or good)


def completion(text: str | None, finish: str = "stop", refusal: str | None = None, usage: Any = "count") -> dict:
    """A chat completion as OpenAI writes it."""
    counted = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "fake-model-2026",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": refusal},
                "finish_reason": finish,
            }
        ],
        "usage": counted if usage == "count" else usage,
    }


def good(number: int, seen: Seen) -> Answer:
    """Obeys, with structured outputs."""
    return Answer(body=completion(write(seen.body)))


def unstructured(number: int, seen: Seen) -> Answer:
    """Knows no structured outputs: refuses the parameter, and wraps its JSON in prose when the prompt asks for JSON."""
    if "response_format" in seen.body:
        return error(400, "Unsupported parameter: 'response_format' of type 'json_schema' is not available")
    return Answer(body=completion(f"Sure! Here you are:\n```json\n{write(seen.body)}\n```\nAnything else?"))


def error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """An error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return Answer(status=status, body=body, headers=headers or {})


def at_once(n: int, seconds: float = 0.03) -> Callable[[ChatServer], Behaviour]:
    """A server that takes ``seconds`` and answers 429 while ``n`` requests are being answered."""

    def make(server: ChatServer) -> Behaviour:
        def behave(number: int, seen: Seen) -> Answer:
            if server.now_at_once > n:
                return error(429, "Rate limit reached", headers={"retry-after-ms": "40"})
            return Answer(body=completion(write(seen.body)), delay=seconds)

        return behave

    return make


def write(body: dict[str, Any]) -> str:
    """What an obedient model answers to the prompts of this product: JSON with as many phrases as were asked for."""
    text = "\n".join(m["content"] for m in body["messages"])
    rng = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    n = int(re.search(r"(\d+) (?:sentences or )?phrases", text)[1])
    data = [json.loads(d) for d in re.findall(r"^<data>(.*)</data>$", text, re.MULTILINE)]
    if '"parts"' not in text:
        return json.dumps({"phrases": [phrase(rng) for _ in range(n)]})
    named = next((d for d in data if isinstance(d, list)), None)
    words = named or rng.sample(WORDS, int(re.search(r"(\d+) (?:parts|words)", text)[1]))
    return json.dumps({"parts": [{"word": w, "phrases": [phrase(rng) for _ in range(n)]} for w in words]})


WORDS = ["harbour", "lantern", "bakery", "orchard", "violin", "glacier", "saddle", "compass", "beehive", "tunnel"]
_FILL = ["slow", "bright", "early", "old", "narrow", "quiet", "heavy", "distant", "small", "green", "broken"]


def phrase(rng: random.Random) -> str:
    """Ten words that hardly ever repeat and never name one of ``WORDS``."""
    return " ".join(f"{rng.choice(_FILL)}{rng.randrange(1000)}" for _ in range(10))


# --- Neuronpedia --------------------------------------------------------------------------------------


class NeuronpediaServer(Server):
    """``POST /api/activation/new`` as Neuronpedia answers it: whitespace tokens, BOS first unless ``ignoreBos``.

    A token's value is its length when it contains the feature's index as text, else 0; BOS has 99. ``limit`` requests
    are allowed, then 429 as there, without Retry-After. ``behave`` may answer instead by returning an Answer.
    """

    def __init__(self, limit: int = 10_000, bos: str = "<bos>", old: bool = False, behave: Any = None) -> None:
        super().__init__(self._behave)
        self.limit, self.bos, self.old, self.other = limit, bos, old, behave
        self.n_texts = 0

    def _behave(self, number: int, seen: Seen) -> Answer:
        special = self.other(number, seen) if self.other else None
        if special is not None:
            return special
        if seen.path != "/api/activation/new":
            return Answer(status=404, body="not here", content_type="text/html")
        if number >= self.limit:
            words = "Rate limit exceeded for this endpoint. The limit is 1000 requests per 60 m."
            body = {"limitPerWindow": self.limit, "requestWindow": "60 m", "remainingRequests": 0, "error": words}
            return Answer(status=429, body=body)
        feature, text = seen.body["feature"], seen.body["customText"]
        if not isinstance(feature["index"], str) or not feature["modelId"] or not feature["source"]:
            return Answer(status=500, body={"message": "Invalid feature."})
        texts = text if isinstance(text, list) else [text]
        if len(texts) > 4 or not all(texts):
            return Answer(status=400, body={"error": f"Batch size {len(texts)} exceeds maximum of 4"})
        if any("TOO LONG" in t for t in texts):
            return Answer(status=400, body={"error": "Text too long, max 256 tokens for batch requests"})
        self.n_texts += len(texts)
        results = [self._result(feature["index"], t, seen.body.get("ignoreBos", False)) for t in texts]
        headers = {"x-limit-remaining": str(self.limit - number - 1)}
        return Answer(body=results if isinstance(text, list) else results[0], headers=headers)

    def _result(self, index: str, text: str, ignore_bos: bool) -> dict[str, Any]:
        tokens = re.findall(r"\s*\S+", text)
        values = [float(len(t)) if index in t else 0.0 for t in tokens]
        if not ignore_bos or self.old:
            tokens, values = [self.bos, *tokens], [99.0, *values]
        return {
            "tokens": tokens, "values": values, "maxValue": max(values), "minValue": min(values),
            "maxValueTokenIndex": values.index(max(values)), "modelId": "m", "layer": "s", "index": index,
            "creatorId": "", "dataIndex": None, "dataSource": "Neuronpedia",
        }  # fmt: skip
