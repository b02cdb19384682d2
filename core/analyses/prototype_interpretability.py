"""Are prototypes more interpretable than features? Measured without a language model, at equal density.

Every component is a set of rows: a feature's firings, or as many of a prototype's highest rows as a feature drawn at
random fires in. A bag of tokens learnt on half of the documents predicts the rows of the other half (AUROC); an
intruder test asks whether texts of a component are alike; where topics are planted, whether it stands for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from core.analyses.base import Analysis, Progress
from core.analyses.patterns import Patterns, Rows, pattern_matrix
from core.analyses.prototype_interpretability_tables import COMPONENTS, GROUPS, summarise
from core.analyses.truth_units import token_units
from core.annotation import FOLDER, SPECS, load_annotation
from core.errors import InputError
from core.maths import bag_of_tokens as bags
from core.maths.bases import METHODS, find_basis
from core.maths.column_nulls import shuffle_columns
from core.maths.rank_choice import null_spectrum, parallel_k
from core.maths.scaling import Scale, scale_acts
from core.maths.svd import singular_values
from core.store import Run
from core.tables import TableSpec

LEAST_ROWS = 5  # of a component in each half


@dataclass(frozen=True)
class Params:
    """``window`` tokens up to the row are its text; ``per_prototype`` features draw the density of each prototype.

    ``k`` 0: as many prototypes as parallel analysis finds. ``max_rows`` rows at most, whole documents at random.
    """

    rows: Rows = "random"
    scale: Scale = "unit"
    k: int = 0
    window: int = 24
    per_prototype: int = 3
    n_trials: int = 20
    max_rows: int = 20_000
    min_firings: int = 20
    seed: int = 0


@dataclass(frozen=True)
class _Text:
    """Rows, the text before them, and what is planted there (no columns without annotation)."""

    patterns: Patterns
    rows: bags.Rows
    vectors: np.ndarray
    topics: sparse.csr_matrix  # that the text speaks of
    concepts: sparse.csr_matrix  # that hold at the row
    halves: tuple[np.ndarray, np.ndarray]


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """Components with their scores, and groups with means, intervals and nulls."""
    if min(params.window, params.per_prototype, params.n_trials, params.max_rows) < 1 or params.k < 0:
        raise InputError("parameters too small", "counts are positive; k = 0 lets the null decide", "leave them out")
    text = _text(run, params)
    p = text.patterns
    a = scale_acts(p.acts, params.scale)
    k = params.k or _own_k(p.acts, params)
    progress.stage("describe components", len(METHODS) + 2, "groups")
    rng = np.random.default_rng([params.seed, 50])
    sizes = np.diff(p.acts.indptr)
    parts = [_scored(text, "feature", p.features, p.binary, params, rng)]
    progress.advance(1)
    for method in [m for m in METHODS if k and not (m == "nmf" and params.scale == "phi")]:
        u = find_basis(a, method, k).u
        drawn = rng.choice(sizes, k * params.per_prototype)
        member = bags.top_rows(np.repeat(u, params.per_prototype, axis=1), drawn)
        parts.append(_scored(text, method, np.repeat(np.arange(k), params.per_prototype), member, params, rng))
        progress.advance(1)
    parts.append(_scored(text, "feature, rows shuffled", p.features, shuffle_columns(p.binary, rng), params, rng))
    components = pd.concat(parts, ignore_index=True)
    frames = {COMPONENTS: components, GROUPS: _groups(components, k, rng)}
    return {spec: pa.Table.from_pandas(f, schema=spec.schema, preserve_index=False) for spec, f in frames.items()}


def _own_k(acts: sparse.csc_matrix, params: Params) -> int:
    def centred(x: sparse.spmatrix):  # type: ignore[no-untyped-def]
        a = scale_acts(x, params.scale)
        return a if params.scale == "phi" else a.centred()

    n = min(64, acts.shape[1], acts.shape[0] - 1)
    return parallel_k(
        singular_values(centred(acts), n), null_spectrum(acts, centred, shuffle_columns, n, 10, [params.seed, 51])
    )


def _text(run: Run, params: Params) -> _Text:
    p = pattern_matrix(run, params.rows, params.min_firings, params.seed)
    p = _at_most(p, params)
    flat = run.flat_contexts()
    row, token = _windows(flat.ptr[p.context], p.pos, params.window)
    ids = flat.token_ids[token]
    real = ~np.isin(ids, list(run.special_ids))
    bag = sparse.csr_matrix((np.ones(real.sum()), (row[real], ids[real])), shape=(len(p.pos), len(run.str_tokens)))
    bag.data[:] = 1.0  # a token stands near or does not
    words = run.str_tokens[ids]
    ends = np.searchsorted(row, np.arange(len(p.pos) + 1))
    texts = ["".join(words[s:e][real[s:e]]) for s, e in pairwise(ends)]
    near = sparse.csr_matrix((np.ones(len(row)), (row, token)), shape=(len(p.pos), len(flat.token_ids)))
    return _Text(p, bags.Rows(bag, p.document), _vectors(texts), *_planted(run, p, near), p.halves(params.seed))


def _at_most(p: Patterns, params: Params) -> Patterns:
    """Whole documents at random until ``max_rows`` rows."""
    if len(p.pos) <= params.max_rows:
        return p
    n = np.bincount(p.document)
    order = np.random.default_rng([params.seed, 52]).permutation(len(n))
    chosen = order[np.cumsum(n[order]) <= params.max_rows]
    rows = np.flatnonzero(np.isin(p.document, chosen))
    acts = p.acts.tocsr()[rows].tocsc()
    keep = np.flatnonzero((np.diff(acts.indptr) >= params.min_firings) & (np.diff(acts.indptr) < len(rows)))
    if not len(keep):
        raise InputError(
            "no feature is left", f"{len(rows)} rows of {len(chosen)} documents", "--param max_rows=100000"
        )
    document = np.unique(p.document[rows], return_inverse=True)[1].astype(np.int32)
    return Patterns(
        acts[:, keep], p.features[keep], p.context[rows], p.pos[rows], document, p.token[rows],
        p.n_rare, p.n_constant, p.n_short, p.punctuation_share,
    )  # fmt: skip


def _windows(first: np.ndarray, pos: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The last ``window`` places up to each row, as (row, place in the flat tokens)."""
    n = np.minimum(pos.astype(np.int64) + 1, window)
    row = np.repeat(np.arange(len(pos)), n)
    step = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
    return row, first[row] + pos[row] - (n[row] - 1) + step


