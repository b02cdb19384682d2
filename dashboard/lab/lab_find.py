"""Task 2: features that fire consistently on the prompts and not elsewhere, ranked and as a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.analyses.base import Progress
from core.analyses.prompt_model import PromptModel
from core.lab.finding import FindParams, find_features
from core.lab.result import LabResult
from core.store import Run
from dashboard import facts, files, subject, widgets
from dashboard.facts import Fact
from dashboard.lab import lab_clouds, lab_controls, lab_jobs, lab_ranks, lab_show
from dashboard.lab.lab_clouds import Cloud
from dashboard.lab.lab_ranks import Axis, Row, said_p
from dashboard.lab.lab_state import Sent
from dashboard.wording import interval, missing, number, percent, plural

ORDER = {
    "evidence": ("rank", True),
    "consistency": ("share", False),
    "lift": ("lift", False),
    "AUROC": ("auroc", False),
}
HEADS = ("elsewhere", "lift", "AUROC", "q")
NULL = (
    "The null: contexts of the run cut to the lengths of your prompts. q is the false discovery rate over all features "
    "tested; a hollow dot is no more than chance. The line is the share of those contexts on which it fires."
)


def ask(run: Run, sent: Sent) -> LabResult | None:
    """The answer once it is there."""
    n, params = len(sent.prompts), FindParams()
    if not lab_jobs.wanted(sent, ("find",), n, f"all features on {plural(n, 'prompt')}"):
        return None

    def work(model: PromptModel, progress: Progress) -> LabResult:
        return find_features(model, run, sent.table, params, progress)

    return lab_jobs.ask(run, ("find", sent.digest, params), work)


def render_result(run: Run, result: LabResult) -> None:
    """Counts, the cloud, the ranked table."""
    found, state = result.table("found"), st.session_state
    lab_show.html(facts.facts_html(head(found, result)))
    if found.empty:
        st.html(
            facts.message_html("No feature fires on these prompts", "", "Send longer or other prompts.", kind="note")
        )
        return
    points = cloud(found)
    event = st.plotly_chart(
        lab_clouds.figure(points, diagonal=True, log_x=True), key=f"lab_find_{state.get('lab_plots', 0)}",
        on_select="rerun", selection_mode="points", config=files.picture_config("found"), alt=alt(found),
    )  # fmt: skip
    st.caption(
        "Each dot is a feature: high and left fires on your prompts and hardly elsewhere. Click a dot to open it."
    )
    lab_show.keep(lab_clouds.dots_html(points, log_x=True))
    lab_show.opened(event)
    st.segmented_control("Order by", lab_controls.RANKS, key="prompts_by", required=True, on_change=subject.acted,
                         args=("prompts_by",))  # fmt: skip
    column, up = ORDER[str(state.prompts_by)]
    ordered = found.sort_values(column, ascending=up, kind="stable")
    part = lab_show.paged(ordered, lab_ranks.SHOWN)
    lab_show.html(table_html(part, len(found), result))
    lab_show.pages(ordered, lab_ranks.SHOWN)
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: ordered, "prompts", "found", shortcut="d")


def head(found: pd.DataFrame, result: LabResult) -> list[Fact]:
    """How many features stand out, out of how many."""
    n = int(found["found"].sum()) if len(found) else 0
    best = found.sort_values("rank").iloc[0] if len(found) else None
    alpha = result.params.get("alpha", 0.05)
    lines = [Fact("found", f"{n:,}", f"of {len(found):,} features that fire here or elsewhere; q ≤ {alpha}",
                  "they fire on these prompts more than on contexts of the run of the same lengths")]  # fmt: skip
    if best is not None:
        lines += [
            Fact("clearest", f"feature {int(best['feature'])}", label_of(best["label"])[:60]),
            Fact("it fires on", percent(best["share"]), f"of them {interval(best['share_lo'], best['share_hi'])}; "
                 f"elsewhere {percent(best['base_share'])}"),
            Fact("its AUROC", number(best["auroc"]), f"{interval(best['auroc_lo'], best['auroc_hi'])}; chance 0.5"),
        ]  # fmt: skip
    return lines


def cloud(found: pd.DataFrame) -> Cloud:
    """Consistency against the share of contexts elsewhere, which is drawn at half its smallest where it is 0."""
    base = found["base_share"].to_numpy(float)
    floor = base[base > 0].min() / 2 if (base > 0).any() else 1e-4
    return Cloud(
        found["feature"].to_numpy(), base.clip(floor), found["share"].to_numpy(float), found["found"].to_numpy(bool),
        ["" if missing(label) else str(label) for label in found["label"]],
        ("share of the run's contexts", "share of your prompts"), ("beyond chance", "not beyond chance"),
    )  # fmt: skip


def alt(found: pd.DataFrame) -> str:
    n = int(found["found"].sum())
    return f"{len(found)} features: share of your prompts against share of the run's contexts; {n} beyond chance"


def label_of(label: Any) -> str:
    """ "" without one."""
    return "" if missing(label) else str(label)


def table_html(part: pd.DataFrame, n: int, result: LabResult) -> str:
    """The ranked table."""
    rows = [_row({str(k): v for k, v in r.items()}) for r in part.to_dict("records")]
    caption = f"{len(rows)} of {n:,} features. {NULL}"
    return lab_ranks.ranks_html(rows, Axis("consistency", 0, 1), HEADS, caption, subject.feature_link)


def _row(r: Mapping[str, Any]) -> Row:
    lift = "only here" if missing(r["lift"]) else f"{number(r['lift'])} {interval(r['lift_lo'], r['lift_hi'])}"
    auroc = f"{number(r['auroc'])} {interval(r['auroc_lo'], r['auroc_hi'])}"
    return Row(
        int(r["feature"]), label_of(r["label"]), float(r["share"]), r["share_lo"], r["share_hi"],
        float(r["base_share"]),
        (percent(r["base_share"]), lift, auroc, said_p(r["q"])),
        bool(r["found"]),
    )  # fmt: skip
