"""A box for one's own texts on one feature: every token with its act, from the live model.

The texts stay in the visitor's session; they are never part of the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from core.store import Run
from dashboard import facts, live, readers, widgets
from dashboard.live import PhraseActs
from dashboard.verdicts.verdict_phrases import phrase_html
from dashboard.wording import number, percent, plural

MAX_LINES = 20
Tried = tuple[str, tuple[str, ...], np.ndarray]
"""A text, its str_tokens, and float32 ``[n_tokens]`` acts of the feature."""


def render_try(run: Run, feature: int) -> list[Tried]:
    """The box, and under it what the feature does on each line of it; what it measured, in order of the lines.

    Empty while nothing was asked, while the answer is on its way (the wait is drawn) and where no model can be asked.
    """
    st.subheader("Try your own text", anchor=False)
    if error := live.refusal(run):
        st.html(facts.message_html(error.title, widgets.without_folders(error.detail), error.remedy, kind="note"))
        return []
    texts = _render_box(run)
    if not texts:
        return []
    found = live.render_phrase_acts(run, (feature,), texts)
    if found is None:
        return []
    st.html(tried_html(found, _act_max(run, feature)))
    return [(f.text, f.str_tokens, f.acts[0]) for f in found]


def _render_box(run: Run) -> tuple[str, ...]:
    """The lines last sent, each a text; the box holds them while one steps through features of this run."""
    state, key = st.session_state, f"try_texts_{run.name}"
    kept: dict[str, tuple[str, ...]] = state.setdefault("tried", {})
    with st.form("try", border=False):
        text = st.text_area(
            "One text a line", "\n".join(kept.get(run.name, ())), key=key, height=90, max_chars=live.MAX_CHARS,
            placeholder="a text that should make it fire, and one that should not",
        )  # fmt: skip
        if st.form_submit_button("Measure", icon=":material/play_arrow:"):
            kept[run.name] = tuple(line for line in text.splitlines() if line.strip())
    texts = kept.get(run.name, ())
    if len(texts) > MAX_LINES:
        st.caption(f"The first {MAX_LINES} of {len(texts)} lines.")
    return texts[:MAX_LINES]


def _act_max(run: Run, feature: int) -> float:
    """The feature's largest act in the run, 0 where it never fires."""
    acts = readers.acts(run, feature).act
    return float(acts.max()) if len(acts) else 0.0


def tried_html(found: Sequence[PhraseActs], act_max: float) -> str:
    """Every text with its largest act and its tokens; ``act_max`` is the feature's largest act in the run, 0: none."""
    largest = max((float(f.acts.max()) for f in found if f.acts.size), default=0.0)
    fired = sum(bool((f.acts > 0).any()) for f in found)
    about = f"it fires on {fired} of {plural(len(found), 'text')}; largest act {number(largest)}"
    about += f", {percent(largest / act_max)} of its largest in the run" if act_max else "; in the run it never fires"
    lines = "".join(_line(f, act_max or largest) for f in found)
    head = f"<h4>What the feature does on it</h4><p>{escape(about)}</p>"
    return f'<div class="p-groups p-one"><div class="p-g">{head}<ol>{lines}</ol></div></div>'


def _line(found: PhraseActs, act_max: float) -> str:
    acts = found.acts[0]
    largest = float(acts.max()) if len(acts) else 0.0
    said = f"act {number(largest)}" if largest else "silent" if len(acts) else "no token"
    why = f" <small>{escape(found.problem)}</small>" if found.problem else ""
    body = phrase_html(found.str_tokens, acts.tolist(), act_max)
    return f'<li><span class="p-v">{said}</span><span class="p-t" dir="auto">{body}{why}</span></li>'
