"""Links of our own HTML that open without reloading the page, and the key ``/``.

A plain ``<a href>`` works everywhere (new tab, copy, no script) but a click on it starts a new session. This component
of ours draws nothing; it takes plain clicks on ``<a data-feature>`` and ``<a data-prototype>`` and hands the number,
or ``method-number``, to Python. Streamlit's
``shortcut=`` knows letters and digits only, so ``/`` is caught here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

JS = """
export default function ({ setTriggerValue }) {
  const typing = (target) => target.closest?.('input, textarea, select, [contenteditable=true], [role=dialog]');
  const click = (event) => {
    const link = event.target.closest?.('a[data-feature], a[data-prototype]');
    const plain = !(event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain) return;
    event.preventDefault();
    if (link.dataset.prototype) setTriggerValue('prototype', link.dataset.prototype);
    else setTriggerValue('feature', link.dataset.feature);
  };
  const key = (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    event.preventDefault();
    setTriggerValue('find', 'yes');
  };
  document.addEventListener('click', click);
  document.addEventListener('keydown', key);
  document.documentElement.dataset.prismLinks = 'caught';
  return () => {
    document.removeEventListener('click', click);
    document.removeEventListener('keydown', key);
    delete document.documentElement.dataset.prismLinks;
  };
}
"""

_component = st.components.v2.component("prism_links", js=JS)


def catch_links(
    key: str,
    on_feature: Callable[[int], None],
    on_find: Callable[[], None],
    on_prototype: Callable[[str, int], None] = lambda method, number: None,
) -> None:
    """From here on this page's links call ``on_feature`` or ``on_prototype``, and ``/`` calls ``on_find``."""

    def feature() -> None:
        clicked: Any = st.session_state[key].get("feature")
        if isinstance(clicked, str) and clicked.isdecimal() and len(clicked) < 10:
            on_feature(int(clicked))

    def prototype() -> None:
        clicked: Any = st.session_state[key].get("prototype")
        method, _, number = clicked.partition("-") if isinstance(clicked, str) else ("", "", "")
        if number.isdecimal() and len(number) < 10:
            on_prototype(method, int(number))

    _component(key=key, on_feature_change=feature, on_find_change=on_find, on_prototype_change=prototype)
