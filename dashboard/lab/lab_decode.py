"""Task 5: features set by hand, what their direction promotes, and what the model writes with it."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import streamlit as st

from core.analyses.base import Progress
from core.analyses.prompt_model import Prompt, PromptModel
from core.lab.decoding import DecodeParams, decode_features
from core.lab.prompts import PromptTable
from core.lab.result import LabResult
from core.store import Run
from dashboard import facts, readers, subject, widgets
from dashboard.lab import lab_controls, lab_decode_html, lab_features, lab_frames, lab_jobs, lab_sets, lab_show
from dashboard.lab.lab_state import Sent
from dashboard.wording import number, one_line

START = "There was a"
N_TOKENS, N_TOP = 24, 12


def render(run: Run, sent: Sent | None) -> None:
    """Sliders, promoted and suppressed tokens at once, continuations on a click."""
    features = lab_features.render(run)[: lab_controls.MAX_SET]
    if not features:
        st.html(facts.message_html("No feature is chosen", "", "Type numbers above, or find some by their labels.",
                                   kind="note"))  # fmt: skip
        return
    values = render_sliders(run, features)
    if not any(values.values()):
        st.html(facts.message_html("Every feature is set to 0", "", "Move a slider.", kind="note"))
        return
    seed = int(st.session_state.prompts_seed)
    params = DecodeParams(n_top=N_TOP, n_tokens=N_TOKENS, seed=seed)
    decoded = _ask(run, values, None, params)
    if decoded is None:
        return
    render_decoded(decoded)
    written = render_continuations(run, sent, values, params)
    about = lab_jobs.about(run)
    if about is not None:
        lab_sets.render_save(run, lambda: written or decoded, about)


def _ask(run: Run, values: dict[int, float], prompts: PromptTable | None, params: DecodeParams) -> LabResult | None:
    def work(model: PromptModel, progress: Progress) -> LabResult:
        return decode_features(model, values, prompts, params, progress)

    found = lab_jobs.ask(run, ("decode", tuple(values.items()), prompts.prompts if prompts else (), params), work)
    return found if isinstance(found, LabResult) else None


def render_result(result: LabResult) -> None:
    """A whole answer, as when it was saved."""
    values = {int(f): float(v) for f, v in result.params["values"].items()}
    lab_show.html(f"<p>{escape(lab_decode_html.summary(values))}</p>")
    render_decoded(result)
    render_written(result)


def render_decoded(result: LabResult) -> None:
    decoded = lab_frames.decoded_of(result)
    lab_show.html(facts.facts_html(lab_decode_html.decoded_facts(decoded)) + lab_decode_html.effects_html(decoded))
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: lab_decode_html.effects_frame(decoded), "prompts", "decode", shortcut="d")


def render_written(result: LabResult) -> None:
    found = lab_frames.continuations_of(result)
    if not found:
        return
    lab_show.html(lab_decode_html.continuations_html(found, str(result.table("prompts")["text"].iloc[0])))
    st.caption(
        "Green: likelier with the direction than without; red, dotted: less likely. Hover for log-probabilities."
    )
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: lab_decode_html.continuations_frame(found), "prompts_text", "continuations")


# --- values ----------------------------------------------------------------------------------------------


def typical(run: Run, feature: int) -> float:
    """What a feature is set to at first: the 99th percentile of its acts, 1 where it never fires."""
    row = readers.feature_row(run, feature)
    found = float(row["act_q99"])
    return round(found, 4) if found > 0 else 1.0


def render_sliders(run: Run, features: tuple[int, ...]) -> dict[int, float]:
    """One slider a feature, from taking it away to three times its largest act."""
    state = st.session_state
    named = lab_controls.read_values(str(state.prompts_values))
    values = {f: named.get(f, typical(run, f)) for f in features}
    for column, (f, value) in zip(_columns(len(values)), values.items(), strict=True):
        row = readers.feature_row(run, f)
        most = float(row["act_max"]) if row["act_max"] > 0 else 1.0
        state[f"lab_value_{f}"] = min(max(value, -most), 3 * most)
        label = "" if row["label"] is None or row["label"] != row["label"] else one_line(str(row["label"]), 40)
        column.slider(
            f"Feature {f} {lab_features.plain(label)}", -most, 3 * most, step=most / 50, key=f"lab_value_{f}",
            on_change=_set, args=(features,), format="%.3g",
            help=f"largest act in the run {number(most)}; at first the 99th percentile of its acts",
        )  # fmt: skip
    return values


def _columns(n: int) -> list[Any]:
    return [column for _ in range(0, n, 2) for column in st.columns(2)][:n]


def _set(features: tuple[int, ...]) -> None:
    subject.remember(
        prompts_values=lab_controls.write_values({f: float(st.session_state[f"lab_value_{f}"]) for f in features})
    )


# --- continuations ---------------------------------------------------------------------------------------


def render_continuations(
    run: Run, sent: Sent | None, values: dict[int, float], params: DecodeParams
) -> LabResult | None:
    """The text to go on with, strengths, and on a click what is written."""
    st.html('<h2 class="p-h" style="font-size:1.2rem;margin-top:.6rem">What the model writes with it</h2>')
    with st.container(horizontal=True, vertical_alignment="bottom"):
        prompt = _render_start(sent)
        chosen = lab_controls.read_strengths(str(st.session_state.prompts_strengths))
        st.session_state.lab_strengths = [s for s in lab_controls.STRENGTHS if float(s) in chosen]
        st.pills("Strengths", lab_controls.STRENGTHS, selection_mode="multi", key="lab_strengths", on_change=_strengths)
        st.number_input("Seed", 0, 999_999, key="prompts_seed", on_change=subject.acted, args=("prompts_seed",),
                        width=110, help="of the random directions")  # fmt: skip
    asked = replace(params, strengths=chosen)
    if not lab_jobs.clicked((prompt, tuple(values.items()), asked), "Continue the text", ":material/draw:"):
        return None
    result = _ask(run, values, PromptTable((prompt,), n_rows=1), asked)
    if result is not None:
        render_written(result)
    return result


def _render_start(sent: Sent | None) -> Prompt:
    if sent is None:
        text = st.text_input("Text to go on with", value=START, key="lab_start", max_chars=2_000, width=320)
        return Prompt(text or START)
    st.session_state.prompts_prompt = min(int(st.session_state.prompts_prompt), len(sent.prompts))
    at = st.number_input("Prompt to go on with", 1, len(sent.prompts), key="prompts_prompt", on_change=subject.acted,
                         args=("prompts_prompt",), width=170)  # fmt: skip
    return sent.prompts[int(at) - 1]


def _strengths() -> None:
    subject.remember(prompts_strengths=",".join(st.session_state.lab_strengths or [lab_controls.STRENGTHS[1]]))
