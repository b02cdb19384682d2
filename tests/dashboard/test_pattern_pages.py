"""Prototypes, Distances and Conjecture: pages of runs with and without structure, and what they draw by value."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.analyses import conjecture, feature_distances, pattern_svd, prototype_interpretability
from core.analyses.distances_block import affinities_of
from core.errors import NotFoundError
from core.results import Result, results, run_analysis
from core.store import Run
from dashboard import pattern_charts, pattern_data, pattern_facts, subject, views_html
from tests.analyses.pattern_runs import topic_run
from tests.dashboard.conftest import Open, alerts, texts

PAGES = {"pattern_svd": "pattern_svd", "distances": "feature_distances", "conjecture": "conjecture"}
UNKNOWN = {"run": "topics", "feature": "999"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    for structured in (True, False):
        run = topic_run(folder, structured)
        knobs = {"rows": "all", "n_null": 20, "n_boot": 1, "n_seeds": 1, "k_max": 12}
        run_analysis(run, pattern_svd.ANALYSIS, knobs)
        run_analysis(run, conjecture.ANALYSIS, {"rows": "all", "ks": [3], "n_null": 2, "n_boot": 20, "decoder": False})
        run_analysis(run, feature_distances.ANALYSIS, {"decoder": False, "k": 3})
    run_analysis(Run(folder / "topics"), prototype_interpretability.ANALYSIS, {"rows": "all", "k": 3, "n_trials": 2})
    return folder


@pytest.fixture(scope="module")
def run(cache: Path) -> Run:
    return Run(cache / "topics")


def newest(run: Run, key: str) -> Result:
    return results(run, key)[0]


def linked(html: str) -> list[int]:
    """The features that a page's own HTML links to, in order."""
    return [int(n) for n in re.findall(r'data-feature="(\d+)"', html)]


# --- every page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["topics", "null"])
def test_a_page_draws_with_its_result_and_says_where_the_numbers_come_from(
    page: str, name: str, cache: Path, open_page: Open
) -> None:
    at = open_page(cache, page, run=name)
    assert not at.exception
    assert not alerts(at)
    labels = [e.label for e in at.expander]
    assert f"Where these numbers come from: {PAGES[page]} of run {name}" in labels
    again = open_page(cache, page, **at.query_params)
    assert list(again.query_params.items()) == list(at.query_params.items())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_a_result_names_the_command(page: str, open_page: Open, toy_cache: Path) -> None:
    (alert,) = alerts(open_page(toy_cache, page, run="toy"))
    assert f"prism analyze toy {PAGES[page]}" in alert


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_an_empty_cache_says_how_to_begin(page: str, open_page: Open, tmp_path: Path) -> None:
    at = open_page(tmp_path, page)
    assert not at.exception
    assert "There is no run here yet" in texts(at)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("query", [{"run": "nope"}, UNKNOWN], ids=["run", "feature"])
def test_a_bad_link_is_said_and_not_replaced(page: str, query: dict[str, str], cache: Path, open_page: Open) -> None:
    at = open_page(cache, page, **query)
    assert not at.exception
    assert len(alerts(at)) == 1
    assert at.query_params == query


@pytest.mark.parametrize(
    ("page", "key", "wrong", "instead"),
    [
        ("pattern_svd", "pattern_svd_method", "pca", "varimax"),
        ("pattern_svd", "pattern_svd_number", "99", "0"),
        ("distances", "distances_by", "<b>", "jaccard"),
        ("distances", "distances_n", "301", "60"),
        ("conjecture", "conjecture_pairs", "raw, k = 9", "raw, all"),
    ],
)
def test_a_control_the_link_gets_wrong_is_named_and_has_its_default(
    page: str, key: str, wrong: str, instead: str, cache: Path, open_page: Open
) -> None:
    at = open_page(cache, page, run="topics", feature="6", **{key: wrong})
    assert not at.exception
    assert f"the link says {key}=" in texts(at)
    assert at.query_params[key] == instead


@pytest.mark.parametrize("page", PAGES)
def test_a_file_of_a_page_says_what_the_page_says(
    page: str, run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(cache))
    link = {"run": "topics", "feature": "6", "pattern_svd_method": "nmf", "pattern_svd_number": "2"}
    html = "".join(views_html.view_of(page, run, link, "http://h").sections)
    said = {"pattern_svd": "Prototype 2, nmf", "distances": "Nearest to feature 6 by Jaccard", "conjecture": "predicts"}
    assert said[page] in html
    assert "Null: " in html


