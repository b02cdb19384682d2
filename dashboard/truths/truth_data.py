"""A run's planted truth as pages need it: the tables, and what is known of every feature. No streamlit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.analyses.truth import ANALYSIS
from core.annotation import FOLDER, load_annotation
from core.errors import NotFoundError
from core.results import Result, require_result, results
from core.store import Run


@dataclass(frozen=True)
class Rule:
    """A concept that a feature, alone or with a second one, stands for best; scores on documents not chosen on."""

    concept: str
    level: str  # token | span
    form: str  # single | or | and
    other: int | None  # the second feature of a pair
    f1: float
    lo: float
    hi: float
    null: float
    coverage: float  # NaN at token level


@dataclass(frozen=True)
class Known:
    """What is known of one feature. ``concept`` is None where it fires in too few documents to judge."""

    concept: str | None
    precision: float
    recall: float
    f1: float
    matched: bool
    n_documents: int  # of the scored half
    outcomes: tuple[tuple[str, str], ...]  # (split | merged | absorbed, concept) that name the feature
    rules: tuple[Rule, ...]  # token level first, highest F1 first


@dataclass(frozen=True)
class Truth:
    """One result: its tables, and every feature's part in it."""

    result: Result
    concepts: pd.DataFrame
    truth: pd.DataFrame
    features: pd.DataFrame
    overlap: pd.DataFrame
    known: dict[int, Known]


def newest(run: Run) -> Result | None:
    """The newest result that this version can read; None without one."""
    return next((r for r in results(run, ANALYSIS.key) if r.manifest["version"] == ANALYSIS.version), None)


def require_newest(run: Run) -> Result:
    """The newest result, or a NotFoundError that says what to do: annotate the text, compute, compute again."""
    if found := newest(run):
        return found
    if not (run.path / FOLDER).is_dir():
        load_annotation(run.path / FOLDER)  # raises
    old = require_result(run, ANALYSIS)
    raise NotFoundError(
        f"the planted truth of {run.name!r} was computed in another way",
        f"it is of version {old.manifest['version']}, this page reads version {ANALYSIS.version}",
        f"prism analyze {run.name} {ANALYSIS.key}",
    )


def load(folder: Path) -> Truth:
    """Read a result and turn it round: from concepts to features."""
    result = Result(folder)
    concepts, truth, features, overlap = (result.table(n) for n in ("concepts", "truth", "feature_truth", "overlap"))
    return Truth(result, concepts, truth, features, overlap, _known(concepts, chosen_forms(truth), features))


def chosen_forms(truth: pd.DataFrame) -> pd.DataFrame:
    """The best form (single, OR, AND) of every concept and level, by its F1 on the half that it was chosen on."""
    order = truth.sort_values("f1_chosen", ascending=False, kind="stable")
    return order.drop_duplicates(["concept", "level"])


def _known(concepts: pd.DataFrame, best: pd.DataFrame, features: pd.DataFrame) -> dict[int, Known]:
    outcomes: dict[int, list[tuple[str, str]]] = {}
    for row in concepts.itertuples():
        for feature in row.features if row.outcome in ("split", "merged", "absorbed") else ():
            outcomes.setdefault(int(feature), []).append((str(row.outcome), str(row.concept)))
    rules = _rules(best)
    known = {}
    for row in features.itertuples():
        f = int(row.feature)
        concept = None if pd.isna(row.concept) else str(row.concept)
        scores = (float(row.precision), float(row.recall), float(row.f1), bool(row.matched), int(row.n_documents))
        known[f] = Known(concept, *scores, tuple(outcomes.get(f, ())), tuple(rules.get(f, ())))
    return known


def _rules(best: pd.DataFrame) -> dict[int, list[Rule]]:
    rules: dict[int, list[Rule]] = {}
    for row in (
        best.assign(spans=best["level"] != "token").sort_values(["spans", "f1"], ascending=[True, False]).itertuples()
    ):
        pair = [int(row.feature)] + ([] if pd.isna(row.feature_b) else [int(row.feature_b)])
        for mine, other in zip(pair, [*pair[1:], pair[0]], strict=True):
            second = other if len(pair) == 2 else None
            scores = (float(row.f1), float(row.f1_lo), float(row.f1_hi), float(row.f1_null), float(row.coverage))
            rules.setdefault(mine, []).append(Rule(str(row.concept), str(row.level), str(row.form), second, *scores))
    return rules
