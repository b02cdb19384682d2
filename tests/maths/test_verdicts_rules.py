"""Classes at known truths: published error rates, nulls, and what must never change a verdict."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.maths.evidence import Evidence
from core.maths.rates import clopper_pearson
from core.maths.verdict_rules import CLASSES, DECISIVE, Rules, decide
from core.maths.verdict_types import Reading, Verdict, is_opaque, published_class, published_count_class
from core.maths.verdicts import judge
from tests.maths.verdict_worlds import N_GROUPS, PROFILES, Profile, acts, counts, evidence

PUBLISHED = {  # METHODS 2.8: r0 = .05, n = 12; share of right classes at ICC 0 and .1 (weak: 78 % UNDECIDED)
    "all parts": (100, 84),
    "one facet": (100, 95),
    "whole only": (98, 95),
    "wrong label": (98, 90),
    "weak": (78, None),
}


def share(profile: Profile, kind: str, **settings: float) -> float:
    decisions = decide(counts(profile, 2000, **settings), Rules())  # type: ignore[arg-type]
    return 100 * float(np.mean(decisions.classes == CLASSES.index(kind)))


@pytest.mark.parametrize(("name", "icc"), [(n, i) for n, pair in PUBLISHED.items() for i in (0, 1) if pair[i]])
def test_published_error_rates_are_reproduced_within_5_points(name: str, icc: int) -> None:
    profile = PROFILES[name]
    assert share(profile, profile.right, icc=0.1 * icc) == pytest.approx(PUBLISHED[name][icc], abs=5)


def test_clear_conjunction_is_whole_only_in_96_to_100_percent() -> None:
    assert 96 <= share(Profile((0.05,) * 5, 0.8, "WHOLE-ONLY"), "WHOLE-ONLY") <= 100
    assert 96 <= share(Profile((0.03,) * 5, 0.9, "WHOLE-ONLY"), "WHOLE-ONLY") <= 100


def test_three_phrases_a_part_leave_half_of_strong_profiles_and_nearly_all_weak_ones_undecided() -> None:
    for name, at_most in (("all parts", 50), ("one facet", 60), ("whole only", 60), ("wrong label", 60)):
        profile = PROFILES[name]
        assert share(profile, profile.right, n=3) <= at_most
    assert share(PROFILES["weak"], "UNDECIDED", n=3) > 85


@pytest.mark.parametrize("n", [12, 20, 40])
@pytest.mark.parametrize("icc", [0.0, 0.1])
def test_features_that_fire_at_control_rate_are_never_all_parts_and_rarely_some(n: int, icc: float) -> None:
    decisions = decide(counts(PROFILES["wrong label"], 2000, icc=icc, n=n), Rules())
    got = Counter(CLASSES[c] for c in decisions.classes)
    assert got["ALL-PARTS"] == 0
    assert got["SOME-PARTS"] <= 0.05 * 2000
    # any part UP at all is the error that the adjustment over parts bounds
    assert np.mean(decisions.up.any(1)) <= 0.06


def test_four_true_parts_do_not_drag_up_a_fifth_that_is_at_control_rate() -> None:
    decisions = decide(counts(Profile((0.8, 0.8, 0.8, 0.8, 0.05), 0.8, "SOME-PARTS"), 2000), Rules())
    assert np.mean(decisions.classes == CLASSES.index("ALL-PARTS")) <= 0.05
    assert np.mean(decisions.classes == CLASSES.index("SOME-PARTS")) >= 0.95


def test_whole_bank_is_replaced_by_the_banks_own_law_without_losing_classes() -> None:
    for name in ("whole only", "wrong label"):
        profile = PROFILES[name]
        decisions = decide(counts(profile, 1000, whole_bank=False), Rules())
        assert np.mean(decisions.classes == CLASSES.index(profile.right)) > 0.93


def test_whole_that_is_up_but_absent_is_a_label_that_fails() -> None:
    """5 of 40 against a control rate of 5 %: above control in the bank, yet less than a quarter of own text's way."""
    e = evidence(PROFILES["wrong label"], 0)
    quiet = replace(e, parts=np.zeros((5, 12)), whole=np.r_[np.full(5, 2.0), np.zeros(35)])
    reading = judge([quiet])[0].at_theta5
    assert reading.whole.absent
    assert reading.kind == "LABEL-FAILS"


def test_parts_above_control_that_are_surely_small_do_not_count_as_carrying_the_label() -> None:
    e = evidence(Profile((0.09,) * 5, 0.8, ""), 1)
    rng = np.random.default_rng(0)
    parts = np.stack([rng.permutation(np.r_[np.full(22, 2.0), np.zeros(178)]) for _ in range(5)])  # 11 % of 200
    reading = judge([replace(e, parts=parts)])[0].at_theta5
    assert all(part.up for part in reading.parts)
    assert reading.pooled.absent
    assert reading.kind == "UNDECIDED"
    assert "too rarely" in reading.reason


