"""Task 4: a label for a feature, held to account by prompts on which it should fire and prompts on which not."""

from __future__ import annotations

import streamlit as st

from core.analyses.base import Progress
from core.analyses.prompt_model import PromptModel
from core.errors import PrismError
from core.lab.accounting import AccountParams, hold_to_account, phrases_csv
from core.lab.result import LabResult
from core.store import Run
from dashboard import controls, facts, readers, subject, widgets
from dashboard.lab import lab_account_html, lab_jobs, lab_show
from dashboard.lab.lab_state import Sent, values_of
from dashboard.tokens import visible
from dashboard.wording import missing, number, one_line

SHOWN = 24


def ask(run: Run, sent: Sent) -> LabResult | None:
    """The hypothesis and, once it is there, what became of it; what is missing for it is said."""
    feature = widgets.require_feature(run)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _render_feature(run, feature)
        label = _render_label(run, feature).strip()
        positive = _render_positive(sent)
    if positive is None:
        return None
    theta = render_theta(run, feature)
    if not label:
        st.html(facts.message_html("What is the label?", "", "Write what the feature is said to mean.", kind="note"))
        return None
    params = AccountParams(theta=theta, positive=positive)
    if not lab_jobs.wanted(sent, ("account", feature), len(sent.prompts), f"feature {feature}"):
        return None

    def work(model: PromptModel, progress: Progress) -> LabResult:
        return hold_to_account(model, sent.table, feature, label, params, progress)

    found = lab_jobs.ask(run, ("account", sent.digest, feature, label, params), work)
    return found if isinstance(found, LabResult) else None


# --- the hypothesis --------------------------------------------------------------------------------------


def _render_feature(run: Run, feature: int) -> None:
    st.session_state.lab_feature = feature
    st.number_input("Feature", 0, None, key="lab_feature", on_change=_feature, args=(run,), width=120)


def _feature(run: Run) -> None:
    try:
        subject.choose(feature=run.require_feature(int(st.session_state.lab_feature)))
    except PrismError as error:
        st.session_state.lab_error = error


def _render_label(run: Run, feature: int) -> str:
    """What the feature is said to mean: the run's first label of it until something else is typed."""
    key = _label_key(run, feature)
    st.session_state.setdefault(key, label_at_hand(run, feature))
    return str(st.text_input("Label to hold to account", key=key, max_chars=300, width=420))


def _label_key(run: Run, feature: int) -> str:
    return f"lab_label_{run.name}_{feature}"


def label_at_hand(run: Run, feature: int) -> str:
    """What was typed for this feature, else the run's first label of it, else ""."""
    labels = readers.labels_of(run, feature)["label"]
    return str(st.session_state.get(_label_key(run, feature), str(labels.iloc[0]) if len(labels) else ""))


def _render_positive(sent: Sent) -> str | None:
    """Which of the labels or groups should make it fire; None where there are not two kinds, which is said."""
    names = values_of(sent.table.labels) or values_of(sent.table.groups)
    if len(names) < 2:
        st.html(facts.message_html(
            "Prompts of two kinds are needed", "on which it should fire, and on which it should not",
            "Write both boxes above, upload a file with a label column, or press Sample prompts.", kind="note",
        ))  # fmt: skip
        return None
    state = st.session_state
    state.prompts_a = min(int(state.prompts_a), len(names) - 1)
    st.selectbox("Should fire on", range(len(names)), key="prompts_a", on_change=subject.acted, args=("prompts_a",),
                 width=220, format_func=lambda i: f"{i + 1} {one_line(visible(names[i]), 40)}")  # fmt: skip
    return names[state.prompts_a]


def render_theta(run: Run, feature: int) -> float:
    """The threshold in SAE units, chosen as a share of the feature's largest act in the run."""
    st.slider("Fires above, % of the feature's largest act in the run", 0, 100, key="prompts_theta",
              on_change=subject.acted, args=("prompts_theta",), width=380)  # fmt: skip
    largest = readers.feature_row(run, feature)["act_max"]
    return 0.0 if missing(largest) else float(largest) * st.session_state.prompts_theta / 100


# --- the answer ------------------------------------------------------------------------------------------


def render_result(run: Run, result: LabResult) -> None:
    """The sentence, the rates with their intervals and chance, counter-examples, where it fires."""
    feature = lab_account_html.feature_of(result)
    largest = readers.feature_row(run, feature)["act_max"]
    act_max = float(largest) if largest == largest and largest else lab_account_html.largest_act(result)
    lab_show.html(lab_account_html.score_html(result))
    lab_show.html(lab_account_html.rates_html(result))
    with st.container(horizontal=True):
        if st.button("Verdict screen of this feature", icon=":material/rule:", key="lab_verdict"):
            subject.choose(feature=feature)
            subject.remember(feature_view="verdict")
            controls.open_page("feature")
        widgets.render_downloads(lambda: result.table("account_texts"), "prompts", "account", shortcut="d")
        st.download_button(
            "Phrases to test (csv)", lambda: phrases_csv(result), f"phrases_{feature}.csv", "text/csv",
            on_click="ignore", icon=":material/download:", key="lab_phrases",
            help="the positives, as `prism decompose --proposer upload` reads them",
        )  # fmt: skip
    lab_show.html(lab_account_html.groups_html(result, act_max, SHOWN))
    lab_show.html(lab_account_html.places_html(result))
    lab_show.html(lab_account_html.tokens_html(result))
    st.caption(f"Shade: act, strongest at {number(act_max)} (SAE units).")
