"""Planted truth: which feature stands for which concept, where the concepts of the text are known.

The only analysis that can say that a method is *right*. The feature (and threshold, and pair) is chosen on one half of
the documents and scored on the other, beside the same choice made on firings moved to other documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from core.analyses.base import Analysis, Progress
from core.annotation import FOLDER, SPECS, Annotation, load_annotation
from core.maths.matching import Units, classify_concepts, match_concepts, pairwise_scores, unmatched_features
from core.store import Run
from core.tables import Column, TableSpec

N_OVERLAPS = 8  # features kept per concept in the table of overlaps

_i32, _f64, _text, _texts, _ints = pa.int32(), pa.float64(), pa.string(), pa.list_(pa.string()), pa.list_(pa.int32())

CONCEPTS = TableSpec(
    "concepts",
    "every concept and what became of it in the SAE",
    (
        Column("concept", _text, "", "name"),
        Column("kind", _text, "", "family"),
        Column("prevalence", _f64, "share of tokens", "how often it holds"),
        Column("outcome", _text, "", "found | split | merged | absorbed | not found; null: too rare to judge"),
        Column("features", _ints, "", "the features that say so, best first"),
        Column("partners", _texts, "", "merged with, or absorbed by, these concepts"),
    ),
    sort=("kind", "concept"),
)
TRUTH = TableSpec(
    "truth",
    "the best feature, OR and AND of two, of every concept, scored on documents they were not chosen on",
    (
        Column("concept", _text, "", "name"),
        Column("kind", _text, "", "family"),
        Column("level", _text, "", "token | span (a feature fires in a span if it fires anywhere inside)"),
        Column("form", _text, "", "single | or | and"),
        Column("feature", _i32, "", "SAE unit"),
        Column("feature_b", _i32, "", "the second one; null for single"),
        Column("threshold", _f64, "SAE units", "fires above it"),
        Column("n_true", _i32, "units", "tokens or spans where the concept holds, in the scored half"),
        Column("precision", _f64, "share", "of its firings where the concept holds; null: never fires there"),
        Column("recall", _f64, "share", "of the concept where it fires"),
        Column("f1", _f64, "share", "harmonic mean of the two"),
        Column("f1_lo", _f64, "share", "lower end of the 95 % interval, bootstrap over documents"),
        Column("f1_hi", _f64, "share", "upper end"),
        Column("f1_null", _f64, "share", "the same choice on firings moved to other documents; null for pairs"),
    ),
    sort=("concept", "level", "form"),
)
FEATURE_TRUTH = TableSpec(
    "feature_truth",
    "every feature with the concept it is most precise for",
    (
        Column("feature", _i32, "", "SAE unit"),
        Column("concept", _text, "", "null: never fires, or lies in no concept more than by chance"),
        Column("precision", _f64, "share", "of its firings where the concept holds"),
        Column("recall", _f64, "share", "of the concept where it fires"),
        Column("matched", pa.bool_(), "", "precision >= 0.7 and more than twice the concept's prevalence"),
    ),
    sort=("feature",),
)
OVERLAP = TableSpec(
    "overlap",
    f"the {N_OVERLAPS} features with the highest F1 for every concept, threshold 0, all documents",
    (
        Column("concept", _text, "", "name"),
        Column("feature", _i32, "", "SAE unit"),
        Column("precision", _f64, "share", "of its firings where the concept holds"),
        Column("recall", _f64, "share", "of the concept where it fires"),
        Column("f1", _f64, "share", "harmonic mean of the two"),
    ),
    sort=("concept", "f1"),
)


@dataclass(frozen=True)
class Params:
    """``n_boot`` resamples of documents per interval, ``n_shifts`` moved copies per null."""

    n_boot: int = 200
    n_shifts: int = 3
    seed: int = 0


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """Match every annotated concept at token and at span level; see the table specs for the columns."""
    annotation = load_annotation(run.path / FOLDER)
    names, kinds = annotation.concepts["concept"].tolist(), annotation.concepts["kind"].tolist()
    levels = sorted(set(annotation.concepts["level"]))
    progress.stage("match concepts", 2 + len(levels), "levels")
    units = token_units(run, annotation)
    parts = [_match(units, names, kinds, "token", params)]
    progress.advance(1)
    for level in levels:
        of_level = np.flatnonzero(annotation.concepts["level"] == level)
        spans = span_units(units, annotation, level)
        some = Units(spans.acts, spans.truth[:, of_level], spans.document, spans.slot)
        parts.append(_match(some, [names[i] for i in of_level], [kinds[i] for i in of_level], "span", params))
        progress.advance(1)
    outcomes = classify_concepts(units, parts[0], names).set_index("concept")
    concepts = annotation.concepts.drop(columns="level").join(outcomes, on="concept")
    features = run.encoded_features
    frames = {
        CONCEPTS: _named_features(concepts, features),
        TRUTH: _numbered(pd.concat(parts, ignore_index=True), features),
        FEATURE_TRUTH: _feature_truth(units, names, features),
        OVERLAP: _overlap(units, names, features),
    }
    progress.advance(1)
    return {spec: pa.Table.from_pandas(f, schema=spec.schema, preserve_index=False) for spec, f in frames.items()}


def _match(units: Units, names: list[str], kinds: list[str], level: str, params: Params) -> pd.DataFrame:
    return match_concepts(units, names, kinds, level, n_boot=params.n_boot, n_shifts=params.n_shifts, seed=params.seed)


def token_units(run: Run, annotation: Annotation) -> Units:
    """Every real token of the run is a unit, in order of (context, pos); columns are the encoded features."""
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
    held = (np.ones(known.sum(), bool), (at[known], annotation.tokens["concept"].to_numpy()[known]))
    return Units(
        sparse.csc_matrix((acts, (rows, columns)), shape=(n_units, len(run.encoded_features))),
        sparse.csc_matrix(held, shape=(n_units, len(annotation.concepts))),
        document,
        slot,
    )


def _corpus_rows(sources: pd.Series) -> np.ndarray:
    """Row of each context's document in the corpus, which a run reads in random order; lines count from 1."""
    parts = sources.str.rsplit(" ", n=1)
    return parts.str[1].astype(np.int64).to_numpy() - (parts.str[0].str.endswith("line")).to_numpy()


