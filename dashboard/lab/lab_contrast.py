"""Task 3: features that separate two groups of prompts, ranked, with what shuffled groups reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.analyses.base import Progress
from core.analyses.prompt_model import PromptModel
from core.lab.contrasting import ContrastParams, contrast_groups
from core.lab.result import LabResult
from core.store import Run
from dashboard import facts, files, subject, widgets
from dashboard.facts import Fact
from dashboard.lab import lab_clouds, lab_jobs, lab_ranks, lab_show
from dashboard.lab.lab_clouds import Cloud
from dashboard.lab.lab_ranks import Axis, Row, said_p
from dashboard.lab.lab_state import Sent, values_of
from dashboard.tokens import visible
from dashboard.wording import interval, missing, number, one_line, percent, plural

HEADS = ("A fires", "B fires", "difference", "held out", "q")


def ask(run: Run, sent: Sent) -> LabResult | None:
    """The answer once it is there; what is missing for it is said."""
    names = values_of(sent.table.groups)
    if len(names) < 2:
        st.html(facts.message_html(
            "Two groups are needed", f"{plural(len(names), 'group')} found",
            "Write one group into each box above, upload a file with a group column, or press Sample prompts.",
            kind="note",
        ))  # fmt: skip
        return None
    a, b = _choose(names)
    if a == b:
        st.html(facts.message_html("Choose two different groups", kind="note"))
        return None
    n, params = len(sent.prompts), ContrastParams(a=a, b=b)
    if not lab_jobs.wanted(sent, ("contrast", a, b), n, f"all features on {plural(n, 'prompt')}"):
        return None

    def work(model: PromptModel, progress: Progress) -> LabResult:
        return contrast_groups(model, run, sent.table, params, progress)

    return lab_jobs.ask(run, ("contrast", sent.digest, params), work)


def _choose(names: list[str]) -> tuple[str, str]:
    """Two of the groups; the link says their places, not their names."""
    if len(names) == 2:
        return names[0], names[1]
    with st.container(horizontal=True):
        for key, title in (("prompts_a", "Group A"), ("prompts_b", "Group B")):
            st.session_state[key] = min(int(st.session_state[key]), len(names) - 1)
            st.selectbox(title, range(len(names)), key=key, on_change=subject.acted, args=(key,), width=220,
                         format_func=lambda i: f"{i + 1} {one_line(visible(names[i]), 40)}")  # fmt: skip
    return names[st.session_state.prompts_a], names[st.session_state.prompts_b]


def render_result(result: LabResult) -> None:
    """What holds as a whole, the plot with its null, the ranked table."""
    found, chance = result.table("contrasted"), null_reach(result)
    lab_show.html(facts.facts_html(head(result, found, chance)))
    if found.empty:
        st.html(
            facts.message_html("No feature fires on these prompts", "", "Send longer or other prompts.", kind="note")
        )
        return
    lines = {} if chance is None else {"shuffled groups, 95 %": 0.5 + chance, "": 0.5 - chance}
    event = st.plotly_chart(
        lab_clouds.figure(cloud(found), lines), key=f"lab_contrast_{st.session_state.get('lab_plots', 0)}",
        on_select="rerun", selection_mode="points", config=files.picture_config("contrast"), alt=alt(found, chance),
    )  # fmt: skip
    st.caption(
        "Each dot is a feature: right fires on more of group A, up is stronger there. Between the lines is what the "
        "best feature of shuffled groups reaches. Click a dot to open it."
    )
    lab_show.keep(lab_clouds.dots_html(cloud(found), chance))
    lab_show.opened(event)
    part = lab_show.paged(found, lab_ranks.SHOWN)
    lab_show.html(table_html(part, len(found), result, chance))
    lab_show.pages(found, lab_ranks.SHOWN)
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: found, "prompts", "contrast", shortcut="d")


def null_reach(result: LabResult) -> float | None:
    """95th percentile over shuffles of how far their best feature's AUROC is from .5; None without shuffles."""
    best = result.table("null_best")["distance"].to_numpy(float)
    return float(np.quantile(best, 0.95)) if len(best) else None


def head(result: LabResult, found: pd.DataFrame, chance: float | None) -> list[Fact]:
    """The groups, how many features separate them, and how well the best does on prompts it was not chosen on."""
    folds, alpha = result.table("folds"), result.params.get("alpha", 0.05)
    held = folds["auroc_held_out"].dropna() if len(folds) else pd.Series(dtype=float)
    a, b = (one_line(visible(str(result.params.get(k, k) or k)), 40) for k in ("a", "b"))
    chosen = folds["auroc_chosen"].dropna() if len(folds) else held
    others = f"{max(len(folds) - 1, 0)} of {len(folds)} folds"
    return [
        Fact("groups", "A against B", "" if (a, b) == ("A", "B") else f"A: {a}; B: {b}"),
        Fact("separate them", f"{int(found['found'].sum()):,}", f"of {len(found):,} features; q ≤ {alpha}",
             "two-sided; Benjamini-Hochberg over all features tested"),
        Fact("held-out AUROC", number(held.mean() if len(held) else None), f"of the best feature, chosen on {others}, "
             f"where it has {number(chosen.mean() if len(chosen) else None)}; chance 0.5",
             "the honest number: chosen on some prompts, measured on others"),
        Fact("shuffled groups", number(None if chance is None else 0.5 + chance), "AUROC of their best feature, "
             f"95th percentile of {len(result.table('null_best')):,}", "what looking at all features finds by chance"),
    ]  # fmt: skip


def cloud(found: pd.DataFrame) -> Cloud:
    return Cloud(
        found["feature"].to_numpy(), found["difference"].to_numpy(float), found["auroc"].to_numpy(float),
        found["found"].to_numpy(bool), ["" if missing(label) else str(label) for label in found["label"]],
        ("fires on more of A: share of A less share of B", "AUROC, A against B"),
        ("beyond chance", "not beyond chance"),
    )  # fmt: skip


def alt(found: pd.DataFrame, chance: float | None) -> str:
    n = int(found["found"].sum())
    return f"{len(found)} features by difference and AUROC; {n} beyond chance; shuffled: {number(chance)} from 0.5"


def table_html(part: pd.DataFrame, n: int, result: LabResult, chance: float | None) -> str:
    """The ranked table; its line is what shuffled groups reach, on the side of the feature."""
    rows = [_row({str(k): v for k, v in r.items()}, chance) for r in part.to_dict("records")]
    caption = (
        f"{len(rows)} of {n:,} features, best held-out AUROC first. Dot: AUROC of its largest act, A against B; below "
        "0.5: more in B. Line: what the best feature of shuffled groups reaches. Hollow: q says chance does it."
    )
    return lab_ranks.ranks_html(rows, Axis("AUROC", 0, 1), HEADS, caption, subject.feature_link)


def _row(r: Mapping[str, Any], chance: float | None) -> Row:
    auroc = float(r["auroc"])
    line = None if chance is None else 0.5 + (chance if auroc >= 0.5 else -chance)
    return Row(
        int(r["feature"]), "" if missing(r["label"]) else str(r["label"]), auroc, r["auroc_lo"], r["auroc_hi"], line,
        (percent(r["share_a"]), percent(r["share_b"]), f"{number(r['difference'], 2)} "
         f"{interval(r['difference_lo'], r['difference_hi'])}", number(r["held_out_auroc"]), said_p(r["q"])),
        bool(r["found"]),
    )  # fmt: skip
