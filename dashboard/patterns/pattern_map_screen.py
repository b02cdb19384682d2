"""The map of the Distances page: which features, the canvas, a box as a list, the contexts of a pair."""

from __future__ import annotations

from html import escape
from zlib import crc32

import numpy as np
import streamlit as st

from core.results import Result
from core.store import Run
from dashboard import controls, readers, subject, widgets
from dashboard.patterns import (
    heatmap_canvas,
    pattern_charts,
    pattern_facts,
    pattern_map,
    pattern_pair,
    pattern_picture,
    pattern_readers,
    pattern_window,
)
from dashboard.patterns.pattern_data import Near
from dashboard.patterns.pattern_map import Map, Pairs
from dashboard.patterns.pattern_window import Window
from dashboard.wording import plural

MAX_LISTED = 500  # features of a box: they all stand in the link
NAMES = {
    "neighbours": "neighbours", "list": "list", "cluster": "its cluster", "densest": "densest", "medoids": "medoids",
    "random": "random",
}  # fmt: skip


DRAGS = {"zooms": "zoom in", "lists": "make a list"}


def changed() -> None:
    """Other features, or another order: the part that was looked at is no longer there."""
    subject.acted()
    subject.remember(distances_window="")
    st.session_state.pop("distances_box", None)


def render(run: Run, result: Result, feature: int, near: Near, by: str) -> None:
    st.html('<h3 class="p-h" style="font-size:1.2rem;margin-top:.6rem">Map</h3>')
    state = st.session_state
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control("Features", controls.MAPS, key="distances_map", required=True, on_change=changed,
                             format_func=NAMES.__getitem__)  # fmt: skip
        st.number_input("At most", 2, pattern_map.MAX_SIDE, key="distances_n", on_change=changed, width=130)
    chosen = pattern_readers.mapped(run, result, state.distances_map, subject.features(), feature, near, by)
    if len(chosen.features) < 2:
        st.html(f"<p>{escape(chosen.why)}</p>")
        return
    pairs = pattern_readers.pairs(run, result, np.sort(np.array(chosen.features[: state.distances_n], np.int64)))
    found = pattern_readers.arranged(result, pairs, by)
    window = pattern_window.window_of(state.distances_window, len(pairs.features))
    pair = _pair(run)
    _render_tools(found, pairs, window, pair)
    _render_canvas(run, result, found, pairs, window, pair)
    left_out = f" {plural(pairs.n_silent, 'feature')} that never fire are left out." if pairs.n_silent else ""
    name = pattern_charts.affinity_name(by)
    st.caption(f"{chosen.why}, ordered by a dendrogram of {name} (average linkage).{left_out}")
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: pattern_map.pair_frame(pairs, found, window), "distances_block", "map")
    _render_box(found, pairs)
    if pair is not None:
        _render_pair(run, result, pair)


def _pair(run: Run) -> tuple[int, int] | None:
    """The pair that the link names."""
    numbers = [run.require_feature(int(n)) for n in st.session_state.distances_pair.split(",") if n]
    return (numbers[0], numbers[1]) if numbers else None


def _render_tools(found: Map, pairs: Pairs, window: Window, pair: tuple[int, int] | None) -> None:
    n, at = len(pairs.features), pattern_map.places(found, pairs, *pair) if pair else None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control("Drag a box to", controls.DRAGS, key="distances_drag", required=True,
                             on_change=subject.acted, format_func=DRAGS.__getitem__)  # fmt: skip
        st.button("Zoom in on the pair", key="distances_in", disabled=at is None, on_click=_zoom,
                  args=(pattern_window.around(at, window, n) if at else None,))  # fmt: skip
        st.button("Whole map", key="distances_out", disabled=window == (0, n, 0, n), on_click=_zoom, args=(None,))


def _zoom(window: Window | None) -> None:
    subject.remember(distances_window=pattern_window.write_window(window) if window else "")


def _render_canvas(
    run: Run, result: Result, found: Map, pairs: Pairs, window: Window, pair: tuple[int, int] | None
) -> None:
    at = pattern_map.places(found, pairs, *pair) if pair else None
    boxed = _box(pairs, found.by)
    message = pattern_picture.packed(
        pattern_readers.picture(run, result, pairs, found, window),
        id=f"{_digest(pairs, found.by)}-{pattern_window.write_window(window)}",
        mark=[at[0], at[0], at[1], at[1]] if at else None,
        box=[boxed[0], boxed[1] - 1, boxed[2], boxed[3] - 1] if boxed else None,
        idle="Point at a cell: its two features, how alike they are, how often both fire.",
        no_decoder=pairs.no_decoder, no_c="left out of C",
    )  # fmt: skip

    def on_cell(a: int, b: int) -> None:
        subject.remember(distances_pair=f"{a},{b}")

    def on_box(box: tuple[int, int, int, int]) -> None:
        places = (box[0], box[1] + 1, box[2], box[3] + 1)
        if st.session_state.distances_drag == "zooms":
            _zoom(places)
        else:
            st.session_state.distances_box = (_digest(pairs, found.by), places)

    heatmap_canvas.render_canvas("distances_canvas", message, on_cell, on_box)


def _digest(pairs: Pairs, by: str) -> int:
    return crc32(pairs.features.tobytes() + by.encode())


def _box(pairs: Pairs, by: str) -> Window | None:
    """The box that was drawn on this map."""
    digest, box = st.session_state.get("distances_box", (0, None))
    return box if digest == _digest(pairs, by) else None


def _render_box(found: Map, pairs: Pairs) -> None:
    box = _box(pairs, found.by)
    if box is None:
        return
    features = [int(f) for f in pattern_map.boxed(found, pairs, box)]
    many = f" of which the first {MAX_LISTED} make the list" if len(features) > MAX_LISTED else ""
    first = ", ".join(map(str, features[:12])) + (" …" if len(features) > 12 else "")
    r0, r1, c0, c1 = box
    st.html(
        f'<p role="status"><strong>{plural(len(features), "feature")}</strong> in the box ({plural(r1 - r0, "row")}, '
        f"{plural(c1 - c0, 'column')}){many}: {first}</p>"
    )
    with st.container(horizontal=True):
        st.button("Open as a feature list", key="distances_list", icon=":material/list:", on_click=_list,
                  args=(features[:MAX_LISTED],), help="to step through, compare and save under a name")  # fmt: skip
        st.button("Zoom in on the box", key="distances_box_in", on_click=_zoom, args=(box,))


def _list(features: list[int]) -> None:
    subject.choose(features=features)
    controls.go("lists")


def _render_pair(run: Run, result: Result, pair: tuple[int, int]) -> None:
    a, b = pair
    if a == b:
        st.html(f"<p>Feature {a} with itself: choose a cell off the diagonal.</p>")
        return
    shown = pattern_readers.pair(run, result, a, b)
    rows = [readers.feature_row(run, f) for f in pair]
    labels = [pattern_facts.known_as(row["label"], row["tokens"]) for row in rows]
    st.html('<h3 class="p-h" style="font-size:1.2rem;margin-top:.6rem">The pair</h3>')
    st.html(pattern_pair.pair_html(shown, (labels[0], labels[1]), subject.feature_link))
    st.caption(pattern_facts.pair_order(shown.per_context))
