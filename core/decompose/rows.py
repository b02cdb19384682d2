"""What was judged as rows of the result's tables: which label each belongs to, what is said beside the verdict."""

from __future__ import annotations

import math
from typing import Any

from core.decompose import tables
from core.decompose.judging import Judged
from core.decompose.measuring import strongest_controls
from core.decompose.work import Work
from core.maths.agreement import compare_verdicts
from core.maths.verdict_types import Verdict
from core.proposals.asking import Label
from core.proposals.proposal import NotProposed

DENSE = 0.3  # of control phrases on which a feature fires at all


def test_rows(work: Work, first: Judged) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows of all labels in their order; the row numbers of the measured ones."""
    made = work.proposals.made
    where = {(p.feature, p.label): i for i, p in enumerate(made)}
    by_feature = {} if work.proposer.needs_label else {p.feature: i for i, p in enumerate(made)}
    failed = {(f.feature, f.label): f for f in work.proposals.failed}
    about = {"style": work.params.style, "proposer": work.params.proposer}
    about["generator"] = str(work.proposer.about()["generator"])
    bos = _bos_acts(work)
    rows, numbers = [], [0] * len(made)
    for test, label in enumerate(work.labels):
        i = where.get((label.feature, label.label)) if label.label else by_feature.get(label.feature)
        if i is None:
            why = failed.get((label.feature, label.label)) or _no_proposal(label)
            rows.append(tables.untested_row(test, label, why, about, work.fires(label.feature)))
            continue
        numbers[i] = test
        source, act = label.source or made[i].label_source, bos.get(label.feature)
        rows.append(tables.test_row(test, made[i], source, first.verdicts[i], _problems(first, i), act))
    return rows, numbers


def _bos_acts(work: Work) -> dict[int, float]:
    """The act at BOS of every tested feature for which it is known."""
    features = sorted({p.feature for p in work.proposals.made})
    acts = work.source.bos_acts(features) if features else None
    return {} if acts is None else {f: a for f, a in zip(features, acts.tolist(), strict=True) if not math.isnan(a)}


def _problems(first: Judged, i: int) -> list[str]:
    """What whoever reads the verdict on label ``i`` has to know of how it came about."""
    near, n_groups = first.n_near[i], len(first.controls[i])
    left = f"{near} control phrases left out, {n_groups} groups kept: they speak of what the label does"
    return [*first.acts.problems[i], *([left] if near else []), *_dense(first.verdicts[i])]


def group_rows(first: Judged, numbers: list[int]) -> list[dict[str, Any]]:
    """Rows of ``groups``; ``numbers[i]`` is the row in ``tests`` of the measured label ``i``, here and below."""
    out = []
    for i, (test, verdict) in enumerate(zip(numbers, first.verdicts, strict=True)):
        acts = first.acts.bank_of(first.stimuli[i].proposal.feature)
        out += tables.group_rows(test, verdict, acts[first.controls[i]])
    return out


def phrase_rows(work: Work, first: Judged, numbers: list[int]) -> list[dict[str, Any]]:
    """Rows of ``phrases``: what was measured on each label's own feature, and the loudest controls."""
    features = [s.proposal.feature for s in first.stimuli]
    loud = strongest_controls(work.source, work.bank, first.acts, first.controls, features)
    out = []
    for i, s in enumerate(first.stimuli):
        found = list(zip(s.rows(), first.acts.of_label[i], strict=True))
        found += [(("other", -1, k, phrase), acts) for k, (phrase, acts) in enumerate(loud[i])]
        out += tables.phrase_rows(numbers[i], found)
    return out


def retest_rows(again: Judged, first: Judged, numbers: list[int]) -> list[dict[str, Any]]:
    """Rows of ``retests``: the classes of labels that got a second sample of phrases."""
    at = {(s.proposal.feature, s.proposal.label): i for i, s in enumerate(first.stimuli)}
    pairs = [
        (at.get((s.proposal.feature, s.proposal.label)), v) for s, v in zip(again.stimuli, again.verdicts, strict=True)
    ]
    return [
        {"test": numbers[i], "kind": first.verdicts[i].kind, "kind_again": v.kind} for i, v in pairs if i is not None
    ]


def agreement(retests: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How well the two samples agree; None without any."""
    if not retests:
        return None
    found = compare_verdicts([r["kind"] for r in retests], [r["kind_again"] for r in retests])
    return {"n": found.n, "share": found.share, "kappa": found.kappa, "lo": found.lo, "hi": found.hi}


def _dense(verdict: Verdict) -> list[str]:
    """Says so where a feature fires on so much that the verdict is on its strongest acts only."""
    r0 = verdict.at_theta0.r0
    what = f"it fires on {r0:.0%} of control phrases: the verdict is on acts above {verdict.theta5:.3g} only"
    return [what] if r0 > DENSE else []


def _no_proposal(label: Label) -> NotProposed:
    why = "nothing was proposed for it" if label.label else "the feature has no label"
    return NotProposed(label.feature, label.label, why)
