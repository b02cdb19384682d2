"""Which feature stands for a planted concept: F1 of firing against truth, singly and in pairs, beside a shuffled null.

All choices (feature, threshold, pair) are made on one half of the documents and scored on the other;
the null makes every one of these choices again on firings moved to other documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from core.maths.matching_thresholds import choose_thresholds
from core.maths.matching_units import (
    Rule,
    Units,
    column_of,
    counts_of,
    documents_with,
    f1_score,
    fires,
    holds,
    shift_documents,
)

#: documents of each half that a concept, or a feature, must appear in to be judged
MIN_DOCUMENTS = 10
N_TRY = 24  # features whose pairs are tried, per concept


def select_rules(units: Units) -> list[list[Rule]]:
    """For every concept its best single feature, best OR and best AND of two, chosen on ``units``.

    A single feature is the best of all features at all thresholds. Partners of an OR are sought among the ``N_TRY``
    features with the best F1, each at its own threshold; of an AND among the ``N_TRY`` with the most hits, at 0, as
    there the other one does the narrowing. A concept that never holds in ``units`` gets no rule.
    """
    pairs, hits = choose_thresholds(units), counts_of(units)[0]
    rules: list[list[Rule]] = []
    for concept, n_true in enumerate(np.diff(units.truth.indptr)):
        best = int(np.argmax(pairs.f1[concept]))
        single = Rule(
            "single", best, threshold=float(pairs.threshold[concept, best]), f1=float(pairs.f1[concept, best])
        )
        one_of = _best_pair(units, concept, "or", pairs.f1[concept], pairs.threshold[concept])
        both = _best_pair(units, concept, "and", hits[concept], np.zeros(len(hits[concept])))
        rules.append([single, *one_of, *both] if n_true else [])
    return rules


def _best_pair(units: Units, concept: int, form: str, score: np.ndarray, thresholds: np.ndarray) -> list[Rule]:
    """The best OR or AND among the features with the highest ``score``; none where no two ever hit."""
    some = np.argsort(-score, kind="stable")[:N_TRY]
    rows, n_true = column_of(units.truth, concept)[0], np.float64(np.diff(units.truth.indptr)[concept])
    fired = _above(units.acts[:, some], thresholds[some])
    tp, n_fired = ((m.T @ m).toarray() for m in (fired.tocsr()[rows], fired))
    if form == "or":
        tp, n_fired = (np.add.outer(np.diag(both), np.diag(both)) - both for both in (tp, n_fired))
    f1 = np.triu(f1_score(tp, n_fired, n_true), 1)
    a, b = np.unravel_index(int(np.argmax(f1)), f1.shape)
    if a == b or f1[a, b] == 0:
        return []
    first, second = int(some[a]), int(some[b])
    return [Rule(form, first, second, float(thresholds[first]), float(thresholds[second]), float(f1[a, b]))]


def _above(acts: sparse.csc_matrix, thresholds: np.ndarray) -> sparse.csc_matrix:
    """1.0 where a column's act exceeds its threshold."""
    kept = (acts.data > np.repeat(thresholds, np.diff(acts.indptr))).astype(np.float64)
    out = sparse.csc_matrix((kept, acts.indices, acts.indptr), shape=acts.shape)
    out.eliminate_zeros()
    return out


