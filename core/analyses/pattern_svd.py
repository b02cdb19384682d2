"""Activation-pattern SVD: prototypes of which features fire together, how many stand above chance, how stable.

The number of components is judged on the centred matrix beside shuffled columns; without one above them there are no
prototypes to read, and the tables say so by being empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from core.analyses.base import Analysis, Progress
from core.analyses.pattern_svd_prototypes import Matrix, describe_prototypes
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
from core.analyses.patterns import Rows, pattern_matrix
from core.errors import InputError
from core.maths.bases import METHODS
from core.maths.deflated import Deflated, squared_gram_norm
from core.maths.rank_choice import NullSpectrum, elbow_k, null_spectrum, parallel_k
from core.maths.scaling import Scale, alone
from core.maths.svd import check_k, singular_values
from core.store import Run
from core.tables import TableSpec

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


def compute(run: Run, params: Params, progress: Progress) -> dict[TableSpec, pa.Table]:
    """Spectrum, ranks, prototypes by three methods with contexts, loadings and coefficients."""
    _check(params)
    m = Matrix(pattern_matrix(run, params.rows, params.min_firings, params.seed), params.scale, params.residual)
    n_components = min(params.k_max, m.patterns.acts.shape[1], m.patterns.acts.shape[0] - 1)
    if params.k:
        check_k(m.patterns.acts.shape, params.k)
    progress.stage("spectrum and its nulls", 2 + 2 * params.n_null, "matrices")
    spectrum, ranks, about = _spectrum(m, max(n_components, params.k), params, progress)
    k = params.k or int(ranks.loc[ranks["criterion"] == "parallel analysis", "k"].iloc[0])
    parts: dict[TableSpec, list[pd.DataFrame]] = {s: [] for s in (PROTOTYPES, PROTOTYPE_ROWS, LOADINGS, COEFFICIENTS)}
    methods = [x for x in METHODS if k and not (x == "nmf" and _no_nmf(m))]
    progress.stage("prototypes", max(1, len(methods)), "methods")
    for method in methods:
        for spec, frame in describe_prototypes(m, method, k, params.n_boot, params.n_seeds, params.seed).items():
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


def _no_nmf(m: Matrix) -> str:
    """Why NMF has no prototypes; empty when it has."""
    if m.residual or m.scale == "phi":
        return "the matrix has negative entries"
    n_rows = m.patterns.acts.shape[0]
    return f"{n_rows} rows, at most {MOST_FOR_NMF}: use rows=random" if n_rows > MOST_FOR_NMF else ""


def _spectrum(m: Matrix, n: int, p: Params, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    acts = m.patterns.acts
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
    return frame, _ranks(judged, null, shift), _about(m, centred, judged, null, p.seed)


def _ranks(s: np.ndarray, null: NullSpectrum, shift: NullSpectrum | None) -> pd.DataFrame:
    most = len(s)
    rows = [
        ("parallel analysis", parallel_k(s, null), "recommended; columns independent given their values; centred"),
        ("elbow", elbow_k(s), f"farthest below the chord of log s over {most} components; depends on that number"),
    ]
    if shift is not None:
        rows.insert(1, ("circular shift", parallel_k(s, shift), "keeps how long features stay on in a document"))
    return pd.DataFrame(rows, columns=["criterion", "k", "assumes"]).assign(at_most=most)


def _about(m: Matrix, centred: Deflated, s: np.ndarray, null: NullSpectrum, seed: int) -> pd.DataFrame:
    p = m.patterns
    twin = m.centred(m.shuffled(p.acts, np.random.default_rng([seed, 3])))
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
                "n_alone": int(alone(p.token, p.document).sum()) if m.residual else None,
                "stable_rank": total / s[0] ** 2,
                "stable_rank_null": twin_total / null.mean[0] ** 2,
                "participation_ratio": total**2 / squared_gram_norm(centred),
                "participation_ratio_null": twin_total**2 / squared_gram_norm(twin),
            }
        ]
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
    version=2,
    params=Params,
    tables=(MATRIX, SPECTRUM, RANKS, PROTOTYPES, PROTOTYPE_ROWS, LOADINGS, COEFFICIENTS),
    inputs=("activations", "contexts", "vocabulary"),
    compute=compute,
    summary=summarise,
)
