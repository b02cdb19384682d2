from pathlib import Path

import pytest

from core.analyses.base import Silent
from core.analyses.prototype_interpretability import ANALYSIS
from core.errors import InputError
from core.results import Result, run_analysis
from core.store import Run, Store
from tests.analyses.pattern_runs import topic_run

SMALL = {"rows": "all", "k": 4, "window": 12, "max_rows": 3_000, "n_trials": 10}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return topic_run(tmp_path_factory.mktemp("interpretability"))


@pytest.fixture(scope="module")
def result(run: Run) -> Result:
    return run_analysis(run, ANALYSIS, SMALL)


def test_planted_topics_are_described_by_their_words_and_shuffled_rows_by_none(result: Result) -> None:
    groups = result.table("groups").set_index("group")
    null = groups.loc["feature, rows shuffled"]
    assert null["auroc_lo"] < 0.5 + 0.02
    assert null["auroc"] == pytest.approx(0.5, abs=0.03)
    assert null["intruder"] == pytest.approx(0.2, abs=0.08)
    for group in ("feature", "varimax", "nmf"):
        assert groups.loc[group, "auroc_lo"] > null["auroc_hi"]
        assert groups.loc[group, "auroc_lo"] <= groups.loc[group, "auroc"] <= groups.loc[group, "auroc_hi"]
    # a topic drives many noisy features: their common prototype is clearer than each of them
    assert groups.loc["varimax", "auroc_lo"] > groups.loc["feature", "auroc_hi"]


def test_prototypes_are_matched_to_features_in_density(result: Result) -> None:
    components = result.table("components")
    sizes = set(components.query("group == 'feature'")["n_rows"])
    assert set(components.query("group in ('svd', 'varimax', 'nmf')")["n_rows"]) <= sizes


def test_independent_features_give_no_prototypes_and_no_describable_component(tmp_path: Path) -> None:
    found = run_analysis(topic_run(tmp_path, structured=False), ANALYSIS, SMALL | {"k": 0})
    groups = found.table("groups").set_index("group")
    assert list(groups.index) == ["feature", "feature, rows shuffled"]
    assert groups.loc["feature", "auroc"] == pytest.approx(0.5, abs=0.03)
    assert groups["topic_f1"].isna().all()  # nothing is planted in its text


def test_the_same_question_gives_the_same_tables(run: Run, result: Result) -> None:
    for spec, table in ANALYSIS.compute(run, ANALYSIS.params(**SMALL), Silent()).items():
        assert table.to_pandas().equals(result.table(spec.name)), spec.name


def test_features_of_the_demo_stand_for_planted_concepts_and_shuffled_ones_do_not() -> None:
    demo = Store(Path(__file__).resolve().parents[2] / "cache").run("demo")
    params = ANALYSIS.params(k=8, n_trials=1, per_prototype=1)
    (groups,) = (t.to_pandas() for spec, t in ANALYSIS.compute(demo, params, Silent()).items() if spec.name == "groups")
    by = groups.set_index("group")
    assert by.loc["feature", "concept_f1_lo"] > 3 * by.loc["feature, rows shuffled", "concept_f1_hi"]
    assert by["topic_f1"].notna().all()


def test_bad_counts_and_a_k_too_large_are_refused(run: Run) -> None:
    for values in ({"window": 0}, {"k": 10_000}):
        with pytest.raises(InputError):
            run_analysis(run, ANALYSIS, SMALL | values)
