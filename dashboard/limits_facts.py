"""What is off on this server and why, and how much of the rest one visitor gets, as facts. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.hosting import Limits
from core.licences import licence
from core.server_options import Unsafe
from core.settings import Settings
from dashboard.facts import Fact
from dashboard.wording import count

OPEN_BIND = "other machines can connect and PRISM_HOSTED=1, which sets their limits, is not set"


def said(settings: Settings, own: bool) -> str:
    """The kind of server this is, in one sentence; ``own``: only the person at the machine can be here."""
    if own:
        return "This is your own machine: everything is on, and nothing is limited but the size of one question."
    if settings.hosted:
        return "This host serves stored runs to anyone with the link. What you do here is not stored unless it says so."
    return f"This server is half open: {OPEN_BIND}. It reads stored runs and does nothing else."


def switches(settings: Settings, own: bool, torch: bool) -> list[Fact]:
    """What one can do here beside reading, each with the reason where it is off."""

    def fact(label: str, allowed: bool, about: str, variable: str) -> Fact:
        on = own or (settings.hosted and allowed)
        why = about if on else f"not allowed by the owner ({variable}=1)" if settings.hosted else OPEN_BIND
        return Fact(label, "on" if on else "off", why)

    live = fact("your own text", settings.hosted_live, "prompts run through the run's model", "PRISM_HOSTED_LIVE")
    if live.value == "on" and not torch:
        live = Fact(live.label, "off", "no model can run here: only the base install, which reads and draws, is here")
    stored = "labels, lists and prompt sets go into the run's folder, for everyone to see"
    return [
        Fact("reading", "on", "all stored runs, downloads and links"),
        live,
        fact("saving", settings.hosted_write, stored, "PRISM_HOSTED_WRITE"),
        Fact("language models", "off", "no page asks one; on the command line prism decompose does"),
    ]


def limits(known: Limits) -> list[Fact]:
    """How much of what is on one visitor gets. A visitor is one open page: no cookie tells more."""
    time = [
        _seconds("one question", known.job_s, "it is stopped at its next sign of progress"),
        _seconds("one visitor, per hour", known.hour_s, "of the model that all visitors share, one after the other"),
    ]
    return [
        *time,
        Fact("queue", f"{known.n_waiting} questions", "more are refused; who leaves loses the place"),
        Fact("file", f"{known.upload_mb} MB", "kept in memory until you leave, then forgotten"),
        Fact("table in a file", f"{count(known.n_rows)} rows", f"of at most {count(known.n_columns)} columns"),
        Fact("text in a file", f"{count(known.n_chars)} characters", "after reading: a small file may hold much"),
        Fact("prompts", count(known.n_prompts), f"of at most {count(known.prompt_chars)} characters each"),
        Fact("tokens", count(known.n_tokens), "in all prompts of one question"),
    ]


def _seconds(label: str, seconds: float | None, about: str) -> Fact:
    return Fact(label, "no limit" if seconds is None else f"{seconds:g} s", "" if seconds is None else about)


def licences(manifests: Mapping[str, Mapping[str, Any]]) -> list[Fact]:
    """What the corpus of each run says about showing its text."""
    found = {name: licence((m.get("corpus") or {}).get("licence")) for name, m in manifests.items()}
    return [Fact(name, known.text or "not stated", f"{known.standing}: {known.said}") for name, known in found.items()]


def settings_facts(problems: Sequence[Unsafe]) -> list[Fact]:
    """The settings of the server that are not safe for strangers."""
    return [Fact(problem.name, str(problem.value) or "empty", problem.why) for problem in problems]
