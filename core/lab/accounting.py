"""Task 4: a label for a feature, held to account with prompts on which it should fire and prompts on which not.

At text level the label is right about a prompt when the feature fires on a positive one or is silent on a negative one.
At token level a feature that fires at random places of positive texts has nothing to show for itself. Both stand beside
what firing at random gives, and what it gives on texts of these lengths: longer texts fire more.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.base import Progress
from core.analyses.prompt_model import PromptModel
from core.errors import InputError
from core.lab.account_tables import rate_rows, text_rows
from core.lab.account_tokens import place_rows, scored_tokens, token_rows
from core.lab.prompts import PromptTable, require, usable
from core.lab.result import LabResult, frame
from core.lab.tables import ACCOUNT_PLACES, ACCOUNT_RATES, ACCOUNT_TEXTS, ACCOUNT_TOKENS
from core.lab.testing import Measured, acts_frame, measure_features, prompts_frame
from core.proposals.check import MAX_PHRASE, MAX_PHRASE_WORDS, MAX_WORD, clean

YES = ("1", "true", "yes", "y", "positive", "pos", "+", "fires")
NO = ("0", "false", "no", "n", "negative", "neg", "-", "-1", "silent")
ENDINGS = {"value": "", "value_lo": "_lo", "value_hi": "_hi", "chance": "_chance", "by_length": "_by_length"}


@dataclass(frozen=True)
class AccountParams:
    """``positive`` is the label, else group, of prompts on which the feature should fire; all others should not.

    "": the prompts' labels, else groups, say it in words such as 1 and 0, yes and no, positive and negative.
    """

    theta: float = 0.0
    positive: str = ""
    seed: int = 0


def hold_to_account(
    model: PromptModel,
    prompts: PromptTable,
    feature: int,
    label: str,
    params: AccountParams | None = None,
    progress: Progress | None = None,
) -> LabResult:
    """Tables ``account_texts`` (counter-examples first), ``account_rates``, ``account_places``, ``account_tokens``,
    ``prompts`` and ``token_acts``."""
    p = params or AccountParams()
    positives(prompts, p.positive)  # before anything long begins
    return account_in(measure_features(model, prompts, [feature], progress=progress), label, p)


def account_in(measured: Measured, label: str, params: AccountParams | None = None) -> LabResult:
    """The same for one feature that was measured already; needs no model."""
    p, prompts = params or AccountParams(), measured.prompts
    says = positives(prompts, p.positive)
    said = [i for i, yes in enumerate(says) if yes is not None]
    kept, notes = usable(prompts.only(said), [measured.views[i] for i in said])
    rows = np.array(said, np.int64)[kept]
    positive = np.array([bool(says[i]) for i in rows], bool)
    for name, n in (("positive", int(positive.sum())), ("negative", int((~positive).sum()))):
        require(n > 0, f"there are no {name} prompts", "different ones that can be measured", "give some of both")
    texts = text_rows(measured, rows, positive, p.theta)
    tokens = scored_tokens(measured, rows, positive, p.theta)
    rates, told = rate_rows(texts, p.seed)
    frames = {
        "account_texts": frame(ACCOUNT_TEXTS, texts), "account_rates": frame(ACCOUNT_RATES, rates),
        "account_places": frame(ACCOUNT_PLACES, place_rows(tokens)),
        "account_tokens": frame(ACCOUNT_TOKENS, token_rows(tokens)),
        "prompts": prompts_frame(measured), "token_acts": acts_frame(measured.acts),
    }  # fmt: skip
    left = len(prompts) - len(said)
    unsaid = (f"{left} prompts left out: they are neither positive nor negative",) if left else ()
    used = asdict(p) | {"feature": int(measured.features[0]), "label": label}
    return LabResult("account", used, _summary(texts, rates), (*prompts.notes, *unsaid, *notes, *told), frames)


def positives(prompts: PromptTable, positive: str = "") -> list[bool | None]:
    """Whether the feature should fire on each prompt; None where nobody says. InputError where none can be told."""
    words = prompts.labels or prompts.groups
    if positive:
        known = {w.casefold() for w in words if w}
        says = [w.casefold() == positive.casefold() if w else None for w in words]
        if positive.casefold() in known:
            return says
    else:
        found = {w.casefold() for w in words if w}
        if found and found <= {*YES, *NO}:
            return [w.casefold() in YES if w else None for w in words]
    shown = ", ".join(repr(w[:40]) for w in list(dict.fromkeys(w for w in words if w))[:10]) or "none"
    raise InputError(
        "it is not clear on which prompts the feature should fire",
        f"labels found: {shown}",
        "label them 1 and 0, or positive and negative, or name the label that means it should: --positive NAME",
    )


def _summary(texts: pd.DataFrame, rates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {(r["level"], r["measure"]): r for r in rates}
    out: dict[str, Any] = {
        "n_positive": int(texts["positive"].sum()), "n_negative": int((~texts["positive"]).sum()),
        "n_counter_examples": int(texts["counter_example"].sum()),
    }  # fmt: skip
    for name, key in (
        ("sensitivity", ("text", "sensitivity")), ("specificity", ("text", "specificity")),
        ("balanced_accuracy", ("text", "balanced accuracy")), ("auroc", ("text", "AUROC")),
        ("token_balanced_accuracy", ("token", "balanced accuracy")), ("token_precision", ("token", "precision")),
    ):  # fmt: skip
        row = found[key]
        for part in ENDINGS:
            number = row[part]
            plain = None if number is None or number != number else float(number)
            out[name + ENDINGS[part]] = plain
    return out


def phrases_csv(result: LabResult) -> bytes:
    """The positive prompts as a file of phrases for ``prism decompose --proposer upload`` and the verdict screen.

    The whole label is the one part: every other prompt stands for it as a part, the rest as phrases of the whole label.
    Prompts longer than a phrase may be are left out. Negative prompts have no place there: its controls are written
    for other labels. InputError when no positive prompt is short enough.
    """
    feature, label = int(result.params["feature"]), clean(str(result.params["label"]))
    rows = result.table("account_texts")
    texts = [clean(t) for t in rows[rows["positive"].astype(bool)].sort_values("prompt")["text"]]
    short = [t for t in texts if t and len(t) <= MAX_PHRASE and len(t.split()) <= MAX_PHRASE_WORDS]
    require(bool(short) and bool(label), "no positive prompt can be a phrase of a test",
            f"a phrase has at most {MAX_PHRASE} characters and {MAX_PHRASE_WORDS} words, and a label is needed",
            "use shorter prompts, and say what the feature is thought to mean")  # fmt: skip
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(["feature", "label", "part", "phrase", "kind"])
    for i, text in enumerate(short):
        writer.writerow([feature, label, label[:MAX_WORD], text, "whole" if i % 2 else "part"])
    return sink.getvalue().encode()
