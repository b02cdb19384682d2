"""Verdicts and acts as the tables of ``core.analyses.decomposition_tables``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from core.analyses.decomposition import NOT_PROPOSED
from core.decompose.bank import GROUP
from core.decompose.measuring import TextActs
from core.maths.agreement import class_shares, swapped_label_rates
from core.maths.verdict_rules import CLASSES, NO_FIRING
from core.maths.verdict_types import GroupRate, Reading, Verdict, published_class, published_count_class
from core.proposals.asking import Label
from core.proposals.proposal import NotProposed, Phrase, Proposal
from core.tables import TableSpec


def to_table(spec: TableSpec, rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows (missing columns are null) in the order of the spec."""
    names = spec.schema.names
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        for name in names:
            columns[name].append(row.get(name))
    table = pa.table({name: pa.array(columns[name], spec.schema.field(name).type) for name in names}, spec.schema)
    return table.sort_by([(name, "ascending") for name in spec.sort]) if table.num_rows else table


def untested_row(
    test: int, label: Label, failed: NotProposed, about: dict[str, Any], ever_fires: bool
) -> dict[str, Any]:
    """A label without phrases. Where the feature never fires that is its class: no phrase could have changed it.

    ``about`` holds the columns that say who was to write them: style, proposer, generator.
    """
    reason = failed.reason
    return about | {
        "test": test, "feature": label.feature, "label": label.label, "label_source": label.source,
        "kind": NOT_PROPOSED if ever_fires else NO_FIRING,
        "reason": reason if ever_fires else "the feature never fires in the run's text",
        "n_parts": 0, "n_parts_up": 0, "n_parts_firing": 0, "n_phrases": 0,
        "problems": [] if ever_fires else [reason], "asked": list(failed.asked),
    }  # fmt: skip


def test_row(
    test: int, proposal: Proposal, source: str, verdict: Verdict, problems: Sequence[str], bos_act: float | None
) -> dict[str, Any]:
    """A label's row of ``tests``; ``source`` is who wrote the label, ``bos_act`` None where it is not known."""
    at5, at0 = verdict.at_theta5, verdict.at_theta0
    own, whole = at5.own.rate, at5.whole.rate
    return {
        "test": test, "feature": proposal.feature, "label": proposal.label, "label_source": source,
        "style": proposal.style, "proposer": proposal.source, "generator": proposal.generator,
        "kind": verdict.kind, "reason": verdict.reason, "kind_theta0": at0.kind, "reason_theta0": at0.reason,
        "theta5": verdict.theta5, "bos_act": bos_act,
        "r0": at5.r0_held_out, "r0_lo": at5.r0_lo, "r0_hi": at5.r0_hi, "r0_theta0": at0.r0,
        "own_rate": own, "whole_rate": whole, "parts_rate": at5.pooled.rate, "n_parts": len(at5.parts),
        "n_parts_up": sum(bool(p.up) for p in at5.parts), "n_parts_firing": at0.n_firing_parts,
        "n_phrases": at5.pooled.n, "n_needed": at5.n_needed, "index": at5.index, "index_lo": at5.index_lo,
        "index_hi": at5.index_hi, "evenness": at5.evenness, "differ_p": at5.differ_p,
        "published_class": published_class(verdict.kind),
        "published_count": published_count_class(at0.n_firing_parts, len(at0.parts)),
        "failure": None if own is None or whole is None else own - whole,
        "problems": [*proposal.problems, *problems], "asked": list(proposal.asked),
    }  # fmt: skip


def group_rows(test: int, verdict: Verdict, bank: np.ndarray) -> list[dict[str, Any]]:
    """Rows of ``groups`` at both thresholds. ``bank [n_groups, n]``: the feature's acts on its controls."""
    rows = []
    for theta, reading in (("theta5", verdict.at_theta5), ("theta0", verdict.at_theta0)):
        named = {"own": reading.own, "whole": reading.whole, "pooled": reading.pooled, "near": reading.hard}
        named |= {"label": reading.label, "shuffled": reading.shuffled, "other": _controls(reading, bank)}
        found = [(name, -1, rate) for name, rate in named.items()]
        found += [("part", s, rate) for s, rate in enumerate(reading.parts)]
        rows += [
            {"test": test, "theta": theta, "group": group, "part_index": s, "absent_below": reading.absent_below}
            | vars(rate)
            for group, s, rate in found
        ]
    return rows


def _controls(reading: Reading, bank: np.ndarray) -> GroupRate:
    """All controls as one group; its interval is the middle 95 % of single groups of ``GROUP`` phrases."""
    fired = bank > reading.theta
    lo, hi = np.quantile(fired.mean(axis=1), [0.025, 0.975]).tolist()
    return GroupRate(f"controls in groups of {GROUP}", fired.size, int(fired.sum()), reading.r0, lo, hi, reading.r0)


def phrase_rows(test: int, found: Iterable[tuple[tuple[str, int, int, Phrase], TextActs]]) -> list[dict[str, Any]]:
    """Rows of ``phrases``."""
    return [
        {
            "test": test, "group": group, "part_index": s, "phrase_index": i, "phrase": phrase.text,
            "call": phrase.call, "document": phrase.document, "str_tokens": list(acts.str_tokens),
            "acts": acts.acts, "max_act": acts.most if len(acts.acts) else None, "n_firing": int((acts.acts > 0).sum()),
        }
        for (group, s, i, phrase), acts in found
    ]  # fmt: skip


def class_rate_rows(kinds: list[str], swapped: list[str], features: list[int]) -> list[dict[str, Any]]:
    """Rows of ``class_rates``: what labels got beside what swapped labels got, class by class."""
    wrong = {r.kind: r for r in swapped_label_rates(swapped, features)} if swapped else {}
    rows = []
    for share in class_shares([k for k in kinds if k in CLASSES]):
        false = wrong.get(share.kind)
        counted = swapped.count(share.kind)
        rows.append({
            "kind": share.kind, "n": share.n and share.count, "share": share.share, "share_lo": share.lo,
            "share_hi": share.hi, "n_swapped": false.count if false else counted,
            "swapped_share": false.share if false else None, "swapped_lo": false.lo if false else None,
            "swapped_hi": false.hi if false else None,
        })  # fmt: skip
    return rows
