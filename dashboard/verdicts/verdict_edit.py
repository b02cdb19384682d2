"""The phrases of a test as a table to change: measured at once by the live model, or tested again with all controls."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.store import Run
from dashboard import facts, live, widgets
from dashboard.verdicts import verdict_again, verdict_again_screen, verdict_phrases
from dashboard.verdicts.verdict_data import TestRef
from dashboard.verdicts.verdict_phrases import Phrase

Row = tuple[str, str, str]
"""kind, part, phrase"""


def render(run: Run, feature: int, ref: TestRef, phrases: list[Phrase], theta: float, act_max: float) -> None:
    """The table with what can be done with it; under it what was measured, or how far that is."""
    with st.expander("Change these phrases and measure again", icon=":material/edit_note:"):
        st.caption(
            "Add, change or delete rows; kind is part or whole. Measure again runs the whole test on them: controls, "
            "own text, labels swapped between features, and a verdict. What you change is not part of the link."
        )
        edited = _render_table(ref, phrases)
        _render_buttons(run, feature, ref, edited)
        _render_command(run, feature, ref)
    verdict_again_screen.render_came(ref)
    verdict_again_screen.render_outcome(run, ref)
    _render_measured(run, feature, ref, theta, act_max)


def _render_table(ref: TestRef, phrases: list[Phrase]) -> pd.DataFrame:
    return st.data_editor(
        verdict_phrases.upload_frame(phrases), num_rows="dynamic", hide_index=True, height=320,
        key=f"phrases_edit_{ref.id}",
        column_config={
            "kind": st.column_config.SelectboxColumn(options=["part", "whole"], required=True, width=80),
            "part": st.column_config.TextColumn(max_chars=200, width=160),
            "phrase": st.column_config.TextColumn(max_chars=2000, required=True, width="large"),
            "call": st.column_config.NumberColumn(min_value=0, step=1, width=60),
        },
    )  # fmt: skip


def _render_buttons(run: Run, feature: int, ref: TestRef, edited: pd.DataFrame) -> None:
    refused = live.refusal(run)
    if refused is not None and has_model(run):
        st.html(facts.message_html(refused.title, widgets.without_folders(refused.detail), refused.remedy, kind="note"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if refused is None:
            verdict_again_screen.render_button(feature, ref, edited)
            if st.button("Only these phrases", icon=":material/play_arrow:", key="phrases_measure",
                         help="a quick look without controls: nothing is judged or stored"):  # fmt: skip
                st.session_state.phrases_sent = (ref.id, rows_of(edited)[: live.MAX_TEXTS])
        st.download_button(
            "Phrases to test (csv)", verdict_again.file_of(edited, feature, str(ref.row["label"])),
            verdict_again.file_name(feature), "text/csv", on_click="ignore",
            icon=":material/download:", key="phrases_upload",
        )  # fmt: skip


def _render_command(run: Run, feature: int, ref: TestRef) -> None:
    if has_model(run):
        st.caption("The same on the command line, with the file above:")
        st.code(verdict_again.command(run, feature, str(ref.row["style"])), language=None, wrap_lines=True)
    else:
        st.caption("This run was imported without its model: controls and a verdict take a run that has one.")


def has_model(run: Run) -> bool:
    """Whether the run names a model, so that `prism decompose` can measure with it; an imported run does not."""
    return bool(((run.manifest.get("recipe") or {}).get("model") or {}).get("name"))


def rows_of(edited: pd.DataFrame) -> list[Row]:
    """The rows with a phrase; a part without a name counts as the whole label."""
    found = edited.astype(object).where(edited.notna(), "").astype(str)
    return [
        ("part" if part.strip() and kind == "part" else "whole", part.strip(), phrase.strip())
        for kind, part, phrase in zip(found["kind"], found["part"], found["phrase"], strict=True)
        if phrase.strip()
    ]


def _render_measured(run: Run, feature: int, ref: TestRef, theta: float, act_max: float) -> None:
    """The rows last sent, as a heatmap beside which the stored one can be held."""
    key, rows = st.session_state.get("phrases_sent", ("", []))
    if key != ref.id or not rows:
        return
    found = live.render_phrase_acts(run, (feature,), [phrase for _, _, phrase in rows])
    if found is None:
        return
    mine = measured(rows, [(f.str_tokens, f.acts[0].tolist()) for f in found])
    title = "Your version, measured now; framed = fires at the threshold of the test above"
    st.html(verdict_phrases.heat_html(mine, theta, act_max, title))


def measured(rows: list[Row], acts: list[tuple[tuple[str, ...], list[float]]]) -> list[Phrase]:
    """Typed rows with the acts of their tokens, the whole label first, parts in order of appearance."""
    parts = list(dict.fromkeys(part for kind, part, _ in rows if kind == "part"))
    made = [
        Phrase(
            kind, parts.index(part) if kind == "part" else -1, part if kind == "part" else "whole label", i, text,
            tokens, values, max(values) if values else None,
        )
        for i, ((kind, part, text), (tokens, values)) in enumerate(zip(rows, acts, strict=True))
    ]  # fmt: skip
    return sorted(made, key=lambda p: (p.part_index, p.index))
