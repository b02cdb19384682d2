"""Settings of this machine, from the environment; what a number depends on is in the recipe, not here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

HOST_NAME = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAX_SECONDS = 3600.0
SWITCHES = ("PRISM_HOSTED", "PRISM_HOSTED_LIVE", "PRISM_HOSTED_WRITE", "PRISM_HOSTED_LLM")
VARIABLES = (*SWITCHES, "PRISM_CACHE_DIR", "PRISM_DEVICE", "PRISM_HOSTED_ENDPOINTS", "PRISM_HOSTED_JOB_S",
             "PRISM_HOSTED_HOUR_S", "PRISM_PUBLIC_HOST", "PRISM_CHROMIUM", "PRISM_BASE_PYTHON")  # fmt: skip


def _default_cache_dir() -> Path:
    """The checkout's own ``cache/`` when run from a checkout, else ``./cache``."""
    beside_package = Path(__file__).resolve().parent.parent / "cache"
    return beside_package if beside_package.is_dir() else Path("cache")


@dataclass(frozen=True)
class Settings:
    """What the environment says; a value that cannot be meant is an InputError, never taken for "off".

    ``PRISM_CACHE_DIR``, ``PRISM_DEVICE`` (auto | cpu | cuda | mps). ``PRISM_HOSTED`` (1 = strangers visit: read-only),
    and on a host: ``PRISM_HOSTED_LIVE`` (1 = visitors may run the model), ``PRISM_HOSTED_WRITE`` (1 = they may store
    labels, lists and prompt sets), ``PRISM_HOSTED_LLM`` (1 = pages may use the owner's key), ``PRISM_HOSTED_ENDPOINTS``
    (base URLs a visitor may name), ``PRISM_HOSTED_JOB_S`` (seconds one question may take), ``PRISM_HOSTED_HOUR_S``
    (seconds of the model a visitor gets an hour), ``PRISM_PUBLIC_HOST`` (the names it is visited by).
    """

    cache_dir: Path
    device: str
    hosted: bool
    hosted_live: bool = False
    hosted_write: bool = False
    hosted_llm: bool = False
    endpoints: tuple[str, ...] = ()
    job_s: float | None = None
    hour_s: float | None = None
    public_hosts: tuple[str, ...] = ()

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            cache_dir=Path(env["PRISM_CACHE_DIR"]) if env.get("PRISM_CACHE_DIR") else _default_cache_dir(),
            device=env.get("PRISM_DEVICE", "auto"),
            hosted=_switch(env, "PRISM_HOSTED"),
            hosted_live=_switch(env, "PRISM_HOSTED_LIVE"),
            hosted_write=_switch(env, "PRISM_HOSTED_WRITE"),
            hosted_llm=_switch(env, "PRISM_HOSTED_LLM"),
            endpoints=tuple(_words(env, "PRISM_HOSTED_ENDPOINTS")),
            job_s=_seconds(env, "PRISM_HOSTED_JOB_S"),
            hour_s=_seconds(env, "PRISM_HOSTED_HOUR_S"),
            public_hosts=_hosts(env, "PRISM_PUBLIC_HOST"),
        )

    @staticmethod
    def environment(cache_dir: Path | None) -> dict[str, str]:
        """This process' environment for a child that shall use ``cache_dir`` (None: whatever is set already)."""
        return dict(os.environ) | ({"PRISM_CACHE_DIR": str(cache_dir.resolve())} if cache_dir else {})


def _switch(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").strip()
    if value not in ("", "0", "1"):
        off = "it is 1 for on, 0 or nothing for off"
        raise InputError(f"{name} is {value[:40]!r}", off, f"set {name}=1 or unset it")
    return value == "1"


def _seconds(env: Mapping[str, str], name: str) -> float | None:
    """None when it is not set."""
    if not (text := env.get(name, "").strip()):
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise InputError(f"{name} is {text[:40]!r}", f"it is seconds, up to {MAX_SECONDS:g}", f"set {name}=60")
    return value


def _words(env: Mapping[str, str], name: str) -> list[str]:
    """What commas or spaces divide."""
    return env.get(name, "").replace(",", " ").split()


def _hosts(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Names without scheme, port or path; ``*.example.org`` stands for all names below it, ``*`` alone for none."""
    names = [word.lower().rstrip(".") for word in _words(env, name)]
    for host in names:
        if not HOST_NAME.fullmatch(host):
            raise InputError(
                f"{name} has {host[:80]!r}",
                "it is the host's name as visitors write it, without https://, port or path",
                f"set {name}=prism.example.org (several: with commas; *.example.org for all names below)",
            )
    return tuple(names)
