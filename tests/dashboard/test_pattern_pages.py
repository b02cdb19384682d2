"""Prototypes, Distances and Conjecture: pages of runs with and without structure, and what they draw by value."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from core.analyses import conjecture, feature_distances, pattern_svd, prototype_interpretability
from core.analyses.distances_block import PairFirings
from core.analyses.patterns import pattern_matrix
from core.errors import InputError, NotFoundError
from core.results import Result, results, run_analysis
from core.store import Run
from dashboard import subject, views_html
from dashboard.patterns import (
    heatmap_canvas,
    pattern_charts,
    pattern_data,
    pattern_facts,
    pattern_map,
    pattern_pair,
    pattern_picture,
    pattern_window,
    pattern_worked,
)
from dashboard.patterns.pattern_map import Pairs
from dashboard.wording import percent
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
        ("distances", "distances_n", "2001", "200"),
        ("distances", "distances_window", "4-1,0-3", ""),
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


def test_a_file_of_distances_holds_the_pair_of_the_link(cache: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(cache))
    link = {"run": "topics", "feature": "6", "distances_pair": "6,10"}
    html = "".join(views_html.view_of("distances", run, link, "http://h").sections)
    assert "Only 10 fires" in html
    assert 'href="http://h/feature?run=topics&amp;feature=10"' in html
    assert "The pair" not in "".join(views_html.view_of("distances", run, link | {"distances_pair": "6"}, "").sections)


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
    assert "needs two features" in texts(at)
    at = open_page(cache, "distances", run="topics", feature="6", features="0,6", distances_map="list")
    assert "fewer than two of these features fire" in alerts(at)[0]


def test_only_the_rows_of_the_feature_are_read(run: Run) -> None:
    result = newest(run, "feature_distances")
    for name in ("distance_neighbours", "distance_histograms"):
        whole = result.table(name)
        pd.testing.assert_frame_equal(
            result.rows(name, "feature", 6), whole[whole["feature"] == 6].reset_index(drop=True), check_dtype=False
        )
    assert result.rows("distance_histograms", "feature", None)["affinity"].is_unique


@pytest.fixture(scope="module")
def pairs(run: Run) -> Pairs:
    return pattern_map.load_pairs(run, newest(run, "feature_distances").path, np.arange(40))


@pytest.mark.parametrize("per", ["token", "context"])
def test_a_map_agrees_with_the_neighbours_table(per: str, cache: Path, tmp_path: Path) -> None:
    run = Run(shutil.copytree(cache / "topics", tmp_path / "topics"))  # the pages read the newest result
    result = run_analysis(run, feature_distances.ANALYSIS, {"decoder": False, "k": 3, "per": per})
    found = pattern_map.load_pairs(run, result.path, np.arange(40))
    stored = result.table("distance_neighbours")
    row, column = (np.searchsorted(found.features, stored[name]) for name in ("feature", "neighbour"))
    assert len(stored) > 1000
    np.testing.assert_array_equal(found.n_both[row, column], stored["n_both"])
    for name in ("jaccard", "dice", "overlap", "phi", "c_cosine", "c_euclid"):
        np.testing.assert_allclose(found.affinity(name)[row, column], stored[name], atol=1e-5)


def test_a_map_leaves_out_what_never_fires_and_says_so(run: Run, pairs: Pairs) -> None:
    assert pairs.n_silent == 1  # feature 0
    assert 0 not in pairs.features
    with pytest.raises(NotFoundError, match="fewer than two"):
        pattern_map.load_pairs(run, newest(run, "feature_distances").path, np.array([0, 6]))


def test_a_map_without_the_decoder_says_why(pairs: Pairs) -> None:
    with pytest.raises(NotFoundError, match="decoder") as error:
        pattern_map.arrange(pairs, "decoder_cosine")
    assert "no SAE folder" in error.value.detail


@pytest.mark.parametrize("by", ["phi", "jaccard", "c_euclid", "c_cosine"])
def test_a_map_puts_features_of_one_topic_side_by_side(by: str, run: Run) -> None:
    some = pattern_map.load_pairs(run, newest(run, "feature_distances").path, np.arange(2, 18))
    found = pattern_map.arrange(some, by)
    topics = some.features[found.order] % 4
    assert (np.diff(topics) != 0).sum() == 3  # four topics, each in one piece
    assert np.isnan(np.diag(found.drawn)).all()
    values = some.affinity(by)[np.ix_(found.order, found.order)]
    np.testing.assert_array_equal(found.drawn[0, 1:], values[0, 1:])


Cells = dict[str, np.ndarray]


def cells_of(message: bytes) -> tuple[dict, Cells]:
    """What the canvas reads: the JSON, and the arrays of the body."""
    n = int.from_bytes(message[:4], "little")
    about, body = json.loads(message[4 : 4 + n]), zlib.decompress(message[4 + n :])
    shape, at = tuple(about["shape"]), 0
    cells: Cells = {}
    for name, kind in (("both", "<u4"), ("level", "<u2"), ("decoder", "<i2"), ("c", "<i2"), ("pick", "u1")):
        cells[name] = np.frombuffer(body, kind, shape[0] * shape[1], at).reshape(shape)
        at += cells[name].nbytes
    assert at == len(body)
    return about, cells


@pytest.mark.parametrize("by", ["phi", "jaccard", "c_euclid"])
@pytest.mark.parametrize("window", [(0, 39, 0, 39), (3, 20, 10, 39)])
def test_a_cell_says_the_numbers_of_the_strongest_pair_it_stands_for(
    by: str, window: tuple[int, int, int, int], pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern_picture, "MAX_CELLS", 16)
    found, names = pattern_map.arrange(pairs, by), [f"about {f}" for f in pairs.features]
    about, cells = cells_of(pattern_picture.packed(pattern_picture.picture(pairs, found, window, names)))
    r0, r1, c0, c1 = window
    assert about["shape"] == [min(16, r1 - r0), min(16, c1 - c0)]
    assert about["rows"] == pairs.features[found.order[r0:r1]].tolist()
    assert about["columns_label"][0] == f"about {about['columns'][0]}"
    drawn = found.drawn[r0:r1, c0:c1]
    strength = {"phi": np.abs(drawn), "jaccard": drawn, "c_euclid": -drawn}[by]
    starts = [np.arange(n + 1) * side // n for n, side in zip(about["shape"], drawn.shape, strict=True)]
    for i in range(about["shape"][0]):
        for j in range(about["shape"][1]):
            rows, columns = (slice(s[k], s[k + 1]) for s, k in zip(starts, (i, j), strict=True))
            pick = int(cells["pick"][i, j])
            r, c = rows.start + pick // about["per_cell"], columns.start + pick % about["per_cell"]
            assert r < rows.stop
            assert c < columns.stop
            if np.isnan(drawn[r, c]):
                assert np.isnan(drawn[rows, columns]).all()
                assert cells["level"][i, j] == 0
                continue
            assert strength[r, c] == np.nanmax(strength[rows, columns])
            a, b = found.order[r0 + r], found.order[c0 + c]
            assert cells["both"][i, j] == pairs.n_both[a, b]
            cosine = pairs.c_cosine[a, b]  # NaN: feature 1 fires everywhere and is left out of C
            sent = cells["c"][i, j]
            assert sent == pytest.approx(pattern_picture.NO_COSINE if np.isnan(cosine) else 1000 * cosine, abs=0.6)
            assert cells["decoder"][i, j] == pattern_picture.NO_COSINE
            value = about["least"] + (int(cells["level"][i, j]) - 1) / 65534 * (about["most"] - about["least"])
            assert value == pytest.approx(drawn[r, c], abs=1e-3 * max(1.0, about["most"] - about["least"]))


def test_a_box_names_the_features_of_its_rows_and_columns_once(pairs: Pairs) -> None:
    found = pattern_map.arrange(pairs, "phi")
    features = pairs.features[found.order]
    assert pattern_map.boxed(found, pairs, (0, 3, 2, 5)).tolist() == features[:5].tolist()


@pytest.mark.parametrize("text", ["", "0-4,2-6", "39-99,0-3", "0-99,0-99"])
def test_the_part_of_a_map_that_a_link_names_lies_on_the_map(text: str) -> None:
    r0, r1, c0, c1 = pattern_window.window_of(text, 39)
    assert 0 <= r0 < r1 <= 39
    assert 0 <= c0 < c1 <= 39
    if text == "0-4,2-6":
        assert pattern_window.write_window((r0, r1, c0, c1)) == text


@pytest.mark.parametrize("text", ["x", "1-2", "5-1,0-3", "1-2,3-4,5-6", "-1-2,0-3"])
def test_a_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        pattern_window.read_window(text)


@pytest.mark.parametrize("place", [(0, 0), (38, 38), (20, 5)])
def test_zooming_in_on_a_pair_keeps_it_in_view(place: tuple[int, int]) -> None:
    r0, r1, c0, c1 = pattern_window.around(place, (0, 39, 0, 39), 39)
    assert r0 <= place[0] < r1
    assert c0 <= place[1] < c1
    assert r1 - r0 == c1 - c0 == 9


def test_the_pairs_of_a_map_are_listed_once_strongest_first(pairs: Pairs) -> None:
    found = pattern_map.arrange(pairs, "jaccard")
    frame = pattern_map.pair_frame(pairs, found, (0, 39, 0, 39))
    assert len(frame) == 39 * 38 / 2
    assert frame["jaccard"].is_monotonic_decreasing
    first = frame.iloc[0]
    said = pattern_map.map_alt(found, pairs, (0, 39, 0, 39), "Jaccard")
    assert {int(first["feature"]), int(first["other"])} == {int(n) for n in re.findall(r"(\d+) and (\d+)", said)[0]}


@pytest.mark.parametrize("which", ["neighbours", "cluster", "densest", "medoids", "random"])
def test_a_map_of_every_choice_is_drawn(which: str, cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", distances_map=which, distances_n="12")
    assert not at.exception
    assert not alerts(at)
    assert any("dendrogram of Jaccard" in c.value for c in at.caption)


def test_a_cluster_holds_the_feature_and_medoids_stand_for_the_clusters(run: Run) -> None:
    result = newest(run, "feature_distances")
    table = result.table("clusters")
    chosen = pattern_data.cluster(result, 6)
    own = table.loc[table["feature"] == 6, "cluster"].item()
    assert chosen.features[0] == 6
    assert sorted(chosen.features) == sorted(table.loc[table["cluster"] == own, "feature"])
    medoids = pattern_data.cluster_medoids(result).features
    assert len(medoids) == table["cluster"].nunique()
    assert "in no cluster" in pattern_data.cluster(result, 1).why  # fires everywhere, so it was not compared


@pytest.mark.parametrize(
    ("partial", "holds", "said"),
    [
        (0.3, True, "+0.30: predicts"),
        (0.1, True, "+0.10: only weakly predicts"),
        (0.1, False, "+0.10: does not predict"),
    ],
)
def test_the_answer_beside_the_number_is_that_of_the_verdict(partial: float, holds: bool, said: str) -> None:
    row = {
        "scale": "raw",
        "similarity": "euclid",
        "k": 3,
        "spearman": 0.2,
        "lo": 0.1,
        "hi": 0.3,
        "partial": partial,
        "partial_lo": 0.05,
        "partial_hi": 0.4,
        "partial_null_hi": 0.02,
    }
    facts = pattern_facts.verdict_facts(pd.DataFrame([row]), {"k": 3, "proposed_holds": holds, "cosine_holds": True})
    assert [f.value for f in facts] == [said]
    assert "shuffled at most +0.02" in facts[0].note


def test_a_pair_counts_where_both_fire_and_shows_both_marks(run: Run, cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", distances_pair="6,10")
    assert not alerts(at)
    acts = [set(zip(a.context.tolist(), a.pos.tolist(), strict=True)) for a in (run.acts(6), run.acts(10))]
    page, n_units = texts(at), 400 * 15
    assert f"Both fire on {len(acts[0] & acts[1]):,} positions" in page
    assert f"{pattern_facts.number(len(acts[0]) * len(acts[1]) / n_units)} would be expected" in page
    assert f"of {len(acts[0] - acts[1]):,} positions" in page
    assert f"of {len(acts[1] - acts[0]):,} positions" in page
    for mark in ("p-qa", "p-qb", "p-qab"):
        assert f'<mark class="{mark}" title="position' in page


def test_marks_lie_where_the_features_fire(run: Run) -> None:
    pair = pattern_pair.load_pair(run, 6, 10, False, 6000, run.acts, lambda ids: list(run.contexts(ids).itertuples()))
    for kind, fires in (("both", (True, True)), ("only_a", (True, False)), ("only_b", (False, True))):
        for line, context, pos in zip(pair.lines[kind], pair.found[kind].context, _places(pair, kind), strict=True):
            assert line.context == context
            at = pos - line.start
            assert (line.act_a[at] > 0, line.act_b[at] > 0) == fires
            for feature, shown in ((6, line.act_a), (10, line.act_b)):
                acts = run.acts(feature)
                along = dict(zip(acts.pos[acts.context == context], acts.act[acts.context == context], strict=True))
                assert [along.get(line.start + i, 0) for i in range(len(shown))] == pytest.approx(shown.tolist())


def _places(pair: pattern_pair.Pair, kind: str) -> np.ndarray:
    found = pair.found[kind]
    return np.where(found.pos_a >= 0, found.pos_a, found.pos_b)


def test_text_of_strangers_in_a_pair_is_escaped() -> None:
    line = pattern_pair.Line(
        1, 1, '"><b>', 0, ["<script>", "x"], np.zeros(2, bool), np.array([1.0, 0]), np.array([0, 0.0]), False, False
    )
    none = np.zeros(0, np.int32)
    found = {k: PairFirings(int(k == "only_a"), none, none, none, none, none) for k in pattern_pair.KINDS}
    pair = pattern_pair.Pair(3, 4, False, 100, found, {"both": [], "only_a": [line], "only_b": []})
    html = pattern_pair.pair_html(pair, ("<img src=x>", "b"), lambda f: f"feature?feature={f}")
    assert "<script>" not in html
    assert "<img" not in html
    assert '"><b>' not in html


@pytest.mark.parametrize("value", ["6", "6,x", "6,10,11"])
def test_a_pair_that_the_link_gets_wrong_is_named(value: str, cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", distances_pair=value)
    assert "the link says distances_pair=" in texts(at)
    assert "The pair" not in texts(at)


def test_a_pair_with_a_feature_that_is_not_there_is_said_in_its_place(cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", distances_pair="6,999")
    assert not at.exception
    assert "999" in alerts(at)[0]


def test_a_pair_with_a_feature_that_never_fires_says_so(cache: Path, open_page: Open) -> None:
    at = open_page(cache, "distances", run="topics", feature="6", distances_pair="0,6")
    assert not at.exception
    page = texts(at)
    assert "Both fire on 0 positions; 0 would be expected" in page
    assert "on no position" in page


def test_decoder_neighbours_that_were_not_computed_say_why(cache: Path, open_page: Open) -> None:
    page = texts(open_page(cache, "distances", run="topics", feature="6", distances_by="decoder_cosine"))
    assert "Cosines of decoder rows were not computed" in page
    assert "decoder=false" in page


@pytest.mark.parametrize("sent", [None, "x", [1], [1, -2], [1, 2.5], [1, True], [1, 2, 3]])
def test_what_a_browser_sends_is_two_whole_numbers_or_nothing(sent: object) -> None:
    assert heatmap_canvas._whole(sent, 2) is None
    assert heatmap_canvas._whole([3, 4], 2) == [3, 4]


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
    direct = scores.query("scale == 'excess on the fitted half'")["partial"].item()
    lines = {note.text: note.y for note in curves.layout.annotations}
    assert lines["co-firing counted directly"] == direct
    assert lines["highest of shuffled columns"] < direct
    facts = pattern_facts.verdict_facts(scores, newest(run, "conjecture").table("verdict").iloc[0].to_dict())
    assert next(f for f in facts if f.label == "co-firing counted directly").value == f"{direct:+.2f}"


def test_ranks_that_were_asked_for_and_not_reached_are_named(run: Run) -> None:
    scores = newest(run, "conjecture").table("scores")
    assert pattern_facts.left_out_said({"ks": [3]}, scores) == ""
    assert pattern_facts.left_out_said({"ks": [900, 3, 300]}, scores).endswith("k = 300, 900.")


def test_what_components_explain_stands_beside_shuffled_columns(run: Run, cache: Path, open_page: Open) -> None:
    result = newest(run, "pattern_svd")
    acts = pattern_matrix(run, "all", 20).acts.toarray() > 0
    unit = acts / np.sqrt(acts.sum(0))
    s = np.linalg.svd(unit - unit.mean(0), compute_uv=False) ** 2
    said = pattern_facts.explained_said(result.table("spectrum"), result.table("matrix")["stable_rank"].item(), 3)
    assert f"explain {percent(s[:3].sum() / s.sum())} of the variance" in said
    assert pattern_facts.explained_said(result.table("spectrum"), 1.0, 0) == ""
    captions = " ".join(c.value for c in open_page(cache, "pattern_svd", run="topics").caption)
    assert "A: every position; firing or not, columns of norm 1" in captions
    assert said in captions


# --- the example by hand -----------------------------------------------------------------------------------


def test_every_number_of_the_worked_example_is_that_of_numpy() -> None:
    w = pattern_worked.worked()
    a = np.array(pattern_worked.A, float)
    assert a.shape == (6, 5)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose(w.s, s, atol=1e-9)
    k = pattern_worked.K
    np.testing.assert_allclose(w.u @ w.c, (u[:, :k] * s[:k]) @ vt[:k], atol=1e-9)
    np.testing.assert_allclose(np.abs(w.c), np.abs(s[:k, None] * vt[:k]), atol=1e-9)
    for p, (i, j) in enumerate(w.pairs):
        fires = a[:, [i, j]] > 0
        assert w.jaccard[p] == pytest.approx(1 - fires.all(1).sum() / fires.any(1).sum())
        assert w.full[p] == pytest.approx(np.linalg.norm(a[:, i] - a[:, j]))
        assert w.of_a[p] == pytest.approx(w.full[p])
        assert w.at_k[p] == pytest.approx(np.linalg.norm(w.c[:, i] - w.c[:, j]))
        assert w.at_k[p] <= w.full[p] + 1e-12  # truncation contracts
        assert w.cosine[p] == pytest.approx(
            w.c[:, i] @ w.c[:, j] / np.linalg.norm(w.c[:, i]) / np.linalg.norm(w.c[:, j]), abs=1e-9
        )
    for name, values in (("distance", w.at_k), ("1 - cosine", 1 - w.cosine)):
        assert w.spearman[name][0] == pytest.approx(spearmanr(values.round(9), w.jaccard).statistic, abs=1e-6)


def test_the_worked_example_shows_an_agreement_and_a_failure(cache: Path, open_page: Open) -> None:
    w = pattern_worked.worked()
    said = " ".join(pattern_worked.sentences(w))
    assert "a and b are nearest in C (0.0206), and they are also the nearest by Jaccard" in said
    assert "c and e never fire together" in said
    assert "both are rare" in said
    size = {n: int((w.a[:, i] > 0).sum()) for i, n in enumerate("abcde")}
    assert max(size["c"], size["e"]) < min(size["a"], size["b"])
    page = texts(open_page(cache, "conjecture", run="topics"))
    assert "acts of five features on the last tokens of six contexts" in page
    assert "<td>4.01</td>" in page
