"""Features and planted concepts over the same units: what fires, what holds, how often both.

A *unit* is what is right or wrong at once: a token position (token level) or a span (span level, where a feature fires
if it fires anywhere inside). Features and concepts are sparse matrices over the units; every unit is of one document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Units:
    """Firings and truth over units.

    ``acts``: CSC ``(n_units, d_sae)`` of activations, > 0 where stored. ``truth``: CSC boolean
    ``(n_units, n_concepts)``. ``document``: ``(n_units,)`` ids, in any order. ``slot``: ``(n_units,)`` place of the
    unit inside its document (token position or span number), used to align documents in the shuffled null.
    """

    acts: sparse.csc_matrix
    truth: sparse.csc_matrix
    document: np.ndarray
    slot: np.ndarray

    def half(self, which: int) -> Units:
        """Units of every second document: 0 selects even ranks, 1 odd ones."""
        _, rank = np.unique(self.document, return_inverse=True)
        return self._rows(np.flatnonzero(rank % 2 == which))

    def at(self, documents: np.ndarray) -> Units:
        """Units of the documents named."""
        return self._rows(np.flatnonzero(np.isin(self.document, documents)))

    def _rows(self, rows: np.ndarray) -> Units:
        return Units(
            self.acts.tocsr()[rows].tocsc(), self.truth.tocsr()[rows].tocsc(), self.document[rows], self.slot[rows]
        )


@dataclass(frozen=True)
class Rule:
    """A way to read a concept off the features: ``single``, ``or``, ``and``.

    ``feature`` fires above ``threshold``, ``feature_b`` (None for single) above ``threshold_b``. ``f1`` is the score on
    the units that the rule was chosen on, which flatters it.
    """

    form: str
    feature: int
    feature_b: int | None = None
    threshold: float = 0.0
    threshold_b: float = 0.0
    f1: float = 0.0


def f1_score(tp: np.ndarray, n_fired: np.ndarray, n_true: np.ndarray | np.float64) -> np.ndarray:
    """F1 = 2 tp / (fired + true); 0 where nothing fired and nothing was true."""
    total = n_fired + n_true
    return np.where(total > 0, 2 * tp / np.where(total > 0, total, 1), 0.0)


def counts_of(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tp ``(n_concepts, d_sae)``, firings ``(d_sae,)``, true units ``(n_concepts,)``."""
    fired = (units.acts > 0).astype(np.float32)
    truth = units.truth.astype(np.float32)
    tp = np.asarray((truth.T @ fired).todense())
    return tp, np.asarray(fired.sum(0)).ravel(), np.asarray(truth.sum(0)).ravel()


def column_of(matrix: sparse.csc_matrix, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and values of one column."""
    span = slice(matrix.indptr[j], matrix.indptr[j + 1])
    return matrix.indices[span], matrix.data[span]


def holds(units: Units, concept: int) -> np.ndarray:
    """Boolean ``(n_units,)``: where the concept is true."""
    mask = np.zeros(units.truth.shape[0], dtype=bool)
    mask[column_of(units.truth, concept)[0]] = True
    return mask


def fires_above(units: Units, feature: int, threshold: float) -> np.ndarray:
    """Boolean ``(n_units,)``: where one feature's act exceeds a threshold."""
    out = np.zeros(units.acts.shape[0], dtype=bool)
    rows, values = column_of(units.acts, feature)
    out[rows[values > threshold]] = True
    return out


def fires(units: Units, rule: Rule) -> np.ndarray:
    """Boolean ``(n_units,)``: where the rule says the concept is."""
    out = fires_above(units, rule.feature, rule.threshold)
    if rule.feature_b is None:
        return out
    other = fires_above(units, rule.feature_b, rule.threshold_b)
    return out | other if rule.form == "or" else out & other


def documents_with(units: Units, matrix: sparse.csc_matrix) -> np.ndarray:
    """``(n_columns,)``: in how many documents each column of a matrix over the units is not zero."""
    _, rank = np.unique(units.document, return_inverse=True)
    n_units = len(rank)
    belongs = sparse.csr_matrix((np.ones(n_units, np.float32), (rank, np.arange(n_units))))
    return np.asarray(((belongs @ (matrix > 0).astype(np.float32)) > 0).sum(0)).ravel().astype(int)


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
