"""Where prompts come from: typed, pasted, uploaded, conversations, samples of the run; and how the model sees them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.analyses.prompt_model import Prompt, Turn
from core.errors import InputError, PrismError
from core.lab.prompts import PromptTable
from core.store import Run
from dashboard import facts, subject, widgets
from dashboard.lab import lab_account, lab_limits, lab_samples, lab_show, lab_state, lab_tokens, lab_upload
from dashboard.lab.lab_features import plain
from dashboard.lab.lab_jobs import Viewed
from dashboard.lab.lab_state import Sent, values_of
from dashboard.wording import one_line, plural

WAYS = ("type", "upload", "conversation")
ICONS = {"type": "Type or paste", "upload": "Upload a file", "conversation": "Conversation"}
BOXES = {
    "contrast": ("A", "B"),
    "account": ("should fire", "should not fire"),
}
TITLES = {
    "contrast": ("Group A", "Group B"),
    "account": ("Should fire", "Should not fire"),
}
PLAIN = ("Prompts", "A second group (optional)")
SHOWN = 4
"""Prompts of the preview at first."""
ROLES = ("system", "user", "assistant")


def render(run: Run, task: str, sent: Sent | None) -> None:
    """The box; closed to one line once there are prompts."""
    title = "Your prompts" if sent is None else f"Your prompts: {plain(said(sent))}"
    with st.expander(
        title, expanded=sent is None, icon=":material/edit_note:", key=f"prompts_box_{run.name}_{sent is None}"
    ):
        way = st.segmented_control("How", WAYS, default=WAYS[0], key="lab_way", label_visibility="collapsed",
                                   required=True, format_func=lambda w: ICONS[w])  # fmt: skip
        try:
            if way == "upload":
                lab_upload.render(run.name, lambda found: _send(run, found))
            else:
                (_typed if way == "type" else _conversation)(run, task)
        except PrismError as error:
            widgets.render_error(error)
        st.caption(f"{lab_limits.said()} What you send stays in your session: it is in no link and no file of the run "
                   "unless you save it.")  # fmt: skip


def said(sent: Sent) -> str:
    """How many there are and where they are from."""
    names = values_of(sent.names)
    counts = ", ".join(f"{sent.names.count(n)} {one_line(n, 30)}" for n in names[:4]) + (" …" if len(names) > 4 else "")
    return plural(len(sent.prompts), "prompt") + (f" ({counts})" if names else "") + f", {sent.origin}"


# --- typed -----------------------------------------------------------------------------------------------


def _typed(run: Run, task: str) -> None:
    names = TITLES.get(task, PLAIN)
    with st.form("lab_typed", border=False):
        for column, name, key, hint in zip(
            st.columns(2), names, _boxes(run), ("one prompt a line", "what to hold them against"), strict=True
        ):
            column.text_area(name, key=key, height=150, max_chars=lab_limits.typed_chars(), placeholder=hint)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.form_submit_button("Use these prompts", icon=":material/check:", type="primary", on_click=_use,
                                  args=(run, task))  # fmt: skip
            st.toggle("one text, line ends kept", key="lab_whole", help="Off: every line is a prompt of its own")
    with st.container(horizontal=True):
        st.button("Sample prompts", icon=":material/casino:", key="lab_sample", on_click=_sample, args=(run, task),
                  help="texts of this run: with the words of the label and without them" if task == "account" else
                  "texts of this run on which the chosen feature fires, and as many at random")  # fmt: skip
        st.button("Clear", icon=":material/close:", key="lab_clear", on_click=_clear, args=(run,),
                  disabled=lab_state.sent(run) is None)  # fmt: skip


def _use(run: Run, task: str) -> None:
    """From a callback: a click on something else right after it would end the script before it got here."""
    state = st.session_state
    first, second = (_prompts(str(state[key]), bool(state.lab_whole)) for key in _boxes(run))
    try:
        if not first and not second:
            raise InputError("there is no prompt in the box", "", "type one prompt a line, or press Sample prompts")
        _take(run, lab_state.of_texts(first, second, _names(task), "typed"))
    except PrismError as error:
        state.lab_error = error


def _boxes(run: Run) -> list[str]:
    return [f"lab_text_{i}_{run.name}" for i in (0, 1)]


def _names(task: str) -> tuple[str, str]:
    return BOXES.get(task, ("A", "B"))


def _prompts(text: str, whole: bool) -> list[str]:
    return ([text] if text.strip() else []) if whole else [line for line in text.splitlines() if line.strip()]


def _send(run: Run, found: Sent) -> None:
    _take(run, found)
    st.rerun()


def _take(run: Run, found: Sent) -> None:
    lab_limits.check(found.table)
    lab_state.send(run, found)
    subject.remember(prompts_cell="", prompts_page=1, prompts_prompt=1, prompts_a=0, prompts_b=1)


def _sample(run: Run, task: str) -> None:
    """From a callback: the feature at hand decides which sentences; it is tested beside its nearest by default."""
    state = st.session_state
    try:
        chosen = subject.feature()
        feature = widgets.require_feature(run) if chosen is None else chosen
        if task == "account":
            first, second = lab_samples.sample_by_words(run, lab_account.label_at_hand(run, feature))
            names, origin = _names(task), "drawn from the run's text by the words of the label"
        else:
            first, second = lab_samples.sample_prompts(run, feature)
            names, origin = (f"{feature} fires", "at random"), "sampled from the run's text"
        for key, texts in zip(_boxes(run), (first, second), strict=True):
            state[key] = "\n".join(texts)
        _take(run, lab_state.of_texts(first, second, names, origin))
        if not str(state.prompts_features):
            near = run.neighbours(feature)["neighbour"].head(4).tolist()
            subject.remember(prompts_features=",".join(map(str, (feature, *near))))
    except PrismError as error:
        st.session_state.lab_error = error


def _clear(run: Run) -> None:
    lab_state.send(run, None)
    for key in _boxes(run):
        st.session_state[key] = ""
    subject.remember(prompts_cell="", prompts_page=1)


# --- conversations ---------------------------------------------------------------------------------------


def _conversation(run: Run, task: str) -> None:
    """Turns with roles as the tokenizer's chat template spells them; equal numbers are one conversation."""
    if st.session_state.get(f"lab_chat_{run.name}") is False:
        st.html(facts.message_html("This model has no chat template", "its tokenizer does not say how turns are spelt",
                                   "type plain text instead", kind="note"))  # fmt: skip
        return
    start = pd.DataFrame({"conversation": [1], "role": ["user"], "content": [""]})
    edited = st.data_editor(
        start, num_rows="dynamic", hide_index=True, key=f"lab_turns_{run.name}",
        column_config={
            "conversation": st.column_config.NumberColumn(min_value=1, step=1, required=True, width=110),
            "role": st.column_config.SelectboxColumn(options=ROLES, required=True, width=110),
            "content": st.column_config.TextColumn(max_chars=lab_limits.typed_chars(), required=True, width="large"),
        },
    )  # fmt: skip
    if st.button("Use these conversations", icon=":material/check:", type="primary", key="lab_turns_use"):
        _send(run, Sent(PromptTable(_turns(edited)), "conversations"))


