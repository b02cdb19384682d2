"""Activation-pattern SVD: prototypes of which features fire together, how many stand above chance, how stable.

The number of components is judged on the centred matrix beside shuffled columns; without one above them there are no
prototypes to read, and the tables say so by being empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from core.analyses.base import Analysis, Progress
from core.analyses.pattern_svd_tables import (
    COEFFICIENTS,
    LOADINGS,
    MATRIX,
    PROTOTYPE_ROWS,
    PROTOTYPES,
    RANKS,
    SPECTRUM,
    summarise,
)
from core.analyses.patterns import Patterns, Rows, pattern_matrix
from core.errors import InputError
from core.maths.bases import METHODS, Basis, bootstrap_stability, explained, find_basis, seed_stability, split_half
from core.maths.column_nulls import shift_columns, shuffle_columns
from core.maths.deflated import Deflated, squared_gram_norm
from core.maths.rank_choice import NullSpectrum, elbow_k, null_spectrum, parallel_k
from core.maths.rotations import held_out_r2, hoyer, top_mass
from core.maths.scaling import Scale, count_alone, scale_acts
from core.maths.svd import singular_values
from core.store import Run
from core.tables import TableSpec

N_ENDS, N_LOADINGS = 10, 20
MOST_FOR_NMF = 50_000  # rows: beyond, one fit takes minutes


@dataclass(frozen=True)
class Params:
    """``k`` 0: as many as parallel analysis finds, of at most ``k_max``. ``residual``: less what the token explains.

    ``n_null`` shuffled copies, ``n_boot`` resamples of documents, ``n_seeds`` other starts of varimax and NMF.
    """

    rows: Rows = "random"
    scale: Scale = "unit"
    residual: bool = False
    k: int = 0
    k_max: int = 64
    min_firings: int = 20
    n_null: int = 20
    n_boot: int = 10
    n_seeds: int = 10
    seed: int = 0


@dataclass(frozen=True)
class _Matrix:
    """A of a run under its parameters, and the null copies of it."""

    patterns: Patterns
    params: Params

    def scaled(self, rows: np.ndarray | None = None, acts: sparse.spmatrix | None = None) -> Deflated:
        """A, or some rows of it (repeats allowed) scaled anew, or the same from other activations."""
        p = self.patterns
        at = np.arange(len(p.token)) if rows is None else rows
        acts = (p.acts if acts is None else acts).tocsr()
        tied = (p.token[at], p.document[at]) if self.params.residual else (None, None)
        return scale_acts(acts if rows is None else acts[at], self.params.scale, *tied)

    def centred(self, acts: sparse.spmatrix) -> Deflated:
        a = self.scaled(acts=acts)
        return a if self.params.scale == "phi" else a.centred()

    def shuffled(self, acts: sparse.spmatrix, rng: np.random.Generator) -> sparse.csc_matrix:
        """Columns permuted; for the residual only among rows of one token, so that the token explains as much."""
        return shuffle_columns(acts, rng, self.patterns.token if self.params.residual else None)

    def shifted(self, acts: sparse.spmatrix, rng: np.random.Generator) -> sparse.csc_matrix:
        return shift_columns(acts, self.patterns.document, rng)


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """Spectrum, ranks, prototypes by three methods with contexts, loadings and coefficients."""
    _check(params)
    m = _Matrix(pattern_matrix(run, params.rows, params.min_firings, params.seed), params)
    n_components = min(params.k_max, m.patterns.acts.shape[1], m.patterns.acts.shape[0] - 1)
    progress.stage("spectrum and its nulls", 2 + 2 * params.n_null, "matrices")
    spectrum, ranks, about = _spectrum(m, max(n_components, params.k), progress)
    k = params.k or int(ranks.loc[ranks["criterion"] == "parallel analysis", "k"].iloc[0])
    parts: dict[TableSpec, list[pd.DataFrame]] = {s: [] for s in (PROTOTYPES, PROTOTYPE_ROWS, LOADINGS, COEFFICIENTS)}
    methods = [x for x in METHODS if k and not (x == "nmf" and _no_nmf(m))]
    progress.stage("prototypes", max(1, len(methods)), "methods")
    for method in methods:
        for spec, frame in _prototypes(m, method, k).items():
            parts[spec].append(frame)
        progress.advance(1)
    about = about.assign(k=k, nmf=_no_nmf(m) if k else "")
    frames = {SPECTRUM: spectrum, RANKS: ranks, MATRIX: about}
    frames |= {spec: pd.concat(found) if found else pd.DataFrame() for spec, found in parts.items()}
    return {spec: _table(frame, spec) for spec, frame in frames.items()}


def _check(params: Params) -> None:
    wrong = [n for n in ("k_max", "n_null", "min_firings") if getattr(params, n) < 1]
    wrong += [n for n in ("k", "n_boot", "n_seeds") if getattr(params, n) < 0]
    if wrong:
        raise InputError(
            f"{', '.join(wrong)} too small", "counts are positive; k = 0 lets the nulls decide", "leave them out"
        )


def _no_nmf(m: _Matrix) -> str:
    """Why NMF has no prototypes; empty when it has."""
    if m.params.residual or m.params.scale == "phi":
        return "the matrix has negative entries"
    n_rows = m.patterns.acts.shape[0]
    return f"{n_rows} rows, at most {MOST_FOR_NMF}: use rows=random" if n_rows > MOST_FOR_NMF else ""


def _spectrum(m: _Matrix, n: int, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    acts, p = m.patterns.acts, m.params
    a, centred = m.scaled(), m.centred(acts)
    s, judged = singular_values(a, n), singular_values(centred, n)
    if not judged[0] > 0:
        raise InputError("every column is constant", "nothing varies between the rows", "--param scale=raw")
    progress.advance(2)
    null = null_spectrum(acts, m.centred, m.shuffled, n, p.n_null, [p.seed, 1])
    progress.advance(p.n_null)
    shift = null_spectrum(acts, m.centred, m.shifted, n, p.n_null, [p.seed, 2]) if p.rows == "all" else None
    progress.advance(p.n_null)
    total, centred_total = a.column_squares().sum(), centred.column_squares().sum()
    frame = pd.DataFrame(
        {
            "component": np.arange(n),
            "singular_value": s,
            "explained_variance": s**2 / total,
            "explained_variance_total": np.cumsum(s**2) / total,
            "centred_value": judged,
            "null_mean": null.mean,
            "null_q95": null.q95,
            "shift_q95": shift.q95 if shift else np.nan,
            "above_null": judged > null.q95,
            "excess": np.cumsum(judged**2) / centred_total - np.cumsum((null.values**2).mean(0)) / centred_total,
        }
    )
    return frame, _ranks(judged, null, shift), _about(m, centred, judged, null)


def _ranks(s: np.ndarray, null: NullSpectrum, shift: NullSpectrum | None) -> pd.DataFrame:
    most = len(s)
    rows = [
        ("parallel analysis", parallel_k(s, null), "recommended; columns independent given their values; centred"),
        ("elbow", elbow_k(s), f"farthest below the chord of log s over {most} components; depends on that number"),
    ]
    if shift is not None:
        rows.insert(1, ("circular shift", parallel_k(s, shift), "keeps how long features stay on in a document"))
    return pd.DataFrame(rows, columns=["criterion", "k", "assumes"]).assign(at_most=most)


def _about(m: _Matrix, centred: Deflated, s: np.ndarray, null: NullSpectrum) -> pd.DataFrame:
    p, q = m.patterns, m.params
    twin = m.centred(m.shuffled(p.acts, np.random.default_rng([q.seed, 3])))
    total, twin_total = centred.column_squares().sum(), twin.column_squares().sum()
    return pd.DataFrame(
        [
            {
                "n_rows": p.acts.shape[0],
                "n_features": p.acts.shape[1],
                "n_rare": p.n_rare,
                "n_constant": p.n_constant,
                "n_short": p.n_short,
                "n_firings": p.acts.nnz,
                "n_documents": int(p.document.max()) + 1,
                "punctuation_share": p.punctuation_share,
                "n_alone": count_alone(p.token, p.document) if q.residual else None,
                "stable_rank": total / s[0] ** 2,
                "stable_rank_null": twin_total / null.mean[0] ** 2,
                "participation_ratio": total**2 / squared_gram_norm(centred),
                "participation_ratio_null": twin_total**2 / squared_gram_norm(twin),
            }
        ]
    )


def _prototypes(m: _Matrix, method: str, k: int) -> dict[TableSpec, pd.DataFrame]:
    """What one method makes of A."""
    a = m.scaled()
    basis = find_basis(a, method, k)
    p, q = m.patterns, m.params
    halves = p.halves(q.seed) if p.document.max() > 0 else (np.arange(0), np.arange(0))
    twin = m.shuffled(p.acts, np.random.default_rng([q.seed, 4]))
    twin_basis = find_basis(m.scaled(acts=twin), method, k)
    twin_split = split_half(lambda r: m.scaled(r, twin), halves, twin_basis.c, method)
    half = np.isin(np.arange(len(p.token)), halves[0]).astype(int)
    luck = np.random.default_rng([q.seed, 5])
    n_boot = q.n_boot if method != "nmf" and p.document.max() > 0 else 0  # NMF: seeds tell more for the same time
    length = (basis.c**2).sum(0)
    frame = pd.DataFrame(
        {
            "prototype": np.arange(k),
            "explained_variance": length / a.column_squares().sum(),
            "hoyer_u": hoyer(basis.u),
            "hoyer_v": hoyer(basis.c),
            "hoyer_v_null": hoyer(twin_basis.c).mean(),
            "top10_mass": top_mass(basis.c),
            "token_r2": held_out_r2(basis.u, p.token, half),
            "token_r2_null": held_out_r2(basis.u, luck.permutation(p.token), half),
            "split_half": split_half(m.scaled, halves, basis.c, method),
            "split_half_null": np.nanquantile(twin_split, 0.95) if np.isfinite(twin_split).any() else np.nan,
            "bootstrap": bootstrap_stability(m.scaled, p.document, basis.c, method, n_boot, luck),
            "seeds": seed_stability(a, basis.c, method, q.n_seeds),
            "degenerate": basis.degenerate,
            "residual": basis.residual,
        }
    )
    tables = {PROTOTYPES: frame, PROTOTYPE_ROWS: _ends(p, basis), LOADINGS: _loadings(p, basis)}
    tables[COEFFICIENTS] = pd.DataFrame(
        {"feature": p.features, "r2": explained(a, basis), "coefficients": list(basis.c.astype(np.float32))}
    )
    return {spec: found.assign(method=method) for spec, found in tables.items()}


def _ends(p: Patterns, basis: Basis) -> pd.DataFrame:
    """The rows at both ends of every prototype, at most one per context."""
    frames = []
    for prototype in range(basis.u.shape[1]):
        for end, sign in (("+", 1.0), ("-", -1.0)):
            score = sign * basis.u[:, prototype]
            order = np.argsort(-score, kind="stable")
            order = order[: 50 * N_ENDS]
            order = order[score[order] > 1e-12]
            first = np.sort(np.unique(p.context[order], return_index=True)[1])[:N_ENDS]
            rows = order[first]
            frames.append(
                pd.DataFrame(
                    {
                        "prototype": prototype,
                        "end": end,
                        "rank": np.arange(len(rows)),
                        "context": p.context[rows],
                        "pos": p.pos[rows],
                        "score": basis.u[rows, prototype],
                    }
                )
            )
    return pd.concat(frames)


def _loadings(p: Patterns, basis: Basis) -> pd.DataFrame:
    unit = basis.c / np.maximum(np.linalg.norm(basis.c, axis=0), 1e-300)
    top = np.argsort(-np.abs(unit), axis=0, kind="stable")[:N_LOADINGS]
    k, n = unit.shape[1], len(top)
    prototype = np.repeat(np.arange(k), n)
    columns = top.T.ravel()
    return pd.DataFrame(
        {
            "prototype": prototype,
            "rank": np.tile(np.arange(n), k),
            "feature": p.features[columns],
            "loading": unit[columns, prototype],
        }
    )


def _table(frame: pd.DataFrame, spec: TableSpec) -> pa.Table:
    if frame.empty:
        return spec.schema.empty_table()
    return pa.Table.from_pandas(frame.sort_values(list(spec.sort)), schema=spec.schema, preserve_index=False)


ANALYSIS = Analysis(
    key="pattern_svd",
    title="Prototypes",
    question="Which patterns of features fire together, and are there more of them than chance makes?",
    method="activation-pattern SVD of A[row, feature], varimax and NMF of the same matrix",
    null="columns shuffled (among rows of one token for the residual); circular shifts for all positions",
    version=1,
    params=Params,
    tables=(MATRIX, SPECTRUM, RANKS, PROTOTYPES, PROTOTYPE_ROWS, LOADINGS, COEFFICIENTS),
    inputs=("activations", "contexts", "vocabulary"),
    compute=compute,
    summary=summarise,
)
