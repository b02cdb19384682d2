"""What the lab asks of the live model: views of prompts, chosen features on them, and the tasks' own work.

Everything goes through ``live.render_job``: one queue, one loaded model, answers kept in the visitor's session.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.analyses.base import Progress
from core.analyses.prompt_model import PromptModel, TokenActs, TokenView
from core.store import Run
from dashboard import live, readers
from dashboard.lab import lab_matrix
from dashboard.lab.lab_matrix import LabActs
from dashboard.lab.lab_state import Sent
from dashboard.wording import missing, plural

SMALL = 200
"""Prompts that are measured as soon as something is chosen; more wait for a click."""
KEPT = 16
"""Answers a session keeps: one may hold the tokens of thousands of prompts."""
Work = Callable[[PromptModel, Progress], Any]


@dataclass(frozen=True)
class Viewed:
    """The prompts as the model sees them."""

    views: tuple[TokenView, ...]
    has_chat_template: bool
    about: dict[str, Any]


def ask(run: Run, what: Hashable, work: Work, check: Callable[[], None] = lambda: None) -> Any | None:
    """The answer of ``work(model, progress)`` once it is there; until then the wait, or what went wrong, is drawn."""
    identity = ("lab", str(run.path), run.manifest["digest"], run.manifest["created_at"], what)

    def job(progress: Progress) -> Any:
        progress.stage("load the model")
        return work(live.require_model(run), progress)

    def checked() -> None:
        if error := live.refusal(run):
            raise error
        check()

    found = live.render_job(identity, job, checked)
    live.forget_all_but("lab", KEPT)
    return found


def wanted(sent: Sent, key: Hashable, n: int, about: str) -> bool:
    """Whether to measure now: at once for few prompts, else after a click on a button that says how much it is."""
    return n <= SMALL or clicked((sent.digest, key), f"Measure {about}", ":material/play_arrow:")


def clicked(what: Hashable, title: str, icon: str) -> bool:
    """Whether this very question was asked by its button, which is drawn until then."""
    asked: set[Hashable] = st.session_state.setdefault("lab_wanted", set())
    if what in asked:
        return True
    st.button(title, icon=icon, key=f"prompts_go_{abs(hash(what))}", type="primary", on_click=asked.add, args=(what,))
    return False


def views(run: Run, sent: Sent) -> Viewed | None:
    """All prompts as tokens."""

    def work(model: PromptModel, progress: Progress) -> Viewed:
        progress.stage("read the tokens")
        return Viewed(model.views(sent.prompts), model.has_chat_template, model.about)

    return ask(run, ("views", sent.digest), work)


def about(run: Run) -> dict[str, Any] | None:
    """Everything of the model that could change a number, for what is saved."""
    found = ask(run, "about", lambda model, progress: model.about)
    return found if isinstance(found, dict) else None


def tested(run: Run, sent: Sent, viewed: Viewed, features: tuple[int, ...]) -> LabActs | None:
    """Every firing of the features on the prompts, and for few prompts the log-probability of every token."""
    n = len(sent.prompts)
    if not wanted(sent, ("test", features), n, f"{plural(len(features), 'feature')} on {plural(n, 'prompt')}"):
        return None
    acts = ask(run, ("acts", sent.digest, features), lambda model, progress: _acts(model, progress, sent, features))
    if acts is None:
        return None
    logs = log_probs(run, sent, range(n)) if n <= SMALL else {}
    if logs is None:
        return None
    return lab_acts(run, sent, features, viewed.views, acts, logs)


def lab_acts(
    run: Run, sent: Sent, features: tuple[int, ...], views: tuple[TokenView, ...], acts: TokenActs,
    logs: dict[int, np.ndarray],
) -> LabActs:  # fmt: skip
    """Firings beside what the run knows of the features: labels, and the act that counts as full strength."""
    rows = readers.feature_rows(run, features)
    scale = lab_matrix.with_scale(rows["act_max"].tolist(), acts, features)
    names = tuple("" if missing(label) else str(label) for label in rows["label"])
    return LabActs(features, sent.texts, sent.names, views, acts, logs, names, scale)


def _acts(model: PromptModel, progress: Progress, sent: Sent, features: tuple[int, ...]) -> TokenActs:
    progress.stage("measure the features", len(sent.prompts), "prompts")
    return model.token_acts(sent.prompts, features, progress.advance)


def log_probs(run: Run, sent: Sent, rows: Sequence[int]) -> dict[int, np.ndarray] | None:
    """Of some prompts, by prompt: float32 ``[n_positions]`` nats, NaN at the first position."""

    def work(model: PromptModel, progress: Progress) -> dict[int, np.ndarray]:
        progress.stage("log-probabilities", len(rows), "prompts")
        found = model.log_probs([sent.prompts[i] for i in rows], progress.advance)
        return dict(zip(rows, found, strict=True))

    return ask(run, ("log_probs", sent.digest, tuple(rows)), work)
