"""What became of every planted concept (found, split, merged, absorbed) and which concept every feature stands for.

What stands for what is chosen on one half of the documents and checked on the other, as in ``core.maths.matching``.
Everything here is about where features fire; absorption in Chanin et al. 2024 is about what a probe's direction is made
of, so the two may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from core.maths.matching import MIN_DOCUMENTS
from core.maths.matching_thresholds import PairScores, apply_thresholds, choose_thresholds
from core.maths.matching_units import Units, documents_with, fires_above, holds

#: a concept counts as found from this F1 on, and a partner or part as good from these on
FOUND_F1, PART_PRECISION, PART_RECALL = 0.8, 0.7, 0.1
SILENT = 0.5  # absorbed: at most this share of its recall elsewhere is left where another feature took over

Outcome = tuple[str, list[int], list[str]]


def least_precision(prevalence: np.ndarray) -> np.ndarray:
    """Precision that a feature must exceed: .7, and half of the way to 1 from what firing anywhere would give."""
    return np.maximum(PART_PRECISION, (1 + prevalence) / 2)


def classify_concepts(select: Units, score: Units, truth: pd.DataFrame, concepts: list[str]) -> pd.DataFrame:
    """What became of every concept of ``truth``; the features are chosen on ``select`` and must hold on ``score``.

    In this order, precise meaning ``least_precision`` at the threshold that is best for the concept:

    - **found**: the best single feature has F1 >= .8, and its interval lies above its null.
    - **merged**: one feature has recall >= .8 for it and for at least one other concept of its kind, and is precise
      for the two (or more) taken together.
    - **split**: several features, each precise with recall >= .1, have recall >= .8 together and are precise together;
      or the best OR of two has F1 >= .8 above its null. Without the features of narrower concepts, which come into it
      only where nothing is absorbed.
    - **absorbed**: a feature is precise for it (recall >= .1) but falls silent - at most half of its recall elsewhere
      - where concepts of another kind that lie inside this one have a precise feature of their own, and these cover at
      least half of what it misses: the particular took the general one's place.
    - **not found**: none of these.

    Columns: concept, outcome, features (the features that say so, best first), partners (the other concepts of a
    merger, or those that absorbed it).
    """
    by_form = {form: {r.concept: r for r in truth[truth.form == form].itertuples()} for form in ("single", "or")}
    view = _View(select, score, {str(r.concept): str(r.kind) for r in truth.itertuples()}, concepts)
    rows = []
    for i, concept in enumerate(concepts):
        if concept in by_form["single"]:
            name, features, partners = _outcome(view, i, by_form["single"][concept], by_form["or"].get(concept))
            rows.append({"concept": concept, "outcome": name, "features": features, "partners": partners})
    return pd.DataFrame(rows, columns=["concept", "outcome", "features", "partners"])


def _outcome(view: _View, i: int, single, either) -> Outcome:  # type: ignore[no-untyped-def]
    if _stands(single):
        return "found", [int(single.feature)], []
    takers = view.takers(i)
    narrow = {j for _, j in takers}
    pair = [int(either.feature), int(either.feature_b)] if either is not None and _stands(either) else []
    own_pair: Outcome | None = ("split", pair, []) if pair and not narrow.intersection(pair) else None
    outcome = view.merged(i) or view.split(i, narrow) or own_pair or view.absorbed(i, takers) or view.split(i, set())
    return outcome or (("split", pair, []) if pair else ("not found", [], []))


def _stands(rule) -> bool:  # type: ignore[no-untyped-def]
    """Whether a rule is good enough, and surely better than by chance; a null that was not computed is no obstacle."""
    return bool(rule.f1 >= FOUND_F1 and not rule.f1_lo <= rule.f1_null)


@dataclass(frozen=True)
class _Half:
    """One half of the documents, with scores of every concept by every feature at thresholds chosen on the first."""

    units: Units
    scores: PairScores

    @cached_property
    def prevalence(self) -> np.ndarray:
        return np.diff(self.units.truth.indptr) / max(1, self.units.truth.shape[0])

    @cached_property
    def parts(self) -> np.ndarray:
        """Boolean ``(n_concepts, d_sae)``: features precise for a concept with enough recall to be a part of it."""
        precise = self.scores.precision > least_precision(self.prevalence)[:, None]
        return precise & (self.scores.recall >= PART_RECALL)

    def fires(self, concept: int, features: list[int]) -> np.ndarray:
        """Units where any of the features exceeds its threshold for the concept."""
        threshold = self.scores.threshold[concept]
        return np.logical_or.reduce([fires_above(self.units, j, threshold[j]) for j in features])

    def stands_for(self, fired: np.ndarray, truth: np.ndarray, recall: float) -> bool:
        """Whether firings are precise for a set of units and reach this recall of it."""
        tp = (fired & truth).sum()
        return bool(tp >= recall * truth.sum() and tp > least_precision(truth.mean()) * fired.sum())


def _halves(select: Units, score: Units) -> tuple[_Half, _Half]:
    chosen = choose_thresholds(select)
    return _Half(select, chosen), _Half(score, apply_thresholds(score, chosen.threshold))


class _View:
    """Both halves: features are proposed by one and must prove themselves on the other."""

    def __init__(self, select: Units, score: Units, kinds: dict[str, str], concepts: list[str]) -> None:
        self.select, self.score = _halves(select, score)
        self.concepts = concepts
        self.kinds = [kinds.get(c) for c in concepts]  # None: too rare to judge
        self.parts = self.select.parts & self.score.parts
        truth = select.truth.astype(np.float64)
        self.overlap = np.asarray((truth.T @ truth).todense())

    def merged(self, i: int) -> Outcome | None:
        peers = [k for k, kind in enumerate(self.kinds) if k != i and kind == self.kinds[i]]
        for j in map(int, np.argsort(-self.select.scores.f1[i], kind="stable")[:3]):
            fired = [half.fires(i, [j]) for half in (self.select, self.score)]
            partners = [k for k in peers if self._hit(k, fired)]
            if not partners or not self._hit(i, fired):
                continue
            together = np.logical_or.reduce([holds(self.score.units, k) for k in (i, *partners)])
            if self.score.stands_for(fired[1], together, 0.0):
                return "merged", [j], [self.concepts[k] for k in partners]
        return None

    def _hit(self, k: int, fired: list[np.ndarray]) -> bool:
        """Whether firings reach most of a concept in both halves."""
        truths = (holds(half.units, k) for half in (self.select, self.score))
        return all(t.any() and f[t].mean() >= FOUND_F1 for f, t in zip(fired, truths, strict=True))

    def _narrower(self, i: int) -> Iterator[int]:
        """Concepts of another kind with fewer units, most of which lie inside concept ``i``."""
        size = np.diag(self.overlap)
        for k, kind in enumerate(self.kinds):
            if kind not in (None, self.kinds[i]) and 0 < size[k] < size[i] and self.overlap[i, k] >= 0.7 * size[k]:
                yield k

    def takers(self, i: int) -> list[tuple[int, int]]:
        """Narrower concepts, each with the feature that stands for it best and precisely."""
        best = [(k, int(np.argmax(self.select.scores.f1[k]))) for k in self._narrower(i)]
        return [(k, j) for k, j in best if self.parts[k, j]]

    def absorbed(self, i: int, takers: list[tuple[int, int]]) -> Outcome | None:
        own = np.where(self.parts[i], self.select.scores.f1[i], -1.0)
        own[[j for _, j in takers]] = -1.0
        best = int(np.argmax(own))
        return self._taken(i, best, takers) if takers and own[best] > 0 else None

    def _taken(self, i: int, best: int, takers: list[tuple[int, int]]) -> Outcome | None:
        """Whether the general feature ``best`` is silent where the takers' concepts hold and their features fire."""
        units, truth = self.score.units, holds(self.score.units, i)
        fired = self.score.fires(i, [best])
        places = {k: truth & holds(units, k) & self.score.fires(k, [j]) for k, j in takers}
        elsewhere = truth & ~np.logical_or.reduce(list(places.values()))
        if not elsewhere.any():
            return None
        usual = fired[elsewhere].mean()
        took = [(k, j) for k, j in takers if places[k].any() and fired[places[k]].mean() <= SILENT * usual]
        missed = truth & ~fired
        covered = np.logical_or.reduce([missed & places[k] for k, _ in took]) if took else missed & False
        if not took or covered.sum() < 0.5 * missed.sum():
            return None
        return "absorbed", list(dict.fromkeys([best, *(j for _, j in took)])), [self.concepts[k] for k, _ in took]

    def split(self, i: int, without: set[int]) -> Outcome | None:
        good = np.setdiff1d(np.flatnonzero(self.parts[i]), list(without)).astype(int)
        parts = [int(j) for j in good[np.argsort(-self.select.scores.recall[i, good], kind="stable")]]
        if len(parts) < 2 or not self.score.stands_for(
            self.score.fires(i, parts), holds(self.score.units, i), FOUND_F1
        ):
            return None
        return "split", parts, []