# --- Prototypes --------------------------------------------------------------------------------------------


def test_a_prototype_is_drawn_with_the_method_and_number_of_the_link(cache: Path, run: Run, open_page: Open) -> None:
    at = open_page(cache, "pattern_svd", run="topics", pattern_svd_method="nmf", pattern_svd_number="2")
    assert not alerts(at)
    page, table = texts(at), newest(run, "pattern_svd").table("loadings")
    assert "Prototype 2, nmf" in page
    expected = table.query("method == 'nmf' and prototype == 2").sort_values("rank")["feature"]
    assert linked(page) == expected.tolist()
    assert "Most like it (+)" in page
    assert "Its opposite" not in page  # nothing in NMF is below 0


def test_next_goes_round_after_the_last_prototype(cache: Path, run: Run, open_page: Open) -> None:
    last = int(newest(run, "pattern_svd").table("matrix")["k"].iloc[0]) - 1
    at = open_page(cache, "pattern_svd", run="topics", pattern_svd_number=str(last))
    at.button(key="pattern_svd_next").click().run()
    assert at.query_params["pattern_svd_number"] == "0"


def test_a_run_without_structure_says_that_there_are_no_prototypes(cache: Path, open_page: Open) -> None:
    assert "No component stands above shuffled columns" in texts(open_page(cache, "pattern_svd", run="null"))


def test_a_token_carries_the_loadings_of_this_end_that_fire_on_it_and_the_row_comes_last(run: Run) -> None:
    folder = newest(run, "pattern_svd").path
    found = pattern_data.load_prototypes(folder, None)
    groups = pattern_data.card_groups(run, found, "svd", 1, lambda ids: list(run.contexts(ids).itertuples()))
    assert [g.title[-3:] for g in groups] == ["(+)", "(-)"]
    loadings = found.of(found.loadings, "svd", 1)
    for group, sign in zip(groups, (1, -1), strict=True):
        rows = found.of(found.rows, "svd", 1).query(f"end == '{group.title[-2]}'").sort_values("rank")
        example, row = group.examples[0], rows.iloc[0]
        assert example.start + len(example.tokens) - 1 == row["pos"]
        expected = 0.0
        for feature, loading in zip(loadings["feature"], loadings["loading"], strict=True):
            acts = run.acts(int(feature))
            fires = ((acts.context == row["context"]) & (acts.pos == row["pos"])).any()
            expected += abs(loading) * (fires and np.sign(loading) == sign)
        assert example.acts[-1] == pytest.approx(expected)
        assert pattern_data.largest_pull(groups) >= expected


@pytest.mark.parametrize(("split", "said"), [(0.9, "agree on it more"), (0.2, "do not read"), (None, "could not be")])
def test_a_prototype_below_its_null_is_not_to_be_read(split: float | None, said: str) -> None:
    row = {"split_half": split, "split_half_null": 0.3, "degenerate": False}
    assert said in pattern_facts.standing(row)


@pytest.mark.parametrize(
    ("lo", "hi", "said"), [(0.8, 0.9, "easier"), (0.55, 0.65, "about as easy"), (0.3, 0.4, "harder")]
)
def test_prototypes_are_called_easier_only_where_intervals_are_apart(lo: float, hi: float, said: str) -> None:
    middle = (lo + hi) / 2
    groups = pd.DataFrame(
        {
            "group": ["feature", "varimax", "feature, rows shuffled"],
            "auroc": [0.6, middle, 0.5],
            "auroc_lo": [0.58, lo, 0.49],
            "auroc_hi": [0.62, hi, 0.51],
        }
    )
    sentence = pattern_facts.compared_sentence(groups)
    assert said in sentence
    assert "shuffled features 0.5" in sentence
    assert pattern_facts.compared_sentence(None) == ""


def test_the_comparison_with_features_is_shown_or_its_command(cache: Path, open_page: Open) -> None:
    page = texts(open_page(cache, "pattern_svd", run="topics"))
    assert "Are prototypes easier to describe than features?" in page
    assert "features, rows shuffled (null)" in page
    assert "prism analyze toy prototype_interpretability" in pattern_facts.compared_html(None, "toy")


