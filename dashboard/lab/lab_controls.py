"""The controls of the prompt lab as they stand in its link. Prompts and labels that people type are not in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.errors import InputError, PrismError
from dashboard import readers, subject
from dashboard.lab.lab_matrix import STATS
from dashboard.subject import Control, choice, text, whole

TASKS = ("test", "find", "contrast", "account", "decode")
TITLES = {
    "test": "Test features",
    "find": "Find features",
    "contrast": "Contrast two groups",
    "account": "Hold a label to account",
    "decode": "Decode",
}
ABOUT = {
    "test": "What do features that you choose do on each prompt? Click a cell to see it token by token.",
    "find": "Which features fire consistently on these prompts, and not on the run's text?",
    "contrast": "Which features tell two groups of prompts apart, and would they if the groups were shuffled?",
    "account": "A feature is said to mean something. Does it fire where it should, and only there?",
    "decode": "Set features by hand: which tokens does that promote, and what does the model write with it?",
}
STRENGTHS = ("0.5", "1", "2", "4")
RANKS = ("evidence", "consistency", "lift", "AUROC")
MAX_CHOSEN = 50
"""Features of one matrix: more columns than anybody reads."""
MAX_SET = 8
"""Features that are set by hand at once."""
_PAIR = re.compile(r"([0-9]{1,9}):(-?[0-9]{1,6}(?:\.[0-9]{1,4})?)")


def prompts() -> tuple[Control, ...]:
    """Task, saved set, chosen features, and what each task lets one choose."""
    return (
        choice("prompts_task", TASKS[0], TASKS),
        text("prompts_set", 64),
        Control("prompts_features", _at_hand(), read_chosen),
        choice("prompts_stat", STATS[0], STATS),
        whole("prompts_theta", 0, 0, 100),
        text("prompts_sort", 9, _whole_or_none),
        text("prompts_cell", 24, read_cell),
        whole("prompts_page", 1, 1, 100_000),
        choice("prompts_by", RANKS[0], RANKS),
        whole("prompts_a", 0, 0, 99),
        whole("prompts_b", 1, 0, 99),
        text("prompts_values", 120, read_values),
        text("prompts_strengths", 20, read_strengths),
        whole("prompts_prompt", 1, 1, 1_000_000),
        whole("prompts_seed", 0, 0, 999_999),
    )


def _at_hand() -> str:
    """The list at hand, else the feature at hand, else nothing."""
    found: list[str] = []
    for feature in subject.features() or ([] if subject.feature() is None else [subject.feature()]):
        if len(found) < MAX_CHOSEN and len(",".join([*found, str(feature)])) <= 200:
            found.append(str(feature))
    return ",".join(found)


def read_chosen(value: str) -> str:
    """The text of a list of features, each encoded in the run."""
    if len(value) > 400:
        raise InputError("prompts_features has at most 400 characters")
    chosen(value)
    return value


def chosen(value: str) -> tuple[int, ...]:
    """The features of a written list; () for none. InputError for too many or unknown ones."""
    name = subject.run_name()
    found = subject.read_features(readers.run(name), value) if name and value.strip() else ()
    if len(found) > MAX_CHOSEN:
        raise InputError(f"{len(found)} features are more than {MAX_CHOSEN} at a time", "", "choose fewer")
    return found


def read_cell(value: str) -> tuple[int, int] | None:
    """``12.340`` is the prompt 12 (from 0) and the feature 340; None for ""."""
    if not value:
        return None
    match = re.fullmatch(r"([0-9]{1,7})\.([0-9]{1,9})", value)
    if not match:
        raise InputError("prompts_cell is PROMPT.FEATURE, two whole numbers")
    return int(match[1]), int(match[2])


def read_values(value: str) -> dict[int, float]:
    """``12:3.5,40:-1``: what features are set to."""
    found: dict[int, float] = {}
    for part in filter(None, value.split(",")):
        match = _PAIR.fullmatch(part.strip())
        if not match:
            raise InputError(f"{part[:20]!r} is not FEATURE:VALUE", "such as 12:3.5", "")
        found[int(match[1])] = float(match[2])
    if len(found) > MAX_SET:
        raise InputError(f"{len(found)} features are more than {MAX_SET} to set at once")
    if name := subject.run_name():
        run = readers.run(name)
        for feature in found:
            run.require_feature(feature)
    return found


def read_strengths(value: str) -> tuple[float, ...]:
    """What a direction is multiplied with, some of ``STRENGTHS``; ``""`` is the first of them."""
    found = tuple(part for part in STRENGTHS if part in value.split(","))
    if value and len(found) != len(value.split(",")):
        raise InputError(f"prompts_strengths is some of {', '.join(STRENGTHS)}")
    return tuple(float(part) for part in found or STRENGTHS[1:2])


def write_values(values: Mapping[int, float]) -> str:
    """The same, as a link says it."""
    return ",".join(f"{f}:{v:.4f}".rstrip("0").rstrip(".") for f, v in values.items())


def _whole_or_none(value: str) -> None:
    if value and not value.isdecimal():
        raise InputError("prompts_sort is a feature, or empty for the order as given")


def safe(value: str) -> tuple[int, ...]:
    """Like ``chosen``; () where the text cannot be read, which the link's note already says."""
    try:
        return chosen(value)
    except PrismError:
        return ()
