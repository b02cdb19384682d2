"""Task 1: chosen features on the prompts, as a matrix to sort and click, and one prompt token by token."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from core.errors import PrismError
from core.lab.result import LabResult
from core.lab.testing import Measured, summarise
from core.store import Run
from dashboard import controls, facts, subject, widgets
from dashboard.lab import (
    lab_controls,
    lab_features,
    lab_frames,
    lab_jobs,
    lab_links,
    lab_matrix,
    lab_sets,
    lab_show,
    lab_tokens,
)
from dashboard.lab.lab_jobs import Viewed
from dashboard.lab.lab_matrix import STATS, LabActs
from dashboard.lab.lab_state import Sent
from dashboard.wording import number, plural

PER_PAGE = 50


def render(run: Run, sent: Sent, viewed: Viewed) -> None:
    features = lab_features.render(run)
    if not features:
        st.html(facts.message_html("No feature is chosen", "", "Type numbers above, or find some by their labels.",
                                   kind="note"))  # fmt: skip
        return
    tested = lab_jobs.tested(run, sent, viewed, features)
    if tested is None:
        return
    render_tested(run, sent, tested)

    def made() -> LabResult:
        n, logs = len(sent.prompts), tested.log_probs
        whole = tuple(logs[i] for i in range(n)) if len(logs) == n else None
        return summarise(Measured(sent.table, features, viewed.views, tested.acts, whole), 0.0, run)

    lab_sets.render_save(run, made, viewed.about)


def render_stored(run: Run, result: LabResult) -> None:
    """A saved matrix."""
    prompts = result.table("prompts")
    sent = Sent(lab_frames.table_of(prompts), "saved")
    features = tuple(run.require_feature(int(f)) for f in result.params["features"])
    views, logs = lab_frames.views_of(prompts), lab_frames.log_probs_of(prompts)
    render_tested(run, sent, lab_jobs.lab_acts(run, sent, features, views, lab_frames.acts_of(result), logs), True)


def render_tested(run: Run, sent: Sent, tested: LabActs, stored: bool = False) -> None:
    """The chosen cell token by token, the matrix, downloads; no control of it measures anything anew."""
    state = st.session_state
    share = state.prompts_theta / 100
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control("Each cell", STATS, key="prompts_stat", required=True, on_change=subject.acted,
                             args=("prompts_stat",))  # fmt: skip
        st.slider("Fires above, % of the feature's largest act in the run", 0, 100, key="prompts_theta",
                  on_change=subject.acted, args=("prompts_theta",), width=380)  # fmt: skip
    values = lab_matrix.matrix(tested, state.prompts_stat, share)
    by = tested.features.index(int(state.prompts_sort)) if _sorted(tested) else None
    rows = lab_matrix.order(values, by)
    n_pages = max(1, -(-len(rows) // PER_PAGE))
    first = (min(state.prompts_page, n_pages) - 1) * PER_PAGE
    here = _cell(tested, values)
    if here:
        render_cell(run, sent, tested, *here, share, stored)
    lab_show.html(
        lab_matrix.matrix_html(tested, state.prompts_stat, share, rows[first : first + PER_PAGE], by, here, href)
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if n_pages > 1:
            st.pagination(n_pages, key="prompts_page", on_change=subject.acted, args=("prompts_page",))
        if by is not None:
            st.button("Order as given", key="lab_unsort", on_click=partial(subject.remember, prompts_sort=""))
        widgets.render_downloads(lambda: lab_matrix.frame(tested, share), "prompts", "matrix", shortcut="d")
    lab_links.catch_cells("prompts_cells", _clicked)


def _sorted(tested: LabActs) -> bool:
    by = str(st.session_state.prompts_sort)
    return by.isdecimal() and int(by) in tested.features


def _cell(tested: LabActs, values: np.ndarray) -> tuple[int, int] | None:
    """The cell the link names, else the strongest one."""
    try:
        named = lab_controls.read_cell(str(st.session_state.prompts_cell))
    except PrismError:
        named = None
    if named and named[0] < len(tested.views) and named[1] in tested.features:
        return named
    if not values.size or np.isnan(values).all():
        return None
    row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    return int(row), tested.features[int(column)]


def _clicked(key: str) -> None:
    if key.startswith("f"):
        now = str(st.session_state.remembered.get("prompts_sort", ""))
        subject.remember(prompts_sort="" if now == key[1:] else key[1:], prompts_page=1)
    else:
        subject.remember(prompts_cell=key)


def href(key: str) -> str:
    """The address of the view with another cell or order."""
    changed = {"prompts_sort": key[1:]} if key.startswith("f") else {"prompts_cell": key}
    return "prompts?" + urlencode(st.session_state.get("seen", {}) | changed)


def render_cell(
    run: Run, sent: Sent, tested: LabActs, prompt: int, feature: int, share: float, stored: bool
) -> None:  # fmt: skip
    """One prompt token by token: act and log-probability."""
    i, acts = tested.features.index(feature), tested.token_acts(prompt, feature)
    theta, n = float(tested.thresholds(share)[i]), lab_tokens.n_scored(tested.views[prompt])
    fired, largest = int((acts > theta).sum()), float(acts.max()) if len(acts) else 0.0
    logs = tested.log_probs.get(prompt)
    if logs is None and not stored and (found := lab_jobs.log_probs(run, sent, (prompt,))) is not None:
        logs = found[prompt]
    lab_show.html(
        cell_html(tested, prompt, feature, f"fires on {fired} of {plural(n, 'token')}, above {number(theta)}; largest "
                  f"{number(largest)}", acts, float(tested.act_max[i]), theta, logs)
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(f"Open feature {feature}", icon=":material/target:", key="lab_open", on_click=_open, args=(feature,))
        st.button("Previous prompt", icon=":material/arrow_back:", key="lab_back", on_click=_move, shortcut="Left",
                  args=(tested, prompt, feature, -1))  # fmt: skip
        st.button("Next prompt", icon=":material/arrow_forward:", key="lab_next", on_click=_move, shortcut="Right",
                  args=(tested, prompt, feature, 1))  # fmt: skip


def cell_html(
    tested: LabActs, prompt: int, feature: int, said: str, acts: np.ndarray, act_max: float, theta: float,
    logs: np.ndarray | None,
) -> str:  # fmt: skip
    """The strip under its heading."""
    strip = lab_tokens.strip_html(tested.views[prompt], acts, act_max, theta, logs)
    under = "act where it fires" + ("" if logs is None else "; below it log p of the token given all before it, nats")
    return (
        f'<div class="p-g"><h2>Prompt {prompt + 1} · feature {feature}</h2><p>{said}. Under each token: {under}.</p>'
        f"{strip}</div>"
    )


def _open(feature: int) -> None:
    subject.choose(feature=feature)
    controls.go("feature")


def _move(tested: LabActs, prompt: int, feature: int, step: int) -> None:
    subject.remember(prompts_cell=f"{(prompt + step) % len(tested.views)}.{feature}")
