"""The one door to a live model: who may pass it, the queue behind it, and the wait in front of it.

Pages call ``render_phrase_acts``. The engine, and with it torch, is imported inside a cached function that only the
worker thread calls, so opening a page never loads it. Answers are kept in the visitor's own session and nowhere else.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import hosting
from core.analyses.activation_source import ActivationSource, Stimulus
from core.analyses.base import Progress, Silent
from core.analyses.prompt_model import PromptModel
from core.errors import InputError, MachineError, PrismError
from core.settings import Settings
from core.store import Run
from dashboard import facts, widgets
from dashboard.wording import plural
from dashboard.work_queue import Job, WorkQueue

MAX_TEXTS = 256
MAX_CHARS = 4_000
"""Of one text. A context is some hundred tokens: whatever is longer would be cut there anyway."""
MAX_FEATURES = 512
KEPT = 64
"""Answers a session keeps."""
QUICK_S = 0.3
"""How long a page waits in place for an answer before it shows the queue."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhraseActs:
    """One text as the model saw it, special tokens left out: ``acts`` float32 ``[n_features, n_tokens]``.

    ``problem`` says why a text has no tokens, or that it was cut because the SAE's context is shorter; else "".
    """

    text: str
    str_tokens: tuple[str, ...]
    acts: np.ndarray
    problem: str = ""


class LiveModel(ActivationSource, PromptModel, Protocol):
    """A model that answers for phrases of tests and for prompts of the lab."""


# --- who may -------------------------------------------------------------------------------------------------


def refusal(run: Run) -> PrismError | None:
    """Why the model of this run cannot be asked from here, or None when it can."""
    if error := widgets.refusal("Running the model on your own text", Settings.from_env().hosted_live):
        return error
    recipe = run.manifest.get("recipe") or {}
    sae, model = recipe.get("sae") or {}, recipe.get("model") or {}
    if not (model.get("name") and (sae.get("path") or sae.get("release"))):
        return InputError(
            f"run {run.name!r} has no model",
            "it was imported as measured elsewhere, so new text cannot be measured here",
            "make a run of its model and SAE: write a recipe, then `prism run RECIPE.toml`",
        )
    if find_spec("torch") is None:
        return MachineError(
            "no model can run here",
            "only the base install, which reads and draws, is here",
            "`pip install 'sae-prism[model]'` (in a checkout: `make install`)",
        )
    return None


def check_texts(features: Sequence[int], texts: Sequence[str]) -> None:
    """Raise InputError for more than one job may hold."""
    longest = max(map(len, texts), default=0)
    for n, most, what in (
        (len(texts), MAX_TEXTS, "texts at a time"),
        (longest, MAX_CHARS, "characters in one text"),
        (len(features), MAX_FEATURES, "features at a time"),
    ):
        if n > most:
            raise InputError(f"{n:,} are more than {most:,} {what}", "that is the limit of this box", "send less")


# --- asking --------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=1, show_spinner=False)
def work_queue() -> WorkQueue:
    """The one queue of this server, with the limits of a visitor here."""
    known = hosting.limits(Settings.from_env())
    return WorkQueue(_is_here, known.n_waiting, known.job_s, known.hour_s)


@st.cache_resource(max_entries=2, show_spinner=False)
def _source(_run: Run, path: str, digest: str, created_at: str, device: str) -> LiveModel:
    """A run's model and SAE, for phrases and prompts. Only the worker thread calls this: the import takes seconds."""
    from core.engine.prompt_model import run_prompt_model

    return run_prompt_model(_run, device)


def require_model(run: Run) -> LiveModel:
    """The run's model and SAE, loaded now if they are not; what is missing is named, but no folders of a host."""
    known, settings = run.manifest, Settings.from_env()
    try:
        return _source(run, str(run.path), known["digest"], known["created_at"], settings.device)
    except PrismError as error:
        log.warning("the model of run %s could not be loaded: %s", run.name, error)
        raise MachineError(
            f"the model of run {run.name!r} could not be loaded",
            "the host's log says why" if settings.hosted else f"{error.title}. {error.detail}",
            f"its files may be elsewhere: `prism run {run.name} --dry-run` names what it was made with",
        ) from error


