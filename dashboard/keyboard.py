"""The keys of every page in a list, under ``?``.

Streamlit's ``shortcut=`` knows letters and digits only, so ``?`` is caught by a component of ours that draws nothing.
"""

from __future__ import annotations

from html import escape

import streamlit as st

KEYS = (
    ("?", "this list", "every page"),
    ("s", "share this view: link, HTML file, data", "every page"),
    ("/", "find a feature: number, words, link", "Home, Feature, Feature list, Prompt lab, Prototypes, Distances"),
    ("Ctrl+K", "the same", "Feature"),
    ("Right, Left", "next, previous feature (of the list, when stepping through it)", "Feature"),
    ("Right, Left", "next, previous prototype", "Prototypes"),
    ("Right, Left", "next, previous prompt of the cell that is shown", "Prompt lab"),
    ("x", "a random feature that fires", "Feature"),
    ("l", "put the feature on the list, or take it off", "Feature"),
    ("Arrows, Shift+arrows, Enter, Esc", "move, draw a box, open, let go, while the map has the focus", "Distances"),
    ("d", "download the table as csv", "every page with one table"),
    ("Ctrl+Enter", "measure the text in the box", "Try your own text, Prompt lab"),
    ("Esc", "close a panel", "everywhere"),
)

JS = """
export default function ({ setTriggerValue }) {
  const typing = (target) => target.closest?.('input, textarea, select, [contenteditable=true], [role=dialog]');
  const key = (event) => {
    if (event.key !== '?' || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    event.preventDefault();
    setTriggerValue('help', 'yes');
  };
  document.addEventListener('keydown', key);
  document.documentElement.dataset.prismKeys = 'caught';
  return () => document.removeEventListener('keydown', key);
}
"""

_component = st.components.v2.component("prism_keys", js=JS)


def render_button() -> None:
    """A small button that opens the list, for those who do not know ``?`` yet."""
    if st.button("Keys  ?", type="tertiary", key="keys_button") or st.session_state.pop("help_asked", False):
        render_keys()
    _component(key="keys", on_help_change=_ask)


def _ask() -> None:
    st.session_state.help_asked = True


@st.dialog("Keys")
def render_keys() -> None:
    st.html(keys_html())


def keys_html() -> str:
    """The list as a table; keys act only while no box is being typed in."""
    rows = "".join(
        f'<tr><th scope="row"><kbd>{escape(key)}</kbd></th><td>{escape(what)}</td><td>{escape(where)}</td></tr>'
        for key, what, where in KEYS
    )
    head = '<thead><tr><th scope="col">key</th><th scope="col">does</th><th scope="col">on</th></tr></thead>'
    caption = "<caption>They act while no box is being typed in.</caption>"
    return f'<div class="p-scroll"><table class="p-list">{caption}{head}<tbody>{rows}</tbody></table></div>'
