"""Home: find a feature, see where the run comes from, browse all its features."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from core.errors import PrismError
from core.store import Run
from dashboard import browse, controls, facts, picker, readers, subject, widgets
from dashboard.wording import count, number


def pasted() -> None:
    subject.acted("home_find")
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
        subject.remember(home_find="")
        picker.open_target(target)


def render_all_runs() -> None:
    names = readers.run_names()
    if len(names) < 2:
        return
    choose = st.column_config.ButtonColumn("run", type="tertiary", key="home_runs_click", on_click=chosen, pinned=True)
    table = pd.DataFrame([run_row(name) for name in names])
    st.dataframe(table, hide_index=True, key="home_runs", column_config={"run": choose}, alt="All runs")


def chosen() -> None:
    if (click := st.session_state.home_runs_click) and click["label"] in readers.run_names():
        subject.choose(run=click["label"])


def run_row(name: str) -> dict[str, str]:
    """One line about a run; of a damaged one only what is wrong."""
    try:
        manifest = readers.run(name).manifest
    except PrismError as error:
        return {"run": name, "model": error.title}
    fit, corpus = manifest.get("fidelity") or {}, manifest.get("corpus") or {}
    return {
        "run": name,
        "model": facts.last_part((manifest.get("model") or {}).get("name")),
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
    if fit.get("verdict") not in ("ok", "not measured"):
        why = (str(fit.get("cause") or ""), str(fit.get("remedy") or ""))
        st.html(facts.message_html("Model and SAE may not fit each other", *why))


@widgets.part
def render_browser() -> None:
    subject.settle(*controls.of("home"))
    browse.render_filters()
    browse.render_table(widgets.require_run())


st.html('<h1 class="p-h">SAE Prism</h1>Does a feature mean what its label says?')
run = widgets.require_run()
widgets.render_notes(subject.settle(*controls.of("home")))
render_paste_box()
render_all_runs()
render_run_card(run)
widgets.render_unfinished()
render_browser()
picker.catch("home")
