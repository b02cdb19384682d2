"""What would fail, and what an owner should know, before a server of these runs is opened to strangers."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from core import host_runs, server_options
from core.errors import PrismError, did_you_mean
from core.host_runs import Finding
from core.llm.visitor_endpoint import require_public
from core.settings import SWITCHES, VARIABLES, Settings
from core.store import Store


def findings(store: Store, folder: Path, settings: Settings) -> list[Finding]:
    """All lines. ``folder`` is where the server is started: its ``.streamlit/config.toml`` is the one in force."""
    runs, damaged = host_runs.readable_runs(store)
    return [
        *_machine(),
        *_switches(settings),
        *_options(folder, settings),
        *_model(settings),
        *host_runs.cache(store, settings),
        *damaged,
        *(line for run in runs for line in (host_runs.licence_of(run), host_runs.whole(run))),
        host_runs.memory(runs, settings),
        *host_runs.keys(store, folder),
    ]


# --- this machine ----------------------------------------------------------------------------------------


def _machine() -> Iterator[Finding]:
    good = sys.version_info >= (3, 11)
    remedy = "" if good else "use Python 3.11 or newer"
    yield Finding("python", "ok" if good else "fail", sys.version.split()[0], remedy)
    try:
        needed = [Requirement(text) for text in requires("sae-prism") or []]
    except PackageNotFoundError:
        yield Finding("packages", "fail", "the project is not installed", "put `-e .` into requirements.txt")
        return
    wrong = [f"{need.name}{need.specifier} ({_version(need.name)})" for need in needed
             if need.marker is None and not need.specifier.contains(_version(need.name), prereleases=True)]  # fmt: skip
    if wrong:
        yield Finding("packages", "fail", ", ".join(wrong), "pip install -r requirements.txt")
    else:
        yield Finding("packages", "ok", "the base install is here")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "0"


# --- who may do what -------------------------------------------------------------------------------------


def _switches(settings: Settings) -> Iterator[Finding]:
    if settings.hosted:
        yield Finding("PRISM_HOSTED", "ok", "reading only, unless a switch below allows more")
    else:
        missing = "not set: visitors have no limits, and messages name folders"
        yield Finding("PRISM_HOSTED", "warn", missing, "set PRISM_HOSTED=1 on the host")
    for name in sorted(n for n in os.environ if n.startswith("PRISM_") and n not in VARIABLES):
        yield Finding(name, "warn", "nothing reads this variable", did_you_mean(name, VARIABLES) or "unset it")
    if not settings.hosted:
        for name in (n for n in SWITCHES if os.environ.get(n) == "1" and n != "PRISM_HOSTED"):
            yield Finding(name, "warn", "has no effect without PRISM_HOSTED=1", "set PRISM_HOSTED=1")
    elif settings.hosted_write:
        every = "any visitor may store labels, lists and prompt sets"
        yield Finding("writing", "warn", every, "unset PRISM_HOSTED_WRITE")
    if os.environ.get("OPENAI_API_KEY") and not settings.hosted_llm:
        yield Finding("OPENAI_API_KEY", "warn", "a key is here that pages may not use", "unset it on the host")
    for url in settings.endpoints:
        yield _tried(f"endpoint {url}", partial(require_public, url), "visitors may send their key there")


def _tried(what: str, action: Callable[[], object], fine: str) -> Finding:
    try:
        action()
    except PrismError as error:
        return Finding(what, "fail", f"{error.title}: {error.detail}", error.remedy)
    return Finding(what, "ok", fine)


def _options(folder: Path, settings: Settings) -> Iterator[Finding]:
    values = server_options.in_force(folder, settings)
    problems = server_options.unsafe({name: found.value for name, found in values.items()})
    for problem in problems:
        known = values.get(problem.name)
        where = f" ({known.where})" if known else ""
        strict = settings.hosted or problem.name != server_options.ALLOWED_HOSTS
        found = f"{json.dumps(problem.value)}{where}: {problem.why}"
        yield Finding(problem.name, "fail" if strict else "warn", found, problem.remedy)
    if not problems:
        yield Finding("Streamlit's settings", "ok", f"{len(server_options.OPTIONS) + 1} settings are safe")


def _model(settings: Settings) -> Iterator[Finding]:
    torch = importlib.util.find_spec("torch") is not None
    if settings.hosted_live and not torch:
        yield Finding("live model", "fail", "visitors may run models, and torch is not installed",
                      "pip install 'sae-prism[model]', or unset PRISM_HOSTED_LIVE")  # fmt: skip
    elif settings.hosted_live:
        yield Finding("live model", "ok", "visitors may run the runs' models")
    else:
        lacking = "" if torch else ", for which torch is not needed"
        yield Finding("live model", "ok", f"off; the pages read stored runs{lacking}")
