"""The threshold with the best F1 for every pair of concept and feature at once, and what thresholds score elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from core.maths.matching_units import Units, f1_score


@dataclass(frozen=True)
class PairScores:
    """Every concept by every feature, each ``(n_concepts, d_sae)`` float64: a feature fires above ``threshold``.

    ``precision`` is 0 where the feature never fires there, ``recall`` where the concept never holds.
    """

    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def choose_thresholds(units: Units) -> PairScores:
    """The threshold with the highest F1 of every pair, and its scores on the units it was chosen on.

    Every cut between two different acts is tried, and 0. Ties go to the lower one; a threshold lies half way to the
    next act, so that rounding does not move it.
    """
    tp, fired, threshold = _best_cuts(*_firings(units), *_truths(units), units.truth.shape[1])
    return _scores(units, tp, fired, threshold)


def apply_thresholds(units: Units, threshold: np.ndarray) -> PairScores:
    """What thresholds chosen elsewhere score on these units."""
    tp, fired = _counts_above(*_firings(units), *_truths(units), threshold)
    return _scores(units, tp, fired, threshold)


def _scores(units: Units, tp: np.ndarray, fired: np.ndarray, threshold: np.ndarray) -> PairScores:
    n_true = np.diff(units.truth.indptr)[:, None]
    f1 = f1_score(tp, fired, n_true)
    return PairScores(threshold, tp / np.maximum(fired, 1), tp / np.maximum(n_true, 1), f1)


def _firings(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column pointers, units and acts of each feature, strongest first."""
    acts = units.acts
    feature = np.repeat(np.arange(acts.shape[1]), np.diff(acts.indptr))
    order = np.lexsort((-acts.data, feature))
    return acts.indptr.astype(np.int64), acts.indices[order].astype(np.int64), acts.data[order].astype(np.float64)


def _truths(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row pointers and concepts of each unit, and how often every concept holds."""
    rows = units.truth.tocsr()
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int64), np.diff(units.truth.indptr).astype(np.int64)


@njit(cache=True, nogil=True)
def _best_cuts(ptr, unit, act, truth_ptr, concept, n_true, n_concepts):  # type: ignore[no-untyped-def]
    d_sae = len(ptr) - 1
    best_tp, best_fired = np.zeros((n_concepts, d_sae)), np.zeros((n_concepts, d_sae))
    threshold, best = np.zeros((n_concepts, d_sae)), np.zeros(n_concepts)
    hits, touched = np.zeros(n_concepts, np.int64), np.zeros(n_concepts, np.int64)
    for j in range(d_sae):
        best[:], hits[:] = 0.0, 0
        i, end = ptr[j], ptr[j + 1]
        while i < end:
            n_touched, value = 0, act[i]
            while i < end and act[i] == value:  # a cut is possible only between different acts
                for t in range(truth_ptr[unit[i]], truth_ptr[unit[i] + 1]):
                    hits[concept[t]] += 1
                    touched[n_touched % n_concepts] = concept[t]
                    n_touched += 1
                i += 1
            fired = i - ptr[j]
            for k in range(min(n_touched, n_concepts)):  # F1 can only rise where a hit was added
                c = touched[k] if n_touched <= n_concepts else k
                f1 = 2.0 * hits[c] / (fired + n_true[c])
                if hits[c] > 0 and f1 >= best[c]:
                    best[c], best_tp[c, j], best_fired[c, j] = f1, hits[c], fired
                    threshold[c, j] = (value + act[i]) / 2 if i < end else 0.0
    return best_tp, best_fired, threshold


@njit(cache=True, nogil=True)
def _counts_above(ptr, unit, act, truth_ptr, concept, n_true, threshold):  # type: ignore[no-untyped-def]
    n_concepts, d_sae = threshold.shape
    tp, fired = np.zeros((n_concepts, d_sae)), np.zeros((n_concepts, d_sae))
    for j in range(d_sae):
        for i in range(ptr[j], ptr[j + 1]):
            for t in range(truth_ptr[unit[i]], truth_ptr[unit[i] + 1]):
                if act[i] > threshold[concept[t], j]:
                    tp[concept[t], j] += 1
        ascending = act[ptr[j] : ptr[j + 1]][::-1]
        for c in range(n_concepts):
            fired[c, j] = len(ascending) - np.searchsorted(ascending, threshold[c, j], side="right")
    return tp, fired
