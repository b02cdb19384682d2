"""The run in cache/demo as a fresh clone has it: whole, small, as the README says, and with something on every page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.analyses.truth import ANALYSIS
from core.analyses.truth_summary import by_kind
from core.demo.committed import LABEL_SOURCE
from core.publish import PARTS
from core.results import Result, require_result, results
from core.store import Run
from dashboard import nav

CACHE = Path(__file__).resolve().parents[2] / "cache"
APP = CACHE.parent / "dashboard" / "app.py"
MB = 1_000_000


@pytest.fixture(scope="module")
def demo() -> Run:
    return Run(CACHE / "demo")


@pytest.fixture(scope="module")
def result(demo: Run) -> Result:
    return require_result(demo, ANALYSIS)


def _bytes(*paths: Path) -> int:
    files = (f for path in paths for f in ([path] if path.is_file() else path.rglob("*")))
    return sum(f.stat().st_size for f in files if f.is_file())


def test_every_table_is_as_it_was_written(demo: Run) -> None:
    assert demo.verify() == []


@pytest.mark.parametrize(
    ("part", "most"), [("model", 4 * MB), ("sae", 2 * MB), ("activations.parquet", 8 * MB), ("annotation", 1 * MB)]
)
def test_parts_are_small_enough_to_commit(demo: Run, part: str, most: int) -> None:
    assert 0 < _bytes(demo.path / part) <= most


def test_results_of_all_analyses_are_small_enough_to_commit(demo: Run) -> None:
    folders = {p.parents[1] for p in demo.path.glob("*/*/manifest.json")}
    assert folders
    assert _bytes(*folders) <= 11 * MB


def test_parts_that_make_the_run_again_are_there(demo: Run) -> None:
    assert [part for part in PARTS if not (demo.path / part).exists()] == []


def test_truth_is_the_one_that_this_code_computes(demo: Run, result: Result) -> None:
    """One result, of this version, of these very tables and with the default parameters."""
    assert len(results(demo, ANALYSIS.key)) == 1
    assert result.manifest["version"] == ANALYSIS.version
    hashes = {name: demo.manifest["tables"][name]["sha256"] for name in ANALYSIS.inputs}
    assert result.manifest["inputs"] == hashes
    assert result.manifest["params"] == {"n_boot": 1000, "n_shifts": 3, "seed": 0}


def test_labels_are_the_matched_concepts(demo: Run, result: Result) -> None:
    features = result.table("feature_truth")
    matched = features[features["matched"]]
    labels = demo.labels()
    planted = labels[labels["source"] == LABEL_SOURCE]
    assert dict(zip(planted["feature"], planted["label"], strict=True)) == dict(
        zip(matched["feature"], matched["concept"], strict=True)
    )


def test_the_world_was_learnt_and_found_as_the_readme_says(demo: Run, result: Result) -> None:
    fidelity = demo.manifest["fidelity"]
    assert fidelity["verdict"] == "ok"
    assert fidelity["explained_variance"] > 0.95
    tokens = by_kind(result.table("truth")).set_index(["level", "kind"]).loc["token"]
    assert (tokens.loc[["entity", "pattern", "sense"], "f1"] > 0.8).all()
    assert (tokens.loc[["profession", "nationality"], "share"] >= 0.5).all()
    assert (tokens["null_share"] == 0).all()


@pytest.mark.parametrize("page", [spec.key for spec in nav.PAGES])
def test_every_page_opens_on_the_demo(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = _open(CACHE, page, monkeypatch, run="demo", feature="35")
    assert not at.exception
    if page in ("home", "feature", "lists", "truth"):
        assert not [h.value for h in at.html if 'role="alert"' in h.value]


def test_feature_page_says_what_is_planted(monkeypatch: pytest.MonkeyPatch, result: Result) -> None:
    features = result.table("feature_truth").set_index("feature")
    matched, unmatched = (features.index[features["concept"].notna() & (features["matched"] == m)][0] for m in (1, 0))
    for feature, said in ((matched, "stands for"), (unmatched, "unmatched; of all planted concepts it is nearest to")):
        at = _open(CACHE, "feature", monkeypatch, run="demo", feature=str(feature))
        page = "\n".join(h.value for h in at.html)
        assert f"{said} {features.loc[feature, 'concept']}" in page


def test_truth_page_shows_what_became_of_the_concepts(monkeypatch: pytest.MonkeyPatch, result: Result) -> None:
    concepts = result.table("concepts")
    at = _open(CACHE, "truth", monkeypatch, run="demo", truth_kind="profession", truth_level="span")
    page = "\n".join(h.value for h in at.html)
    assert f"Of {len(concepts)} concepts: {(concepts['outcome'] == 'found').sum()} found" in page
    assert at.selectbox(key="truth_kind").value == "profession"
    every = next(d.value for d in at.dataframe if "OR of" in d.value)
    assert len(every) == len(concepts)
    assert "coverage" in every
    assert every["OR null"].notna().all()
    assert any("unmatched" in h.value for h in at.html)


def test_truth_page_without_a_result_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CACHE / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("truth", "model", "sae"))
    at = _open(tmp_path, "truth", monkeypatch, run="demo")
    assert any("prism analyze demo truth" in h.value for h in at.html)
    at = _open(tmp_path, "feature", monkeypatch, run="demo", feature="35")
    assert not any("Planted truth:" in h.value for h in at.html)
    shutil.rmtree(tmp_path / "demo" / "annotation")
    at = _open(tmp_path, "truth", monkeypatch, run="demo")
    assert any("nothing is known of what is true in this text" in h.value for h in at.html)


def _open(cache: Path, page: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(cache))
    at = AppTest.from_file(str(APP), default_timeout=60)
    if page != "home":
        at._page_hash = calc_hash(page)  # as a browser that opens /page first
    at.query_params = dict(query)
    return at.run()


def test_readme_quotes_the_stored_result(result: Result) -> None:
    """Every number of its table, as the command prints it."""
    rows = by_kind(result.table("truth")).set_index(["kind", "level"])
    readme = (CACHE.parent / "README.md").read_text(encoding="utf-8").partition("## The demo")[2]
    for kind in rows.index.get_level_values("kind").unique():
        line = next(x for x in readme.splitlines() if re.match(rf"\| (token )?{kind}( of \w+( word)?)? \| \d", x))
        quoted = [float(n) for n in re.findall(r"[\d.]+", re.sub(r"\(.*?\)", "", line))]
        token, span = rows.loc[(kind, "token")], rows.loc[(kind, "span")]
        said = [token["n"], *(r[c] * k for r in (token, span) for c, k in (("f1", 1), ("null", 1), ("share", 100)))]
        assert quoted == pytest.approx([*said, 100 * span["coverage"]], abs=0.51), kind
        assert quoted[1:3] + quoted[4:6] == pytest.approx([said[1], said[2], said[4], said[5]], abs=0.0051), kind
    outcomes = result.table("concepts")["outcome"].value_counts()
    assert f"{outcomes['found']} are found by one feature, {outcomes['split']} are split" in readme