def test_no_firing_and_untestable_come_before_every_other_class() -> None:
    e = evidence(PROFILES["all parts"], 0)
    assert judge([replace(e, ever_fires=False)])[0].kind == "NO-FIRING"
    cut = judge([replace(e, own=np.r_[np.full(14, 2.0), np.zeros(26)])])[0]
    assert cut.kind == "UNTESTABLE"  # 14 of 40 leaves at most 49.4 %
    assert cut.at_theta5.context_dependence == pytest.approx(26 / 40)
    assert judge([replace(e, own=np.r_[np.full(15, 2.0), np.zeros(25)])])[0].kind == "ALL-PARTS"


def test_without_own_text_absence_is_held_to_the_strictest_limit() -> None:
    reading = judge([replace(evidence(PROFILES["weak"], 0), own=np.zeros(0))])[0].at_theta5
    assert reading.own.rate is None
    assert reading.context_dependence is None
    assert reading.absent_below == pytest.approx(reading.r0 + 0.25 * 0.2)


def test_every_part_is_in_the_reason_of_some_parts_with_what_is_known_of_it() -> None:
    e = evidence(PROFILES["one facet"], 2)
    parts = np.zeros((5, 12))
    parts[0], parts[1, :2], parts[2, :1] = 2.0, 2.0, 2.0
    names = ("fur", "teeth", "claws", "tail", "purr")
    reason = judge([replace(e, parts=parts, part_names=names)])[0].reason
    assert "'fur' (12 of 12) makes it fire" in reason
    assert "'teeth' (2 of 12) and 'claws' (1 of 12) are not decided" in reason
    assert "'tail' and 'purr' do not" in reason


def test_weak_facet_that_the_pooled_rule_overlooks_is_named_in_the_reason() -> None:
    e = evidence(PROFILES["whole only"], 3)
    parts = np.zeros((5, 12))
    parts[3, :3] = 2.0
    verdict = judge([replace(e, parts=parts)])[0]
    assert verdict.kind == "WHOLE-ONLY"
    assert verdict.at_theta5.parts[3].suspect
    assert "'part 4' (3 of 12) is not excluded" in verdict.reason


def test_feature_that_answers_to_much_else_is_told_so_and_holm_alone_would_not_see_its_parts() -> None:
    e = evidence(PROFILES["all parts"], 0)
    bank = e.bank.copy() * 0.5
    bank[:9] = 1.0  # nine of 300 control groups fire throughout: p of a part that does is 10 / 301
    loud = replace(e, bank=bank, parts=np.full((5, 12), 2.0), whole=np.full(40, 2.0), own=np.full(40, 2.0))
    assert judge([loud])[0].kind == "ALL-PARTS"
    assert judge([loud], Rules(correction="holm"))[0].kind == "UNDECIDED"
    facet = judge([replace(loud, parts=np.r_[np.full((1, 12), 2.0), np.zeros((4, 12))])])[0]
    assert facet.kind != "ALL-PARTS"
    assert not facet.at_theta5.parts[0].up
    assert facet.at_theta5.parts[0].suspect


def test_long_part_names_are_cut_in_the_reason() -> None:
    e = evidence(PROFILES["all parts"], 0)
    reason = judge([replace(e, part_names=tuple("x" * 5000 for _ in range(5)))])[0].reason
    assert len(reason) < 300


def test_theta_zero_stands_beside_theta5_and_dense_features_differ() -> None:
    verdict = judge([evidence(PROFILES["all parts"], 0)])[0]
    assert verdict.at_theta5.theta == verdict.theta5 > 0
    assert verdict.at_theta0.theta == 0
    assert verdict.at_theta5.r0 == pytest.approx(0.05, abs=1e-9)
    assert verdict.at_theta0.r0 == 1.0  # the planted feature is active everywhere
    assert verdict.at_theta0.kind != "ALL-PARTS"
    assert verdict.depends_on_theta


def test_sparse_features_have_one_threshold_and_one_reading() -> None:
    e = evidence(PROFILES["all parts"], 0)
    floor = 1 - 0.03  # fires on under 5 % of controls

    def cut(a: np.ndarray) -> np.ndarray:
        return np.where(a > floor, a, 0.0)

    e = replace(e, parts=cut(e.parts), whole=cut(e.whole), own=cut(e.own), bank=cut(e.bank))
    verdict = judge([e])[0]
    assert verdict.theta5 == 0
    assert verdict.at_theta5.r0 < 0.05
    assert verdict.at_theta5.kind == verdict.at_theta0.kind


