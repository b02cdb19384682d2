"""``decompose``: propose, measure, judge, swap, retest, store. One call, one result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from core.analyses.activation_source import ActivationSource
from core.analyses.base import Progress
from core.analyses.decomposition import ANALYSIS, Params
from core.analyses.decomposition_tables import CLASS_RATES, GROUPS, PHRASES, RETESTS, TESTS
from core.decompose import tables
from core.decompose.bank import MAX_UNKNOWN, Bank, shipped_bank, text_bank, unknown_share
from core.decompose.measuring import Acts, measure_all, strongest_controls
from core.decompose.near import Controls, Words, labels_near
from core.decompose.own_text import own_text
from core.decompose.proposers import Proposer
from core.decompose.stimuli import Stimuli, evidence, near_phrases, shuffles, words_a_phrase
from core.decompose.swaps import swapped_pairs
from core.errors import InputError
from core.maths.agreement import ClassShare, compare_verdicts, swapped_label_rates
from core.maths.verdict_types import Verdict
from core.maths.verdicts import judge
from core.proposals.asking import Label
from core.proposals.corpus import Corpus
from core.proposals.proposal import Phrase, Proposal, Proposals
from core.results import Result, identity_of, store_result, stored_result
from core.store import Run

MIN_LABELS = 30  # from here on labels are swapped among the tested features; below, other features stand in
MAX_CANDIDATES = 400
DENSE = 0.3  # of control phrases on which a feature fires at all


def decompose(
    run: Run, labels: Sequence[Label], proposer: Proposer, source: ActivationSource, params: Params, progress: Progress
) -> Result:
    """Test every label on its feature and store one result; the very same question is answered from what is stored.

    A label that nothing could be proposed for is NOT-PROPOSED, the others go on. InputError without any label.
    """
    if not labels:
        raise InputError("no label was chosen", "there is nothing to test", "see --features")
    started = time.monotonic()
    work = _Work(run, tuple(labels), proposer, source, params, progress)
    identity = work.identity()
    if (found := stored_result(run, identity)) is not None:
        progress.note("this very test is stored already")
        return found
    made, about = work.make()
    return store_result(run, identity, made, time.monotonic() - started, about)


@dataclass(frozen=True)
class _Judged:
    """Labels that were measured, with everything that follows; lists are in order of ``stimuli``."""

    stimuli: list[Stimuli]
    verdicts: list[Verdict]
    controls: list[np.ndarray]  # [n_groups, n] rows of the bank that are controls
    n_near: list[int]  # phrases of the bank that are near the label
    acts: Acts


class _Work:
    """One test while it is made; what is needed more than once is made when first asked for."""

    def __init__(
        self,
        run: Run,
        labels: tuple[Label, ...],
        proposer: Proposer,
        source: ActivationSource,
        params: Params,
        progress: Progress,
    ) -> None:
        self.run, self.labels, self.params = run, labels, params
        self.proposer, self.source, self.progress = proposer, source, progress

    # --- what is tested ---------------------------------------------------------------------------------

    @cached_property
    def corpus(self) -> Corpus:
        corpus = getattr(self.proposer, "corpus", None)
        return corpus if isinstance(corpus, Corpus) else Corpus(self.run, self.params.seed)

    @cached_property
    def proposals(self) -> Proposals:
        return self._propose(self.labels, 0)

    @cached_property
    def again(self) -> Proposals:
        """A second sample for ``n_retest`` of the labels that have a first one."""
        n, made = self.params.n_retest, self.proposals.made
        if not n or not made:
            return Proposals(())
        chosen = np.random.default_rng([self.params.seed, 6]).permutation(len(made))[:n]
        of = {(x.feature, x.label): x for x in self.labels}
        named = [made[i] for i in sorted(chosen.tolist())]
        return self._propose([of.get((p.feature, p.label)) or Label(p.feature, "", "") for p in named], 1)

    def _propose(self, labels: Sequence[Label], sample: int) -> Proposals:
        """Ask the proposer; what it costs is said every tenth of the way."""
        total = max(1, self.proposer.n_steps(labels))
        self.progress.stage("propose phrases" + (", second sample" if sample else ""), total, "steps")
        done = 0.0

        def advance(n: float) -> None:
            nonlocal done
            before, done = done, done + n
            self.progress.advance(n)
            if int(10 * before / total) < int(10 * done / total) and self.proposer.spent():
                self.progress.note(self.proposer.spent())

        return self.proposer.propose(labels, sample, advance)

    @cached_property
    def density(self) -> dict[int, float]:
        frame = self.run.features()[["feature", "density"]]
        return {int(f): float(d) for f, d in zip(frame["feature"], frame["density"], strict=True)}

    @cached_property
    def bank(self) -> Bank:
        """The controls that are like these phrases in everything but their meaning."""
        name = self.params.bank
        if name == "auto" and self.proposer.own_text:
            name = "text"
        bank = shipped_bank()
        if name == "auto":
            unknown = unknown_share(self.source, bank, self.labels[0].feature)
            name = "text" if unknown > MAX_UNKNOWN else "shipped"
            if name == "text":
                self.progress.note(f"{unknown:.0%} of the shipped controls' words are unknown to this model: "
                                   "controls are cut from the run's own text")  # fmt: skip
        n = self.params.n_groups
        return bank.some(n, self.params.seed) if name == "shipped" else text_bank(self.corpus, n, self.params.seed)

    def identity(self) -> dict[str, Any]:
        """Everything that could change a number."""
        proposals = (*self.proposals.made, *self.again.made)
        failed = [dataclasses.asdict(f) for f in self.proposals.failed]
        inputs = {
            "labels": _digest([dataclasses.asdict(x) for x in self.labels]),
            "phrases": _digest([[p.as_dict() for p in proposals], failed]),
            "control bank": self.bank.sha256,
            "source": _digest({k: v for k, v in self.source.about.items() if k not in ("device", "packages")}),
        }
        return identity_of(self.run, ANALYSIS, self.params, inputs)

    # --- making it --------------------------------------------------------------------------------------

    def make(self) -> tuple[dict[Any, Any], dict[str, Any]]:
        """The tables, and what the manifest says beyond what identifies the result."""
        made = self.proposals.made
        first, swapped = self._judged(made, swap=True)
        again, _ = self._judged(self.again.made, swap=False)
        tests, numbers, kinds = self._tests(made, first)
        groups = [g for i, v in zip(numbers, first.verdicts, strict=True) for g in self._groups(i, v, first, numbers)]
        phrases = self._phrases(numbers, first)
        retests = self._retests(again, first, numbers)
        pairs_of = [f for (_, f), _ in swapped]
        kinds_of = [v.kind for _, v in swapped]
        rows = {
            TESTS: tests,
            GROUPS: groups,
            PHRASES: phrases,
            CLASS_RATES: tables.class_rate_rows(kinds, kinds_of, pairs_of),
            RETESTS: retests,
        }
        about = {
            "classes": {k: kinds.count(k) for k in dict.fromkeys(kinds)},
            "swapped_pairs": [
                {"feature": f, "label": first.stimuli[i].proposal.label, "kind": v.kind} for (i, f), v in swapped
            ],
            "swapped_labels": [_plain(s) for s in swapped_label_rates(kinds_of, pairs_of)] if kinds_of else [],
            "retest": self._agreement(retests),
            "proposer": self.proposer.about(),
            "source": self.source.about,
            "bank": {"name": self.bank.name, "n_groups": len(self.bank.groups)},
            "n_phrases_measured": first.acts.n_texts + again.acts.n_texts,
            "phrases_per_s": round(first.acts.n_texts / max(first.acts.seconds, 1e-9)),
            "device": self.source.about.get("device", ""),
        }
        return {spec: tables.to_table(spec, found) for spec, found in rows.items()}, about

    def _judged(
        self, proposals: Sequence[Proposal], swap: bool
    ) -> tuple[_Judged, list[tuple[tuple[int, int], Verdict]]]:
        """Verdicts on every proposal's feature and, on wish, on features it does not belong to."""
        if not proposals:
            return _Judged([], [], [], [], Acts((), np.zeros((0, 0), np.float32))), []
        words = [Words.of(p) for p in proposals]
        controls = Controls(self.bank)
        near = [controls.near(w) for w in words]
        near = [n if self._enough(controls.rows(n), p) else frozenset() for n, p in zip(near, proposals, strict=True)]
        rows = [controls.rows(n) for n in near]
        near_labels = _near_labels(proposals, words)
        stimuli = [
            self._stimuli(p, [self.bank.phrases[r] for r in sorted(near[i])], [proposals[j] for j in near_labels[i]])
            for i, p in enumerate(proposals)
        ]
        pairs = self._swaps(proposals, near_labels, stimuli) if swap else {}
        acts = measure_all(self.source, self.bank, stimuli, pairs, self.progress)
        self.progress.stage("judge", None)
        found = [
            evidence(
                s,
                np.array([a.most for a in acts.of_label[i]]),
                acts.bank_of(s.proposal.feature)[rows[i]],
                self._fires(s.proposal.feature),
            )
            for i, s in enumerate(stimuli)
        ]
        swapped = [(i, f) for i in pairs for f, _ in pairs[i]]
        found += [
            evidence(stimuli[i], acts.swapped[i, f], acts.bank_of(f)[rows[i]], True, acts.swapped_own[i, f])
            for i, f in swapped
        ]
        verdicts = judge(found, self.params.rules, self.params.seed)
        n = len(stimuli)
        judged = _Judged(stimuli, verdicts[:n], rows, [len(x) for x in near], acts)
        return judged, list(zip(swapped, verdicts[n:], strict=True))

    def _enough(self, rows: np.ndarray, proposal: Proposal) -> bool:
        """Whether so many controls are left that a part could be UP; if not, those near the label have to stay in."""
        return len(rows) >= max(self.params.rules.groups_needed(len(proposal.parts)), 2)

    def _stimuli(self, proposal: Proposal, near_of_bank: list[str], near: list[Proposal]) -> Stimuli:
        p, seed = self.params, self.params.seed
        return Stimuli(
            proposal,
            self._own(proposal.feature, words_a_phrase(proposal)),
            near_phrases(proposal, near_of_bank, near, p.n_near, seed),
            shuffles(proposal.label, p.n_shuffled, seed),
        )

    def _own(self, feature: int, n_words: int) -> tuple[Phrase, ...]:
        p = self.params
        return tuple(own_text(self.corpus, self.run.acts(feature), feature, n_words, p.n_own, p.seed))

    def _fires(self, feature: int) -> bool:
        return self.density.get(feature, 0.0) > 0

    def _swaps(
        self, proposals: Sequence[Proposal], near_labels: list[list[int]], stimuli: list[Stimuli]
    ) -> dict[int, list[tuple[int, tuple[Phrase, ...]]]]:
        """Features on which each label is tested although it is not theirs, with their own text."""
        owners = [p.feature for p in proposals]
        tested = sorted(set(owners))
        candidates = tested if len(tested) >= MIN_LABELS else self._others(tested)
        alike = [
            frozenset(proposals[j].feature for j in near_labels[i]) | self._neighbours(p.feature)
            for i, p in enumerate(proposals)
        ]
        same = [frozenset(q.feature for q in proposals if q.label == p.label) for p in proposals]
        forbidden = [a | b for a, b in zip(alike, same, strict=True)]
        pairs: dict[int, list[tuple[int, tuple[Phrase, ...]]]] = {}
        for i, feature in swapped_pairs(owners, candidates, self.density, forbidden, self.params.n_swaps):
            own = self._own(feature, words_a_phrase(stimuli[i].proposal))
            pairs.setdefault(i, []).append((feature, own))
        return pairs

    def _others(self, tested: list[int]) -> list[int]:
        """Features to swap with where few labels are tested: drawn from all that fire, the tested ones among them."""
        firing = [f for f, d in self.density.items() if d > 0]
        drawn = np.random.default_rng([self.params.seed, 7]).permutation(len(firing))[:MAX_CANDIDATES]
        return sorted({*tested, *(firing[i] for i in drawn.tolist())})

    def _neighbours(self, feature: int) -> frozenset[int]:
        return frozenset(int(f) for f in self.run.neighbours(feature)["neighbour"])

    # --- rows -------------------------------------------------------------------------------------------

    def _tests(self, made: Sequence[Proposal], first: _Judged) -> tuple[list[dict[str, Any]], list[int], list[str]]:
        """Rows of all labels in their order; the row numbers of the measured ones; every row's class."""
        where = {(p.feature, p.label): i for i, p in enumerate(made)}
        by_feature = {} if self.proposer.needs_label else {p.feature: i for i, p in enumerate(made)}
        reasons = {(f.feature, f.label): f.reason for f in self.proposals.failed}
        rows, numbers = [], [0] * len(made)
        for test, label in enumerate(self.labels):
            i = where.get((label.feature, label.label)) if label.label else by_feature.get(label.feature)
            if i is None:
                reason = reasons.get((label.feature, label.label)) or _no_proposal(label)
                fires = self._fires(label.feature)
                rows.append(tables.untested_row(test, label, self.params.proposer, self.params.style, reason, fires))
                continue
            numbers[i] = test
            near, n_groups = first.n_near[i], len(first.controls[i])
            left = f"{near} control phrases left out, {n_groups} groups kept: they speak of what the label does"
            problems = [*first.acts.problems[i], *([left] if near else [])]
            problems += _dense(first.verdicts[i])
            source = label.source or made[i].label_source
            rows.append(tables.test_row(test, made[i], source, first.verdicts[i], problems))
        return rows, numbers, [row["kind"] for row in rows]

    def _groups(self, test: int, verdict: Verdict, first: _Judged, numbers: list[int]) -> list[dict[str, Any]]:
        i = numbers.index(test)
        acts = first.acts.bank_of(first.stimuli[i].proposal.feature)
        return tables.group_rows(test, verdict, acts[first.controls[i]])

    def _phrases(self, numbers: list[int], first: _Judged) -> list[dict[str, Any]]:
        features = [s.proposal.feature for s in first.stimuli]
        loud = strongest_controls(self.source, self.bank, first.acts, first.controls, features)
        out = []
        for i, s in enumerate(first.stimuli):
            found = list(zip(s.rows(), first.acts.of_label[i], strict=True))
            found += [(("other", -1, k, phrase), acts) for k, (phrase, acts) in enumerate(loud[i])]
            out += tables.phrase_rows(numbers[i], found)
        return out

    def _retests(self, again: _Judged, first: _Judged, numbers: list[int]) -> list[dict[str, Any]]:
        at = {(s.proposal.feature, s.proposal.label): i for i, s in enumerate(first.stimuli)}
        pairs = [
            (at.get((s.proposal.feature, s.proposal.label)), v)
            for s, v in zip(again.stimuli, again.verdicts, strict=True)
        ]
        return [
            {"test": numbers[i], "kind": first.verdicts[i].kind, "kind_again": v.kind}
            for i, v in pairs
            if i is not None
        ]

    @staticmethod
    def _agreement(retests: list[dict[str, Any]]) -> dict[str, Any] | None:
        if not retests:
            return None
        found = compare_verdicts([r["kind"] for r in retests], [r["kind_again"] for r in retests])
        return {"n": found.n, "share": found.share, "kappa": found.kappa, "lo": found.lo, "hi": found.hi}


def _near_labels(proposals: Sequence[Proposal], words: list[Words]) -> list[list[int]]:
    """For every label the others that speak of the same; not those of the same text, which are no other labels."""
    n = len(proposals)
    near: list[list[int]] = [[] for _ in range(n)]
    for i in range(n):
        for j in range(i):
            if proposals[i].label != proposals[j].label and labels_near(words[i], words[j]):
                near[i].append(j)
                near[j].append(i)
    return near


def _dense(verdict: Verdict) -> list[str]:
    """Says so where a feature fires on so much that the verdict is on its strongest acts only."""
    r0 = verdict.at_theta0.r0
    what = f"it fires on {r0:.0%} of control phrases: the verdict is on acts above {verdict.theta5:.3g} only"
    return [what] if r0 > DENSE else []


def _no_proposal(label: Label) -> str:
    return "nothing was proposed for it" if label.label else "the feature has no label"


def _plain(share: ClassShare) -> dict[str, Any]:
    return dataclasses.asdict(share)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
