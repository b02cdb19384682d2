"""A run that came without model, SAE weights and other text opens in the pages of any run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.formats.decomposability_run import import_decomposability
from core.results import results
from core.store import Store
from tests.dashboard.conftest import Open, alerts, texts
from tests.published_csv import rows, write_csv


@pytest.fixture(scope="module")
def imported_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    import_decomposability(write_csv(folder / "published.csv", rows()), Store(folder), "published")
    return folder


def test_home_shows_its_features_labels_and_where_they_come_from(open_page: Open, imported_cache: Path) -> None:
    at = open_page(imported_cache, "home", run="published")
    assert not at.exception
    assert not alerts(at)
    assert len(at.dataframe[0].value) == 12
    assert at.dataframe[0].value["label"].str.startswith("label of").all()
    assert "not measured" in texts(at)
    assert "of not measured" not in texts(at)
    assert "gemma-2-2b/20-gemmascope-res-16k" in texts(at)


def test_feature_opens_for_every_feature_of_it(open_page: Open, imported_cache: Path) -> None:
    run = Store(imported_cache).run("published")
    for feature in run.encoded_features.tolist()[:6]:
        at = open_page(imported_cache, "feature", run="published", feature=str(feature))
        assert not at.exception
        assert not alerts(at)
        assert f"label of {feature}" in texts(at)
    assert {"dead", ""} == set(run.features()["flag"]), "silent features and others were opened"


def test_a_silent_feature_opens_too(open_page: Open, imported_cache: Path) -> None:
    features = Store(imported_cache).run("published").features()
    silent = int(features.loc[features["flag"] == "dead", "feature"].iloc[0])
    at = open_page(imported_cache, "feature", run="published", feature=str(silent), feature_view="activations")
    assert not at.exception
    assert not alerts(at)


@pytest.mark.parametrize("page", ["decomposability", "phrases", "lists"])
def test_the_other_pages_open_and_claim_no_controls(page: str, open_page: Open, imported_cache: Path) -> None:
    at = open_page(imported_cache, page, run="published")
    assert not at.exception
    assert not alerts(at)
    for claim in ("With controls", "with controls", "swapped labels", "too few", "line: control", "θ5",
                  "the class is the same", "above control</span>", "prism decompose published"):  # fmt: skip
        assert claim not in texts(at), claim


def test_the_verdict_shows_the_counts_there_are(open_page: Open, imported_cache: Path) -> None:
    features = Store(imported_cache).run("published").features()
    feature = int(features.loc[features["n_firings"].idxmax(), "feature"])
    shown = texts(open_page(imported_cache, "feature", run="published", feature=str(feature), feature_view="verdict"))
    assert "UNDECIDED" in shown
    assert "at least 12 phrases a part" in shown
    assert "has no model" in shown, "own text cannot be measured, and the page says so before it is typed"
    assert shown.count('class="p-r-part"') == 5, "one row of the plot a part, at threshold 0"


def test_the_list_says_what_was_counted_and_orders_by_it(open_page: Open, imported_cache: Path) -> None:
    at = open_page(imported_cache, "decomposability", run="published")
    html = texts(at)
    listed = html[html.index("p-labels-list") :].partition("</table>")[0]
    for column in ("counting says", "parts that fire", "phrases that fire"):
        assert f'<th scope="col">{column}</th>' in listed
    for column in ("own text", "whole label", "failure"):
        assert f'<th scope="col">{column}</th>' not in listed
    assert "not measured" not in listed
    shown = [float(share) for share in re.findall(r'"phrases that fire">([0-9.]+) %</td>', listed)]
    assert len(shown) == 12
    assert shown == sorted(shown)
    assert shown[0] < shown[-1]


def test_bos_can_be_counted_where_the_file_has_it(open_page: Open, imported_cache: Path) -> None:
    run = Store(imported_cache).run("published")
    tests = results(run, "decomposition")[0].table("tests")
    quiet, loud = (int(tests.loc[tests["bos_act"] == act, "feature"].iloc[0]) for act in (0.0, 60.0))
    link = {"run": "published", "feature_view": "verdict", "feature_bos": "counted"}
    assert "The feature is silent at BOS" in texts(open_page(imported_cache, "feature", feature=str(quiet), **link))
    html = texts(open_page(imported_cache, "feature", feature=str(loud), **link))
    assert "At BOS the feature&#x27;s act is 60.0" in html
    assert "control" not in html[html.index("p-bos") : html.index("p-dots")]