# --- a feature as a mix ------------------------------------------------------------------------------------


def test_the_feature_page_says_its_mix_and_links_to_the_prototype(cache: Path, run: Run, open_page: Open) -> None:
    at = open_page(cache, "feature", run="topics", feature="6", feature_view="activations")
    row = newest(run, "pattern_svd").table("coefficients").query("feature == 6 and method == 'varimax'").iloc[0]
    best = int(np.abs(row["coefficients"]).argmax())
    page = texts(at)
    assert "As a mix of prototypes" in page
    assert re.findall(r'data-prototype="([^"]+)"', page)[0] == f"varimax-{best}"
    assert f"pattern_svd_method=varimax&amp;pattern_svd_number={best}" in page
    assert "shuffled columns" in page


def test_no_word_of_a_mix_without_prototypes(cache: Path, toy_cache: Path, open_page: Open) -> None:
    for folder, name in ((cache, "null"), (toy_cache, "toy")):
        at = open_page(folder, "feature", run=name, feature="6", feature_view="activations")
        assert not at.exception
        assert "As a mix of prototypes" not in texts(at)


def test_a_feature_left_out_of_the_factorisation_says_so(run: Run) -> None:
    mix = pattern_data.load_mix(newest(run, "pattern_svd").path, 1)  # fires everywhere
    assert mix is not None
    assert not len(mix.coefficients)
    assert "left out" in pattern_facts.mix_html(mix, subject.prototype_link)


def test_what_prototypes_give_back_is_more_than_on_shuffled_columns(run: Run) -> None:
    table = newest(run, "pattern_svd").table("coefficients").query("method == 'svd'")
    assert table["r2"].mean() > table["r2_null"].mean() + 0.03
    assert table["r2_null"].between(0, 1).all()


