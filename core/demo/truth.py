"""What is true in the planted documents, as tables, and as units to match features against.

Positions count from 0 at BOS, as in the ``contexts`` and ``activations`` tables, so the first token of a text has
``pos`` 1. One document is one context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from core.demo.world import Document, World
from core.maths.matching import Units, classify_concepts, match_concepts, unmatched_features

#: partition of the text in which a kind of concept is judged at span level; sentences for every other kind
SPAN_LEVEL = {"region": "block", "stage": "stage", "topic": "document"}


@dataclass(frozen=True)
class Annotation:
    """Planted truth of some documents.

    ``concepts``: concept, kind, prevalence (share of tokens where it holds). ``tokens``: context, pos, concept (row
    number in ``concepts``), one row per token and concept. ``spans``: context, level (sentence | block | stage |
    document), start, end (first and one past the last pos), concept (row number; -1 for a sentence, whose concepts
    are those of its tokens). ``n_tokens``: real tokens of each context.
    """

    concepts: pd.DataFrame
    tokens: pd.DataFrame
    spans: pd.DataFrame
    n_tokens: np.ndarray


def annotate(world: World, documents: Sequence[Document]) -> Annotation:
    """Truth tables of ``documents``; context ``i`` is ``documents[i]`` after BOS."""
    ids = {name: i for i, (name, _) in enumerate(world.concepts)}
    tokens = [
        (context, pos + 1, ids[concept])
        for context, document in enumerate(documents)
        for pos, held in enumerate(document.concepts)
        for concept in sorted(held, key=ids.__getitem__)
    ]
    spans = [
        (context, s.level, s.start + 1, s.end + 1, -1 if s.concept is None else ids[s.concept])
        for context, document in enumerate(documents)
        for s in sorted(document.spans, key=lambda s: (s.level, s.start))
    ]
    token_frame = pd.DataFrame(tokens, columns=["context", "pos", "concept"]).astype(
        {"context": "int32", "pos": "int16", "concept": "int16"}
    )
    span_frame = pd.DataFrame(spans, columns=["context", "level", "start", "end", "concept"]).astype(
        {"context": "int32", "start": "int16", "end": "int16", "concept": "int16"}
    )
    n_tokens = np.array([len(d.tokens) for d in documents], dtype=np.int64)
    held = np.bincount(token_frame["concept"], minlength=len(ids))
    concepts = pd.DataFrame(
        {
            "concept": [name for name, _ in world.concepts],
            "kind": [kind for _, kind in world.concepts],
            "prevalence": held / max(1, n_tokens.sum()),
        }
    )
    return Annotation(concepts, token_frame, span_frame, n_tokens)


def token_units(activations: pd.DataFrame, annotation: Annotation, d_sae: int) -> Units:
    """Every real token is a unit. ``activations``: feature, context, pos, act (the stored table's columns)."""
    n_tokens = annotation.n_tokens
    first = np.concatenate([[0], np.cumsum(n_tokens)])
    total = int(first[-1])

    def row(frame: pd.DataFrame) -> np.ndarray:
        return first[frame["context"].to_numpy()] + frame["pos"].to_numpy().astype(np.int64) - 1

    acts = sparse.csc_matrix(
        (activations["act"].to_numpy().astype(np.float32), (row(activations), activations["feature"].to_numpy())),
        shape=(total, d_sae),
    )
    truth = sparse.csc_matrix(
        (np.ones(len(annotation.tokens), dtype=bool), (row(annotation.tokens), annotation.tokens["concept"])),
        shape=(total, len(annotation.concepts)),
    )
    slot = np.arange(total) - np.repeat(first[:-1], n_tokens)
    return Units(acts, truth, np.repeat(np.arange(len(n_tokens)), n_tokens), slot)


def span_units(units: Units, annotation: Annotation, level: str) -> Units:
    """Spans of one partition as units: a feature acts with its maximum inside; a concept holds if it holds anywhere."""
    spans = annotation.spans[annotation.spans["level"] == level].sort_values(["context", "start"])
    first = np.concatenate([[0], np.cumsum(annotation.n_tokens)])
    context = spans["context"].to_numpy()
    start = first[context] + spans["start"].to_numpy().astype(np.int64) - 1
    end = first[context] + spans["end"].to_numpy().astype(np.int64) - 1
    span_of = np.full(units.acts.shape[0], -1, dtype=np.int64)
    for i, (a, b) in enumerate(zip(start, end, strict=True)):
        span_of[a:b] = i
    slot = np.arange(len(spans)) - np.searchsorted(context, context)
    return Units(
        _reduce(units.acts, span_of, len(spans)),
        _reduce(units.truth, span_of, len(spans)).astype(bool),
        context.astype(np.int64),
        slot,
    )


def _reduce(matrix: sparse.csc_matrix, group: np.ndarray, n_groups: int) -> sparse.csc_matrix:
    """Maximum of each column over groups of rows; rows of group -1 are left out."""
    coo = matrix.tocoo()
    frame = pd.DataFrame({"g": group[coo.row], "c": coo.col, "v": coo.data.astype(np.float32)})
    top = frame[frame["g"] >= 0].groupby(["g", "c"], sort=False)["v"].max().reset_index()
    return sparse.csc_matrix((top["v"], (top["g"], top["c"])), shape=(n_groups, matrix.shape[1]))


@dataclass(frozen=True)
class TruthTables:
    """``truth`` (see `core.maths.matching.match_concepts`), ``outcomes`` of concepts, and ``features``."""

    truth: pd.DataFrame
    outcomes: pd.DataFrame
    features: pd.DataFrame


def compute_truth(
    activations: pd.DataFrame, annotation: Annotation, d_sae: int, *, n_boot: int = 200, seed: int = 0
) -> TruthTables:
    """Match every concept at token and at span level.

    ``outcomes`` are judged at token level, and so is ``features``, whose ``concept`` is a name, or None for a feature
    that never fires or lies in no concept.
    """
    names, kinds = annotation.concepts["concept"].tolist(), annotation.concepts["kind"].tolist()
    units = token_units(activations, annotation, d_sae)
    parts = [match_concepts(units, names, kinds, "token", n_boot=n_boot, seed=seed)]
    levels = {level: span_units(units, annotation, level) for level in {*SPAN_LEVEL.values(), "sentence"}}
    for level, spans in sorted(levels.items()):
        mine = np.array([SPAN_LEVEL.get(kind, "sentence") == level for kind in kinds])
        some = Units(spans.acts, spans.truth[:, mine], spans.document, spans.slot)
        parts.append(
            match_concepts(
                some,
                [n for n, m in zip(names, mine, strict=True) if m],
                [k for k, m in zip(kinds, mine, strict=True) if m],
                "span",
                n_boot=n_boot,
                seed=seed,
            )
        )
    features = unmatched_features(units)
    labels = np.array([*names, None], dtype=object)
    features["concept"] = labels[features["concept"].to_numpy()]
    return TruthTables(pd.concat(parts, ignore_index=True), classify_concepts(units, parts[0], names), features)
