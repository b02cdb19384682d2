"""Where requests are sent, and whose key goes there.

A key from the environment goes only to the environment's base URL (``OPENAI_API_KEY`` to ``OPENAI_BASE_URL``, which
is OpenAI's own address unless set; the same for ``NEURONPEDIA_``). Any other endpoint gets its own key or none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

from core.errors import InputError


@dataclass(frozen=True)
class Service:
    """A service with a usual address, which the environment may change. ``needs_key``: that address asks for one."""

    name: str  # prefix of <NAME>_BASE_URL and <NAME>_API_KEY
    base_url: str
    needs_key: bool


OPENAI = Service("OPENAI", "https://api.openai.com/v1", needs_key=True)
NEURONPEDIA = Service("NEURONPEDIA", "https://www.neuronpedia.org", needs_key=False)
MIN_SECRET = 12  # characters
_FORBIDDEN = re.compile(r"[^\x21-\x7e]|\\")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9*._-]{6,}|\bBearer\s+\S+")


class Secret:
    """A key that does not show itself: not in repr, str, format, pickles or dataclass dumps."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The key itself, for the one place that sends it."""
        return self.__value

    def __repr__(self) -> str:
        return "[secret]"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied or stored")


@dataclass(frozen=True)
class Endpoint:
    """A base URL and the key that may be sent to it. ``ambient``: both come from the environment."""

    base_url: str
    key: Secret | None = field(default=None, repr=False)
    ambient: bool = False

    def scrub(self, text: str, limit: int = 300) -> str:
        """A stranger's text without this endpoint's key or anything that looks like one, clipped to ``limit``."""
        return _KEY_LIKE.sub("[key]", self.without_key(text))[:limit]

    def without_key(self, text: str) -> str:
        """The text with this endpoint's key replaced, should a server send it back.

        Stand-ins for servers that take any key ("none", "ollama") are words, which replies may well contain.
        """
        key = self.key.reveal() if self.key else ""
        return text.replace(key, "[key]") if len(key) >= MIN_SECRET else text


def resolve_endpoint(
    base_url: str | None = None,
    key: str | None = None,
    environ: Mapping[str, str] | None = None,
    service: Service = OPENAI,
) -> Endpoint:
    """The endpoint meant by an optional base URL and key; whatever is not given comes from the environment.

    The environment's key is used only when the base URL is the environment's. InputError when the service's usual
    address is left without the key it needs, or when the URL is none, or hides a key in itself.
    """
    environ = os.environ if environ is None else environ
    variable = f"{service.name}_API_KEY"
    home = normalise_base_url(environ.get(f"{service.name}_BASE_URL") or service.base_url)
    url = normalise_base_url(base_url) if base_url else home
    if key:
        return Endpoint(url, Secret(_check_key(key)))
    if url == home and environ.get(variable):
        return Endpoint(url, Secret(_check_key(environ[variable])), ambient=True)
    if url == service.base_url and service.needs_key:
        elsewhere = f"{variable} belongs to {service.name}_BASE_URL and goes nowhere else"
        raise InputError(
            f"{url} needs a key",
            f"{variable} is not set" if url == home else elsewhere,
            f"set {variable}, name another endpoint, or use a proposer that needs none: --proposer corpus",
        )
    return Endpoint(url)


def normalise_base_url(url: str) -> str:
    """One spelling per address: lower-case scheme and host, no default port, no slash at the end."""
    text = url.strip()
    if _FORBIDDEN.search(text) or len(text) > 2000:
        raise _bad_url("it has characters no address has; write it in plain ASCII")
    try:
        parts, port = urlsplit(text), urlsplit(text).port
    except ValueError as error:
        raise _bad_url(f"it is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _bad_url("it has to look like https://host/v1 (http or https)")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise _bad_url("it must not carry a user name, password, query or fragment: the key is given separately")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port in (None, {"http": 80, "https": 443}[parts.scheme]) else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def _bad_url(why: str) -> InputError:
    """The URL itself is not repeated: it may hold a key."""
    return InputError("that base URL cannot be used", why, "for example http://localhost:11434/v1 for a local server")


def _check_key(key: str) -> str:
    """A key that fits into an HTTP header."""
    key = key.strip()
    if not key or _FORBIDDEN.search(key.replace("\\", "")) or len(key) > 4096:
        raise InputError(
            "that key cannot be sent", "it is empty, too long or has characters no header allows", "copy it again"
        )
    return key
