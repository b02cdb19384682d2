"""A file of prompts: what is in it, which column is what, and what was left out and why."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import streamlit as st

from core.lab.prompts import PromptTable
from core.lab.upload import Columns, Peek, peek, read_prompts
from dashboard.lab import lab_limits
from dashboard.lab.lab_state import Sent
from dashboard.tokens import visible
from dashboard.wording import one_line, plural

KINDS = ("txt", "csv", "jsonl", "parquet")
ROLES = (("prompt", "Prompts"), ("label", "Labels"), ("group", "Groups"), ("document", "Documents"))
NONE = ""


def render(key: str, use: Callable[[Sent], None]) -> None:
    """The uploader, the column chooser once there is a file, and a button that calls ``use``."""
    known = lab_limits.here()
    file = st.file_uploader("txt (one prompt a line), csv, jsonl or parquet", KINDS, key=f"lab_file_{key}",
                            max_upload_size=known.upload_mb)  # fmt: skip
    if file is None:
        st.caption(
            "A column of prompts; labels, groups and documents where there are any. The file stays in your session."
        )
        return
    data, name = file.getvalue(), str(file.name)
    found = peek(data, name, known)
    st.html(f"<p>{escape(visible(one_line(name, 80)))}: {escape(described(found))}</p>")
    if found.columns and not found.guess.prompt:
        st.caption("No column has a name such as prompt or text: choose the one that holds the prompts.")
    for note in found.notes:
        st.html(f"<p>{escape(visible(one_line(note, 300)))}</p>")
    columns = _choose(found, f"{key}_{file.file_id}") if found.kind != "txt" else None
    if st.button("Use this file", icon=":material/check:", type="primary", key="lab_file_use"):
        use(Sent(read_prompts(data, name, columns, known), "from a file"))


def described(found: Peek) -> str:
    """What a file has, in words."""
    if found.kind == "txt":
        return f"text, {plural(found.n_rows, 'line')}"
    return f"{found.kind}, {plural(found.n_rows, 'row')}, {plural(len(found.columns), 'column')}"


def _choose(found: Peek, key: str) -> Columns:
    """Which column is what; the usual names are chosen already. Options are plain text, not markdown."""
    chosen: dict[str, str] = {}
    for column, (role, title) in zip(st.columns(len(ROLES)), ROLES, strict=True):
        guess = getattr(found.guess, role) or NONE
        options = [*found.columns] if role == "prompt" else [NONE, *found.columns]
        at = options.index(guess) if guess in options else 0
        chosen[role] = column.selectbox(title, options, at, key=f"lab_column_{role}_{key}",
                                        format_func=lambda c: one_line(visible(c), 40) or "none")  # fmt: skip
    return Columns(**chosen)


def left_out_html(table: PromptTable) -> str:
    """Rows that are no prompts and how the file was read; "" where there is nothing to say."""
    said = [f"{plural(n, 'row')} left out: {why} (first in line {line})" for why, (n, line) in table.left_out.items()]
    lines = "".join(f"<li>{escape(visible(one_line(text, 300)))}</li>" for text in (*table.notes, *said))
    return f'<ul class="p-notes">{lines}</ul>' if lines else ""