def _vectors(texts: list[str]) -> np.ndarray:
    """Unit vectors of texts: TF-IDF of characters, which needs no weights."""
    try:
        words = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=4_096, dtype=np.float32)
        return words.fit_transform(texts).toarray()
    except ValueError as error:  # nothing but blanks
        raise InputError("the rows have no text", str(error), "--param window=64") from error


def _planted(run: Run, p: Patterns, near: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Planted topics in each row's text and concepts at the row itself; no columns without annotation."""
    if not (run.path / FOLDER).is_dir():
        return sparse.csr_matrix((len(p.pos), 0)), sparse.csr_matrix((len(p.pos), 0))
    annotation = load_annotation(run.path / FOLDER)
    truth = token_units(run, annotation).truth.tocsr()
    flat = run.flat_contexts()
    real = np.flatnonzero(~np.isin(flat.token_ids, list(run.special_ids)))
    topics = truth[:, np.flatnonzero(annotation.concepts["kind"] == "topic")].astype(np.float64)
    at = np.searchsorted(real, flat.ptr[p.context] + p.pos)
    return (near.tocsc()[:, real].tocsr() @ topics > 0).astype(np.float64), truth[at].astype(np.float64)


def _scored(
    text: _Text, group: str, number: np.ndarray, member: sparse.csc_matrix, params: Params, rng: np.random.Generator
) -> pd.DataFrame:
    """Scores of one group's components; those with too few rows in a half have none."""
    csr, (first, second) = member.tocsr(), text.halves
    fit_member, judge_member = csr[first].tocsc(), csr[second].tocsc()
    fit = bags.Rows(text.rows.bag[first], text.rows.document[first])
    judge = bags.Rows(text.rows.bag[second], text.rows.document[second])
    few = np.minimum(np.diff(fit_member.indptr), np.diff(judge_member.indptr)) < LEAST_ROWS
    area = bags.held_out_auroc(fit, judge, fit_member, judge_member)
    hits = bags.intruder_accuracy(text.vectors[second], judge_member, judge.document, params.n_trials, rng)
    return pd.DataFrame(
        {
            "group": group,
            "number": number,
            "n_rows": np.diff(member.tocsc().indptr),
            "auroc": np.where(few, np.nan, area),
            "intruder": np.where(few, np.nan, hits),
            "topic_f1": np.where(few, np.nan, _best_f1(text.topics, text.halves, fit_member, judge_member)),
            "concept_f1": np.where(few, np.nan, _best_f1(text.concepts, text.halves, fit_member, judge_member)),
        }
    )


def _best_f1(
    truth: sparse.csr_matrix,
    halves: tuple[np.ndarray, np.ndarray],
    fit_member: sparse.csc_matrix,
    judge_member: sparse.csc_matrix,
) -> np.ndarray:
    """F1 with what fits best on the fitted half, on the other; NaN where nothing is planted."""
    if not truth.shape[1]:
        return np.full(fit_member.shape[1], np.nan)

    def f1(rows: np.ndarray, member: sparse.csc_matrix) -> np.ndarray:
        both = (truth[rows].T @ member).toarray()
        total = np.asarray(truth[rows].sum(0)).reshape(-1, 1) + np.asarray(member.sum(0)).reshape(1, -1)
        return 2 * both / np.maximum(total, 1)

    best = f1(halves[0], fit_member).argmax(0)
    return f1(halves[1], judge_member)[best, np.arange(len(best))]


def _groups(components: pd.DataFrame, k: int, rng: np.random.Generator) -> pd.DataFrame:
    """Means over components with intervals; several densities of one prototype count as one."""
    rows = []
    for group, of in components.groupby("group", sort=False):
        one = of.groupby("number")[["auroc", "intruder", "topic_f1", "concept_f1"]].mean()
        row: dict[str, object] = {"group": group, "n": len(one), "k": k, "n_rows": float(of["n_rows"].median())}
        for name in one.columns:
            row[name], row[f"{name}_lo"], row[f"{name}_hi"] = bags.mean_interval(one[name].to_numpy(), rng)
        rows.append(row)
    return pd.DataFrame(rows)


ANALYSIS = Analysis(
    key="prototype_interpretability",
    title="Prototypes against features",
    question="Are prototypes easier to describe than features?",
    method="bag-of-tokens AUROC on held-out documents, intruder test, planted topics; matched for density",
    null="features whose rows are shuffled; intruder by chance 1/5",
    version=1,
    params=Params,
    tables=(GROUPS, COMPONENTS),
    inputs=("activations", "contexts", "vocabulary", *(f"{FOLDER}/{spec.name}" for spec in SPECS)),
    compute=compute,
    summary=summarise,
)
