"""What this server is, read once for the page and for the file that is saved of it."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec

import streamlit as st

from core import hosting, server_options
from core.errors import PrismError
from core.settings import Settings
from dashboard import facts, limits_facts, nav, readers, widgets


def sections() -> list[str]:
    """The page as escaped HTML, part by part."""
    settings, own = Settings.from_env(), widgets.own_machine()
    parts = [
        f'<h1 class="p-h">Limits of this host</h1><p>{escape(limits_facts.said(settings, own))}</p>',
        _part("What is on", limits_facts.switches(settings, own, find_spec("torch") is not None)),
        _part("How much", limits_facts.limits(hosting.limits(settings))),
        _part("Text of the corpora", limits_facts.licences(_manifests())),
    ]
    problems = server_options.unsafe({name: st.get_option(name) for name in _names()})
    if settings.hosted and problems:
        parts.append(_part("Settings that the owner should change", limits_facts.settings_facts(problems)))
    return parts


def _part(title: str, rows: list[facts.Fact]) -> str:
    return f'<h2 class="p-h">{escape(title)}</h2>{facts.facts_html(rows, "p-prov")}'


def _names() -> list[str]:
    return [*(option.name for option in server_options.OPTIONS), server_options.ALLOWED_HOSTS]


def _manifests() -> dict[str, dict]:
    found = {}
    for name in readers.run_names():
        try:
            found[name] = readers.run(name).manifest
        except PrismError:
            found[name] = {}
    return found


def render_note() -> None:
    """In the sidebar of a server that others reach: what it is, and where its limits are."""
    settings = Settings.from_env()
    if settings.hosted:
        more = "and runs their models" if settings.hosted_live else "for reading"
        st.caption(f"This host serves stored runs {more}.")
        st.page_link(nav.script("limits"), label="What is off here")
