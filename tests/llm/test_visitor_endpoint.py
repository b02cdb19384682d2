"""The door for addresses that visitors chose: nothing but the owner's list, and of that only public addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.llm.visitor_endpoint import Resolve, addresses_of, require_public, visitor_endpoint
from core.settings import Settings

HOST = "https://api.example.org/v1"


def host(**values: object) -> Settings:
    return Settings(Path("cache"), "auto", hosted=True, **values)  # type: ignore[arg-type]


def at(*addresses: str) -> Resolve:
    return lambda name: list(addresses)


PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",
           "168.63.129.16", "224.0.0.1", "::1", "::", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "::ffff:10.0.0.1",
           "64:ff9b::a9fe:a9fe", "2002:a00:1::", "2001:0:5ef5:79fd:0:0:f5ff:fffe", "no address"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_resolves_to_a_private_address_is_refused_alone_and_among_public_ones(address: str) -> None:
    for found in (at(address), at("93.184.216.34", address)):
        with pytest.raises(InputError, match="cannot be used here"):
            require_public(HOST, found)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_name_that_resolves_to_public_addresses_passes(address: str) -> None:
    assert require_public("HTTPS://API.example.org:443/v1/", at(address)) == HOST


@pytest.mark.parametrize("spelt", ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]",
                                   "[::ffff:127.0.0.1]", "localhost"])  # fmt: skip
def test_every_spelling_of_this_machine_is_refused(spelt: str) -> None:
    with pytest.raises(InputError):
        require_public(f"http://{spelt}/v1")


def test_a_number_is_its_own_address() -> None:
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]


def test_a_name_nobody_knows_is_an_input_error() -> None:
    def fails(name: str) -> list[str]:
        raise OSError("no such host")

    for resolve in (fails, at()):
        with pytest.raises(InputError):
            require_public(HOST, resolve)


def test_a_host_takes_no_endpoint_that_is_not_on_its_list() -> None:
    public = at("93.184.216.34")
    for settings, url in (
        (host(), HOST),
        (host(hosted_llm=True), HOST),
        (host(endpoints=(HOST,)), "https://api.example.org/v2"),
        (host(endpoints=(HOST,)), "https://api.example.org.evil.example/v1"),
        (host(endpoints=(HOST,)), "http://api.example.org/v1"),
    ):
        with pytest.raises(InputError, match="not on this host's list"):
            visitor_endpoint(settings, url, "visitors-own-key", public)
    found = visitor_endpoint(host(endpoints=(HOST,)), f"{HOST}/", "visitors-own-key", public)
    assert (found.base_url, found.key.reveal(), found.ambient) == (HOST, "visitors-own-key", False)
    with pytest.raises(InputError, match="cannot be used here"):
        visitor_endpoint(host(endpoints=(HOST,)), HOST, "visitors-own-key", at("10.0.0.7"))


def test_the_owners_key_is_used_only_where_the_owner_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-owners-key-1234")
    monkeypatch.setenv("OPENAI_BASE_URL", HOST)
    with pytest.raises(InputError, match="off here"):
        visitor_endpoint(host())
    assert visitor_endpoint(host(hosted_llm=True)).key.reveal() == "the-owners-key-1234"
    settings = host(hosted_llm=True, endpoints=(HOST,))
    assert visitor_endpoint(settings, HOST, None, at("93.184.216.34")).key is None
    own = Settings(Path("cache"), "auto", hosted=False)
    assert visitor_endpoint(own, "http://localhost:11434/v1").base_url == "http://localhost:11434/v1"
