"""A label written by hand: a box on the Feature page that adds to the run's labels, and takes own ones out again."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import PrismError
from core.formats.run_labels import add_by_hand, remove_label
from core.proposals.check import MAX_LABEL
from core.settings import Settings
from core.store import Run
from dashboard import readers, widgets
from dashboard.wording import one_line

BY_HAND = "by hand"
"""Source of a label whose writer gives no name."""


def render_label_box(run: Run, feature: int) -> None:
    """A popover to write or remove labels of a feature; a sentence instead where nobody may write.

    Call it inside the part of the page that shows the labels, before they are drawn: an added label is then there.
    """
    with (panel := st.popover("Label", icon=":material/edit:", key="label_box", on_change="rerun")):
        if not panel.open:
            return
        if (refused := widgets.refusal("Writing labels", Settings.from_env().hosted_write)) is not None:
            widgets.render_error(refused)
            return
        _render_form(run, feature)
        _render_removal(run, feature)


def _render_form(run: Run, feature: int) -> None:
    st.text_area("What it means", key=f"label_text_{feature}", max_chars=MAX_LABEL, height=90)
    st.text_input("Your name, for others to know whose label it is", key="label_by", max_chars=100, placeholder=BY_HAND)
    st.button("Add label", key="label_add", on_click=_add, args=(run, feature), type="primary")
    if (error := st.session_state.pop("label_error", None)) is not None:
        widgets.render_error(error)
    if said := st.session_state.pop("label_said", ""):
        st.caption(said)


def _render_removal(run: Run, feature: int) -> None:
    """Any label of the feature may go: the same file of labels can be imported again."""
    labels = [(str(r.label), str(r.source)) for r in readers.labels_of(run, feature).itertuples()]
    if not labels:
        return
    chosen = st.selectbox(
        "Remove", range(len(labels)), index=None, key=f"label_remove_{feature}", placeholder="choose a label",
        format_func=lambda i: f"{one_line(labels[i][0], 80)} ({one_line(labels[i][1], 40)})",
    )  # fmt: skip
    if chosen is not None:
        st.button("Remove this label", key="label_drop", on_click=_remove, args=(run, feature, *labels[chosen]))


def _add(run: Run, feature: int) -> None:
    state, text = st.session_state, f"label_text_{feature}"

    def add() -> str:
        added = add_by_hand(run, feature, state[text], state.label_by or BY_HAND)
        state[text] = ""
        return "Label added" if added else "That label is there already"

    _do(add)


def _remove(run: Run, feature: int, label: str, source: str) -> None:
    st.session_state[f"label_remove_{feature}"] = None
    _do(lambda: "Label removed" if remove_label(run, feature, label, source) else "That label was gone already")


def _do(change: Callable[[], str]) -> None:
    """Change the labels, unless this server may not: a session outlives the setting that allowed its buttons."""
    state = st.session_state
    try:
        if (refused := widgets.refusal("Writing labels", Settings.from_env().hosted_write)) is not None:
            raise refused
        state.label_said = change()
    except PrismError as error:
        state.label_error = error
