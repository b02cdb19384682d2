from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.analyses.base import Silent
from core.analyses.pattern_svd import ANALYSIS
from core.errors import InputError, RecipeError
from core.results import Result, run_analysis
from core.store import Run
from tests.analyses.pattern_runs import N_TOPICS, token_world, topic_run
from tests.factories import write_run

FAST = {"n_null": 20, "n_boot": 2, "n_seeds": 2, "k_max": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return topic_run(tmp_path_factory.mktemp("svd"))


@pytest.fixture(scope="module")
def result(run: Run) -> Result:
    return run_analysis(run, ANALYSIS, {"rows": "all", "k": N_TOPICS} | FAST)


def _k(result: Result) -> int:
    return int(result.table("ranks").set_index("criterion").loc["parallel analysis", "k"])


def test_parallel_analysis_finds_the_planted_topics(result: Result) -> None:
    assert _k(result) == N_TOPICS - 1  # centred: one of four is the others' absence
    spectrum = result.table("spectrum")
    assert spectrum["above_null"].tolist()[:3] == [True] * 3
    assert not spectrum["above_null"][3:].any()
    assert (spectrum["singular_value"].diff().dropna() <= 1e-9).all()
    assert spectrum["explained_variance_total"].iloc[-1] <= 1


def test_independent_features_have_no_prototype(tmp_path: Path) -> None:
    result = run_analysis(topic_run(tmp_path, structured=False), ANALYSIS, {"rows": "all"} | FAST)
    assert _k(result) == 0
    assert result.table("matrix")["k"].item() == 0
    for name in ("prototypes", "prototype_rows", "loadings", "coefficients"):
        assert len(result.table(name)) == 0
    assert not result.table("spectrum")["above_null"].iloc[0]
    matrix = result.table("matrix").iloc[0]
    assert matrix["stable_rank"] == pytest.approx(matrix["stable_rank_null"], rel=0.1)
    summary = ANALYSIS.summary({n: result.table(n) for n in result.manifest["tables"]})  # type: ignore[misc]
    assert summary["components above chance"][0]["k"] == 0


@pytest.mark.parametrize("method", ["varimax", "nmf"])
def test_each_rotated_prototype_is_one_planted_topic(result: Result, method: str) -> None:
    loadings = result.table("loadings").query("method == @method and rank < 5")
    topics = loadings["feature"].to_numpy().reshape(N_TOPICS, 5) % N_TOPICS
    assert (topics == topics[:, :1]).all()
    assert set(topics[:, 0]) == set(range(N_TOPICS))
    assert (loadings["loading"] > 0).all()


def test_stability_is_above_that_of_shuffled_columns(result: Result) -> None:
    prototypes = result.table("prototypes").query("method != 'svd'")
    assert (prototypes["split_half"] > prototypes["split_half_null"]).all()
    assert (prototypes["seeds"] > 0.9).all()
    assert prototypes.query("method == 'varimax'")["bootstrap"].min() > 0.9
    assert (prototypes["token_r2"] < 0.2).all()  # topics choose words, and no word is a topic
    assert (result.table("prototypes").query("method != 'nmf'")["residual"] < 1e-8).all()


def test_coefficients_give_back_the_share_they_state(result: Result) -> None:
    table = result.table("coefficients").query("method == 'svd'")
    c = np.stack(table["coefficients"].to_list())
    np.testing.assert_allclose((c**2).sum(1), table["r2"], atol=1e-5)  # columns of A have length 1
    assert table["r2"].between(0, 1).all()


def test_rows_at_the_ends_are_of_different_contexts_and_in_order(result: Result) -> None:
    for _, rows in result.table("prototype_rows").groupby(["method", "prototype", "end"]):
        assert rows["context"].is_unique
        sign = 1 if rows["end"].iloc[0] == "+" else -1
        assert (np.diff(sign * rows["score"]) <= 1e-12).all()
        assert (sign * rows["score"] > 0).all()


def test_the_same_question_gives_the_same_tables(run: Run, result: Result) -> None:
    params = ANALYSIS.params(rows="all", k=N_TOPICS, **FAST)
    again = ANALYSIS.compute(run, params, Silent())
    for spec, table in again.items():
        pd.testing.assert_frame_equal(table.to_pandas(), result.table(spec.name))


@pytest.mark.parametrize("scale", ["raw", "phi", "log1p", "binary"])
def test_every_scale_works_and_phi_has_no_nmf(run: Run, scale: str) -> None:
    result = run_analysis(run, ANALYSIS, {"rows": "random", "scale": scale, "k": 3} | FAST)
    methods = set(result.table("prototypes")["method"])
    assert methods == ({"svd", "varimax"} if scale == "phi" else {"svd", "varimax", "nmf"})
    assert result.table("matrix")["nmf"].item() == ("the matrix has negative entries" if scale == "phi" else "")


def test_the_token_residual_keeps_topics_that_tokens_do_not_carry(run: Run) -> None:
    result = run_analysis(run, ANALYSIS, {"rows": "all", "residual": True, "k": 3} | FAST)
    assert _k(result) >= N_TOPICS - 1
    assert result.table("matrix")["n_alone"].item() == 0


def test_what_follows_the_token_alone_is_a_prototype_of_a_and_none_of_its_residual(tmp_path: Path) -> None:
    run = write_run(tmp_path, "tokens", token_world())
    whole, rest = (run_analysis(run, ANALYSIS, {"rows": "all", "residual": r} | FAST) for r in (False, True))
    assert _k(whole) >= N_TOPICS - 1
    assert whole.table("prototypes")["token_r2"].min() > 0.3
    assert _k(rest) == 0
    matrix = rest.table("matrix").iloc[0]
    assert matrix["stable_rank"] == pytest.approx(matrix["stable_rank_null"], rel=0.1)


@pytest.mark.parametrize("values", [{"k": 1000}, {"rows": "all", "min_firings": 10**6}, {"n_null": 0}, {"k": -1}])
def test_what_cannot_be_done_is_refused_with_a_remedy(run: Run, values: dict) -> None:
    with pytest.raises(InputError) as error:
        run_analysis(run, ANALYSIS, values)
    assert error.value.title
    assert error.value.remedy


def test_an_unknown_scale_is_named(run: Run) -> None:
    with pytest.raises(RecipeError, match="phi"):
        run_analysis(run, ANALYSIS, {"scale": "zscore"})
