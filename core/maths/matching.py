"""Which feature stands for a planted concept: F1 of firing against truth, singly and in pairs, beside a shuffled null.

A *unit* is what is right or wrong at once: a token position (token level) or a span (span level, where a feature fires
if it fires anywhere inside). Features and concepts are sparse boolean matrices over the same units; every unit belongs
to a document. All choices (feature, threshold, pair) are made on one half of the documents and scored on the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

#: a concept counts as found from this F1 on, and a partner or part as good from these on
FOUND_F1, PART_PRECISION, PART_RECALL = 0.8, 0.7, 0.1


@dataclass(frozen=True)
class Units:
    """Firings and truth over units.

    ``acts``: CSC ``(n_units, d_sae)`` of activations, > 0 where stored. ``truth``: CSC boolean
    ``(n_units, n_concepts)``. ``document``: ``(n_units,)`` ids, increasing. ``slot``: ``(n_units,)`` place of the
    unit inside its document (token position or span number), used to align documents in the shuffled null.
    """

    acts: sparse.csc_matrix
    truth: sparse.csc_matrix
    document: np.ndarray
    slot: np.ndarray

    def half(self, which: int) -> Units:
        """Units of every second document: 0 selects even ranks, 1 odd ones."""
        _, rank = np.unique(self.document, return_inverse=True)
        rows = np.flatnonzero(rank % 2 == which)
        return Units(
            self.acts.tocsr()[rows].tocsc(), self.truth.tocsr()[rows].tocsc(), self.document[rows], self.slot[rows]
        )


@dataclass(frozen=True)
class Rule:
    """A way to read a concept off the features: ``single``, ``or``, ``and``.

    ``threshold`` belongs to ``feature``; ``feature_b`` (None for single) fires above 0.
    """

    form: str
    feature: int
    feature_b: int | None = None
    threshold: float = 0.0


def f1_score(tp: np.ndarray, n_fired: np.ndarray, n_true: np.ndarray | np.float64) -> np.ndarray:
    """F1 = 2 tp / (fired + true); 0 where nothing fired and nothing was true."""
    total = n_fired + n_true
    return np.where(total > 0, 2 * tp / np.maximum(total, 1), 0.0)


def _counts(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tp ``(n_concepts, d_sae)``, firings ``(d_sae,)``, true units ``(n_concepts,)``."""
    fired = (units.acts > 0).astype(np.float32)
    truth = units.truth.astype(np.float32)
    tp = np.asarray((truth.T @ fired).todense())
    return tp, np.asarray(fired.sum(0)).ravel(), np.asarray(truth.sum(0)).ravel()


