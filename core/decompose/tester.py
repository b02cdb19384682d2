"""``decompose``: propose, measure, judge, swap, retest, store. One call, one result."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from core.analyses.activation_source import ActivationSource
from core.analyses.base import Progress
from core.analyses.decomposition import Params
from core.analyses.decomposition_tables import CLASS_RATES, GROUPS, PHRASES, RETESTS, TESTS
from core.decompose import rows, tables
from core.decompose.judging import Judged, judge_all
from core.decompose.proposers import Proposer
from core.decompose.work import Work
from core.errors import InputError
from core.maths.agreement import swapped_label_rates
from core.maths.verdict_types import Verdict
from core.proposals.asking import Label
from core.results import Result, store_result, stored_result
from core.store import Run
from core.tables import TableSpec


def decompose(
    run: Run, labels: Sequence[Label], proposer: Proposer, source: ActivationSource, params: Params, progress: Progress
) -> Result:
    """Test every label on its feature and store one result; the very same question is answered from what is stored.

    A label that nothing could be proposed for is NOT-PROPOSED, the others go on. InputError without any label.
    """
    if not labels:
        raise InputError("no label was chosen", "there is nothing to test", "see --features")
    started = time.monotonic()
    work = Work(run, tuple(labels), proposer, source, params, progress)
    identity = work.identity()
    if (found := stored_result(run, identity)) is not None:
        progress.note("this very test is stored already")
        return found
    made, about = make_tables(work)
    return store_result(run, identity, made, time.monotonic() - started, about)


def make_tables(work: Work) -> tuple[dict[TableSpec, pa.Table], dict[str, Any]]:
    """Propose, measure and judge: the tables, and what the manifest says beyond what identifies the result."""
    first, swapped = judge_all(work, work.proposals.made, swap=True)
    again, _ = judge_all(work, work.again.made, swap=False, known=first.acts)
    tests, numbers = rows.test_rows(work, first)
    kinds = [row["kind"] for row in tests]
    retests = rows.retest_rows(again, first, numbers)
    found = {
        TESTS: tests,
        GROUPS: rows.group_rows(first, numbers),
        PHRASES: rows.phrase_rows(work, first, numbers),
        CLASS_RATES: tables.class_rate_rows(kinds, [v.kind for _, v in swapped], [f for (_, f), _ in swapped]),
        RETESTS: retests,
    }
    about = {
        "classes": {k: kinds.count(k) for k in dict.fromkeys(kinds)},
        **_about_swaps(first, swapped),
        "retest": rows.agreement(retests),
        "proposer": work.proposer.about(),
        "source": work.source.about,
        "bank": {"name": work.bank.name, "n_groups": len(work.bank.groups)},
        "n_phrases_measured": first.acts.n_texts + again.acts.n_texts,
        "phrases_per_s": round(first.acts.n_texts / max(first.acts.seconds, 1e-9)),
        "device": work.source.about.get("device", ""),
    }
    return {spec: tables.to_table(spec, of) for spec, of in found.items()}, about


def _about_swaps(first: Judged, swapped: list[tuple[tuple[int, int], Verdict]]) -> dict[str, Any]:
    """Every label that was tested on a feature it does not belong to, and how often each class was given there."""
    kinds, features = [v.kind for _, v in swapped], [f for (_, f), _ in swapped]
    return {
        "swapped_pairs": [
            {"feature": f, "label": first.stimuli[i].proposal.label, "kind": v.kind} for (i, f), v in swapped
        ],
        "swapped_labels": [dataclasses.asdict(s) for s in swapped_label_rates(kinds, features)] if kinds else [],
    }
