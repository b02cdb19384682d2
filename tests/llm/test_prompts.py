"""Prompts are versioned files: a text once used stays what it was."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.llm.prompts import LATEST, prompt

#: A changed file fails here: give the new text the next version number and keep the old file.
DIGESTS = {
    "more-isolated.1": "c15057764172b7f2",
    "more-published.1": "5ff218973ea2d29e",
    "parts-isolated.1": "0f81638a8ecff72c",
    "parts-published.1": "27dc72eeb1313a0f",
    "repair.1": "cc4f6384469ea245",
    "whole.1": "42855704069fdf40",
}


def test_every_prompt_file_is_pinned_and_every_latest_version_exists() -> None:
    names = {f.name.removesuffix(".md") for f in files("core.llm.prompts").iterdir() if f.name.endswith(".md")}
    assert names == set(DIGESTS)
    assert {f"{name}.{version}" for name, version in LATEST.items()} <= names


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_no_prompt_changes_without_a_new_version(name: str) -> None:
    stem, version = name.rsplit(".", 1)
    assert prompt(stem, int(version)).digest[:16] == DIGESTS[name]


def test_slots_are_filled_once_and_never_read_again() -> None:
    (message,) = prompt("repair").fill(why="{{why}} {{label}}")
    assert message.content.count("{{why}}") == 1


@given(st.text(max_size=50))
def test_a_label_comes_out_of_its_data_tag_as_it_went_in(label: str) -> None:
    values = {"n_parts": 5, "n_phrases": 12, "min_words": 8, "max_words": 16}
    content = prompt("parts-isolated").fill(label=label, **values)[-1].content
    inside = content.split("\n<data>")[1].split("</data>\n")[0]
    assert json.loads(inside) == label
    assert content.count("</data>") == 1


def test_a_slot_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        prompt("repair").fill()