# --- Distances ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["jaccard", "dice", "overlap", "phi", "c_cosine", "c_euclid"])
def test_neighbours_are_those_of_the_table_nearest_first(by: str, cache: Path, run: Run, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", distances_by=by)
    assert not alerts(at)
    table = newest(run, "feature_distances").table("distance_neighbours")
    stored = "jaccard" if by == "dice" else by
    expected = table.query(f"feature == 6 and affinity == '{stored}'").sort_values("rank")["neighbour"]
    assert linked(texts(at)) == expected.tolist()
    assert len(expected) == 20


def test_a_feature_that_was_not_compared_says_why(cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="0")  # never fires
    assert not at.exception
    assert "Feature 0 was not compared" in texts(at)


def test_a_map_of_one_feature_says_what_it_needs(cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", features="6", distances_map="list")
    assert not at.exception
    assert "fewer than two of these features fire" in alerts(at)[0]


def test_only_the_rows_of_the_feature_are_read(run: Run) -> None:
    result = newest(run, "feature_distances")
    for name in ("distance_neighbours", "distance_histograms"):
        whole = result.table(name)
        pd.testing.assert_frame_equal(
            result.rows(name, "feature", 6), whole[whole["feature"] == 6].reset_index(drop=True), check_dtype=False
        )
    assert result.rows("distance_histograms", "feature", None)["affinity"].is_unique


@pytest.mark.parametrize("per", ["token", "context"])
def test_a_block_agrees_with_the_neighbours_and_with_counting(per: str, run: Run) -> None:
    result = run_analysis(run, feature_distances.ANALYSIS, {"decoder": False, "k": 3, "per": per})
    features = np.array([2, 3, 6, 10])
    n_units = int(result.table("units")["n_units"].iloc[0])
    block = affinities_of(run, features, per == "context", n_units)
    stored = result.table("distance_neighbours")
    pairs = stored[stored["feature"].isin(features) & stored["neighbour"].isin(features)]
    assert len(pairs)
    place = {int(f): i for i, f in enumerate(features)}
    for row in pairs.itertuples():
        a, b = place[int(row.feature)], place[int(row.neighbour)]
        assert block.n_both[a, b] == row.n_both
        for name in ("jaccard", "dice", "overlap", "phi"):
            assert getattr(block, name)[a, b] == pytest.approx(getattr(row, name), abs=1e-6)
    assert block.decoder_cosine is None


def test_a_map_puts_features_of_one_topic_side_by_side(run: Run) -> None:
    result = newest(run, "feature_distances")
    block = pattern_data.load_block(run, result.path, tuple(range(2, 18)), "phi")
    topics = block.features % 4
    assert (np.diff(topics) != 0).sum() == 3  # four topics, each in one piece
    figure = pattern_charts.heatmap(block, "phi")
    z = np.asarray(figure.data[0].z)
    assert np.isnan(np.diag(z)).all()
    np.testing.assert_allclose(z[0, 1], block.phi[0, 1], rtol=1e-6)
    assert len(figure.data[1].x) == len(block.features) ** 2
    assert len(pattern_data.block_frame(block)) == 16 * 15 / 2
    with pytest.raises(NotFoundError, match="decoder"):
        pattern_data.load_block(run, result.path, (2, 3), "decoder_cosine")


def test_a_map_of_300_features_is_drawn_with_webgl() -> None:
    square = np.eye(300)
    block = pattern_data.Block(np.arange(300), square, square, square, square, square, None)
    assert [t.type for t in pattern_charts.heatmap(block, "phi").data] == ["heatmap", "scattergl"]


def test_the_histogram_shows_all_pairs_beside_shuffled_columns(run: Run) -> None:
    near = pattern_data.load_near(newest(run, "feature_distances").path, 6)
    figure = pattern_charts.pair_histogram(near.whole, near.histograms, "phi", 6)
    assert [t.name for t in figure.data] == ["all pairs", "shuffled columns", "pairs of feature 6"]
    assert all(np.nansum(t.y) == pytest.approx(1) for t in figure.data)
    real, null = (np.asarray(t.x)[np.nan_to_num(t.y) > 0].max() for t in figure.data[:2])
    assert real > null
    assert "Most pairs" in pattern_charts.pair_histogram_alt(near.whole, "phi")
    assert "No pairs" in pattern_charts.pair_histogram_alt(near.whole, "decoder_cosine")


# --- Conjecture --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [("topics", "predicts it"), ("null", "does not predict it")])
def test_the_conjecture_page_says_the_verdict(name: str, said: str, cache: Path, open_page: Open) -> None:
    at = open_page(cache, "conjecture", run=name, conjecture_similarity="euclid")
    assert not alerts(at)
    assert said in texts(at)


def test_the_scatter_stands_beside_its_shuffled_twin(run: Run) -> None:
    result = newest(run, "conjecture")
    table = result.table("scatter").assign(variant="raw, all")
    table = table[(table["scale"] == "raw") & table["k"].isna()]
    figure = pattern_charts.pair_density(table, "raw, all")
    for trace, side in zip(figure.data, ("real", "shuffled"), strict=True):
        counts = table.loc[table["side"] == side, "counts"].iloc[0]
        assert np.asarray(trace.customdata).sum() == sum(counts)
        assert trace.y[-1] < 1  # Jaccard distance upwards
    row = result.table("raw").query("scale == 'raw' and similarity == 'euclid'")
    row = row[row["k"].isna()].iloc[0]
    said = pattern_charts.pair_density_alt(result.table("raw"), "raw, all")
    assert f"{row['spearman']:.3g}" in said
    assert f"{row['spearman_shuffled']:.3g}" in said


def test_the_figures_hold_the_numbers_of_the_tables(run: Run) -> None:
    spectrum = newest(run, "pattern_svd").table("spectrum")
    figure = pattern_charts.spectrum(spectrum, 3)
    assert [trace.name for trace in figure.data] == [name for _, name, _ in pattern_charts.LINES]
    np.testing.assert_array_equal(figure.data[1].y, spectrum["null_q95"])
    assert "12 components" in pattern_charts.spectrum_alt(spectrum, 3)
    scores = newest(run, "conjecture").table("scores")
    curves = pattern_charts.over_k(scores, "cosine")
    unit = next(trace for trace in curves.data if trace.name == "unit")
    expected = scores.query("scale == 'unit' and similarity == 'cosine'").set_index("k")["partial"]
    assert unit.y[0] == expected.loc[3]
    assert unit.y[-1] == expected[expected.index.isna()].item()
    assert "cosine" in pattern_charts.over_k_alt(scores, "cosine")
