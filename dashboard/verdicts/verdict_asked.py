"""Who wrote the phrases of a test, and each question to a language model with its answer, as text."""

from __future__ import annotations

from html import escape

import streamlit as st

from core.errors import PrismError
from core.llm.ledger import Exchange, Ledger
from core.store import Run
from dashboard import widgets
from dashboard.tokens import visible
from dashboard.verdicts.verdict_data import TestRef

LEDGER = "ledger.jsonl"
MAX_ASKED = 12


def render_asked(run: Run, ref: TestRef) -> None:
    """Who wrote the phrases, and each question to a language model with its answer, as text."""
    row = ref.row
    keys = [str(k) for k in row["asked"]]
    with (panel := st.popover("Who wrote the phrases", icon=":material/chat:", key="feature_asked", on_change="rerun")):
        if not panel.open:
            return
        said = f"{row['proposer']}: {row['generator']}, style {row['style']}"
        st.html(f"<p>{escape(visible(said))}</p>")
        if not keys:
            st.html("<p>No language model was asked for them.</p>")
        ledger = Ledger(run.path / LEDGER)
        for key in keys[:MAX_ASKED]:
            try:
                st.html(exchange_html(ledger.exchange(key)))
            except PrismError as error:
                widgets.render_error(error)
        if len(keys) > MAX_ASKED:
            st.html(f"<p>{len(keys) - MAX_ASKED} more questions are in the run's {LEDGER}.</p>")


def exchange_html(asked: Exchange) -> str:
    """One question and its answer: strangers' text, escaped, line ends kept."""
    parts = "".join(f"<h4>{escape(role)}</h4><pre>{_text(text)}</pre>" for role, text in asked.messages)
    reply = asked.reply.refusal or asked.reply.text
    told = f"{asked.model} at {asked.asked_at} (UTC), temperature {asked.temperature}, sample {asked.sample}"
    return (
        f'<details class="p-asked"><summary>{escape(told)}</summary>{parts}'
        f"<h4>{'refused' if asked.reply.refusal else 'answer'}</h4><pre>{_text(reply)}</pre></details>"
    )


def _text(text: str) -> str:
    """Line ends stay line ends; every other invisible character is shown by its sign."""
    return "\n".join(escape(visible(line)) if line else "" for line in text.split("\n"))
