"""Pieces that several pages draw: errors, empty states, run picker, tables, footers, downloads."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import InputError, PrismError
from core.results import MANIFEST as RESULT_MANIFEST
from core.results import Result
from core.run_folder import MANIFEST
from core.settings import Settings
from core.store import Run
from dashboard import controls, facts, files, provenance, readers, style, subject

LOCAL = ("localhost", "127.0.0.1", "::1")


def render_style() -> None:
    st.html(style.CSS)


def part(draw: Callable[[], None]) -> Callable[[], None]:
    """A part of a page that reruns alone: a click in it costs that part, not the page. Errors are said in its place."""

    def guarded() -> None:
        try:
            controls.follow()
            draw()
        except PrismError as error:
            render_error(error)

    return st.fragment(guarded)


def render_error(error: PrismError) -> None:
    """Title, detail and remedy of an error a user can cause; never a traceback, and no folders of a public host."""
    st.html(facts.message_html(error.title, without_folders(error.detail), error.remedy))


def without_folders(text: str) -> str:
    """Where strangers visit, files are named below the cache directory only."""
    try:
        settings = Settings.from_env()
    except InputError:  # said on the page; it names no folder
        return text
    if not settings.hosted:
        return text
    return text.replace(f"{settings.cache_dir}/", "").replace(str(settings.cache_dir), "its cache")


def own_machine() -> bool:
    """Whether only the person at this machine can be here: not on a host, not where other machines can connect."""
    return not Settings.from_env().hosted and st.get_option("server.address") in LOCAL


def may_write() -> bool:
    """Writing is for the person at this machine; on a host only where its owner allowed it."""
    settings = Settings.from_env()
    return own_machine() or (settings.hosted and settings.hosted_write)


def refusal(what: str, allowed: bool = False) -> PrismError | None:
    """Why ``what`` (such as "Asking a language model") is off here, or None.

    It is for the person at this machine; on a host only where its owner ``allowed`` it.
    """
    hosted = Settings.from_env().hosted
    if own_machine() or (hosted and allowed):
        return None
    why = "This host serves stored runs for reading." if hosted else (
        "The server accepts connections from other machines, and PRISM_HOSTED=1, which sets its limits, is not set."
    )  # fmt: skip
    return InputError(
        f"{what} is off here",
        why,
        "Open the run on your own machine: copy its folder into your cache directory, then `prism dashboard`",
    )


def render_notes(notes: Sequence[str]) -> None:
    """Sentences about parts of a link that could not be used."""
    for note in notes:
        st.html(facts.message_html("Part of the link could not be used", note, kind="note"))


# --- what a page needs -----------------------------------------------------------------------------------


def require_run() -> Run:
    """The chosen run; without one the page says what to do and stops."""
    name = subject.run_name()
    if name is None:
        render_empty_cache()
        st.stop()
    return readers.run(name)


def require_feature(run: Run) -> int:
    """The chosen feature of the run; without one, the first that fires."""
    feature = subject.feature()
    if feature is None:
        frame = readers.feature_table(run).frame
        if not len(frame):
            raise InputError(f"run {run.name!r} has no features", "it encoded none", "encode it anew")
        alive = frame.loc[frame["n_firings"] > 0, "feature"]
        feature = int(alive.iloc[0] if len(alive) else frame["feature"].iloc[0])
        st.session_state.subject_feature = feature
    return run.require_feature(feature)


def render_empty_cache() -> None:
    """What to do when there is no run yet."""
    where = without_folders(str(Settings.from_env().cache_dir))
    st.html(
        facts.message_html(
            "There is no run here yet",
            f"A run is one model, one SAE and one text, encoded once. Looked in {where}",
            "`prism recipes` lists the recipes that ship, `prism run stories260K` runs one, `prism doctor` says what "
            "this machine can do. Then reload this page.",
            kind="note",
        )
    )
    render_unfinished()


def render_unfinished() -> None:
    """Runs that were started and not ended."""
    if unfinished := readers.store().unfinished():
        st.html(
            facts.message_html(
                f"Started, not finished: {', '.join(unfinished)}",
                "They are being encoded now, or were interrupted; what is done is kept.",
                "Continue with the same command: `prism run RECIPE.toml`",
                kind="note",
            )
        )


# --- tables, downloads, footer ---------------------------------------------------------------------------

FORMATS = {
    "feature": ("feature", "%d", None),
    "density": ("density", "%.3g", "share of tokens on which it fires"),
    "n_firings": ("firings", "localized", "positions with act > 0"),
    "n_contexts": ("contexts", "localized", "contexts with a firing"),
    "act_max": ("act max", "%.3g", "SAE units"),
    "token_r2": ("token R²", "%.2f", "held-out share of the variance of act that the token alone explains"),
    "token_r2_null": ("R² null", "%.2f", "the same with token ids rotated"),
    "top_divergence": ("top divergence", "%.2f", "bits: peak tokens of the top 20 contexts against uniform draws"),
    "top_divergence_null": ("div. null", "%.2f", "95th percentile between two uniform draws"),
    "top_divergence_p": ("p", "%.3f", "share of uniform draws at least as divergent"),
    "nearest_cosine": ("nearest cosine", "%.2f", "highest decoder cosine"),
    "cosine": ("cosine", "%.3f", "of the two decoder rows"),
}


def column_config(columns: Sequence[str]) -> dict[str, Any]:
    """Titles, units and formats of the columns that need any."""
    config: dict[str, Any] = {
        name: st.column_config.NumberColumn(title, format=form, help=about)
        for name, (title, form, about) in FORMATS.items()
        if name in columns
    }
    config["tokens"] = st.column_config.TextColumn("top tokens", width=220, help="most frequent tokens at its peaks")
    config["label"] = st.column_config.TextColumn("label", width=220, help="the first label of the run")
    return config


def render_downloads(frame: Callable[[], pd.DataFrame], page: str, what: str, shortcut: str | None = None) -> None:
    """Buttons for a table: csv (under ``shortcut``), parquet, and the other forms; Share offers the same."""
    files.offer(page, what, frame)
    run = readers.run(subject.run_name() or "")
    csv, sheet, parquet, manifest = files.FORMS
    files.render_data_buttons(run, page, what, frame, (csv, parquet), shortcut=shortcut)
    with (panel := st.popover("Other forms", key=f"{page}_forms", on_change="rerun")):
        if panel.open:
            files.render_data_buttons(run, page, what, frame, (sheet, manifest))


def render_footer(run: Run) -> None:
    """Where every number of the page comes from, and the commands that make it again and check it."""
    with st.expander(f"Where these numbers come from: run {run.name}"):
        st.html(facts.facts_html(facts.run_facts(run.manifest) + facts.fidelity_facts(run.manifest), "p-prov"))
        again = provenance.run_command(run.manifest)
        check = f"prism verify {shlex.quote(run.name)}"
        st.code(f"{again}    # make it again\n{check}    # check every table", language=None)
        st.download_button(
            "run.json", lambda: (run.path / MANIFEST).read_bytes(), f"prism_{run.name}_run.json", "application/json",
            on_click="ignore", icon=":material/download:", key="footer_manifest",
        )  # fmt: skip


def render_result_footer(run: Run, result: Result) -> None:
    """Where the numbers of one result come from; call it before ``render_footer``, which tells of the run."""
    key = str(result.manifest["analysis"])
    with st.expander(f"Where these numbers come from: {key} of run {run.name}"):
        st.html(facts.facts_html(provenance.result_facts(result.manifest), "p-prov"))
        st.code(f"{provenance.result_command(run.name, result.manifest)}    # make it again", language=None)
        st.download_button(
            "manifest.json", lambda: (result.path / RESULT_MANIFEST).read_bytes(),
            f"prism_{run.name}_{key}_manifest.json", "application/json",
            on_click="ignore", icon=":material/download:", key=f"footer_{key}_manifest",
        )  # fmt: skip
