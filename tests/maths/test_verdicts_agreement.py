"""Kappa against scikit-learn, class shares and swapped-label rates against planted truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from core.errors import InputError
from core.maths.agreement import class_shares, compare_verdicts, swapped_label_rates
from core.maths.verdict_rules import CLASSES


@pytest.mark.parametrize("agree", [0.0, 0.4, 0.9, 1.0])
def test_kappa_equals_scikit_learn(agree: float) -> None:
    rng = np.random.default_rng(int(agree * 10))
    first = rng.choice(CLASSES, 60)
    second = np.where(rng.random(60) < agree, first, rng.choice(CLASSES, 60))
    result = compare_verdicts(first.tolist(), second.tolist())
    assert result.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert result.lo <= result.kappa <= result.hi
    assert result.share == np.mean(first == second)
    assert np.sum(result.table) == 60


def test_kappa_of_unrelated_tests_has_an_interval_around_zero_in_95_percent() -> None:
    rng = np.random.default_rng(0)
    weights = [0.4, 0.3, 0.2, 0.1]
    inside = 0
    for _ in range(200):
        first, second = (rng.choice(CLASSES[:4], 80, p=weights).tolist() for _ in range(2))
        result = compare_verdicts(first, second, n_boot=300)
        inside += result.lo <= 0 <= result.hi
    assert 0.90 <= inside / 200 <= 0.99


def test_kappa_is_undefined_where_one_class_fills_both() -> None:
    result = compare_verdicts(["ALL-PARTS"] * 5, ["ALL-PARTS"] * 5)
    assert (result.share, result.kappa, result.lo) == (1.0, None, None)
    assert compare_verdicts([], []).kappa is None


def test_tests_of_different_features_cannot_be_compared() -> None:
    with pytest.raises(InputError):
        compare_verdicts(["ALL-PARTS"], [])


def test_class_shares_list_every_class_and_sum_to_one() -> None:
    shares = class_shares(["ALL-PARTS"] * 3 + ["UNDECIDED"])
    assert [s.kind for s in shares] == list(CLASSES)
    assert sum(s.share for s in shares) == pytest.approx(1.0)
    assert shares[0].lo < 0.75 < shares[0].hi
    assert shares[1].count == 0
    assert shares[1].hi > 0.5  # four features exclude little
    assert class_shares([])[0].share is None


def test_swapped_labels_leave_out_pairs_that_test_nothing_and_count_any_claim() -> None:
    kinds = ["LABEL-FAILS"] * 90 + ["WHOLE-ONLY"] * 3 + ["SOME-PARTS"] * 2 + ["UNDECIDED"] * 5 + ["NO-FIRING"] * 50
    rows = {r.kind: r for r in swapped_label_rates(kinds)}
    assert rows["any claim"].count == 5
    assert rows["any claim"].n == 100
    assert rows["any claim"].lo < 0.05 < rows["any claim"].hi
    assert rows["LABEL-FAILS"].share == 0.9
    assert rows["ALL-PARTS"].hi == pytest.approx(1 - 0.025 ** (1 / 100))


def test_many_labels_on_few_features_do_not_pass_for_many_features() -> None:
    kinds = [k for i in range(20) for k in (["WHOLE-ONLY"] * 10 if i < 4 else ["LABEL-FAILS"] * 10)]
    features = np.repeat(np.arange(20), 10).tolist()
    alone = {r.kind: r for r in swapped_label_rates(kinds)}["WHOLE-ONLY"]
    grouped = {r.kind: r for r in swapped_label_rates(kinds, features)}["WHOLE-ONLY"]
    assert grouped.share == alone.share == 0.2
    assert grouped.hi - grouped.lo > 2 * (alone.hi - alone.lo)
    never = {r.kind: r for r in swapped_label_rates(kinds, features)}["ALL-PARTS"]
    assert never.hi == pytest.approx(1 - 0.025 ** (1 / 20))