def _column(matrix: sparse.csc_matrix, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and values of one column."""
    span = slice(matrix.indptr[j], matrix.indptr[j + 1])
    return matrix.indices[span], matrix.data[span]


def _dense_truth(units: Units, concept: int) -> np.ndarray:
    mask = np.zeros(units.truth.shape[0], dtype=bool)
    mask[_column(units.truth, concept)[0]] = True
    return mask


def fires(units: Units, rule: Rule) -> np.ndarray:
    """Boolean ``(n_units,)``: where the rule says the concept is."""
    out = np.zeros(units.acts.shape[0], dtype=bool)
    rows, values = _column(units.acts, rule.feature)
    out[rows[values > rule.threshold]] = True
    if rule.feature_b is None:
        return out
    other = np.zeros_like(out)
    other[_column(units.acts, rule.feature_b)[0]] = True
    return out | other if rule.form == "or" else out & other


def best_threshold(acts: np.ndarray, true: np.ndarray, n_true: int) -> tuple[float, float]:
    """Threshold (fires above it) with the highest F1, and that F1.

    ``acts``: a feature's positive activations; ``true``: whether the concept holds there; ``n_true`` counts all units
    where it holds, fired or not. Ties go to the lower threshold; 0 is always tried.
    """
    if len(acts) == 0:
        return 0.0, 0.0
    order = np.argsort(-acts, kind="stable")
    sorted_acts, tp = acts[order], np.cumsum(true[order])
    f1 = 2 * tp / (np.arange(1, len(acts) + 1) + n_true)
    # a cut is possible only between different values
    possible = np.append(sorted_acts[1:] < sorted_acts[:-1], True)
    f1 = np.where(possible, f1, -1.0)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    if best == len(f1) - 1:
        return 0.0, float(f1[best])
    # half way to the next value, so that rounding of stored activations does not move the cut
    return float((sorted_acts[best].astype(np.float64) + sorted_acts[best + 1]) / 2), float(f1[best])


def _best_single(units: Units, concept: int, f1: np.ndarray, n_true: int, n_try: int) -> Rule:
    """Best feature, with its threshold, among the ``n_try`` best at threshold 0."""
    truth = _dense_truth(units, concept)
    best, best_f1 = Rule("single", int(np.argmax(f1))), -1.0
    for feature in np.argsort(-f1, kind="stable")[:n_try]:
        rows, values = _column(units.acts, int(feature))
        threshold, score = best_threshold(values, truth[rows], n_true)
        if score > best_f1:
            best, best_f1 = Rule("single", int(feature), threshold=threshold), score
    return best


def _best_pairs(units: Units, concept: int, tp: np.ndarray, n_fired: np.ndarray, n_true: int, n_try: int) -> list[Rule]:
    """Best OR and best AND of two features at threshold 0.

    Partners of an OR are looked for among the features with the best F1; of an AND among those with the most hits.
    """
    f1 = f1_score(tp, n_fired, np.float64(n_true))
    rules = []
    for form, score in (("or", f1), ("and", tp)):
        some = np.argsort(-score, kind="stable")[:n_try]
        fired = (units.acts[:, some] > 0).astype(np.float64)
        hit = fired[_column(units.truth, concept)[0]]
        both, both_tp = (np.asarray((m.T @ m).todense()) for m in (fired, hit))
        if form == "or":
            pair_tp = np.add.outer(tp[some], tp[some]) - both_tp
            pair_fired = np.add.outer(n_fired[some], n_fired[some]) - both
        else:
            pair_tp, pair_fired = both_tp, both
        pair_f1 = np.triu(f1_score(pair_tp, pair_fired, np.float64(n_true)), 1)
        a, b = np.unravel_index(int(np.argmax(pair_f1)), pair_f1.shape)
        if a != b:
            rules.append(Rule(form, int(some[a]), int(some[b])))
    return rules


def select_rules(units: Units, n_try: int = 24, thresholds: bool = True) -> list[list[Rule]]:
    """For every concept its best single feature, best OR and best AND, chosen on ``units``.

    A concept that never holds in ``units`` gets no rule.
    """
    tp, n_fired, n_true = _counts(units)
    n_try = min(n_try, tp.shape[1])
    out: list[list[Rule]] = []
    for concept in range(tp.shape[0]):
        n = int(n_true[concept])
        if n == 0:
            out.append([])
            continue
        f1 = f1_score(tp[concept], n_fired, np.float64(n))
        single = _best_single(units, concept, f1, n, n_try if thresholds else 0)
        out.append([single, *_best_pairs(units, concept, tp[concept], n_fired, n, n_try)])
    return out


def _per_document(units: Units, fired: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(n_documents, 3)``: tp, fired, true per document."""
    _, rank = np.unique(units.document, return_inverse=True)
    n = int(rank.max()) + 1 if len(rank) else 0
    return np.stack([np.bincount(rank, weights=x, minlength=n) for x in (fired & truth, fired, truth)], axis=1)


def bootstrap_f1(counts: np.ndarray, n_boot: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % percentile interval of F1 over documents drawn with replacement; ``counts`` as tp, fired, true."""
    n = len(counts)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=n_boot)
    tp, fired, true = (weights @ counts).T
    low, high = np.quantile(f1_score(tp, fired, true), [0.025, 0.975])
    return float(low), float(high)


def shift_documents(units: Units, offset: int) -> Units:
    """The null: every document's firings move to the document ``offset`` further on (cyclic), place by place.

    Keeps each feature's density, its runs and its place in the document; breaks its tie to what the text says.
    Firings that fall behind the end of a shorter document are lost.
    """
    documents, rank = np.unique(units.document, return_inverse=True)
    width = int(units.slot.max()) + 1
    where = np.full(len(documents) * width, -1, dtype=np.int64)
    where[rank * width + units.slot] = np.arange(len(rank))
    target = where[((rank + offset) % len(documents)) * width + units.slot]
    acts = units.acts.tocoo()
    rows = target[acts.row]
    keep = rows >= 0
    moved = sparse.csc_matrix((acts.data[keep], (rows[keep], acts.col[keep])), shape=acts.shape)
    return Units(moved, units.truth, units.document, units.slot)


def _null_f1(select: Units, score: Units, n_shifts: int, rng: np.random.Generator) -> np.ndarray:
    """``(n_concepts,)``: mean F1 of the single feature chosen and scored in the same way on shifted documents."""
    n_documents = min(len(np.unique(select.document)), len(np.unique(score.document)))
    total = np.zeros(select.truth.shape[1])
    for _ in range(n_shifts):
        offset = int(rng.integers(1, max(2, n_documents)))
        tp, n_fired, n_true = _counts(shift_documents(select, offset))
        chosen = f1_score(tp, n_fired[None, :], n_true[:, None]).argmax(1)
        tp, n_fired, n_true = _counts(shift_documents(score, offset))
        total += f1_score(tp[np.arange(len(chosen)), chosen], n_fired[chosen], n_true)
    return total / max(1, n_shifts)


def match_concepts(
    units: Units, concepts: list[str], kinds: list[str], level: str, *, n_boot: int = 200, n_shifts: int = 3,
    thresholds: bool = True, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """The ``truth`` table of one level: the best single, OR and AND of every concept, scored on unseen documents.

    Columns: concept, kind, level, form, feature, feature_b (-1: none), threshold, n_true (units in the scored half),
    precision, recall, f1, f1_lo, f1_hi (95 % bootstrap over documents), f1_null (same choice on shifted documents;
    NaN for pairs). Precision is NaN where the rule never fires. A concept absent from either half has no rows.
    """
    rng = np.random.default_rng(seed)
    select, score = units.half(0), units.half(1)
    null = _null_f1(select, score, n_shifts, rng)
    rows = []
    for concept, rules in enumerate(select_rules(select, thresholds=thresholds)):
        truth = _dense_truth(score, concept)
        for rule in rules if truth.any() else ():
            counts = _per_document(score, fires(score, rule), truth)
            tp, fired, true = counts.sum(0)
            low, high = bootstrap_f1(counts, n_boot, rng)
            rows.append(
                {
                    "concept": concepts[concept],
                    "kind": kinds[concept],
                    "level": level,
                    "form": rule.form,
                    "feature": rule.feature,
                    "feature_b": -1 if rule.feature_b is None else rule.feature_b,
                    "threshold": rule.threshold,
                    "n_true": int(true),
                    "precision": tp / fired if fired else np.nan,
                    "recall": tp / true,
                    "f1": float(f1_score(tp, fired, true)),
                    "f1_lo": low,
                    "f1_hi": high,
                    "f1_null": null[concept] if rule.form == "single" else np.nan,
                }
            )
    return pd.DataFrame(rows)


def pairwise_scores(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of every concept by every feature, each ``(n_concepts, d_sae)``, threshold 0.

    Precision is NaN for a feature that never fires, recall for a concept that never holds.
    """
    tp, n_fired, n_true = _counts(units)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = tp / n_fired[None, :], tp / n_true[:, None]
    return precision, recall, f1_score(tp, n_fired[None, :], n_true[:, None])


def classify_concepts(units: Units, truth: pd.DataFrame, concepts: list[str]) -> pd.DataFrame:
    """What became of every concept: found, split, merged, absorbed or not found.

    In this order, with ``f1`` the scored F1 of ``truth`` and precision / recall at threshold 0 over all of ``units``:

    - **found**: the best single feature has F1 >= .8.
    - **merged**: not found, but some feature has recall >= .8 for it and, at the same time, recall >= .8 for at least
      one other concept of the same kind; the two together make up most of its firings (precision of the union >= .7).
    - **absorbed**: a general feature is precise (>= .7, recall >= .1) but misses units, and at least half of the
      missed units are covered by features that are best and precise (>= .7) for a narrower concept of another kind
      (fewer units, most of them inside this one): the particular concept took the general one's place.
    - **split**: at least two features, each precise (>= .7) with recall >= .1, together reach recall >= .8; or the best
      OR of two has F1 >= .8.
    - **not found**: none of these.

    Columns: concept, outcome, features (the features that say so, best first), partners (the other concepts of a
    merger, or those that absorbed it).
    """
    singles = {row.concept: row for row in truth[truth.form == "single"].itertuples()}
    ors = {row.concept: row for row in truth[truth.form == "or"].itertuples()}
    view = _View(units, {str(row.concept): str(row.kind) for row in truth.itertuples()}, concepts)
    rows = []
    for i, concept in enumerate(concepts):
        if concept not in singles:
            continue
        single = singles[concept]
        outcome: tuple[str, list[int], list[str]] | None = None
        if single.f1 >= FOUND_F1:
            outcome = ("found", [int(single.feature)], [])
        outcome = outcome or view.merged(i) or view.absorbed(i) or view.split(i)
        if outcome is None and concept in ors and ors[concept].f1 >= FOUND_F1:
            pair = ors[concept]
            outcome = ("split", [int(pair.feature), int(pair.feature_b)], [])
        name, features, partners = outcome or ("not found", [], [])
        rows.append({"concept": concept, "outcome": name, "features": features, "partners": partners})
    return pd.DataFrame(rows)


class _View:
    """Scores of all pairs and unions of features, for the classification."""

    def __init__(self, units: Units, kinds: dict[str, str], concepts: list[str]) -> None:
        self.units, self.concepts = units, concepts
        self.kinds = [kinds.get(c, "") for c in concepts]
        self.precision, self.recall, self.f1 = pairwise_scores(units)
        self.precision = np.nan_to_num(self.precision)
        self.recall = np.nan_to_num(self.recall)
        truth = units.truth.astype(np.float64)
        self.overlap = np.asarray((truth.T @ truth).todense())

    def union(self, features: list[int]) -> np.ndarray:
        """Units where any of ``features`` fires."""
        out = np.zeros(self.units.acts.shape[0], dtype=bool)
        for j in features:
            out[_column(self.units.acts, j)[0]] = True
        return out

    def merged(self, i: int) -> tuple[str, list[int], list[str]] | None:
        peers = [k for k in range(len(self.concepts)) if k != i and self.kinds[k] == self.kinds[i]]
        for j in np.argsort(-self.f1[i], kind="stable")[:3]:
            partners = [k for k in peers if self.recall[k, j] >= FOUND_F1]
            both = self.precision[i, j] + sum(self.precision[k, j] for k in partners)
            if self.recall[i, j] >= FOUND_F1 and partners and both >= PART_PRECISION:
                return "merged", [int(j)], [self.concepts[k] for k in partners]
        return None

    def _narrower(self, i: int) -> Iterator[int]:
        """Concepts of another kind with fewer units, most of which lie inside concept ``i``."""
        size = np.diag(self.overlap)
        for k in range(len(self.concepts)):
            if self.kinds[k] != self.kinds[i] and 0 < size[k] < size[i] and self.overlap[i, k] >= 0.7 * size[k]:
                yield k

    def absorbed(self, i: int) -> tuple[str, list[int], list[str]] | None:
        takers = [(k, int(np.argmax(self.f1[k]))) for k in self._narrower(i)]
        takers = [(k, j) for k, j in takers if self.precision[k, j] >= PART_PRECISION]
        own = self.f1[i].copy()
        own[[j for _, j in takers]] = -1.0
        best = int(np.argmax(own))
        if self.precision[i, best] < PART_PRECISION or self.recall[i, best] < PART_RECALL:
            return None
        missed = _dense_truth(self.units, i) & ~self.union([best])
        covered = missed & self.union([j for _, j in takers])
        if covered.sum() == 0 or covered.sum() < 0.5 * missed.sum():
            return None
        took = [(k, j) for k, j in takers if (missed & self.union([j])).any()]
        return "absorbed", [best, *(j for _, j in took)], [self.concepts[k] for k, _ in took]

    def split(self, i: int) -> tuple[str, list[int], list[str]] | None:
        good = np.flatnonzero((self.precision[i] >= PART_PRECISION) & (self.recall[i] >= PART_RECALL))
        parts = [int(j) for j in good[np.argsort(-self.recall[i, good], kind="stable")]]
        truth = _dense_truth(self.units, i)
        if len(parts) < 2 or (truth & self.union(parts)).sum() < FOUND_F1 * truth.sum():
            return None
        return "split", parts, []


def unmatched_features(units: Units, min_precision: float = PART_PRECISION) -> pd.DataFrame:
    """Every feature with the concept it is most precise for, and whether it is matched at all.

    Columns: feature, n_fired, concept (index, -1 for a dead feature), precision, recall, matched. A feature is matched
    when at least ``min_precision`` of its firings are units where one concept holds *and* this is more than twice the
    concept's prevalence, so that a concept true nearly everywhere matches nothing. Dead features are not matched.
    """
    precision, recall, _ = pairwise_scores(units)
    _, n_fired, n_true = _counts(units)
    prevalence = n_true / max(1, units.truth.shape[0])
    lifted = np.where(np.nan_to_num(precision) > 2 * prevalence[:, None], np.nan_to_num(precision), 0.0)
    concept = lifted.argmax(0)
    features = np.arange(len(n_fired))
    best = lifted[concept, features]
    alive = n_fired > 0
    return pd.DataFrame(
        {
            "feature": features,
            "n_fired": n_fired.astype(int),
            "concept": np.where(alive & (best > 0), concept, -1),
            "precision": np.where(alive, best, np.nan),
            "recall": np.where(alive, recall[concept, features], np.nan),
            "matched": alive & (best >= min_precision),
        }
    )