def _per_document(units: Units, fired: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(n_documents, 3)``: tp, fired, true per document."""
    _, rank = np.unique(units.document, return_inverse=True)
    n = int(rank.max()) + 1 if len(rank) else 0
    return np.stack([np.bincount(rank, weights=x, minlength=n) for x in (fired & truth, fired, truth)], axis=1)


def document_weights(n_documents: int, n_boot: int, rng: np.random.Generator) -> np.ndarray:
    """``(n_boot, n_documents + 1)`` weights of the Bayesian bootstrap (Rubin 1981); the last is one more document."""
    return rng.exponential(size=(n_boot, n_documents + 1))


def bootstrap_f1(counts: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """95 % interval of F1 over documents; ``counts [n_documents, 3]`` as tp, fired, true.

    Each end takes one more document of the usual size, all wrong for the lower and all right for the upper: a rule
    without an error in 17 documents may still make one in the 18th, and that end is then the one of Clopper and
    Pearson. Simulated coverage, 17 to 150 documents with the concept, F1 .06 to .995, bursty or not: 95-99 %.
    """
    tp, fired, true = (weights[:, :-1] @ counts).T
    size = counts[:, 2].sum() / max(1, (counts[:, 2] > 0).sum())
    extra = weights[:, -1] * size
    low = np.quantile(f1_score(tp, fired + extra, true + extra), 0.025)
    high = np.quantile(f1_score(tp + extra, fired + extra, true + extra), 0.975)
    return float(low), float(high)


def _scored(units: Units, concept: int, rule: Rule) -> np.ndarray:
    """``(n_documents, 3)``: tp, fired, true of a rule per document."""
    return _per_document(units, fires(units, rule), holds(units, concept))


def shift_offsets(units: Units, n_shifts: int, seed: int) -> list[int]:
    """How far documents are moved in each copy of the null, never by 0."""
    n_documents = len(np.unique(units.document)) // 2
    return np.random.default_rng([seed, 1]).integers(1, max(2, n_documents), size=n_shifts).tolist()


def null_f1(select: Units, score: Units, offsets: Sequence[int]) -> dict[tuple[int, str], float]:
    """(concept, form) -> mean F1 of the rule chosen and scored in the same way on shifted documents."""
    found: dict[tuple[int, str], list[float]] = {}
    for offset in offsets:
        moved = shift_documents(score, offset)
        for concept, rules in enumerate(select_rules(shift_documents(select, offset))):
            for rule in rules:
                tp, fired, true = _scored(moved, concept, rule).sum(0)
                found.setdefault((concept, rule.form), []).append(float(f1_score(tp, fired, true)))
    return {key: float(np.mean(values)) for key, values in found.items()}


def enough_documents(select: Units, score: Units) -> np.ndarray:
    """Boolean ``(n_concepts,)``: concepts that hold in at least ``MIN_DOCUMENTS`` documents of either half."""
    there = [documents_with(half, half.truth) >= MIN_DOCUMENTS for half in (select, score)]
    return there[0] & there[1]


def match_concepts(
    units: Units, concepts: list[str], kinds: list[str], level: str, *, n_boot: int = 1000, n_shifts: int = 3,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """The ``truth`` table of one level: the best single, OR and AND of every concept, scored on unseen documents.

    Columns: concept, kind, level, form, feature, feature_b (-1: none), threshold, threshold_b, n_true (units in
    the scored half), precision, recall, f1, f1_lo, f1_hi (95 % bootstrap over documents), f1_null (the same choice on
    shifted documents; NaN without shifts), f1_chosen (on the half it was chosen on). Precision is NaN where the rule
    never fires. A concept in fewer than ``MIN_DOCUMENTS`` documents of either half has no rows.
    """
    select, score = units.half(0), units.half(1)
    enough = enough_documents(select, score)
    null = null_f1(select, score, shift_offsets(units, n_shifts, seed))
    weights = document_weights(len(np.unique(score.document)), n_boot, np.random.default_rng(seed))
    rows = []
    for concept, rules in enumerate(select_rules(select)):
        for rule in rules if enough[concept] else ():
            about = {"concept": concepts[concept], "kind": kinds[concept], "level": level}
            scores = _scores(_scored(score, concept, rule), weights)
            rows.append(about | _named(rule) | scores | {"f1_null": null.get((concept, rule.form), np.nan)})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)  # typed without a row, too


COLUMNS = dict.fromkeys(("concept", "kind", "level", "form"), "object")
COLUMNS |= dict.fromkeys(("feature", "feature_b", "n_true"), "int64")
COLUMNS |= dict.fromkeys(("threshold", "threshold_b", "precision", "recall"), "float64")
COLUMNS |= dict.fromkeys(("f1", "f1_lo", "f1_hi", "f1_null", "f1_chosen"), "float64")


def _named(rule: Rule) -> dict[str, object]:
    second = -1 if rule.feature_b is None else rule.feature_b
    about = {"form": rule.form, "feature": rule.feature, "feature_b": second}
    return about | {"threshold": rule.threshold, "threshold_b": rule.threshold_b, "f1_chosen": rule.f1}


def _scores(counts: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    tp, fired, true = counts.sum(0)
    low, high = bootstrap_f1(counts, weights)
    return {
        "n_true": int(true),
        "precision": tp / fired if fired else np.nan,
        "recall": tp / true,
        "f1": float(f1_score(tp, fired, true)),
        "f1_lo": low,
        "f1_hi": high,
    }


def rule_of(row: pd.Series) -> Rule:
    """The rule that a row of ``match_concepts`` describes."""
    second = None if row["feature_b"] < 0 else int(row["feature_b"])
    thresholds = float(row["threshold"]), float(row["threshold_b"])
    return Rule(row["form"], int(row["feature"]), second, *thresholds, float(row["f1_chosen"]))
