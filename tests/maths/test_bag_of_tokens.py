import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from core.maths.bag_of_tokens import (
    Rows,
    auroc,
    held_out_auroc,
    intruder_accuracy,
    mean_interval,
    top_rows,
)


def _rows(n: int = 600, n_tokens: int = 40, seed: int = 0) -> tuple[Rows, sparse.csc_matrix]:
    """Component 0 follows token 3, component 1 nothing."""
    rng = np.random.default_rng(seed)
    bag = rng.random((n, n_tokens)) < 0.15
    member = np.stack([bag[:, 3], rng.random(n) < 0.15], 1)
    return Rows(sparse.csr_matrix(bag, dtype=float), np.arange(n)), sparse.csc_matrix(member, dtype=float)


def test_auroc_equals_sklearn_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores, member = rng.integers(0, 6, (200, 3)), rng.random((200, 3)) < 0.3
    expected = [roc_auc_score(member[:, c], scores[:, c]) for c in range(3)]
    np.testing.assert_allclose(auroc(scores, member), expected)
    assert np.isnan(auroc(scores[:, :1], np.ones((200, 1), bool))).all()


def test_a_component_that_follows_a_token_is_predicted_and_a_random_one_is_not() -> None:
    (fit, fit_member), (judge, member) = _rows(seed=0), _rows(seed=1)
    followed, random = held_out_auroc(fit, judge, fit_member, member)
    assert followed > 0.95
    assert 0.4 < random < 0.6
    assert held_out_auroc(fit, judge, fit_member[:, :0], member[:, :0]).shape == (0,)


def test_the_intruder_is_found_among_texts_that_are_alike_and_by_chance_among_others() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 30))
    vectors[:80] += 6
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    member = np.zeros((400, 3))
    member[:80, 0], member[100:180, 1], member[:2, 2] = 1, 1, 1
    found = intruder_accuracy(vectors, sparse.csc_matrix(member), np.arange(400), 400, np.random.default_rng(1))
    assert found[0] > 0.8
    assert found[1] == pytest.approx(0.2, abs=0.07)
    assert np.isnan(found[2])


def test_texts_of_one_document_are_no_component() -> None:
    member = sparse.csc_matrix(np.repeat([1.0, 0.0], 50)[:, None])
    vectors = np.ones((100, 2)) / np.sqrt(2)
    assert np.isnan(intruder_accuracy(vectors, member, np.repeat([0, 1], 50), 5, np.random.default_rng(0))).all()


def test_top_rows_are_as_many_as_asked_for_and_the_highest() -> None:
    scores = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 1.0]])
    found = top_rows(scores, np.array([2, 1])).toarray()
    assert found.tolist() == [[0, 1], [1, 0], [1, 0]]


def test_an_interval_without_components_is_absent() -> None:
    assert np.isnan(mean_interval(np.array([np.nan]), np.random.default_rng(0))).all()
    mean, lo, hi = mean_interval(np.array([0.5, 0.6, 0.7, np.nan]), np.random.default_rng(0))
    assert mean == pytest.approx(0.6)
    assert lo < mean < hi
