"""The real client against servers that behave well and badly, over real HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from core.llm.base import EndpointError
from core.llm.client import OpenAIGenerator
from core.llm.endpoint import resolve_endpoint
from tests.fake_servers import Answer, Behaviour, ChatServer, completion, error, good, unstructured, write
from tests.llm.asking import request
from tests.llm.conftest import KEY

FAST = {"retry-after-ms": "5"}


def generate(server: ChatServer, max_retries: int = 2, timeout_s: float = 5.0) -> Any:
    endpoint = resolve_endpoint(server.base_url, KEY)
    return OpenAIGenerator(endpoint, "fake", max_retries=max_retries, timeout_s=timeout_s).generate(request())


def failure(behave: Behaviour, **options: Any) -> tuple[EndpointError, ChatServer]:
    with ChatServer(behave) as server, pytest.raises(EndpointError) as caught:
        generate(server, **options)
    return caught.value, server


def test_a_good_server_is_asked_once_with_schema_temperature_and_limit() -> None:
    with ChatServer() as server:
        reply = generate(server)
    assert (reply.n_tokens_in, reply.n_tokens_out, reply.model, reply.structured) == (100, 50, "fake-model-2026", True)
    assert (reply.n_retries, reply.finish_reason, reply.refusal) == (0, "stop", None)
    (seen,) = server.requests
    assert seen.path == "/v1/chat/completions"
    assert seen.body["response_format"]["json_schema"]["strict"] is True
    assert seen.body["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert (seen.body["temperature"], seen.body["max_tokens"], seen.body["model"]) == (1.0, 4096, "fake")


def test_openai_itself_gets_the_newer_name_of_the_token_limit() -> None:
    generator = OpenAIGenerator(resolve_endpoint("https://api.openai.com/v1", KEY), "m")
    assert generator._tokens == "max_completion_tokens"


def test_a_server_without_structured_outputs_gets_the_schema_in_the_prompt_and_is_remembered() -> None:
    with ChatServer(unstructured) as server:
        generator = OpenAIGenerator(resolve_endpoint(server.base_url, KEY), "fake")
        replies = [generator.generate(request()), generator.generate(request("snow"))]
    assert [r.structured for r in replies] == [False, False]
    assert ["response_format" in s.body for s in server.requests] == [True, False, False]
    assert '"additionalProperties"' in server.requests[1].body["messages"][-1]["content"]
    assert [r.n_retries for r in replies] == [0, 0]


@pytest.mark.parametrize("words", ["bad request", "unknown field"])
def test_an_unexplained_400_is_tried_once_without_a_schema(words: str) -> None:
    def behave(number: int, seen: Any) -> Answer:
        return error(400, words) if "response_format" in seen.body else good(number, seen)

    with ChatServer(behave) as server:
        assert not generate(server).structured
    assert len(server.requests) == 2


def test_a_400_about_the_context_length_is_not_blamed_on_the_schema() -> None:
    caught, server = failure(lambda n, s: error(400, "maximum context length exceeded"))
    assert caught.kind == "bad request"
    assert len(server.requests) == 1


def test_a_400_that_stays_is_reported_with_the_servers_words() -> None:
    caught, server = failure(lambda n, s: error(400, "no such thing"))
    assert caught.kind == "bad request"
    assert "no such thing" in str(caught)
    assert len(server.requests) == 2


def test_temperature_and_the_name_of_the_token_limit_are_learnt() -> None:
    def behave(number: int, seen: Any) -> Answer:
        if "temperature" in seen.body:
            return error(400, "Unsupported value: 'temperature' does not support 1.0 with this model")
        if "max_tokens" in seen.body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return good(number, seen)

    with ChatServer(behave) as server:
        reply = generate(server)
    assert reply.temperature is None
    assert reply.structured
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_api_key", "key refused"),
        (402, None, "no credit"),
        (429, "insufficient_quota", "no credit"),
        (404, "model_not_found", "no model"),
        (403, None, "bad request"),
        (307, None, "redirect"),
    ],
)
def test_statuses_mean_what_a_person_can_act_on(status: int, code: str | None, kind: str) -> None:
    headers = {"location": "http://elsewhere.example/v1"} | FAST
    caught, _ = failure(lambda n, s: error(status, f"said {KEY} and sk-proj-abc12345", code, headers), max_retries=0)
    assert caught.kind == kind
    assert caught.remedy or kind == "bad request"
    assert KEY not in str(caught)
    assert "sk-proj" not in str(caught)


def test_a_redirect_is_not_followed() -> None:
    with ChatServer() as other:
        where = {"location": f"{other.base_url}/chat/completions"}
        caught, _ = failure(lambda n, s: Answer(307, "", where), max_retries=0)
    assert caught.kind == "redirect"
    assert other.requests == []


def test_401_is_not_retried() -> None:
    _, server = failure(lambda n, s: error(401, "no"), max_retries=3)
    assert len(server.requests) == 1


@pytest.mark.parametrize("field", ["code", "type"])
def test_an_account_without_credit_is_not_taken_for_a_rate_limit(field: str) -> None:
    body = {"error": {"message": "You exceeded your current quota", "param": None, field: "insufficient_quota"}}
    caught, server = failure(lambda n, s: Answer(429, body, FAST), max_retries=3)
    assert (caught.kind, caught.n_retries, caught.n_limited) == ("no credit", 0, 0)
    assert "exceeded your current quota" in str(caught)
    assert "add credit" in caught.remedy
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", ["insufficient_quota", "", "[" * 50_000, ["insufficient_quota"], {"error": "x"}, None])
def test_a_429_that_does_not_plainly_say_so_is_retried_as_a_rate_limit(body: Any) -> None:
    caught, server = failure(lambda n, s: Answer(429, body, FAST), max_retries=1)
    assert (caught.kind, caught.n_limited) == ("rate limited", 2)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_retried_by_the_client_and_counted(status: int) -> None:
    with ChatServer(lambda n, s: error(status, "later", headers=FAST) if n < 2 else good(n, s)) as server:
        reply = generate(server)
    assert (reply.n_retries, reply.n_limited) == (2, 2 if status == 429 else 0)
    assert len(server.requests) == 3


def test_retry_after_is_honoured() -> None:
    with ChatServer(lambda n, s: error(429, "later", headers={"retry-after": "1"}) if n == 0 else good(n, s)) as server:
        generate(server)
    first, second = server.requests
    assert 1.0 <= second.at - first.at < 3.0


@pytest.mark.parametrize(("status", "kind"), [(429, "rate limited"), (500, "server error")])
def test_lasting_trouble_is_given_up_after_the_clients_retries_and_no_more(status: int, kind: str) -> None:
    caught, server = failure(lambda n, s: error(status, "always", headers=FAST), max_retries=2)
    assert caught.kind == kind
    assert caught.n_retries == 2
    assert len(server.requests) == 3


def test_429s_seen_inside_the_clients_retries_halve_the_limit_at_once() -> None:
    with ChatServer(lambda n, s: error(429, "later", headers=FAST) if n < 2 else good(n, s)) as server:
        generator = OpenAIGenerator(resolve_endpoint(server.base_url, KEY), "fake")
        generator.limit.allowed = 8
        with generator.limit.slot():
            generator.generate(request())
    assert generator.limit.allowed == 2


def test_a_server_that_never_answers_times_out() -> None:
    started = time.monotonic()
    caught, _ = failure(lambda n, s: Answer(body={}, delay=1.0), timeout_s=0.2, max_retries=0)
    assert caught.kind == "timeout"
    assert time.monotonic() - started < 1.0


def test_a_reply_that_drips_times_out_although_every_byte_comes_in_time() -> None:
    slow = Answer(body=completion("x" * 200), drip=0.02)
    started = time.monotonic()
    caught, _ = failure(lambda n, s: slow, timeout_s=0.3, max_retries=0)
    assert caught.kind == "timeout"
    assert time.monotonic() - started < 2.0


def test_no_server_is_no_connection() -> None:
    endpoint = resolve_endpoint("http://127.0.0.1:9/v1", KEY)
    with pytest.raises(EndpointError) as caught:
        OpenAIGenerator(endpoint, "fake", max_retries=0).generate(request())
    assert caught.value.kind == "no connection"


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        (Answer(body='{"choices": [{"mess'), {"not a reply", "no connection"}),
        (Answer(body=completion("whole"), cut=True), {"no connection"}),
        (Answer(body="<html>Bad gateway</html>", content_type="text/html"), {"not a reply"}),
        (Answer(body="[]"), {"not a reply"}),
        (Answer(body="null"), {"not a reply"}),
        (Answer(body={"choices": []}), {"not a reply"}),
        (Answer(body={"choices": None}), {"not a reply"}),
        (Answer(body={"choices": [{"message": None}]}), {"not a reply"}),
        (Answer(body={"choices": [{"message": {"content": {"a": 1}}}]}), {"not a reply"}),
        (Answer(body={"choices": "text"}), {"not a reply"}),
        (Answer(body=completion(None)), {"not a reply"}),
        (Answer(body="[" * 200_000), {"not a reply"}),
        (Answer(body=b"\xff\xfe\x00"), {"not a reply"}),
        (Answer(body='{"choices": ' + "9" * 6000 + "}"), {"not a reply"}),
        (Answer(body=completion("y" * 5_000_000)), {"not a reply"}),
    ],
)  # fmt: skip
def test_answers_that_are_no_completion_are_errors_not_crashes(answer: Answer, kinds: set[str]) -> None:
    caught, _ = failure(lambda n, s: answer, max_retries=0)
    assert caught.kind in kinds


@pytest.mark.parametrize(
    "usage", [None, {}, [], "many", {"prompt_tokens": "7"}, {"prompt_tokens": -1, "completion_tokens": 1e30}]
)
def test_token_counts_that_are_none_are_unknown_not_zero(usage: Any) -> None:
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body), usage=usage))) as server:
        reply = generate(server)
    assert (reply.n_tokens_in, reply.n_tokens_out) == (None, None)


def test_refusals_come_back_as_refusals() -> None:
    with ChatServer(lambda n, s: Answer(body=completion(None, refusal="I will not."))) as server:
        assert generate(server).refusal == "I will not."
    with ChatServer(lambda n, s: Answer(body=completion(None, finish="content_filter"))) as server:
        assert generate(server).refusal == "stopped by a content filter"


def test_a_key_echoed_by_the_server_is_taken_out_of_the_reply() -> None:
    with ChatServer(lambda n, s: Answer(body=completion(f"you sent {s.headers['authorization']}"))) as server:
        assert KEY not in generate(server).text


def test_half_characters_become_replacement_characters() -> None:
    body = '{"choices": [{"message": {"content": "a\\ud800b\\ud83d\\ude00"}}]}'
    with ChatServer(lambda n, s: Answer(body=body)) as server:
        assert generate(server).text == "a\ufffdb\U0001f600"


def test_without_the_openai_package_everything_imports_and_use_names_the_remedy() -> None:
    program = """
import sys
sys.modules["openai"] = None
import core.llm.session, core.llm.opening, core.llm.client, core.proposals.from_llm, core.proposals.from_corpus
from core.llm.endpoint import resolve_endpoint
try:
    core.llm.client.OpenAIGenerator(resolve_endpoint("http://localhost:1/v1"), "m")
except core.errors.MachineError as error:
    print(error.remedy)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'sae-prism[llm]'" in done.stdout


def test_importing_does_not_import_openai_or_torch() -> None:
    program = (
        "import sys, core.llm.session, core.llm.opening, core.llm.client, core.proposals.from_llm;"
        "print([m for m in ('openai', 'torch', 'httpx2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