# --- properties ---------------------------------------------------------------------------------------------------

seeds = st.integers(0, 2**31 - 1)
profiles = st.sampled_from(sorted(PROFILES))


def small(profile: str, seed: int) -> Evidence:
    return evidence(PROFILES[profile], seed, n_groups=100)


def plain(verdict: Verdict) -> dict:
    """Without part names and reasons, and parts in an order of their own, so that permuted parts compare equal."""

    def reading(r: Reading) -> dict:
        parts = sorted((tuple((k, v) for k, v in asdict(p).items() if k != "name") for p in r.parts), key=str)
        return asdict(replace(r, reason="", parts=())) | {"parts": parts}

    return {"kind": verdict.kind, "theta5": verdict.theta5} | {
        "five": reading(verdict.at_theta5),
        "zero": reading(verdict.at_theta0),
    }


@given(profiles, seeds)
@settings(max_examples=15, deadline=None)
def test_order_of_phrases_parts_and_features_changes_no_number(profile: str, seed: int) -> None:
    e = small(profile, seed)
    rng = np.random.default_rng(seed)
    mixed = replace(
        e,
        parts=rng.permuted(e.parts[rng.permutation(5)], axis=1),
        whole=rng.permutation(e.whole),
        own=rng.permutation(e.own),
        bank=rng.permuted(e.bank, axis=1),
    )
    first, other, again = judge([e, small("weak", seed + 1), mixed])
    assert plain(first) == plain(again)
    assert plain(judge([small("weak", seed + 1), e])[0]) == plain(other)


@given(profiles, seeds, st.sampled_from([0.25, 2.0, 64.0]))
@settings(max_examples=10, deadline=None)
def test_scale_of_acts_changes_nothing_but_theta(profile: str, seed: int, scale: float) -> None:
    e = small(profile, seed)
    scaled = replace(e, **{k: getattr(e, k) * scale for k in ("parts", "whole", "own", "bank")})
    one, two = judge([e, scaled])
    assert two.theta5 == one.theta5 * scale
    back = replace(two, theta5=one.theta5, at_theta5=replace(two.at_theta5, theta=one.theta5))
    assert plain(back) == plain(one)


