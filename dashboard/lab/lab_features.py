"""Which features the lab looks at: numbers, the feature and list at hand, or words of their labels."""

from __future__ import annotations

import streamlit as st

from core.errors import PrismError
from core.store import Run
from dashboard import readers, subject, widgets
from dashboard.lab import lab_controls
from dashboard.wording import one_line

MAX_FOUND = 8


def render(run: Run) -> tuple[int, ...]:
    """The chooser; the features chosen, at most ``lab_controls.MAX_CHOSEN``."""
    state = st.session_state
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Features", key="prompts_features", max_chars=400, on_change=_typed, width=300,
                      placeholder="12, 40, 340")  # fmt: skip
        st.text_input("Add by words of the label", key="lab_words", max_chars=80, placeholder="weather", width=220,
                      on_change=_search)  # fmt: skip
        at_hand = subject.feature()
        listed = subject.features()
        now = lab_controls.safe(str(state.prompts_features))
        if at_hand is not None and at_hand not in now:
            st.button(f"+ {at_hand}", key="lab_add_here", on_click=_add, args=((at_hand,),), help="the feature at hand")
        if missing := [f for f in listed if f not in now]:
            st.button(f"+ list of {len(listed)}", key="lab_add_list", on_click=_add, args=(tuple(missing),),
                      help="the list at hand")  # fmt: skip
    if error := state.pop("lab_feature_error", None):
        widgets.render_error(error)
    _render_found(run)
    return lab_controls.safe(str(state.prompts_features))


def _render_found(run: Run) -> None:
    """Features whose labels or top tokens share the words typed: a click adds one."""
    words = str(st.session_state.get("lab_words", "")).strip()
    if not words:
        return
    table = readers.feature_table(run)
    rows, near = table.index.rank(words, MAX_FOUND)
    if not len(rows):
        st.caption(
            "No label has these words." + (" Nearest are others; try one of the words in a label." if near else "")
        )
        return
    with st.container(horizontal=True):
        for row in rows[:MAX_FOUND]:
            feature, label = int(table.frame["feature"].iloc[row]), table.frame["label"].iloc[row]
            name = "" if label is None or label != label else one_line(str(label), 40)
            st.button(f"+ {feature} {plain(name)}", key=f"lab_add_{feature}", on_click=_add, args=((feature,),))


def plain(text: str) -> str:
    """Text of strangers in a widget's label, which is markdown: shown as written, without links or pictures."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~$:" else c for c in text)


def _add(features: tuple[int, ...]) -> None:
    now = lab_controls.safe(str(st.session_state.prompts_features))
    together = list(dict.fromkeys([*now, *features]))[: lab_controls.MAX_CHOSEN]
    subject.remember(prompts_features=",".join(map(str, together)))


def _typed() -> None:
    """What cannot be read is said, and what was there before stays."""
    state = st.session_state
    try:
        found = lab_controls.chosen(str(state.prompts_features))
        subject.remember(prompts_features=",".join(map(str, found)))
    except PrismError as error:
        state.lab_feature_error = error
        subject.acted("prompts_task")


def _search() -> None:
    st.session_state.acted = True
