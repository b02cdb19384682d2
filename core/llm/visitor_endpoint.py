"""Which endpoint a page may ask in a visitor's name: the door for every address that somebody else chose.

A host reaches what its visitors cannot: its own network, the cloud's metadata service. So there only base URLs count
that the owner listed, and of those only what resolves to public addresses. Whoever listed a name trusts its DNS between
this check and the request; redirects are not followed (``core.llm.client``).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from core.errors import InputError
from core.llm.endpoint import Endpoint, normalise_base_url, resolve_endpoint
from core.settings import Settings

Resolve = Callable[[str], list[str]]
_CLOUD = frozenset({"168.63.129.16"})  # a public address that answers inside one cloud only, with its secrets
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def addresses_of(host: str) -> list[str]:
    """Every address of a host name; a number in any spelling is its own."""
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})


def require_public(url: str, resolve: Resolve = addresses_of) -> str:
    """The base URL in its one spelling, if all its addresses are public; otherwise InputError."""
    known = normalise_base_url(url)
    host = urlsplit(known).hostname or ""
    try:
        found = resolve(host)
    except (OSError, UnicodeError) as error:
        raise InputError("that base URL cannot be used", f"its host is not found: {error}", "check its name") from None
    if not found or not all(map(_public, found)):
        raise InputError(
            "that base URL cannot be used here",
            "its host is on a private network or belongs to the machine itself",
            "name a public server, or run the dashboard on your own machine: `prism dashboard`",
        )
    return known


def _public(address: str) -> bool:
    """Whether an address is one of the open internet, also when it is wrapped into one of the other kind."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return _public(str(inner))
    return found.is_global and not found.is_multicast and str(found) not in _CLOUD


def visitor_endpoint(
    settings: Settings, base_url: str | None = None, key: str | None = None, resolve: Resolve = addresses_of
) -> Endpoint:
    """The endpoint a page may ask. Without ``base_url`` it is the owner's, with the owner's key.

    On one's own machine anything goes. On a host the owner's needs PRISM_HOSTED_LLM=1; another one has to be in
    PRISM_HOSTED_ENDPOINTS, is public, and gets the visitor's key or none. InputError otherwise.
    """
    if not settings.hosted:
        return resolve_endpoint(base_url, key)
    if not base_url:
        if not settings.hosted_llm:
            raise InputError(
                "asking a language model is off here",
                "the owner of this host has not allowed it",
                "run the dashboard on your own machine: `prism dashboard`",
            )
        return resolve_endpoint()
    if normalise_base_url(base_url) not in {normalise_base_url(url) for url in settings.endpoints}:
        raise InputError(
            "that base URL is not on this host's list",
            f"allowed here: {', '.join(settings.endpoints) or 'none'}",
            "choose one of those, or run the dashboard on your own machine: `prism dashboard`",
        )
    return resolve_endpoint(require_public(base_url, resolve), key, environ={})
