"""The cache over saved sets of the prompt lab. See ``readers``."""

from __future__ import annotations

import streamlit as st

from core.lab import prompt_sets
from core.lab.prompt_sets import PromptSet
from core.store import Run, check_name
from dashboard.readers import Stamp, manifest_stamp


def prompt_set(run: Run, name: str) -> PromptSet:
    """A saved set of the prompt lab, kept while it is on disk as it was read."""
    folder = run.path / prompt_sets.FOLDER / check_name(name)
    if not (folder / prompt_sets.MANIFEST).is_file():
        return prompt_sets.load_set(run, name)  # says what is wrong
    return _prompt_set(run, str(folder), manifest_stamp([folder]), name)


@st.cache_resource(max_entries=8, show_spinner="Reading the saved set")
def _prompt_set(_run: Run, path: str, stamp: Stamp, name: str) -> PromptSet:
    return prompt_sets.load_set(_run, name)
