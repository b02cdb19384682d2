"""Home: find a feature, see where the run comes from, browse all its features."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from core.errors import PrismError
from core.store import Run
from dashboard import browse, facts, picker, readers, subject, widgets
from dashboard.wording import count, number

CONTROLS = (subject.text("home_find", 200), *browse.CONTROLS)


def pasted() -> None:
    subject.acted()
    st.session_state.opening = True


def render_paste_box() -> None:
    """Enter opens what is unambiguous; a link that carries a text only shows what it means."""
    st.text_input(
        "Paste anything: a feature number, words, a sentence, release:id, a Neuronpedia link",
        key="home_find", max_chars=200, on_change=pasted,
        placeholder="12, dog, gpt2-small-res-jb:blocks.8.hook_resid_pre"
    )  # fmt: skip
    entered = st.session_state.pop("opening", False)
    target = picker.render_answer(st.session_state.home_find)
    if target and (entered or st.button("Open", key="home_open")):
        st.session_state.remembered["home_find"] = ""
        picker.open_target(target)


def render_all_runs(run: Run) -> None:
    names = readers.run_names()
    if len(names) < 2:
        return
    event = st.dataframe(
        pd.DataFrame([run_row(name) for name in names]), hide_index=True, key="home_runs", on_select="rerun",
        selection_mode="single-cell", alt="All runs; click one to choose it",
    )  # fmt: skip
    cells = event["selection"]["cells"]
    if cells and names[cells[0][0]] != run.name:
        subject.choose(run=names[cells[0][0]])
        st.rerun()


def run_row(name: str) -> dict[str, str]:
    """One line about a run; of a damaged one only what is wrong."""
    try:
        manifest = readers.run(name).manifest
    except PrismError as error:
        return {"run": name, "model": error.title}
    fit, corpus = manifest.get("fidelity") or {}, manifest.get("corpus") or {}
    return {
        "run": name,
        "model": str((manifest.get("model") or {}).get("name", "?")),
        "SAE": facts.sae_name(manifest),
        "corpus": facts.corpus_name(manifest),
        "features": count((manifest.get("counts") or {}).get("n_features")),
        "tokens": count(corpus.get("n_tokens")),
        "fidelity": str(fit.get("verdict")),
        "L0": number(fit.get("l0")),
        "explained variance": number(fit.get("explained_variance")),
    }


def render_run_card(run: Run) -> None:
    fit = run.manifest.get("fidelity") or {}
    title = f'<h2 class="p-h">Run {escape(run.name)}</h2>'
    st.html(
        title
        + facts.facts_html(facts.fidelity_facts(run.manifest))
        + facts.facts_html(facts.run_facts(run.manifest), "p-prov")
    )
    if fit.get("verdict") != "ok":
        why = (str(fit.get("cause") or ""), str(fit.get("remedy") or ""))
        st.html(facts.message_html("Model and SAE may not fit each other", *why))


@widgets.part
def render_browser() -> None:
    subject.settle(("run", "features"), CONTROLS)
    browse.render_filters()
    browse.render_table(widgets.require_run())


st.html('<h1 class="p-h">SAE Prism</h1>Does a feature mean what its label says?')
run = widgets.require_run()
widgets.render_notes(subject.settle(("run", "features"), CONTROLS))
picker.catch("home")
render_paste_box()
render_all_runs(run)
render_run_card(run)
widgets.render_unfinished()
render_browser()