def match_features(select: Units, score: Units) -> pd.DataFrame:
    """Every feature with the concept it stands for best, and whether it stands for any.

    Of the concepts that the feature is a part of on ``select`` (precise by ``least_precision``, recall >= .1), the one
    with the highest F1 there; without any, the one with the highest F1 of all. Columns, all of ``score``: feature,
    n_documents (with a firing), concept (index), threshold, precision, recall, f1, matched. A feature is matched when
    it is a part of that concept on ``score`` too. One that fires in fewer than ``MIN_DOCUMENTS`` documents of either
    half, or never where a concept holds, is not judged: concept -1, scores NaN, not matched.
    """
    half, other = _halves(select, score)
    f1 = half.scores.f1
    concept = np.where(half.parts, 1 + f1, f1).argmax(0)
    at = (concept, np.arange(f1.shape[1]))
    there = [documents_with(units, units.acts) for units in (select, score)]
    known = (np.minimum(*there) >= MIN_DOCUMENTS) & (f1[at] > 0)
    found = other.scores
    threshold, precision, recall, score_f1 = (
        np.where(known, values[at], np.nan) for values in (found.threshold, found.precision, found.recall, found.f1)
    )
    matched = known & half.parts[at] & other.parts[at]
    return pd.DataFrame(
        {
            "feature": at[1],
            "n_documents": there[1],
            "concept": np.where(known, concept, -1),
            "threshold": threshold,
            "precision": precision,
            "recall": recall,
            "f1": score_f1,
            "matched": matched,
        }
    )
