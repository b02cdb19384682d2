"""Tokens and spans of a run as units: where its features fire and where the annotated concepts hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import sparse

from core.annotation import Annotation
from core.errors import InputError
from core.maths.matching_units import Units
from core.store import Run


def token_units(run: Run, annotation: Annotation) -> Units:
    """Every real token of the run is a unit, in order of (context, pos); columns are the encoded features.

    ``document`` is the document's row in the corpus, as in the annotation. Raises InputError where the contexts do not
    say their rows, or none of them is annotated.
    """
    flat = run.flat_contexts()
    real = ~np.isin(flat.token_ids, list(run.special_ids))
    n_each = np.diff(flat.ptr)
    unit_of = np.cumsum(real) - 1  # position in flat.token_ids -> unit
    in_context = np.concatenate([np.arange(n) for n in np.add.reduceat(real, flat.ptr[:-1])])
    contexts = run.table("contexts", ["start", "source"])
    document = np.repeat(_corpus_rows(contexts["source"]), n_each)[real]
    start = np.repeat(contexts["start"].to_numpy(), n_each)[real]
    slot = start + in_context
    n_units = int(real.sum())
    rows, columns, acts = _firings(run, flat.ptr, unit_of)
    where = _unit_finder(document, slot)
    at = where(annotation.tokens["document"].to_numpy(), annotation.tokens["token"].to_numpy())
    known = at >= 0
    if not known.any():
        raise InputError(
            "no annotated token is in the run's text",
            "the annotation speaks of other documents than the run encoded",
            "name the annotation of this very corpus in corpus.annotation, and encode again",
        )
    held = (np.ones(known.sum(), bool), (at[known], annotation.tokens["concept"].to_numpy()[known]))
    return Units(
        sparse.csc_matrix((acts, (rows, columns)), shape=(n_units, len(run.encoded_features))),
        sparse.csc_matrix(held, shape=(n_units, len(annotation.concepts))),
        document,
        slot,
    )


def _corpus_rows(sources: pd.Series) -> np.ndarray:
    """Row of each context's document in the corpus, which a run reads in random order; lines count from 1."""
    parts = sources.str.extract(r"^(?:.* )?(line|row) (\d+)$")
    if parts.isna().to_numpy().any():
        unknown = sources[parts[0].isna()].iloc[0]
        raise InputError(
            "the run does not say which rows of the corpus its contexts are",
            f"expected 'line N' or 'row N' as source, found {str(unknown)[:60]!r}",
            "encode the annotated corpus again",
        )
    return parts[1].astype(np.int64).to_numpy() - (parts[0] == "line").to_numpy()


def _firings(run: Run, context_ptr: np.ndarray, unit_of: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every firing of the run as (unit, column, act)."""
    rows, columns, acts = [], [], []
    for block in run.blocks():
        column = np.searchsorted(run.encoded_features, block.features)
        rows.append(unit_of[context_ptr[block.context] + block.pos])
        columns.append(np.repeat(column, np.diff(block.ptr)))
        acts.append(block.act)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(acts)


def _unit_finder(document: np.ndarray, slot: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function from (document, token offset) to unit numbers; -1 for tokens that the run does not have."""
    width = int(slot.max()) + 1
    keys = document * width + slot
    order = np.argsort(keys, kind="stable")

    def find(documents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        wanted = documents.astype(np.int64) * width + tokens
        at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        unit = order[at]
        return np.where((keys[unit] == wanted) & (tokens < width), unit, -1)

    return find


def span_units(units: Units, annotation: Annotation, level: str) -> Units:
    """Spans of one partition as units: a feature acts with its maximum inside; a concept holds if it holds anywhere."""
    spans = annotation.spans[annotation.spans["level"] == level].sort_values(["document", "start"])
    lengths = (spans["stop"] - spans["start"]).to_numpy()
    number = np.repeat(np.arange(len(spans)), lengths)
    tokens = np.repeat(spans["start"].to_numpy(), lengths) + np.concatenate([np.arange(n) for n in lengths])
    at = _unit_finder(units.document, units.slot)(np.repeat(spans["document"].to_numpy(), lengths), tokens)
    span_of = np.full(units.acts.shape[0], -1, dtype=np.int64)
    span_of[at[at >= 0]] = number[at >= 0]
    there = np.unique(span_of[span_of >= 0])
    renumbered = np.full(len(spans), -1, dtype=np.int64)
    renumbered[there] = np.arange(len(there))
    span_of = np.where(span_of >= 0, renumbered[span_of], -1)
    document = spans["document"].to_numpy()[there].astype(np.int64)
    first = np.searchsorted(document, document)
    return Units(
        _maximum(units.acts, span_of, len(there)),
        _maximum(units.truth, span_of, len(there)).astype(bool),
        document,
        np.arange(len(there)) - first,
    )


def _maximum(matrix: sparse.csc_matrix, group: np.ndarray, n_groups: int) -> sparse.csc_matrix:
    """Maximum of each column over groups of rows; rows of group -1 are left out."""
    coo = matrix.tocoo()
    frame = pd.DataFrame({"g": group[coo.row], "c": coo.col, "v": coo.data.astype(np.float32)})
    top = frame[frame["g"] >= 0].groupby(["g", "c"], sort=False)["v"].max().reset_index()
    return sparse.csc_matrix((top["v"], (top["g"], top["c"])), shape=(n_groups, matrix.shape[1]))