def _firings(run: Run, context_ptr: np.ndarray, unit_of: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every firing of the run as (unit, column, act)."""
    rows, columns, acts = [], [], []
    for block in run.blocks():
        column = np.searchsorted(run.encoded_features, block.features)
        rows.append(unit_of[context_ptr[block.context] + block.pos])
        columns.append(np.repeat(column, np.diff(block.ptr)))
        acts.append(block.act)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(acts)


def _unit_finder(document: np.ndarray, slot: np.ndarray):  # type: ignore[no-untyped-def]
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


def _numbered(truth: pd.DataFrame, features: np.ndarray) -> pd.DataFrame:
    """Column numbers of the matrix as feature numbers."""
    second = truth["feature_b"].to_numpy()
    numbers = pd.Series(features[second], dtype="Int32").where(second >= 0)
    return truth.assign(feature=features[truth["feature"].to_numpy()], feature_b=numbers)


def _named_features(concepts: pd.DataFrame, features: np.ndarray) -> pd.DataFrame:
    """The features of an outcome by number; lists are empty where a concept was too rare to judge."""
    columns = {
        "features": [features[list(v)].tolist() if isinstance(v, list) else [] for v in concepts["features"]],
        "partners": [v if isinstance(v, list) else [] for v in concepts["partners"]],
    }
    return concepts.assign(**columns).sort_values(["kind", "concept"], ignore_index=True)


def _feature_truth(units: Units, names: list[str], features: np.ndarray) -> pd.DataFrame:
    frame = unmatched_features(units)
    known = np.array([*names, None], dtype=object)
    return frame.assign(feature=features, concept=known[frame["concept"].to_numpy()]).drop(columns="n_fired")


def _overlap(units: Units, names: list[str], features: np.ndarray) -> pd.DataFrame:
    precision, recall, f1 = pairwise_scores(units)
    best = np.argsort(-f1, axis=1, kind="stable")[:, :N_OVERLAPS]
    concept = np.repeat(np.arange(len(names)), best.shape[1])
    at = (concept, best.ravel())
    frame = pd.DataFrame({"feature": features[at[1]], "precision": precision[at], "recall": recall[at], "f1": f1[at]})
    frame.insert(0, "concept", np.array(names, dtype=object)[concept])
    return frame[frame["f1"] > 0].reset_index(drop=True)


ANALYSIS = Analysis(
    key="truth",
    title="Planted truth",
    question="Which concepts of the text did the SAE find, split, merge or absorb?",
    method="F1 of firing against annotation; chosen on one half of the documents, scored on the other",
    null="the same choice on firings moved to other documents",
    version=1,
    params=Params,
    tables=(CONCEPTS, TRUTH, FEATURE_TRUTH, OVERLAP),
    inputs=("activations", "contexts", *(f"{FOLDER}/{spec.name}" for spec in SPECS)),
    compute=compute,
)
