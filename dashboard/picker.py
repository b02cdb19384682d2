"""The "paste anything" box: echo what was understood, name near misses, say what to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd
import streamlit as st

from core.errors import InputError, PrismError
from core.store import Run
from dashboard import controls, links, listing, readers, subject, widgets
from dashboard.paste import Pasted, find_run, result_frame, understand
from dashboard.wording import count


@dataclass(frozen=True)
class Target:
    """What to open: a feature, a list of features, or (neither) the run itself."""

    run: str
    feature: int | None = None
    features: tuple[int, ...] = ()


def render_answer(text: str) -> Target | None:
    """Answer a pasted text; a Target when it names exactly one thing.

    What cannot be found is said here, in place, and the page goes on.
    """
    name, runs = subject.run_name(), readers.run_names()
    pasted = understand(text, runs)
    if pasted.kind == "empty" or name is None:
        return None
    st.html(f'<div class="p-said">Understood as <b>{escape(pasted.said)}</b></div>')
    try:
        return _answer(pasted, readers.run(name))
    except PrismError as error:
        widgets.render_error(error)
        return None


def _answer(pasted: Pasted, run: Run) -> Target | None:
    if pasted.kind == "feature":
        return Target(run.name, run.require_feature(int(pasted.feature or 0)))
    if pasted.kind == "features":
        return Target(run.name, features=tuple(run.require_feature(f) for f in pasted.features))
    if pasted.kind == "words":
        return _by_words(pasted, run)
    hits, near = find_run(pasted, readers.cards())
    if not hits:
        raise InputError(
            f"no run here has {pasted.said}",
            f"Nearest: {', '.join(near)}" if near else "",
            "Make one: write a recipe with that SAE, then `prism run RECIPE.toml`",
        )
    chosen = run.name if run.name in hits else hits[0]
    if len(hits) > 1:
        st.caption(f"{len(hits)} runs have it; this is one of them. The sidebar lists all.")
    feature = pasted.feature
    return Target(chosen, None if feature is None else readers.run(chosen).require_feature(feature))


def _by_words(pasted: Pasted, run: Run) -> Target | None:
    table = readers.feature_table(run)
    rows, near = table.index.rank(pasted.text, len(table.frame))
    if not len(rows):
        raise InputError(
            "no feature has these words in its labels or top tokens",
            f"Nearest words: {', '.join(near)}" if near else "",
            "Try other words, or a feature number.",
        )
    found = result_frame(table.frame, rows)
    if len(rows) == 1:
        return Target(run.name, int(found["feature"].iloc[0]))
    render_listing(found, f"{len(found)} of {count(len(rows))} features that share its words, the rarest words first")
    return None


def render_listing(found: pd.DataFrame, title: str, columns: Sequence[str] = ()) -> None:
    """A short table of features, each a link to its page; the page catches the clicks (``catch``)."""
    st.html(listing.listing_html(found, title, columns, subject.feature_link))


def catch(page: str) -> None:
    """Open the features that are clicked in a page's own HTML, and the box below at ``/``."""
    links.catch_links(f"{page}_links", _open if page != "feature" else _step, _find, _open_prototype)
    if page != "feature" and st.session_state.pop("finding", False):  # there the Find button opens it
        render_find()


def _open(feature: int) -> None:
    subject.choose(feature=feature)
    controls.go("feature")


def _open_prototype(method: str, number: int) -> None:
    subject.remember(pattern_svd_method=method, pattern_svd_number=number)
    controls.go("pattern_svd")


def _step(feature: int) -> None:
    subject.choose(feature=feature)
    st.session_state.close_dialog = True


def _find() -> None:
    st.session_state.finding = True


def open_target(target: Target) -> None:
    """Go where a target points: a feature, a list, or the run on the home page."""
    subject.choose(run=target.run, feature=target.feature, features=target.features or None)
    controls.open_page("lists" if target.features else "home" if target.feature is None else "feature")


def render_find_button() -> None:
    """The same box over any page, under ``/`` and Ctrl+K."""
    state = st.session_state
    if state.pop("close_dialog", False) and state.pop("dialog_open", False):
        st.rerun()  # of the whole page, which closes the dialog a click came from
    if st.button("Find", shortcut="Mod+K", icon=":material/search:", key="find") or state.pop("finding", False):
        state.dialog_open = True
        render_find()


@st.dialog("Find a feature", width="large")
def render_find() -> None:
    text = st.text_input("Number, words, text, release:id, link", key="find_text", max_chars=400)
    if target := render_answer(text):
        open_target(target)