@given(profiles, seeds, st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_one_more_firing_phrase_never_lowers_a_rate_or_raises_a_p_or_takes_up_away(
    profile: str, seed: int, part: int
) -> None:
    e = small(profile, seed)
    parts = e.parts.copy()
    parts[part, parts[part].argmin()] = e.bank.max() + 1
    before, after = (v.at_theta5 for v in judge([e, replace(e, parts=parts)]))
    assert after.parts[part].rate >= before.parts[part].rate
    assert after.pooled.upper >= before.pooled.upper
    for old, new in zip(before.parts, after.parts, strict=True):
        assert new.p <= old.p
        assert new.adjusted_p <= old.adjusted_p
        assert new.up >= old.up


@given(profiles, seeds)
@settings(max_examples=15, deadline=None)
def test_every_number_is_in_its_range_and_every_interval_holds_its_value(profile: str, seed: int) -> None:
    for r in (v for verdict in judge([small(profile, seed)]) for v in (verdict.at_theta5, verdict.at_theta0)):
        for g in (*r.parts, r.whole, r.own, r.pooled):
            assert 0 <= g.lo <= g.rate <= g.upper <= g.hi + 1e-12 <= 1 + 1e-9
            assert g.p is None or 0 < g.p <= 1
            assert g.adjusted_p is None or 0 < g.p <= g.adjusted_p <= 1
            assert (g.lo, g.hi) == pytest.approx([float(x) for x in clopper_pearson(np.array(g.fired), np.array(g.n))])
        assert r.r0_lo <= r.r0_held_out <= r.r0_hi
        assert 0 < r.differ_p <= 1
        assert r.index is None or 0 <= r.index_lo <= r.index <= r.index_hi <= 1
        assert r.evenness is None or 0.2 - 1e-9 <= r.evenness <= 1 + 1e-9
        assert r.n_needed is None or (r.kind == "UNDECIDED" and 12 < r.n_needed <= 200)
        assert len(r.reason) > 20


@given(profiles, seeds)
@settings(max_examples=10, deadline=None)
def test_decisive_classes_are_what_their_definition_says(profile: str, seed: int) -> None:
    r = judge([small(profile, seed)])[0].at_theta5
    up = [p.up for p in r.parts]
    assert (r.kind == "ALL-PARTS") == (all(up) and not r.pooled.absent)
    if r.kind == "SOME-PARTS":
        assert any(up)
        assert not all(up)
        assert r.differ_p < 0.05
    if r.kind in ("WHOLE-ONLY", "LABEL-FAILS"):
        assert not any(up)
        assert r.pooled.absent
        assert r.whole.absent if r.kind == "LABEL-FAILS" else r.whole.up
    if r.kind == "UNDECIDED":
        assert r.kind not in DECISIVE


# --- edges ----------------------------------------------------------------------------------------------------------


def test_missing_phrases_count_nowhere() -> None:
    e = evidence(PROFILES["all parts"], 0)
    gaps = e.parts.copy()
    gaps[0, 6:], gaps[1] = np.nan, np.nan
    reading = judge([replace(e, parts=gaps)])[0].at_theta5
    assert [p.n for p in reading.parts] == [6, 0, 12, 12, 12]
    assert reading.parts[1].rate is None
    assert reading.parts[1].p == 1
    assert not reading.pooled.absent
    assert reading.n_needed is None
    assert reading.kind == "UNDECIDED" or reading.kind == "SOME-PARTS"
    assert "No phrase of 'part 2' could be measured" in reading.reason or reading.kind == "SOME-PARTS"


def test_labels_with_different_numbers_of_parts_are_judged_together() -> None:
    e = evidence(PROFILES["all parts"], 0)
    three, one = replace(e, parts=e.parts[:3]), replace(e, parts=e.parts[:1, :8])
    verdicts = judge([e, three, one])
    assert [len(v.at_theta5.parts) for v in verdicts] == [5, 3, 1]
    assert [v.kind for v in verdicts] == ["ALL-PARTS"] * 3
    assert [plain(v) for v in verdicts] == [plain(judge([x])[0]) for x in (e, three, one)]


def test_verdict_is_plain_json() -> None:
    rng = np.random.default_rng(0)
    e = replace(evidence(PROFILES["weak"], 0), hard=acts(rng, 0.1, (4, 12)), label=0.999, shuffled=acts(rng, 0.5, (3,)))
    verdict = judge([e])[0]
    back = json.loads(json.dumps(asdict(verdict), allow_nan=False))
    assert back["at_theta5"]["label"] == {**back["at_theta5"]["label"], "n": 1, "fired": 1, "rate": 1.0}
    assert back["at_theta5"]["hard"]["n"] == 48
    assert back["kind"] in CLASSES


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"bank": np.zeros((98, 12))}, "the control bank is too small"),
        ({"bank": np.full((300, 12), np.nan)}, "the control bank has phrases without an act"),
        ({"whole_bank": np.zeros((18, 40))}, "the control bank of whole labels is too small"),
        ({"parts": np.zeros((0, 12))}, "a label without parts cannot be tested"),
        ({"part_names": ("one",)}, "parts and their names differ in number"),
        ({"own": np.array([-1.0])}, "acts on 'own' phrases are not acts"),
    ],
)
def test_evidence_that_cannot_give_a_verdict_is_refused_with_a_remedy(change: dict, title: str) -> None:
    with pytest.raises(InputError) as caught:
        judge([replace(evidence(PROFILES["weak"], 0), **change)])
    assert caught.value.title == title
    assert caught.value.remedy


def test_ninety_nine_groups_are_enough_for_five_parts_and_ninety_eight_are_not() -> None:
    assert Rules().groups_needed(5) == 99
    e = evidence(PROFILES["one facet"], 0, n_groups=99)
    top = replace(e, parts=np.r_[np.full((1, 12), 2.0), np.zeros((4, 12))])
    assert judge([top])[0].at_theta5.parts[0].up


def test_judging_nothing_gives_nothing() -> None:
    assert judge([]) == []


def test_classes_map_to_the_published_three_and_opaque_needs_two_labels() -> None:
    assert [published_class(c) for c in CLASSES] == [
        "every part activates",
        "some parts activate",
        "no part activates",
        "no part activates",
        None,
        None,
        None,
    ]
    assert [published_count_class(k, 5) for k in (0, 1, 4, 5)] == [
        "no part activates",
        "some parts activate",
        "some parts activate",
        "every part activates",
    ]
    assert is_opaque(["LABEL-FAILS", "LABEL-FAILS"], True)
    assert not is_opaque(["LABEL-FAILS"], True)
    assert not is_opaque(["LABEL-FAILS", "UNDECIDED"], True)
    assert not is_opaque(["LABEL-FAILS", "LABEL-FAILS"], False)


def test_the_bank_of_the_rules_is_the_documented_size() -> None:
    assert N_GROUPS == 300
