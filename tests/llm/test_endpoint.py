"""Whose key goes where."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.llm.client import OpenAIGenerator
from core.llm.endpoint import NEURONPEDIA, OPENAI, Secret, normalise_base_url, resolve_endpoint
from tests.fake_servers import ChatServer
from tests.llm.asking import request
from tests.llm.conftest import KEY


@pytest.mark.parametrize(
    ("url", "home"),
    [
        (None, "https://api.openai.com/v1"),
        ("https://api.openai.com/v1", None),
        ("HTTPS://API.OpenAI.com:443/v1/", None),
        ("http://localhost:8000/v1", "http://LOCALHOST:8000/v1/"),
    ],
)
def test_environment_key_goes_to_the_environments_base_url(url: str | None, home: str | None) -> None:
    environ = {"OPENAI_API_KEY": KEY} | ({"OPENAI_BASE_URL": home} if home else {})
    endpoint = resolve_endpoint(url, environ=environ)
    assert endpoint.key is not None
    assert endpoint.key.reveal() == KEY


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:444/v1",
        "https://api.openai.com/v1/../../other",
        "https://api.openai.com./v1",
        "http://127.0.0.1:9/v1",
    ],
)
def test_environment_key_goes_nowhere_else(url: str) -> None:
    assert resolve_endpoint(url, environ={"OPENAI_API_KEY": KEY}).key is None


def test_openais_own_address_gets_no_key_that_belongs_to_another_base_url() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://localhost:1/v1"}
    with pytest.raises(InputError, match="goes nowhere else"):
        resolve_endpoint(OPENAI.base_url, environ=environ)


def test_missing_key_for_openai_names_the_remedy() -> None:
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
        resolve_endpoint(environ={})


def test_neuronpedia_has_its_own_variables_and_needs_no_key() -> None:
    assert resolve_endpoint(environ={"OPENAI_API_KEY": KEY}, service=NEURONPEDIA).key is None
    mine = resolve_endpoint(environ={"NEURONPEDIA_API_KEY": "np-1"}, service=NEURONPEDIA)
    assert mine.key is not None
    assert mine.base_url == "https://www.neuronpedia.org"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1", "file:///etc/passwd", "host/v1", "http://", "https://user:sk-hidden@host/v1", "http://host/v1?key=sk-hidden",
        "http://host/v1#sk-hidden", "http://ho st/v1", "http://host\\@evil/v1", "http://h\nost/v1", "http://host:99999/v1",
        "http://[::1/v1", "https://api。openai.com/v1", "http://host:port/v1", "h" * 3000, "http://host/v1?",
    ],
)  # fmt: skip
def test_urls_that_are_none_or_hide_a_key_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        normalise_base_url(url)
    assert "sk-hidden" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_normalised_once_or_refused(text: str) -> None:
    try:
        once = normalise_base_url(text)
    except InputError:
        return
    assert normalise_base_url(once) == once


def test_a_secret_shows_itself_nowhere() -> None:
    endpoint = resolve_endpoint("http://host/v1", KEY)
    shown = [repr(endpoint), str(endpoint), f"{endpoint.key}", f"{endpoint.key!s:>40}"]
    shown += [json.dumps(vars(endpoint), default=str), str(vars(endpoint)), str(dir(endpoint.key))]
    assert not any(KEY in text for text in shown)
    with pytest.raises(TypeError, match="not copied or stored"):
        copy.copy(endpoint.key)
    with pytest.raises(TypeError, match="not copied or stored"):
        dataclasses.asdict(endpoint)


@pytest.mark.parametrize("key", [" ", "a\nb", "ключ", "x" * 5000])
def test_keys_no_header_can_hold_are_refused(key: str) -> None:
    with pytest.raises(InputError):
        resolve_endpoint("http://host/v1", key)


def test_a_foreign_endpoint_gets_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ["sk-env-1111111", "sk-admin-2222222", "org-3333333", "proj_4444444", "Bearer custom-5555555", "extra-666"]
    monkeypatch.setenv("OPENAI_API_KEY", theirs[0])
    monkeypatch.setenv("OPENAI_ADMIN_KEY", theirs[1])
    monkeypatch.setenv("OPENAI_ORG_ID", theirs[2])
    monkeypatch.setenv("OPENAI_PROJECT_ID", theirs[3])
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: {theirs[4]}\nX-Extra: {theirs[5]}")
    with ChatServer() as server:
        OpenAIGenerator(resolve_endpoint(server.base_url), "fake").generate(request())
        OpenAIGenerator(resolve_endpoint(server.base_url, KEY), "fake").generate(request())
    keyless, keyed = (seen.headers for seen in server.requests)
    for headers in (keyless, keyed):
        assert not [t for t in theirs if any(t in value for value in headers.values())]
    assert "authorization" not in keyless
    assert keyed["authorization"] == f"Bearer {KEY}"


def test_the_environments_endpoint_gets_the_environments_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
        OpenAIGenerator(resolve_endpoint(), "fake").generate(request())
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].headers["openai-organization"] == "org-1"


def test_no_log_line_has_the_key_even_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), ChatServer() as server:
        OpenAIGenerator(resolve_endpoint(server.base_url, KEY), "fake").generate(request())
    assert caplog.records, "the client logged nothing, so this proves nothing"
    assert KEY not in caplog.text


def test_scrub_hides_keys_in_strangers_words() -> None:
    endpoint = resolve_endpoint("http://host/v1", "plainsecret99x")
    said = endpoint.scrub("bad key plainsecret99x, not sk-abcDEF123456 nor Bearer abc.def " + "x" * 900)
    assert "plainsecret99x" not in said
    assert "sk-abc" not in said
    assert "abc.def" not in said
    assert len(said) <= 300
    assert repr(Secret("a")) == "[secret]"


@pytest.mark.parametrize("key", ["none", "ollama", "EMPTY", "x"])
def test_stand_in_keys_do_not_mangle_replies_that_contain_the_word(key: str) -> None:
    assert resolve_endpoint("http://host/v1", key).without_key(f"a {key} of it") == f"a {key} of it"
