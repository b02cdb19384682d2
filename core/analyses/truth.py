"""Planted truth: which feature stands for which concept, where the concepts of the text are known.

The only analysis that can say that a method is *right*. The feature (and threshold, and pair) is chosen on one half of
the documents and scored on the other, beside the same choice made on firings moved to other documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from core.analyses.base import Analysis, Progress
from core.analyses.truth_summary import summarise
from core.analyses.truth_units import span_units, token_units
from core.annotation import FOLDER, SPECS, load_annotation
from core.maths.matching import match_concepts, rule_of, shift_offsets
from core.maths.matching_outcomes import classify_concepts, match_features
from core.maths.matching_thresholds import apply_thresholds, choose_thresholds
from core.maths.matching_units import Units, fires, holds, shift_documents
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
        Column("outcome_null", _text, "", "the same on firings moved to other documents"),
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
        Column("threshold", _f64, "SAE units", "feature fires above it"),
        Column("threshold_b", _f64, "SAE units", "feature_b fires above it; 0 for single"),
        Column("n_true", _i32, "units", "tokens or spans where the concept holds, in the scored half"),
        Column("precision", _f64, "share", "of its firings where the concept holds; null: never fires there"),
        Column("recall", _f64, "share", "of the concept where it fires"),
        Column("f1", _f64, "share", "harmonic mean of the two"),
        Column("f1_lo", _f64, "share", "lower end of the 95 % interval, bootstrap over documents"),
        Column("f1_hi", _f64, "share", "upper end"),
        Column("f1_null", _f64, "share", "the same choice on firings moved to other documents"),
        Column("f1_chosen", _f64, "share", "on the half it was chosen on, which flatters it; decides between forms"),
        Column("coverage", _f64, "share", "of the concept's tokens on which it fires; null at token level (recall)"),
    ),
    sort=("concept", "level", "form"),
)
FEATURE_TRUTH = TableSpec(
    "feature_truth",
    "every feature with the concept it stands for best, chosen on one half of the documents, scored on the other",
    (
        Column("feature", _i32, "", "SAE unit"),
        Column("n_documents", _i32, "documents", "of the scored half in which it fires"),
        Column("concept", _text, "", "null: fires in too few documents to judge, or never where a concept holds"),
        Column("threshold", _f64, "SAE units", "it is read as firing above it"),
        Column("precision", _f64, "share", "of its firings where the concept holds"),
        Column("recall", _f64, "share", "of the concept where it fires"),
        Column("f1", _f64, "share", "harmonic mean of the two"),
        Column("matched", pa.bool_(), "", "precision >= 0.7 and half of the way from prevalence to 1, recall >= 0.1"),
        Column("matched_null", pa.bool_(), "", "the same on firings moved to other documents"),
    ),
    sort=("feature",),
)
OVERLAP = TableSpec(
    "overlap",
    f"the {N_OVERLAPS} features that overlap every concept most on one half of the documents, scored on the other",
    (
        Column("concept", _text, "", "name"),
        Column("feature", _i32, "", "SAE unit"),
        Column("threshold", _f64, "SAE units", "it is read as firing above it"),
        Column("precision", _f64, "share", "of its firings where the concept holds"),
        Column("recall", _f64, "share", "of the concept where it fires"),
        Column("f1", _f64, "share", "harmonic mean of the two"),
    ),
    sort=("concept", "f1"),
)


@dataclass(frozen=True)
class Params:
    """``n_boot`` resamples of documents per interval, ``n_shifts`` moved copies per null."""

    n_boot: int = 1000
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
        of_spans = _match(some, [names[i] for i in of_level], [kinds[i] for i in of_level], "span", params)
        parts.append(of_spans.assign(coverage=_coverage(units.at(some.half(1).document), of_spans, names)))
        progress.advance(1)
    features = run.encoded_features
    frames = {
        CONCEPTS: _concepts(annotation.concepts, units, parts[0], params, features),
        TRUTH: _numbered(pd.concat(parts, ignore_index=True), features),
        FEATURE_TRUTH: _feature_truth(units, names, features, params),
        OVERLAP: _overlap(units, names, features),
    }
    progress.advance(1)
    return {spec: pa.Table.from_pandas(f, schema=spec.schema, preserve_index=False) for spec, f in frames.items()}


def _match(units: Units, names: list[str], kinds: list[str], level: str, params: Params) -> pd.DataFrame:
    found = match_concepts(units, names, kinds, level, n_boot=params.n_boot, n_shifts=params.n_shifts, seed=params.seed)
    return found.assign(coverage=np.full(len(found), np.nan))


def _coverage(tokens: Units, truth: pd.DataFrame, names: list[str]) -> list[float]:
    """Share of each concept's tokens on which its rule fires: one marker token hits a span and covers little of it."""
    column = {name: i for i, name in enumerate(names)}
    shares = []
    for _, row in truth.iterrows():
        true = holds(tokens, column[row["concept"]])
        shares.append(float(fires(tokens, rule_of(row))[true].mean()))
    return shares


def _concepts(
    concepts: pd.DataFrame, units: Units, truth: pd.DataFrame, params: Params, features: np.ndarray
) -> pd.DataFrame:
    """What became of every concept, beside the same on firings moved once to other documents."""
    names, kinds = concepts["concept"].tolist(), concepts["kind"].tolist()
    frame = concepts.drop(columns="level").join(_outcomes(units, truth, names), on="concept")
    moved = shift_documents(units, shift_offsets(units, 1, params.seed)[0])
    by_chance = match_concepts(moved, names, kinds, "token", n_boot=params.n_boot, n_shifts=0, seed=params.seed)
    null = _outcomes(moved, by_chance, names)["outcome"].rename("outcome_null")
    return _named_features(frame.join(null, on="concept"), features)


def _outcomes(units: Units, truth: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return classify_concepts(units.half(0), units.half(1), truth, names).set_index("concept")


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


def _feature_truth(units: Units, names: list[str], features: np.ndarray, params: Params) -> pd.DataFrame:
    frame = match_features(units.half(0), units.half(1))
    moved = shift_documents(units, shift_offsets(units, 1, params.seed)[0])
    known = np.array([*names, None], dtype=object)
    null = match_features(moved.half(0), moved.half(1))["matched"]
    return frame.assign(feature=features, concept=known[frame["concept"].to_numpy()], matched_null=null)


def _overlap(units: Units, names: list[str], features: np.ndarray) -> pd.DataFrame:
    chosen = choose_thresholds(units.half(0))
    scored = apply_thresholds(units.half(1), chosen.threshold)
    best = np.argsort(-chosen.f1, axis=1, kind="stable")[:, :N_OVERLAPS]
    at = (np.repeat(np.arange(len(names)), best.shape[1]), best.ravel())
    columns = {name: getattr(scored, name)[at] for name in ("threshold", "precision", "recall", "f1")}
    frame = pd.DataFrame({"concept": np.array(names, dtype=object)[at[0]], "feature": features[at[1]], **columns})
    return frame[frame["f1"] > 0].reset_index(drop=True)


ANALYSIS = Analysis(
    key="truth",
    title="Planted truth",
    question="Which concepts of the text did the SAE find, split, merge or absorb?",
    method="F1 of firing against annotation; chosen on one half of the documents, scored on the other",
    null="the same choice on firings moved to other documents",
    version=2,
    params=Params,
    tables=(CONCEPTS, TRUTH, FEATURE_TRUTH, OVERLAP),
    inputs=("activations", "contexts", *(f"{FOLDER}/{spec.name}" for spec in SPECS)),
    compute=compute,
    summary=summarise,
)
