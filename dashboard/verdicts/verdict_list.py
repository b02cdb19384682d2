"""Parts of the page Decomposability: which tests are listed in which order, and class against what else is known."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from core.store import Run
from dashboard import controls, files, readers, subject
from dashboard.verdicts import verdict_charts
from dashboard.verdicts.verdict_data import Tested
from dashboard.verdicts.verdict_wording import KINDS

ENDS = {"lo": "density from", "hi": "to"}


def first_page(*keys: str) -> None:
    """A filter or the order changed: begin at the first row."""
    subject.acted(*keys)
    subject.remember(decomposability_page=1)


def render_range() -> None:
    """Density from .. to; its widgets exist only while it is open."""
    state = st.session_state
    with (panel := st.popover("Density", icon=":material/filter_alt:", key="decomposability_range", on_change="rerun")):
        if not panel.open:
            return
        for end, title in ENDS.items():
            state[f"density_{end}"] = controls.share(state[f"decomposability_{end}"])
            st.number_input(title, 0.0, 1.0, key=f"density_{end}", value=None, format="%g", on_change=_keep_range)


def _keep_range() -> None:
    values = {end: st.session_state.get(f"density_{end}") for end in ENDS}
    subject.remember(**{f"decomposability_{end}": "" if v is None else f"{v:g}" for end, v in values.items()})
    first_page()


def render_result_choice(results: dict[str, Tested]) -> None:
    """Which result, where the run has several."""
    titles = {
        key: f"{str(r.result.manifest['created_at'])[:16].replace('T', ' ')} UTC · {len(r.tests)} labels · {key}"
        for key, r in results.items()
    }
    st.selectbox("Result", list(titles), key="decomposability_result", on_change=first_page,
                 args=("decomposability_result",), format_func=lambda k: titles.get(k, k), width=420)  # fmt: skip


def chosen(run: Run, result: Tested) -> pd.DataFrame:
    """The tests inside the page's filters, in its order, with density and token R2 of their features."""
    state, frame = st.session_state, joined(run, result)
    lo, hi = (controls.share(state[f"decomposability_{end}"]) for end in ENDS)
    return ordered(
        inside(frame, state.decomposability_kind, state.decomposability_source, state.decomposability_q, lo, hi),
        state.decomposability_sort,
    )


def joined(run: Run, result: Tested) -> pd.DataFrame:
    """The tests with density and token R2 of their features, in order of test."""
    known = readers.feature_table(run).frame[["feature", "density", "token_r2"]]
    return result.tests.merge(known, on="feature", how="left")


def inside(frame: pd.DataFrame, kind: str, source: str, text: str, lo: float | None, hi: float | None) -> pd.DataFrame:
    """Rows of that class and source (or ``any``) whose label has ``text`` and whose density lies in ``[lo, hi]``."""
    keep = pd.Series(True, index=frame.index)
    if kind != "any":
        keep &= frame["kind"] == kind
    if source != "any":
        keep &= frame["label_source"] == source
    if text:
        keep &= frame["label"].str.contains(text, case=False, regex=False)
    if lo is not None:
        keep &= frame["density"] >= lo
    if hi is not None:
        keep &= frame["density"] <= hi
    return frame[keep]


def ordered(frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """Ties by number of the test; what was not measured comes last. Where no label has a failure, the share of its
    phrases that fire says how good it is."""
    if order in ("worst first", "best first"):
        by, up = ("failure", order == "best first") if frame["failure"].notna().any() else (
            "parts_rate", order == "worst first")  # fmt: skip
        return frame.sort_values([by, "test"], ascending=[up, True], na_position="last")
    if order == "densest first":
        return frame.sort_values(["density", "test"], ascending=[False, True], na_position="last")
    if order == "class":
        rank = frame["kind"].map({kind: i for i, kind in enumerate(KINDS)})
        return frame.assign(rank=rank).sort_values(["rank", "failure"], ascending=[True, False]).drop(columns="rank")
    return frame.sort_values(["feature", "test"])


def render_against(found: pd.DataFrame) -> None:
    """Class against density, token-drivenness and label source, of the labels inside the filters."""
    st.html('<h2 class="p-h">Class against</h2>')
    st.segmented_control("Class against", controls.BY, key="decomposability_by", required=True,
                         on_change=subject.acted, args=("decomposability_by",),
                         label_visibility="collapsed")  # fmt: skip
    by = st.session_state.decomposability_by
    if not len(found):
        st.caption("No label is inside the filters.")
        return
    if by in verdict_charts.AXES:
        st.plotly_chart(verdict_charts.strip(found, by), key="decomposability_strip", theme="streamlit",
                        alt=verdict_charts.strip_alt(found, by), config=files.picture_config("classes"))  # fmt: skip
        table = verdict_charts.medians(found)
    else:
        table = verdict_charts.shares_table(found, by)
    form: dict[str, Literal["%.3g"]] = {"median density": "%.3g", "median token R²": "%.3g"}
    config = {name: st.column_config.NumberColumn(format=f) for name, f in form.items()}
    st.dataframe(table, hide_index=True, column_config=config, key="decomposability_table", alt=f"Class against {by}")
