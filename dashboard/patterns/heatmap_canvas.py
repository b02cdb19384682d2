"""A canvas that draws a map of pairs of features, says the pair that is pointed at, and hands clicks and boxes over.

The pixels and all that is said of them come as one message of bytes (``pattern_picture.packed``), so pointing costs no
run of the script. Colours are those of the page's theme. Texts are set as text, never as HTML.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

HTML = """<div class="map"><div class="pic"><canvas tabindex="0" role="application" aria-roledescription="heatmap"
aria-describedby="keys"></canvas></div><div class="side"><div class="now" aria-live="polite"></div>
<div class="bar"><i></i>
<div><span class="weak"></span><span class="name"></span><span class="strong"></span></div></div>
<p class="shown faded"></p><p id="keys" class="faded">Click a cell: where both fire, where one alone. Drag: a box.
Keys: arrows move, Shift with arrows draws a box, Enter opens, Esc lets go.</p></div></div>"""
CSS = """
.map{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;color:var(--st-text-color);font-family:var(--st-font);font-size:.9rem}
.pic{flex:5 1 320px;max-width:600px;min-width:0}
canvas{display:block;touch-action:manipulation;cursor:crosshair;border-radius:2px}
canvas:focus-visible{outline:2px solid var(--st-primary-color);outline-offset:2px}
.side{flex:1 1 230px;min-width:0;display:flex;flex-direction:column;gap:.6rem}
.now{min-height:12.5rem;font-variant-numeric:tabular-nums}
.now p{margin:0 0 .4rem;overflow-wrap:anywhere}
.pair span{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0 0 .4rem}
dd{margin:0}.drawn{font-weight:600}
.faded{margin:0;font-size:.8rem;line-height:1.4;color:color-mix(in srgb,currentColor 72%,transparent)}
.bar i{display:block;height:.8rem;border-radius:2px}
.bar div{display:flex;justify-content:space-between;font-size:.8rem;font-variant-numeric:tabular-nums}
@media (max-width:640px){.now{min-height:3rem}}
"""
JS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

_component = st.components.v2.component("prism_heatmap", html=HTML, css=CSS, js=JS)


def render_canvas(
    key: str, message: bytes, on_cell: Callable[[int, int], None], on_box: Callable[[tuple[int, int, int, int]], None]
) -> None:
    """``on_cell`` gets the features of a cell that is opened, ``on_box`` places in the map, last ones included."""

    def cell() -> None:
        if (found := _whole(st.session_state[key].get("cell"), 2)) is not None:
            on_cell(found[0], found[1])

    def box() -> None:
        if (found := _whole(st.session_state[key].get("box"), 4)) is not None:
            on_box((found[0], found[1], found[2], found[3]))

    _component(key=key, data=message, on_cell_change=cell, on_box_change=box)


def _whole(value: Any, n: int) -> list[int] | None:
    """``n`` numbers that a browser sent, or None: what comes from there may be anything."""
    if not isinstance(value, list) or len(value) != n:
        return None
    return value if all(type(v) is int and 0 <= v < 10**9 for v in value) else None
