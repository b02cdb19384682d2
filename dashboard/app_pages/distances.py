"""Distances: the features nearest to one by every affinity, how all pairs lie beside chance, and a map of some."""

from __future__ import annotations

import streamlit as st

from core.analyses.feature_distances import ANALYSIS
from core.store import Run
from dashboard import controls, files, picker, readers, subject, widgets
from dashboard.patterns import pattern_charts, pattern_data, pattern_facts, pattern_map_screen, pattern_readers
from dashboard.patterns.pattern_data import Near

HEADING = '<h3 class="p-h" style="font-size:1.2rem;margin-top:.6rem">{}</h3>'


def pick() -> None:
    subject.choose(feature=st.session_state.distances_pick)


def render_choice(run: Run, feature: int) -> None:
    st.session_state.distances_pick = feature
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        most = int(run.encoded_features.max())
        st.number_input("Feature", 0, most, key="distances_pick", on_change=pick, width=160)
        st.segmented_control(
            "Near by",
            controls.AFFINITIES,
            key="distances_by",
            required=True,
            format_func=pattern_charts.affinity_name,
            on_change=pattern_map_screen.changed,
        )


def render_neighbours(run: Run, feature: int, near: Near, by: str) -> None:
    st.html(HEADING.format(f"Neighbours of feature {feature}"))
    found = pattern_data.nearest(near, by)
    if not len(found):
        st.html(f"<p>{pattern_facts.none_near(near, feature, pattern_data.stored_as(by))}</p>")
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
    st.html(HEADING.format("All pairs"))
    stored = pattern_data.stored_as(by)
    figure = pattern_charts.pair_histogram(near.whole, near.histograms, stored, feature)
    st.plotly_chart(
        figure, key="distances_histogram", config=files.picture_config("pairs"),
        alt=pattern_charts.pair_histogram_alt(near.whole, stored),
    )  # fmt: skip
    said = "" if len(figure.data) > 1 and any(t.line.dash == "dash" for t in figure.data) else (
        " Shuffled columns say nothing of it, so it has no null here: compare it with Jaccard and phi."
    )  # fmt: skip
    st.caption(f"Share of pairs, on a logarithmic axis, by {pattern_charts.affinity_name(stored)}.{said}")


@widgets.part
def render_map() -> None:
    """Reruns alone: a click on the map costs the map."""
    run = widgets.require_run()
    feature, found = widgets.require_feature(run), pattern_readers.require_distances(run)
    subject.settle(*controls.of("distances"))
    near, by = pattern_readers.near(found, feature), st.session_state.distances_by
    pattern_map_screen.render(run, found, feature, near, by)


run = widgets.require_run()
st.html(f'<h2 class="p-h">{ANALYSIS.title}</h2>{ANALYSIS.question}')
result = pattern_readers.require_distances(run)
feature = widgets.require_feature(run)
widgets.render_notes(subject.settle(*controls.of("distances")))
by, near = st.session_state.distances_by, pattern_readers.near(result, feature)
render_choice(run, feature)
render_map()
render_neighbours(run, feature, near, by)
render_histogram(feature, near, by)
picker.catch("distances")
widgets.render_result_footer(run, result)
widgets.render_footer(run)
