"""The OpenAI-compatible text generator, through the official client: OpenAI, vLLM, Ollama, OpenRouter, LM Studio ...

Retries are the client's own and nobody else's: it honours Retry-After and backs off by itself. What is added here is
what servers differ in: structured outputs, the name of the token limit, temperature. The first refusal of one of
these teaches the generator to do without it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from core.errors import MachineError
from core.llm.base import EndpointError, FailureKind, Reply, Request, whole_text
from core.llm.endpoint import OPENAI, Endpoint
from core.llm.limiter import AdaptiveLimit
from core.llm.transport import Attempts, says_no_credit

MAX_RETRIES = 5
TIMEOUT_S = 120.0
_AGAIN = object()


class OpenAIGenerator:
    """A ``TextGenerator`` for one model at one endpoint. Thread-safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        limit: AdaptiveLimit | None = None,
        max_retries: int = MAX_RETRIES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.model, self.base_url, self.endpoint = model, endpoint.base_url, endpoint
        self.limit = limit or AdaptiveLimit()
        self._timeout_s = timeout_s
        self._attempts = Attempts(endpoint, self.limit, timeout_s)
        self._openai = _import_openai()
        self._client = self._openai.OpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key.reveal() if endpoint.key else "none",
            max_retries=max_retries,
            timeout=timeout_s,
            http_client=self._openai.DefaultHttpx2Client(
                follow_redirects=False, timeout=timeout_s, event_hooks=self._attempts.hooks
            ),
        )
        self._structured = True  # False once the endpoint refused a JSON schema
        self._temperature = True  # False once it refused to have one set
        self._tokens = "max_completion_tokens" if self.base_url == OPENAI.base_url else "max_tokens"

    def generate(self, request: Request) -> Reply:
        """One reply, or EndpointError once the client's retries are used up."""
        started = time.monotonic()
        for _ in range(5):  # as many as there are things to learn, and one
            self._attempts.start()
            arguments = self._arguments(request)
            completion = self._send(arguments)
            if completion is not _AGAIN:
                return self._reply(completion, arguments, time.monotonic() - started)
        raise self._error("bad request", "the endpoint keeps refusing, whatever is left out")

    def _send(self, arguments: dict[str, Any]) -> Any:
        """What came back; ``_AGAIN`` when the request is worth sending in another form."""
        openai = self._openai
        try:
            return self._client.chat.completions.create(**arguments)
        except openai.APIStatusError as error:
            if self._learn(error.status_code, _said(error).lower(), arguments):
                return _AGAIN
            raise self._status_problem(error) from None
        except openai.APITimeoutError:
            raise self._error("timeout", f"no answer within {self._timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            detail = f"{self.base_url}: {self.endpoint.scrub(str(error.__cause__ or error))}"
            raise self._error("no connection", detail, "is the server running?") from None
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            detail = f"{type(error).__name__}: {self.endpoint.scrub(str(error), 120)}"
            raise self._error("not a reply", detail) from None

    # --- what servers differ in ---------------------------------------------------------------------

    def _arguments(self, request: Request) -> dict[str, Any]:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        arguments: dict[str, Any] = {"model": self.model, "messages": messages, self._tokens: request.max_tokens}
        if request.temperature is not None and self._temperature:
            arguments["temperature"] = request.temperature
        if request.schema is None:
            return arguments
        if self._structured:
            schema = {"name": request.schema.name, "schema": json.loads(request.schema.json), "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        else:
            ask = f"Answer with one JSON object of this schema and nothing else:\n{request.schema.json}"
            messages[-1]["content"] += f"\n\n{ask}"
        return arguments

    def _learn(self, status: int, said: str, sent: dict[str, Any]) -> bool:
        """Whether a refused request is worth sending in another form, which is then remembered."""
        if status not in (400, 404, 415, 422, 500, 501):
            return False
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[self._tokens]
        if "response_format" in sent and any(w in said for w in ("response_format", "schema", "structured")):
            self._structured = False
        elif "temperature" in sent and "temperature" in said:
            self._temperature = False
        elif self._tokens in sent and self._tokens in said and ("unsupported" in said or other in said):
            self._tokens = other
        elif "response_format" in sent and status in (400, 415, 422, 501) and "context" not in said:
            self._structured = False  # an unexplained refusal: the schema is the unusual thing about the request
        else:
            return False
        return True

    # --- what came back -----------------------------------------------------------------------------

    def _reply(self, completion: Any, sent: dict[str, Any], seconds: float) -> Reply:
        """The reply in plain values. The library does not check what servers send, so everything is looked at."""
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message, finish = getattr(choice, "message", None), getattr(choice, "finish_reason", None)
        content, refusal = getattr(message, "content", None), getattr(message, "refusal", None)
        if finish == "content_filter" and not refusal:
            refusal = "stopped by a content filter"
        if not isinstance(content, str) and not isinstance(refusal, str):
            raise self._error("not a reply", "the answer is no chat completion with a text in it")
        usage, model = getattr(completion, "usage", None), getattr(completion, "model", "")
        return Reply(
            text=self.endpoint.without_key(whole_text(content)) if isinstance(content, str) else "",
            finish_reason=finish if isinstance(finish, str) else "not stated",
            refusal=self.endpoint.scrub(refusal) if isinstance(refusal, str) and refusal else None,
            n_tokens_in=_count(getattr(usage, "prompt_tokens", None)),
            n_tokens_out=_count(getattr(usage, "completion_tokens", None)),
            model=self.endpoint.scrub(model, 100) if isinstance(model, str) else "",
            structured="response_format" in sent,
            temperature=sent.get("temperature"),
            n_retries=self._attempts.n_retries,
            n_limited=self._attempts.n_limited,
            seconds=round(seconds, 3),
        )

    def _status_problem(self, error: Any) -> EndpointError:
        """What an HTTP status means to the person who asks."""
        status = error.status_code
        detail = f"{status}: {self.endpoint.scrub(_said(error))}"
        again = "then run the same command again: it resumes"
        if status == 401:
            own = (
                "check the key"
                if self.endpoint.key
                else "no key was sent: an environment key stays at its own endpoint"
            )
            return self._error("key refused", detail, f"{own}; {self.base_url} needs a key of its own")
        if status == 402 or (status == 429 and says_no_credit(error.body)):
            return self._error("no credit", detail, f"add credit there, {again}")
        if status == 404:
            return self._error("no model", detail, f"does {self.base_url} serve the model {self.model!r}?")
        if status == 429:
            return self._error("rate limited", detail, f"wait, {again}")
        if 300 <= status < 400:
            return self._error("redirect", f"{self.base_url} answers {status}", "name the address it points to instead")
        return self._error("server error" if status >= 500 else "bad request", detail)

    def _error(self, kind: FailureKind, detail: str, remedy: str = "") -> EndpointError:
        return EndpointError(kind, detail, remedy, self._attempts.n_retries, self._attempts.n_limited)


def _said(error: Any) -> str:
    """The server's own words out of an error's body."""
    body = error.body
    message = body.get("message") or body.get("detail") or body.get("error") if isinstance(body, dict) else body
    return whole_text(str(message if message else getattr(error, "message", "")))


def _count(value: Any) -> int | None:
    """A token count as servers send it; None for anything that cannot be one."""
    return value if type(value) is int and 0 <= value < 1e9 else None


def _import_openai() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise MachineError(
            "asking a language model needs the package 'openai'",
            "it is not installed here; recorded replies, uploads and the corpus proposer work without it",
            "pip install 'sae-prism[llm]'  (in a checkout: make install)",
        ) from error
    return openai
