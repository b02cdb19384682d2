from functools import partial

import numpy as np
import pytest
from scipy import sparse

from core.maths.column_nulls import shuffle_columns
from core.maths.deflated import Deflated
from core.maths.rank_choice import NullSpectrum, elbow_k, null_spectrum, parallel_k
from core.maths.rotations import matched_cosines, varimax
from core.maths.scaling import scale_acts
from core.maths.svd import singular_values, truncated_svd
from tests.maths.pattern_worlds import topics_world


def _centred(acts: sparse.spmatrix, scale: str = "binary") -> Deflated:
    return scale_acts(acts, scale).centred()


def _k(acts: sparse.spmatrix, scale: str = "binary") -> int:
    prepare = partial(_centred, scale=scale)
    null = null_spectrum(acts, prepare, shuffle_columns, 60, 20, 0)
    return parallel_k(singular_values(prepare(acts), 60), null)


def test_parallel_analysis_finds_the_25_planted_topics_and_none_in_shuffled_columns() -> None:
    acts, _ = topics_world()
    assert 20 <= _k(acts) <= 30
    assert _k(shuffle_columns(acts, np.random.default_rng(9))) <= 1  # one in twenty first components is above


def test_disjoint_columns_have_no_component_above_shuffles() -> None:
    n = 40
    acts = sparse.csc_matrix(np.kron(np.eye(n), np.ones((30, 1))))
    assert _k(acts) == 0


def test_varimax_is_nearer_to_planted_loadings_than_the_svd() -> None:
    acts, loadings = topics_world()
    v = truncated_svd(_centred(acts, "unit"), 24).v
    plain, turned = matched_cosines(loadings, v).mean(), matched_cosines(loadings, v @ varimax(v)).mean()
    assert turned > plain + 0.15


def test_parallel_analysis_stops_at_the_first_component_below_its_null() -> None:
    null = NullSpectrum(np.tile([2.0, 2.0, 2.0, 2.0], (20, 1)))
    assert parallel_k(np.array([5.0, 3.0, 1.0, 2.5]), null) == 2
    assert parallel_k(np.array([5.0, 4.0, 3.0, 2.5]), null) == 4
    assert parallel_k(np.array([1.0, 0.9, 0.8, 0.7]), null) == 0


def test_the_elbow_is_where_a_steep_fall_ends() -> None:
    s = np.exp(-np.concatenate([np.linspace(0, 4, 6), 4 + 0.02 * np.arange(1, 40)]))
    assert elbow_k(s) == pytest.approx(6, abs=1)
    assert elbow_k(np.ones(10)) == 0
    assert elbow_k(np.array([1.0, 0.0, 0.0])) == 0
