"""Planted truth: how much of what is known to be in the text the SAE found, concept by concept."""

from __future__ import annotations

import streamlit as st

from core.analyses.truth import ANALYSIS
from dashboard import readers, subject, widgets
from dashboard.truths import truth_screen

LEVELS = ("token", "span")


def controls(kinds: list[str]) -> tuple[subject.Control, ...]:
    return (
        subject.choice("truth_kind", kinds[0] if kinds else "", kinds or [""]),
        subject.choice("truth_level", "token", LEVELS),
    )


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
found = readers.require_truth(run)
kinds = sorted(found.concepts["kind"].unique())
widgets.render_notes(subject.settle(("run",), controls(kinds)))
truth_screen.render_outcomes(found)
truth_screen.render_kinds(found)
truth_screen.render_map(found, kinds)
truth_screen.render_concepts(found, LEVELS)
truth_screen.render_features(found)
widgets.render_result_footer(run, found.result)
widgets.render_footer(run)
