"""The lab's view as pieces of HTML for a file, from a link alone: a saved set, or why there is nothing.

A visitor's own prompts are in no link; ``lab_show`` keeps what was drawn for the file that the visitor asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

from core.lab.prompt_sets import load_set
from core.lab.result import LabResult
from core.store import Run
from dashboard import facts
from dashboard.export_html import table_html
from dashboard.lab import (
    lab_account_html,
    lab_clouds,
    lab_contrast,
    lab_controls,
    lab_decode_html,
    lab_find,
    lab_frames,
    lab_sets,
)

NONE = "<p>Prompts are in no link: save them as a set, or share the file from the page itself.</p>"
TABLES = {
    "test": ("tested", "cells"), "find": ("found",), "contrast": ("contrasted", "folds"), "account": ("account_texts",),
    "decode": ("decoded", "continuations"),
}  # fmt: skip


def prompts(run: Run, link: Mapping[str, str], base: str) -> tuple[str, list[str]]:
    """Title and sections of a saved set."""
    title = f"Prompt lab of run {run.name}"
    if not (name := link.get("prompts_set", "")):
        return title, [f"<h1>{escape(title)}</h1>{NONE}"]
    found = load_set(run, name)
    result = found.result
    head = f"<h1>{escape(lab_controls.TITLES[result.task])}: {escape(name)}</h1>{lab_sets.head_html(found)}"
    return f"{title}: {name}", [head, *sections(result), *tables(result)]


def sections(result: LabResult) -> list[str]:
    """What the page draws of an answer, without what a click decides."""
    if result.task == "account":
        act_max = lab_account_html.largest_act(result)
        return [
            lab_account_html.score_html(result), lab_account_html.rates_html(result),
            lab_account_html.groups_html(result, act_max, 24), lab_account_html.places_html(result),
        ]  # fmt: skip
    if result.task == "decode":
        decoded, written = lab_frames.decoded_of(result), lab_frames.continuations_of(result)
        text = str(result.table("prompts")["text"].iloc[0]) if written else ""
        effects = facts.facts_html(lab_decode_html.decoded_facts(decoded)) + lab_decode_html.effects_html(decoded)
        return [effects, lab_decode_html.continuations_html(written, text)]
    if result.task == "find":
        return [lab_clouds.dots_html(lab_find.cloud(result.table("found")), log_x=True)]
    if result.task == "contrast":
        reach = lab_contrast.null_reach(result)
        return [lab_clouds.dots_html(lab_contrast.cloud(result.table("contrasted")), reach)]
    return []


def tables(result: LabResult) -> list[str]:
    """The first rows of the answer's tables; prompts as they were written."""
    found = [table_html(_plain(result.table(t)), t, 100) for t in TABLES[result.task] if t in result.frames]
    if "prompts" in result.frames:
        found.append(
            table_html(result.table("prompts")[["prompt", "text", "label", "group", "n_tokens"]], "prompts", 100)
        )
    return found


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    first = {} if frame.empty else frame.iloc[0].to_dict()
    return frame.drop(columns=[c for c, v in first.items() if isinstance(v, list | np.ndarray)])
