"""Cells of the lab's own tables that open in place: plain clicks on ``<a data-lab>`` go to Python.

Such a link is also an address, so that it opens in a new tab and under the Enter key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

JS = """
export default function ({ setTriggerValue }) {
  const click = (event) => {
    const link = event.target.closest?.('a[data-lab]');
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    setTriggerValue('cell', link.dataset.lab);
  };
  document.addEventListener('click', click);
  document.documentElement.dataset.prismLab = 'caught';
  return () => document.removeEventListener('click', click);
}
"""

_component = st.components.v2.component("prism_lab", js=JS)


def catch_cells(key: str, on_cell: Callable[[str], None]) -> None:
    """From here on clicks on cells of this page call ``on_cell`` with what the cell names."""

    def cell() -> None:
        clicked: Any = st.session_state[key].get("cell")
        if isinstance(clicked, str) and len(clicked) < 40:
            on_cell(clicked)

    _component(key=key, on_cell_change=cell)
