"""Task 1: chosen features on people's prompts. Every firing is kept, so that a threshold needs no new measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analyses.base import Progress, Silent
from core.analyses.prompt_model import PromptModel, TokenActs, TokenView
from core.lab.prompts import PromptTable, n_tokens, require, spelt
from core.lab.result import LabResult, frame
from core.lab.tables import CELLS, PROMPTS, TESTED, TOKEN_ACTS
from core.maths.rates import clopper_pearson, rate
from core.store import Run

MAX_CELLS = 20_000_000
"""Prompts x features that one matrix may hold."""


@dataclass(frozen=True)
class Matrix:
    """``[n_prompts, n_features]`` each; NaN (``n_firing``: 0) for a prompt without tokens."""

    max_act: np.ndarray  # float32
    mean_act: np.ndarray  # float32, silent tokens as 0
    last_act: np.ndarray  # float32
    n_firing: np.ndarray  # int32, act > theta


@dataclass(frozen=True)
class Measured:
    """Chosen features on prompts. ``log_probs`` as ``PromptModel`` gives them; None: not measured."""

    prompts: PromptTable
    features: tuple[int, ...]
    views: tuple[TokenView, ...]
    acts: TokenActs
    log_probs: tuple[np.ndarray, ...] | None = None

    def matrix(self, theta: float = 0.0) -> Matrix:
        """Each prompt as one number a feature, in the order of ``features``."""
        return matrix(self.views, self.acts, self.features, theta)


def measure_features(
    model: PromptModel,
    prompts: PromptTable,
    features: Sequence[int],
    log_probs: bool = False,
    progress: Progress | None = None,
) -> Measured:
    """Every firing of the features, and the log-probability of every token where wanted."""
    wanted, said = tuple(dict.fromkeys(int(f) for f in features)), progress or Silent()
    require(bool(wanted), "no feature is chosen", "a test needs at least one", "--features 12,40")
    require(bool(len(prompts)), "there are no prompts", "", "type or upload some")
    cells = len(wanted) * len(prompts)
    asked = f"{len(prompts):,} prompts x {len(wanted):,} features are more than {MAX_CELLS:,} cells"
    require(cells <= MAX_CELLS, "that is too much for one answer", asked, "choose fewer")
    said.stage("read the tokens")
    views = model.views(prompts.prompts)
    said.stage("measure the features", len(prompts), "prompts")
    acts = model.token_acts(prompts.prompts, wanted, said.advance)
    logs = None
    if log_probs:
        said.stage("log-probabilities", len(prompts), "prompts")
        logs = model.log_probs(prompts.prompts, said.advance)
    return Measured(prompts, wanted, views, acts, logs)


def matrix(views: Sequence[TokenView], acts: TokenActs, features: Sequence[int], theta: float = 0.0) -> Matrix:
    """Firings as one number a prompt and feature; all of ``acts`` must be of ``features``."""
    n, shape = n_tokens(views), (len(views), len(features))
    by_number = np.argsort(np.asarray(features), kind="stable")
    column = by_number[np.searchsorted(np.asarray(features)[by_number], acts.feature)]
    cell = acts.prompt.astype(np.int64) * shape[1] + column
    most = np.zeros(shape, np.float32)
    np.maximum.at(most.ravel(), cell, acts.act)
    total = np.bincount(cell, weights=acts.act, minlength=most.size).reshape(shape)
    last = acts.pos == last_positions(views)[acts.prompt]
    at_last = np.zeros(shape, np.float32)
    at_last.ravel()[cell[last]] = acts.act[last]
    counts = np.bincount(cell[acts.act > theta], minlength=most.size).reshape(shape).astype(np.int32)
    mean = (total / np.maximum(n, 1)[:, None]).astype(np.float32)
    for values in (most, mean, at_last):
        values[n == 0] = np.nan
    return Matrix(most, mean, at_last, counts)


def last_positions(views: Sequence[TokenView]) -> np.ndarray:
    """int64 ``[n_prompts]``: position of the last scored token; -1 without any."""
    return np.array([real[-1] if len(real := np.flatnonzero(~v.is_special)) else -1 for v in views], np.int64)


def summarise(measured: Measured, theta: float = 0.0, run: Run | None = None) -> LabResult:
    """Tables ``tested``, ``cells``, ``prompts``, ``token_acts``; with a run its own rate of each feature beside."""
    found, n = measured.matrix(theta), n_tokens(measured.views)
    usable_rows = n > 0
    fired = (found.n_firing > 0) & usable_rows[:, None]
    n_fired, n_prompts = fired.sum(0), int(usable_rows.sum())
    lo, hi = clopper_pearson(n_fired, np.array(n_prompts))
    density, run_most = _in_run(run, measured.features, theta)
    most = np.where(found.max_act > 0, found.max_act, np.nan)
    columns = {
        "feature": np.array(measured.features, np.int32), "label": feature_labels(run, measured.features),
        "n_prompts": np.full(len(n_fired), n_prompts, np.int32), "n_fired": n_fired.astype(np.int32),
        "share": rate(n_fired, np.array(n_prompts)), "share_lo": lo, "share_hi": hi,
        "token_share": found.n_firing.sum(0) / max(1, int(n.sum())), "run_density": density,
        "act_max": np.fmax.reduce(most, axis=0, initial=np.nan), "run_act_max": run_most,
    }  # fmt: skip
    order = np.argsort(columns["feature"], kind="stable")
    rows = frame(TESTED, {k: np.asarray(v)[order] for k, v in columns.items()})
    frames = {"tested": rows, "cells": cells(measured, theta), "prompts": prompts_frame(measured),
              "token_acts": acts_frame(measured.acts)}  # fmt: skip
    summary = {"n_prompts": n_prompts, "n_features": len(measured.features), "n_firings": len(measured.acts.act),
               "n_cut": int(sum(v.n_cut > 0 for v in measured.views))}  # fmt: skip
    return LabResult("test", {"features": list(measured.features), "theta": theta}, summary, _notes(measured), frames)


def cells(measured: Measured, theta: float = 0.0) -> pd.DataFrame:
    """``CELLS``: one row a prompt and feature, features ascending."""
    found, n = measured.matrix(theta), n_tokens(measured.views)
    order = np.argsort(np.asarray(measured.features), kind="stable")
    n_rows, width = found.max_act.shape
    blank = np.repeat(n == 0, width)

    def flat(values: np.ndarray) -> np.ndarray:
        return values[:, order].ravel()

    counts = pd.array(flat(found.n_firing), dtype="Int32")
    counts[blank] = pd.NA
    return frame(CELLS, {
        "prompt": np.repeat(np.arange(n_rows, dtype=np.int32), width),
        "feature": np.tile(np.asarray(measured.features, np.int32)[order], n_rows),
        "max_act": flat(found.max_act), "mean_act": flat(found.mean_act), "last_act": flat(found.last_act),
        "n_firing": counts, "fires": counts > 0,
    })  # fmt: skip


def prompts_frame(measured: Measured) -> pd.DataFrame:
    """``PROMPTS``: what was asked, as written and as tokens."""
    return views_frame(measured.prompts, measured.views, measured.log_probs)


def views_frame(
    prompts: PromptTable, views: Sequence[TokenView], log_probs: Sequence[np.ndarray] | None = None
) -> pd.DataFrame:
    """The same without acts."""

    def said(words: tuple[str, ...]) -> list[str | None]:
        return [w or None for w in words] or [None] * len(prompts)

    turns = [json.dumps([vars(t) for t in p.turns], ensure_ascii=False) if p.turns else None for p in prompts.prompts]
    return frame(PROMPTS, {
        "prompt": np.arange(len(prompts), dtype=np.int32), "text": [spelt(p) for p in prompts.prompts], "turns": turns,
        "label": said(prompts.labels), "group": said(prompts.groups), "document": said(prompts.documents),
        "n_tokens": n_tokens(views).astype(np.int32), "n_cut": np.array([v.n_cut for v in views], np.int32),
        "problem": [v.problem or None for v in views],
        "token_ids": [v.token_ids.tolist() for v in views], "str_tokens": [list(v.str_tokens) for v in views],
        "is_special": [v.is_special.tolist() for v in views], "is_unknown": [v.is_unknown.tolist() for v in views],
        "log_probs": [None] * len(views) if log_probs is None else [np.asarray(x).tolist() for x in log_probs],
    })  # fmt: skip


def acts_frame(acts: TokenActs) -> pd.DataFrame:
    """``TOKEN_ACTS``."""
    return frame(TOKEN_ACTS, {"feature": acts.feature, "prompt": acts.prompt, "pos": acts.pos, "act": acts.act})


def feature_labels(run: Run | None, features: Sequence[int] | np.ndarray) -> list[str | None]:
    """The first label of each feature; None without one."""
    if run is None:
        return [None] * len(features)
    labels = run.labels().drop_duplicates("feature")
    known = dict(zip(labels["feature"].tolist(), labels["label"].tolist(), strict=True))
    return [known.get(int(f)) for f in features]


def _in_run(run: Run | None, features: Sequence[int], theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Share of the run's positions above theta and the largest act there, per feature; NaN where not known."""
    density, most = np.full(len(features), np.nan), np.full(len(features), np.nan)
    if run is None:
        return density, most
    encoded, n_positions = set(run.encoded_features.tolist()), int(run.manifest["corpus"]["n_tokens"])
    for i, feature in enumerate(features):
        if feature in encoded:
            act = run.acts(feature).act
            density[i] = int((act > theta).sum()) / max(1, n_positions)
            most[i] = act.max() if len(act) else np.nan
    return density, most


def _notes(measured: Measured) -> tuple[str, ...]:
    bad = sum(bool(v.problem) for v in measured.views)
    cut = sum(v.n_cut > 0 for v in measured.views)
    unknown = sum(bool(v.is_unknown.any()) for v in measured.views)
    notes = [f"{bad} prompts have nothing that can be measured"] if bad else []
    notes += [f"{cut} prompts are longer than the SAE's context: their ends were dropped"] if cut else []
    notes += [f"prompts with text that the model's vocabulary lacks: {unknown:,}"] if unknown else []
    return (*measured.prompts.notes, *notes)
