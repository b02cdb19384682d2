"""Whole decomposition tests: planted features get their class, and whatever goes wrong stays with its label."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.analyses.base import Silent
from core.analyses.decomposition import Params
from core.decompose.bank import shipped_bank
from core.decompose.judging import judge_all
from core.decompose.proposers import Advance, FromText
from core.decompose.tester import decompose
from core.decompose.work import Work
from core.errors import InputError
from core.proposals.asking import Asking, Label
from core.proposals.corpus import Corpus
from core.proposals.proposal import NotProposed, Part, Phrase, Proposals
from core.results import Result, results
from core.store import Run
from tests.decompose.planted import BOS_ACT, KINDS, Planted, PlantedSource


class Given:
    """A proposer of planted phrases; ``fails`` are features it refuses."""

    needs_label, own_text = True, True

    def n_steps(self, labels: Sequence[Label]) -> int:
        return len(labels)

    def spent(self) -> str:
        return "3 calls paid" if self.n_asked else ""

    def __init__(self, planted: Planted, fails: Sequence[int] = ()) -> None:
        self.planted, self.fails, self.n_asked = planted, fails, 0

    def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
        self.n_asked += len(labels)
        made = tuple(self.planted.proposal(x.feature) for x in labels if x.feature not in self.fails)
        failed = tuple(NotProposed(x.feature, x.label, "refusal: no") for x in labels if x.feature in self.fails)
        return Proposals(made, failed)

    def about(self) -> dict[str, Any]:
        return {"generator": "planted", "prompts": []}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted(each=3)


@pytest.fixture(scope="module")
def run(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted.write(tmp_path_factory.mktemp("cache"))


def all_labels(planted: Planted) -> list[Label]:
    return [Label(j, planted.label(j), "test") for j in range(len(planted.kinds))]


@pytest.fixture(scope="module")
def result(run: Run, planted: Planted) -> Result:
    source, params = PlantedSource(planted), Params(proposer="upload", bank="text", n_retest=8, seed=1)
    return decompose(run, all_labels(planted), Given(planted, fails=[1]), source, params, Silent())


def test_constructed_features_get_the_class_of_their_kind(result: Result, planted: Planted) -> None:
    kinds = result.table("tests")["kind"]
    for feature, (kind, got) in enumerate(zip(planted.kinds, kinds, strict=True)):
        assert feature == 1 or got in KINDS[kind] | {"UNDECIDED"}, (kind, got)
    right = [got in KINDS[kind] for kind, got in zip(planted.kinds, kinds, strict=True)]
    assert np.mean(right) >= 0.85


def test_a_label_that_could_not_be_proposed_keeps_its_row_and_its_reason(result: Result) -> None:
    row = result.table("tests").iloc[1]
    assert (row["kind"], row["reason"]) == ("NOT-PROPOSED", "refusal: no")
    assert not (result.table("groups")["test"] == 1).any()
    assert not (result.table("phrases")["test"] == 1).any()


def test_a_feature_that_never_fires_is_no_firing_even_without_phrases(run: Run, planted: Planted) -> None:
    silent = planted.kinds.index("no firing")
    labels = [Label(silent, "anything", "test"), Label(0, planted.label(0), "test")]
    made = decompose(run, labels, Given(planted, [silent]), PlantedSource(planted), Params(bank="text"), Silent())
    assert made.table("tests")["kind"].tolist()[0] == "NO-FIRING"


def test_swapped_labels_are_hardly_ever_believed(result: Result) -> None:
    rates = result.table("class_rates").set_index("kind")
    claims = rates.loc[["ALL-PARTS", "SOME-PARTS", "WHOLE-ONLY"], "n_swapped"].sum()
    assert len(result.manifest["swapped_pairs"]) >= 20
    assert claims <= 0.1 * len(result.manifest["swapped_pairs"])
    assert rates["n"].sum() == len(result.table("tests")) - 1


def test_swapped_pairs_are_never_a_feature_with_its_own_label(result: Result, planted: Planted) -> None:
    pairs = result.manifest["swapped_pairs"]
    assert all(pair["label"] != planted.label(pair["feature"]) for pair in pairs)
    assert len({(p["feature"], p["label"]) for p in pairs}) == len(pairs)


def test_every_token_of_own_phrases_has_its_act_and_the_maximum_is_theirs(result: Result, planted: Planted) -> None:
    phrases = result.table("phrases")
    assert set(phrases["group"]) == {"own", "part", "whole", "near", "label", "shuffled", "other"}
    for row in phrases.sample(200, random_state=0).itertuples():
        feature = result.table("tests")["feature"][row.test]
        words = row.phrase.split()
        assert "".join(row.str_tokens).split() == words
        expected = planted.acts(words).get(feature, np.zeros(len(words)))
        assert list(row.acts) == list(expected)
        assert row.max_act == max(row.acts)
        assert row.n_firing == sum(a > 0 for a in row.acts)


def test_groups_count_what_phrases_show(result: Result) -> None:
    groups, phrases, tests = (result.table(n) for n in ("groups", "phrases", "tests"))
    for theta in ("theta5", "theta0"):
        rows = groups[(groups["theta"] == theta) & groups["group"].isin(["own", "whole", "part", "near"])]
        for row in rows.itertuples():
            limit = tests["theta5"][row.test] if theta == "theta5" else 0.0
            mine = phrases[(phrases["test"] == row.test) & (phrases["group"] == row.group)]
            mine = mine[mine["part_index"] == row.part_index]
            assert (len(mine), int((mine["max_act"] > limit).sum())) == (row.n, row.fired)


def test_own_text_ends_where_the_feature_fires(result: Result, planted: Planted) -> None:
    phrases = result.table("phrases")
    tests = result.table("tests")
    firing = tests[tests["feature"].map(lambda j: planted.kinds[j] in ("OR", "one facet"))]["test"]
    own = phrases[(phrases["group"] == "own") & phrases["test"].isin(firing)]
    assert len(own) >= 20
    assert all(acts[-1] > 0 for acts in own["acts"])
    assert all(len(p.split()) <= 12 for p in own["phrase"])


def test_a_retest_is_stored_with_its_agreement(result: Result) -> None:
    retests = result.table("retests")
    assert len(retests) == 8
    assert (retests["kind"].to_numpy() == result.table("tests")["kind"][retests["test"]].to_numpy()).all()
    assert result.manifest["retest"]["n"] == 8
    assert result.manifest["retest"]["share"] >= 0.7


def test_the_act_at_bos_stands_beside_the_class_and_in_no_rate(result: Result) -> None:
    tests, groups, phrases = (result.table(n) for n in ("tests", "groups", "phrases"))
    proposed = tests["kind"] != "NOT-PROPOSED"
    assert tests["bos_act"][~proposed].isna().all()
    assert tests["bos_act"][proposed].tolist() == [BOS_ACT * (f % 3) for f in tests["feature"][proposed]]
    assert phrases["max_act"].max() < BOS_ACT
    assert (groups["rate"] < 1).any()


def test_a_source_without_bos_leaves_its_act_out(run: Run, planted: Planted) -> None:
    class NoBos(PlantedSource):
        def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
            return None

    params = Params(bank="text", n_swaps=0, n_retest=1, seed=4)
    made = decompose(run, all_labels(planted)[:2], Given(planted), NoBos(planted), params, Silent())
    assert made.table("tests")["bos_act"].isna().all()


def test_a_retest_takes_over_the_acts_on_controls_and_judges_as_if_it_had_measured_them(
    run: Run, planted: Planted
) -> None:
    source = PlantedSource(planted)
    params = Params(bank="text", n_retest=6, seed=5)
    work = Work(run, tuple(all_labels(planted)), Given(planted), source, params, Silent())
    first, _ = judge_all(work, work.proposals.made, swap=True)
    before = source.n_texts
    reused, _ = judge_all(work, work.again.made, swap=False, known=first.acts)
    n_reused, before = source.n_texts - before, source.n_texts
    measured, _ = judge_all(work, work.again.made, swap=False)
    assert source.n_texts - before - n_reused == len(work.bank.phrases)
    assert reused.verdicts == measured.verdicts
    assert (reused.acts.bank == measured.acts.bank).all()
    assert reused.acts.bank.any()


def test_the_same_question_is_answered_from_what_is_stored(run: Run, planted: Planted) -> None:
    def ask(**changes: Any) -> tuple[Result, int]:
        fresh = Planted(each=3)  # phrases follow the state of its random numbers
        source = PlantedSource(fresh)
        made = decompose(run, all_labels(planted)[:2], Given(fresh), source, Params(bank="text", **changes), Silent())
        return made, source.n_texts

    first, n_first = ask()
    second, n_second = ask()
    assert first.path == second.path
    assert n_first > 0
    assert n_second == 0
    assert ask(seed=2)[0].path != first.path


def test_a_feature_tested_alone_gets_the_class_it_gets_among_others(run: Run, planted: Planted) -> None:
    def kinds(n: int) -> list[str]:
        labels = all_labels(planted)[:n]
        made = decompose(run, labels, Fixed(), PlantedSource(planted), Params(bank="text", n_swaps=0), Silent())
        return made.table("tests")["kind"].tolist()

    class Fixed(Given):
        def __init__(self) -> None:
            super().__init__(planted)

        def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
            made = []
            for x in labels:
                fresh = Planted(each=3, seed=0)
                fresh.rng = np.random.default_rng(x.feature)
                made.append(fresh.proposal(x.feature))
            return Proposals(tuple(made))

    assert kinds(1) == kinds(9)[:1]


def test_controls_near_a_label_stay_in_where_too_few_would_be_left(run: Run, planted: Planted) -> None:
    params = Params(bank="shipped", n_groups=100, n_swaps=0)
    name = bank_of(params)
    label = Label(0, f"texts about {name}", "test")

    class About(Given):
        def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
            advance(1)
            return Proposals((dataclasses.replace(self.planted.proposal(0), label=label.label),))

    made = decompose(run, [label], About(planted), PlantedSource(planted), params, Silent())
    row = made.table("tests").iloc[0]
    assert row["kind"] == "ALL-PARTS"
    groups = made.table("groups")
    assert groups[groups["group"] == "other"]["n"].tolist() == [100 * 12] * 2


def bank_of(params: Params) -> str:
    """A name of several groups of the bank that these params draw, so that fewer than 99 are left without it."""
    return " ".join(g.name for g in shipped_bank().some(params.n_groups, params.seed).groups[:6])


def test_what_is_spent_is_said_while_phrases_are_proposed(run: Run, planted: Planted) -> None:
    class Notes(Silent):
        def __init__(self) -> None:
            self.said: list[str] = []

        def note(self, text: str) -> None:
            self.said.append(text)

    class Paid(Given):
        def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
            made = super().propose(labels, sample, advance)
            for _ in labels:
                advance(1)
            return made

    progress = Notes()
    labels = all_labels(planted)[:2]
    decompose(run, labels, Paid(planted), PlantedSource(planted), Params(bank="text", n_swaps=0, seed=9), progress)
    assert progress.said == ["3 calls paid"] * 2


def test_without_labels_there_is_nothing_to_test(run: Run, planted: Planted) -> None:
    with pytest.raises(InputError, match="no label was chosen"):
        decompose(run, [], Given(planted), PlantedSource(planted), Params(), Silent())


def test_random_firing_gets_no_all_parts_from_the_retrieval_proposer(tmp_path: Path) -> None:
    world = Planted(each=10, seed=3, which=("random",))
    made = world.write(tmp_path)
    random = range(len(world.kinds))
    proposer = FromText(Corpus(made, 0), Asking())
    labels = [Label(j, "", "") for j in random]
    found = decompose(made, labels, proposer, PlantedSource(world), Params(n_swaps=0), Silent()).table("tests")
    assert (found["kind"] != "NOT-PROPOSED").sum() >= 8
    assert "ALL-PARTS" not in found["kind"].tolist()


class OfUnknownWords(Given):
    """The same phrases in a language of which the model knows one word in four."""

    def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
        known = super().propose(labels, sample, advance)
        return Proposals(tuple(dataclasses.replace(p, parts=_lost(p.parts), whole=_lose(p.whole)) for p in known.made))


def _lost(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(dataclasses.replace(part, phrases=_lose(part.phrases)) for part in parts)


def _lose(phrases: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    texts = [" ".join(w if k % 4 == 3 else "<unk>" for k, w in enumerate(p.text.split())) for p in phrases]
    return tuple(dataclasses.replace(p, text=t) for p, t in zip(phrases, texts, strict=True))


def test_phrases_the_model_has_no_tokens_for_never_make_a_label_fail(run: Run, planted: Planted) -> None:
    params = Params(proposer="upload", bank="text", n_swaps=0)
    found = decompose(run, all_labels(planted), OfUnknownWords(planted), PlantedSource(planted), params, Silent())
    tests = found.table("tests")
    assert set(tests["kind"]) <= {"UNDECIDED", "UNTESTABLE", "NO-FIRING"}
    assert "UNDECIDED" in set(tests["kind"])
    assert all(any("no tokens for most of its words" in p for p in problems) for problems in tests["problems"])
    phrases = found.table("phrases")
    assert phrases[phrases["group"].isin(["part", "whole"])]["max_act"].isna().all()
    assert phrases[phrases["group"] == "own"]["max_act"].notna().all()


def test_results_are_found_by_readers(run: Run, result: Result) -> None:
    assert result.path in [r.path for r in results(run, "decomposition")]
    manifest = result.manifest
    assert manifest["params"]["rules"]["alpha"] == 0.05
    assert {"labels", "phrases", "control bank", "source", "activations"} <= set(manifest["inputs"])
