"""What the lab says of a feature, on its verdict screen: hypotheses that were held to account and saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.lab.prompt_sets import FOLDER, MANIFEST, set_names
from core.run_folder import seal
from core.store import Run
from dashboard import controls, subject
from dashboard.lab import lab_account_html
from dashboard.tokens import visible
from dashboard.wording import one_line

MAX_READ = 200


def accounts_of(run: Run, feature: int) -> list[dict[str, Any]]:
    """Manifests of the saved answers on this feature, newest first; damaged ones say so in the lab, not here."""
    found = []
    for name in set_names(run)[:MAX_READ]:
        try:
            said = json.loads((run.path / FOLDER / name / MANIFEST).read_text(encoding="utf-8"))
            if seal(said) == said["seal"] and said["task"] == "account" and said["params"]["feature"] == feature:
                found.append(said)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return sorted(found, key=lambda said: str(said["created_at"]), reverse=True)


def accounts_html(run: Run, found: Sequence[Mapping[str, Any]]) -> str:
    """One line a set: its label, what came out, a link to it."""
    lines = "".join(_line(run, said) for said in found)
    return f'<div class="p-g"><h2>Held to account in the Prompt lab</h2><ol>{lines}</ol></div>'


def _line(run: Run, said: Mapping[str, Any]) -> str:
    label = escape(visible(one_line(str(said["params"]["label"]), 120)))
    query = urlencode({"run": run.name, "prompts_task": "account", "prompts_set": said["name"]})
    came_out = lab_account_html.brief(said["summary"])
    return (
        f'<li><span class="p-v"><a href="prompts?{escape(query)}">{escape(str(said["name"]))}</a></span>'
        f'<span class="p-t"><b dir="auto">“{label}”</b> {escape(came_out)}</span></li>'
    )


def render(run: Run, feature: int) -> None:
    """The saved answers, and a way to the lab with this feature."""
    if found := accounts_of(run, feature):
        st.html(accounts_html(run, found))
    if st.button("Hold the label to account on your own text", icon=":material/science:", key="feature_lab"):
        subject.remember(prompts_task="account", prompts_set="", prompts_features=str(feature))
        controls.open_page("prompts")
