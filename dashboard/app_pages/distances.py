"""Distances: the features nearest to one by every affinity, how all pairs lie beside chance, and a map of some."""

from __future__ import annotations

import streamlit as st

from core.analyses.feature_distances import ANALYSIS
from core.errors import PrismError
from core.results import Result
from core.store import Run
from dashboard import (
    controls,
    files,
    pattern_charts,
    pattern_data,
    pattern_facts,
    pattern_readers,
    picker,
    readers,
    subject,
    widgets,
)
from dashboard.pattern_data import Near


def pick() -> None:
    subject.choose(feature=st.session_state.distances_pick)


def render_choice(run: Run, feature: int) -> None:
    st.session_state.distances_pick = feature
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        most = int(run.encoded_features.max())
        st.number_input("Feature", 0, most, key="distances_pick", on_change=pick, width=160)
        st.segmented_control("Near by", controls.AFFINITIES, key="distances_by", required=True,
                             on_change=subject.acted, format_func=pattern_charts.affinity_name)  # fmt: skip


def render_neighbours(run: Run, feature: int, near: Near, by: str) -> None:
    found = pattern_data.nearest(near, by)
    if not len(found):
        st.html(f"<p>{pattern_facts.none_near(near, feature)}</p>")
        return
    values = pattern_data.affinities_shown(found)
    picker.render_listing(
        readers.feature_rows(run, found["neighbour"], **values),
        f"The {len(found)} nearest to feature {feature} by {pattern_charts.affinity_name(by)}; "
        f"{pattern_facts.neighbours_said(by, near.units)}",
        tuple(values),
    )
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: near.neighbours, "distances", f"neighbours_{feature}")


def render_histogram(feature: int, near: Near, by: str) -> None:
    stored = pattern_data.stored_as(by)
    figure = pattern_charts.pair_histogram(near.whole, near.histograms, stored, feature)
    st.plotly_chart(
        figure, key="distances_histogram", config=files.picture_config("pairs"),
        alt=pattern_charts.pair_histogram_alt(near.whole, stored),
    )  # fmt: skip
    said = "" if len(figure.data) > 1 and any("shuffled" in str(t.name) for t in figure.data) else (
        " Shuffled columns say nothing of it, so it has no null here: compare it with Jaccard and phi."
    )  # fmt: skip
    st.caption(f"Share of pairs, on a logarithmic axis, by {pattern_charts.affinity_name(stored)}.{said}")


def render_map(run: Run, result: Result, feature: int, near: Near, by: str) -> None:
    st.html('<h3 class="p-h" style="font-size:1.2rem;margin-top:.6rem">Map</h3>')
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control("Features", controls.MAPS, key="distances_map", required=True, on_change=subject.acted)
        st.number_input("At most", 2, controls.MAX_SIDE, key="distances_n", on_change=subject.acted, width=130)
    state, table = st.session_state, readers.feature_table(run).frame
    chosen = pattern_data.mapped(table, state.distances_map, subject.features(), feature, near, by)
    drawn = by if by in pattern_data.DRAWN else pattern_data.DRAWN[0]
    if state.distances_map == "neighbours" and not len(near.neighbours):
        st.html(f"<p>Feature {feature} has no neighbours to map; the list, the densest or random features can be.</p>")
        return
    try:
        block = pattern_readers.block(run, result, tuple(sorted(chosen[: state.distances_n])), drawn)
    except PrismError as error:
        widgets.render_error(error)
        return
    event = st.plotly_chart(
        pattern_charts.heatmap(block, drawn), key=f"distances_map_{subject.link_digest()}", on_select="rerun",
        selection_mode="points", config=files.picture_config("map"), alt=pattern_charts.heatmap_alt(block, drawn),
    )  # fmt: skip
    other = "" if drawn == by else " Columns of C are not drawn, so this is Jaccard."
    st.caption(
        f"Ordered by a dendrogram of {pattern_charts.affinity_name(drawn)}; click a cell to open its row.{other}"
    )
    with st.container(horizontal=True):
        widgets.render_downloads(lambda: pattern_data.block_frame(block), "distances_block", "map")
    if points := event["selection"]["points"]:
        subject.choose(feature=int(block.features[round(points[0]["y"])]))
        controls.open_page("feature")


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
result = pattern_readers.require_distances(run)
feature = widgets.require_feature(run)
widgets.render_notes(subject.settle(*controls.of("distances")))
by, near = st.session_state.distances_by, pattern_readers.near(result, feature)
render_choice(run, feature)
render_neighbours(run, feature, near, by)
render_histogram(feature, near, by)
render_map(run, result, feature, near, by)
picker.catch("distances")
widgets.render_result_footer(run, result)
widgets.render_footer(run)