def _is_here(session: str) -> bool:
    """Whether a visitor is still connected; without a server (scripts, tests) everybody is."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)


def _session() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else "no session"


def phrase_acts(
    run: Run, features: Sequence[int], texts: Sequence[str], progress: Progress | None = None
) -> tuple[PhraseActs, ...]:
    """Measure here and now: what the worker does, for jobs that are in the queue already. Pages ask instead."""
    progress = progress or Silent()
    progress.stage("load the model")
    source = require_model(run)
    progress.stage("measure", len(texts), "texts")
    found = source.measure([Stimulus(text, tuple(features)) for text in texts], features, progress.advance)
    return tuple(
        PhraseActs(
            text,
            found.str_tokens[i],
            np.stack([found.acts[i, f] for f in features]),
            found.problems.get(i, ""),
        )
        for i, text in enumerate(texts)
    )


def render_phrase_acts(run: Run, features: Sequence[int], texts: Sequence[str]) -> tuple[PhraseActs, ...] | None:
    """The features' acts on the texts once they are there; until then the wait is drawn here, and None returned.

    Why the model cannot be asked, and what went wrong, are drawn too.
    """
    features, texts = tuple(map(int, features)), tuple(texts)
    identity = ("phrase_acts", str(run.path), run.manifest["digest"], run.manifest["created_at"], features, texts)
    return render_job(identity, lambda progress: phrase_acts(run, features, texts, progress), lambda: _check(
        run, features, texts))  # fmt: skip


def _check(run: Run, features: Sequence[int], texts: Sequence[str]) -> None:
    if error := refusal(run):
        raise error
    check_texts(features, texts)


def render_job(identity: Hashable, work: Callable[[Progress], Any], check: Callable[[], None]) -> Any | None:
    """The answer to any job once it is there: asked at most once, kept in the session, its wait drawn here.

    ``work`` runs in the one worker thread and calls no streamlit; ``check`` raises the PrismError that refuses it.
    """
    answers: OrderedDict[Hashable, Any] = st.session_state.setdefault("live_answers", OrderedDict())
    jobs: dict[Hashable, Job] = st.session_state.setdefault("live_jobs", {})
    if identity in answers:
        answers.move_to_end(identity)
        return answers[identity]
    try:
        if identity not in jobs:
            check()
            jobs[identity] = work_queue().submit(_session(), identity, work)
            jobs[identity].wait(QUICK_S)
    except PrismError as error:
        widgets.render_error(error)
        return None
    job = jobs[identity]
    if job.state == "done":
        answers[identity] = jobs.pop(identity).result
        while len(answers) > KEPT:
            answers.popitem(last=False)
        return answers[identity]
    _render_unfinished(job, jobs)
    return None


def forget_all_but(kind: str, n: int) -> None:
    """Of the answers whose identity begins with ``kind``, keep the ``n`` used last."""
    answers = st.session_state.get("live_answers", {})
    known = [identity for identity in answers if isinstance(identity, tuple) and identity[0] == kind]
    for identity in known[: max(0, len(known) - n)]:
        del answers[identity]


# --- waiting -------------------------------------------------------------------------------------------------


def _render_unfinished(job: Job, jobs: dict[Hashable, Job]) -> None:
    key = f"live_{abs(hash(job.identity))}"
    if not job.ended:
        _render_wait(job, key)
        return
    if job.error:
        widgets.render_error(job.error)
    else:
        st.html(facts.message_html("Cancelled", "", "", kind="note"))
    st.button("Try again", key=f"{key}_again", on_click=_forget, args=(jobs, job.identity))


def _forget(jobs: dict[Hashable, Job], identity: Hashable) -> None:
    """So that it is asked anew when the page is drawn."""
    jobs.pop(identity, None)


@st.fragment(run_every=0.5)
def _render_wait(job: Job, key: str) -> None:
    """Place in the queue or progress, and Cancel; the page is drawn again when the job has ended."""
    if job.ended:
        st.rerun()
    before, share = work_queue().place(job), job.share
    said = f"waiting: {plural(before, 'job')} before yours" if before else job.said
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(0.0 if before or share is None else share, text=said)
        st.button("Cancel", key=f"{key}_cancel", on_click=work_queue().cancel, args=(job,))
