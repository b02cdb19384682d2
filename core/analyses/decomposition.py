"""Decomposition tests: what they ask, every number they depend on, and what is stored.

They are made by ``prism decompose`` (``core.decompose``), because they need a model and a proposer; pages and readers
use this descriptor to find the results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from core.analyses.base import Analysis, Progress
from core.analyses.decomposition_tables import TABLES
from core.errors import InputError
from core.maths.verdict_rules import Rules
from core.store import Run
from core.tables import TableSpec

NOT_PROPOSED = "NOT-PROPOSED"


@dataclass(frozen=True)
class Params:
    """What a test depends on besides labels and phrases.

    ``bank``: ``shipped`` | ``text`` | ``auto`` (text for phrases out of the run's own text and where the model does not
    know the shipped bank's words), ``n_groups`` of it at most. ``n_own`` windows of own text, ``n_near`` phrases that
    are near the label, ``n_shuffled`` shuffles of it; ``n_swaps`` swapped pairs at least, where there are features
    enough; ``n_retest`` labels tested twice.
    """

    proposer: str = "corpus"
    style: str = "isolated"
    n_parts: int = 5
    n_phrases: int = 12
    n_whole: int = 40
    n_own: int = 40
    n_near: int = 20
    n_shuffled: int = 12
    bank: str = "auto"
    n_groups: int = 310
    n_swaps: int = 40
    n_retest: int = 0
    seed: int = 0
    rules: Rules = field(default_factory=Rules)


def _compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    raise InputError(
        "decomposition tests are not made by `prism analyze`",
        "they need the run's model and somebody who proposes phrases",
        f"prism decompose {run.name} --features random:200 --proposer corpus",
    )


def counts_of(kinds: list[str]) -> dict[str, Any]:
    """How many labels got each class, those nobody got left out."""
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


ANALYSIS = Analysis(
    key="decomposition",
    title="Decomposability",
    question="Do the human parts of a feature's label make it fire?",
    method="firing rates on phrases for each part and for the whole label, against a bank of control phrases",
    null="the control bank for every rate; labels swapped between features of equal density for every class",
    version=3,
    params=Params,
    tables=TABLES,
    inputs=("activations", "contexts", "vocabulary"),
    compute=_compute,
)
