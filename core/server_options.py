"""Streamlit's settings: ours, which others are safe where strangers visit, and what is set here.

``OPTIONS`` is what ``.streamlit/config.toml`` says, for those who start Streamlit themselves; ``prism dashboard`` sets
whatever is not set. The safe values are from a reading of Streamlit 1.67; ``prism host-check`` refuses others. No
streamlit here: its files and variables are read as it reads them.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError
from core.settings import Settings

Rule = Literal["exactly", "at most", "any"]


@dataclass(frozen=True)
class Option:
    """One setting of Streamlit: our value, which others are safe too, and what goes wrong with the rest."""

    name: str
    value: Any
    rule: Rule = "any"
    why: str = ""

    def safe(self, value: Any) -> bool:
        if isinstance(self.value, bool) and value in ("true", "false"):  # as a flag of some options is read
            value = value == "true"
        if self.rule == "at most":
            return isinstance(value, int) and 0 <= value <= self.value
        return self.rule == "any" or value == self.value


ALLOWED_HOSTS = "server.allowedHosts"
_OPENS = "other websites could open sessions or send files in a visitor's name"
_FULL = "visitors could fill the memory"
OPTIONS = (
    Option("server.address", "localhost"),
    Option("server.showEmailPrompt", False),
    Option("server.fileWatcherType", "none"),
    Option("server.maxUploadSize", 20, "at most", f"uploads stay in memory until a visitor leaves: {_FULL}"),
    Option("server.maxMessageSize", 50, "at most", "one page could stall all others"),
    Option("server.maxWidgetStateSize", 5, "at most", _FULL),
    Option("server.disconnectedSessionTTL", 30, "at most", f"what visitors leave behind stays: {_FULL}"),
    Option("server.enableCORS", True, "exactly", _OPENS),
    Option("server.enableXsrfProtection", True, "exactly", _OPENS),
    Option("server.enableStaticServing", False, "exactly", "files beside the app could be read"),
    Option("server.enableAgentApi", False, "exactly", "programs could take over a visitor's session"),
    Option("server.trustedUserHeaders", {}, "exactly", "without a proxy that sets them, visitors name themselves"),
    Option("browser.gatherUsageStats", False, "exactly", "visitors' browsers report to a third party"),
    Option("global.disableWidgetStateDuplicationWarning", True),
    Option("runner.magicEnabled", False),
    Option("runner.postScriptGC", False),
    Option("client.showErrorDetails", "none", "exactly", "tracebacks show folders and values"),
    Option("client.showErrorLinks", False, "exactly", "error boxes send what they say to search engines"),
    Option("client.toolbarMode", "viewer"),
)  # fmt: skip


# --- Streamlit's settings --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """The value of one option and who set it: a file or an environment variable."""

    value: Any
    where: str


def variable(name: str) -> str:
    """The environment variable of an option: server.enableCORS -> STREAMLIT_SERVER_ENABLE_CORS."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name))
    return "STREAMLIT_" + words.replace(".", "_").upper()


def configured(folder: Path, environ: Mapping[str, str] | None = None) -> dict[str, Found]:
    """What is set for a server started in ``folder``; the later of user's file, folder's file, environment wins."""
    environ = os.environ if environ is None else environ
    found: dict[str, Found] = {}
    for path in (Path.home() / ".streamlit" / "config.toml", folder / ".streamlit" / "config.toml"):
        for section, values in _read(path).items():
            found |= {f"{section}.{key}": Found(v, str(path)) for key, v in values.items()}
    for option in (*OPTIONS, Option(ALLOWED_HOSTS, [])):
        if text := environ.get(variable(option.name)):
            found[option.name] = Found(_value(text, option.value), variable(option.name))
    return found


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read", str(error), "mend it, or restore the one that is shipped") from error
    return {name: section for name, section in values.items() if isinstance(section, dict)}


def _value(text: str, ours: Any) -> Any:
    """An environment variable as the type of our value; what is none stays text, which is safe nowhere."""
    if isinstance(ours, list):
        return text.split()
    if isinstance(ours, str):
        return text
    try:
        return json.loads({"1": "true", "yes": "true", "0": "false", "no": "false"}.get(text.lower(), text.lower())
                          if isinstance(ours, bool) else text)  # fmt: skip
    except ValueError:
        return text


@dataclass(frozen=True)
class Unsafe:
    """An option whose value a public host must not have."""

    name: str
    value: Any
    why: str
    remedy: str


def unsafe(values: Mapping[str, Any]) -> list[Unsafe]:
    """The options among ``values`` (option -> value in force) that a public host must not have."""
    problems = [
        Unsafe(o.name, values[o.name], o.why, f"{o.name}: {o.rule} {json.dumps(o.value)}")
        for o in OPTIONS
        if o.name in values and not o.safe(values[o.name])
    ]
    hosts = values.get(ALLOWED_HOSTS) or []
    if not hosts or "*" in hosts:
        why = "any name is accepted, so a website can rebind its own name to this server"
        problems.append(Unsafe(ALLOWED_HOSTS, hosts, why, "set PRISM_PUBLIC_HOST to the name visitors use"))
    return problems


def in_force(folder: Path, settings: Settings) -> dict[str, Found]:
    """What a server has that `prism dashboard` starts in ``folder``: what is set, and ours for the rest."""
    found = configured(folder)
    ours = {o.name: Found(o.value, "prism dashboard") for o in OPTIONS}
    if settings.public_hosts:
        ours[ALLOWED_HOSTS] = Found(list(settings.public_hosts), "PRISM_PUBLIC_HOST")
        name = settings.public_hosts[0].removeprefix("*.")
        ours["browser.serverAddress"] = Found(name, "PRISM_PUBLIC_HOST")  # else Streamlit asks a third party for it
        found.pop(ALLOWED_HOSTS, None)
    return ours | found


def flags(folder: Path, settings: Settings) -> list[str]:
    """Arguments for ``streamlit run`` in ``folder``, so that the settings hold wherever the package is installed.

    On a host InputError where somebody set what is not safe: neither that nor our value is taken silently.
    """
    values = in_force(folder, settings)
    if settings.hosted and (problems := unsafe({name: found.value for name, found in values.items()})):
        raise InputError(
            "with PRISM_HOSTED=1 these settings are not safe",
            "\n".join(f"{p.name} = {p.value!r} ({_where(values, p.name)}): {p.why}" for p in problems),
            "\n".join(p.remedy for p in problems) + "\n`prism host-check` says all of what would fail",
        )
    ours = [(name, f.value) for name, f in values.items() if f.where in ("prism dashboard", "PRISM_PUBLIC_HOST")]
    made = [(name, v) for name, value in ours for v in (value if isinstance(value, list) else [value]) if v != {}]
    return [part for name, v in made for part in (f"--{name}", v if isinstance(v, str) else json.dumps(v))]


def _where(values: Mapping[str, Found], name: str) -> str:
    return values[name].where if name in values else "not set"