def _turns(edited: pd.DataFrame) -> tuple[Prompt, ...]:
    rows = edited.dropna(subset=["role", "content"])
    rows = rows[rows["content"].astype(str).str.strip() != ""]
    made = [
        Prompt(turns=tuple(Turn(str(r), str(c)) for r, c in zip(part["role"], part["content"], strict=True)))
        for _, part in rows.assign(conversation=rows["conversation"].fillna(1)).groupby("conversation")
    ]
    if not made:
        raise InputError("there is no turn with text", "", "write what the user says in the column content")
    return tuple(made)


# --- what the model sees ---------------------------------------------------------------------------------


def render_preview(run: Run, sent: Sent, viewed: Viewed) -> None:
    """Counts, and the first prompts token by token."""
    st.session_state[f"lab_chat_{run.name}"] = viewed.has_chat_template
    if left_out := lab_upload.left_out_html(sent.table):
        st.html(left_out)
    lab_show.html(facts.facts_html(lab_tokens.preview_facts(viewed.views, sent.n_chars)))
    n: Any = st.session_state.get("lab_shown", SHOWN)
    shown = min(int(n), len(viewed.views))
    with st.expander("As the model sees them, token by token", expanded=len(viewed.views) <= SHOWN,
                     icon=":material/data_array:", key="prompts_preview"):  # fmt: skip
        names = [f"{i + 1} {sent.names[i]}".strip() for i in range(shown)]
        st.html(lab_tokens.preview_html(viewed.views[:shown], names))
        if shown < len(viewed.views):
            st.button(f"Show {min(20, len(viewed.views) - shown)} more", key="lab_more", on_click=_more, args=(shown,))


def _more(shown: int) -> None:
    st.session_state.lab_shown = shown + 20
