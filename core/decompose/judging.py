"""From phrases to verdicts: what a label's controls are, measured acts, and the rules on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.decompose.measuring import Acts, measure_all
from core.decompose.near import Controls, Words, labels_near
from core.decompose.stimuli import Stimuli, evidence, near_phrases, shuffles, words_a_phrase
from core.decompose.swaps import swaps
from core.decompose.work import Work
from core.maths.evidence import Evidence
from core.maths.verdict_types import Verdict
from core.maths.verdicts import judge
from core.proposals.proposal import Proposal


@dataclass(frozen=True)
class Judged:
    """Labels that were measured, with everything that follows; lists are in order of ``stimuli``."""

    stimuli: list[Stimuli]
    verdicts: list[Verdict]
    controls: list[np.ndarray]  # [n_groups, n] rows of the bank that are controls
    n_near: list[int]  # phrases of the bank that are near the label
    acts: Acts


def judge_all(
    work: Work, proposals: Sequence[Proposal], swap: bool, known: Acts | None = None
) -> tuple[Judged, list[tuple[tuple[int, int], Verdict]]]:
    """Verdicts on every proposal's feature and, on wish, on features it does not belong to.

    The latter as ((number of the proposal, feature), verdict). ``known``: see ``measure_all``.
    """
    if not proposals:
        return Judged([], [], [], [], Acts((), np.zeros((0, 0), np.float32))), []
    words = [Words.of(p) for p in proposals]
    controls = Controls(work.bank)
    near = [_left_out(work, controls, w, p) for w, p in zip(words, proposals, strict=True)]
    rows = [controls.rows(n) for n in near]
    near_labels = _near_labels(proposals, words)
    stimuli = [
        _stimuli(work, p, [work.bank.phrases[r] for r in sorted(near[i])], [proposals[j] for j in near_labels[i]])
        for i, p in enumerate(proposals)
    ]
    pairs = swaps(work, proposals, near_labels) if swap else {}
    acts = measure_all(work.source, work.bank, stimuli, pairs, work.progress, known)
    work.progress.stage("judge", None)
    swapped = [(i, f) for i in pairs for f, _ in pairs[i]]
    verdicts = judge(_evidence(work, stimuli, acts, rows, swapped), work.params.rules, work.params.seed)
    n = len(stimuli)
    judged = Judged(stimuli, verdicts[:n], rows, [len(x) for x in near], acts)
    return judged, list(zip(swapped, verdicts[n:], strict=True))


def _left_out(work: Work, controls: Controls, words: Words, proposal: Proposal) -> frozenset[int]:
    """Controls that are near the label; none where so few would be left that no part could be UP: they stay in."""
    near = controls.near(words)
    needed = max(work.params.rules.groups_needed(len(proposal.parts)), 2)
    return near if len(controls.rows(near)) >= needed else frozenset()


def _stimuli(work: Work, proposal: Proposal, near_of_bank: list[str], near: list[Proposal]) -> Stimuli:
    p, seed = work.params, work.params.seed
    return Stimuli(
        proposal,
        work.own(proposal.feature, words_a_phrase(proposal)),
        near_phrases(proposal, near_of_bank, near, p.n_near, seed),
        shuffles(proposal.label, p.n_shuffled, seed),
    )


def _evidence(
    work: Work, stimuli: Sequence[Stimuli], acts: Acts, rows: Sequence[np.ndarray], swapped: list[tuple[int, int]]
) -> list[Evidence]:
    """What the rules read: of every label on its own feature, then of the swapped (label, feature)."""
    found = [
        evidence(
            s,
            np.array([a.most for a in acts.of_label[i]]),
            acts.bank_of(s.proposal.feature)[rows[i]],
            work.fires(s.proposal.feature),
        )
        for i, s in enumerate(stimuli)
    ]
    return found + [
        evidence(stimuli[i], acts.swapped[i, f], acts.bank_of(f)[rows[i]], True, acts.swapped_own[i, f])
        for i, f in swapped
    ]


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
