from pathlib import Path

import numpy as np
import pytest

from core.analyses import distances_block
from core.analyses.distances_block import affinities_of, coefficients_of, pair_firings
from core.analyses.feature_distances import ANALYSIS
from core.results import Result, run_analysis
from core.store import Run
from tests.analyses.pattern_runs import topic_run, topic_world


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return topic_run(tmp_path_factory.mktemp("block"))


@pytest.fixture(scope="module")
def result(run: Run) -> Result:
    return run_analysis(run, ANALYSIS, {"decoder": False, "k": 5})


def test_cosine_and_distance_in_c_are_those_of_the_neighbours(run: Run, result: Result) -> None:
    features = np.array([3, 2, 10, 7])
    c = coefficients_of(result.table("coefficients"), features)
    block = affinities_of(run, features, False, int(result.table("units")["n_units"].item()), c)
    place, n_compared = {int(f): i for i, f in enumerate(features)}, 0
    for row in result.table("distance_neighbours").query("feature in @place and neighbour in @place").itertuples():
        at = place[row.feature], place[row.neighbour]
        assert block.c_cosine[at] == pytest.approx(row.c_cosine, abs=1e-5)
        assert block.c_euclid[at] == pytest.approx(row.c_euclid, abs=1e-4)
        n_compared += 1
    assert n_compared > 4
    np.testing.assert_array_equal(np.diag(block.c_euclid), 0)


def test_a_feature_that_was_left_out_of_c_has_no_distance_in_it(run: Run, result: Result) -> None:
    features = np.array([1, 2, 3])  # 1 fires everywhere
    block = affinities_of(run, features, False, 6000, coefficients_of(result.table("coefficients"), features))
    assert np.isnan(block.c_euclid[0]).all()
    assert np.isnan(block.c_cosine[:, 0]).all()
    assert np.isfinite(block.c_cosine[1:, 1:]).all()
    assert affinities_of(run, features, False, 6000).c_cosine is None


@pytest.mark.parametrize("per_context", [False, True])
def test_a_long_list_is_counted_as_a_short_one(run: Run, per_context: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.array([12, 3, 30, 5])
    monkeypatch.setattr(distances_block, "ROWS_PER_READ", 0)
    short = affinities_of(run, features, per_context, 6000)
    monkeypatch.setattr(distances_block, "ROWS_PER_READ", 10**9)  # as if each feature cost a read of everything
    np.testing.assert_array_equal(affinities_of(run, features, per_context, 6000).n_both, short.n_both)


def test_firings_of_a_pair_are_split_as_the_acts_say(run: Run) -> None:
    a, b = topic_world().acts[..., 6], topic_world().acts[..., 10]
    found = pair_firings(run, 6, 10, per_context=False, n_most=1_000)
    wanted = {"both": (a > 0) & (b > 0), "only_a": (a > 0) & (b == 0), "only_b": (a == 0) & (b > 0)}
    for name, fires in wanted.items():
        kind = found[name]
        assert kind.n_units == fires.sum()
        assert set(kind.context) == set(np.nonzero(fires)[0])
        assert len(kind.context) == len(set(kind.context))
        pos = np.where(kind.pos_a >= 0, kind.pos_a, kind.pos_b)
        assert fires[kind.context, pos].all()
        np.testing.assert_allclose(kind.act_a, a[kind.context, pos], rtol=1e-3)
        np.testing.assert_allclose(kind.act_b, b[kind.context, pos], rtol=1e-3)
    assert (found["only_a"].pos_b == -1).all()
    weaker = np.minimum(found["both"].act_a / a.max(), found["both"].act_b / b.max())
    assert (np.diff(weaker) <= 1e-6).all()


def test_per_context_a_pair_meets_wherever_in_it(run: Run) -> None:
    a, b = topic_world().acts[..., 6], topic_world().acts[..., 10]
    found = pair_firings(run, 6, 10, per_context=True, n_most=5)
    here = (a > 0).any(1), (b > 0).any(1)
    assert found["both"].n_units == (here[0] & here[1]).sum()
    assert found["only_a"].n_units == (here[0] & ~here[1]).sum()
    both = found["both"]
    assert len(both.context) == 5
    np.testing.assert_array_equal(both.pos_a, a[both.context].argmax(1))
    np.testing.assert_array_equal(both.pos_b, b[both.context].argmax(1))


def test_features_that_never_meet_have_no_common_context(tmp_path: Path) -> None:
    run = topic_run(tmp_path)
    found = pair_firings(run, 0, 6, per_context=False)  # 0 is dead
    assert (found["both"].n_units, found["only_a"].n_units) == (0, 0)
    assert found["only_b"].n_units == len(run.acts(6).act)
