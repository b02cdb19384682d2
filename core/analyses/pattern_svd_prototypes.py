"""Prototypes of one matrix by one method: how large, concentrated, token-driven and stable, with rows and loadings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from core.analyses.pattern_svd_tables import COEFFICIENTS, LOADINGS, PROTOTYPE_ROWS, PROTOTYPES
from core.analyses.patterns import Patterns
from core.maths.bases import Basis, bootstrap_stability, explained, find_basis, seed_stability, split_half
from core.maths.column_nulls import shift_columns, shuffle_columns
from core.maths.deflated import Deflated
from core.maths.rotations import held_out_r2, hoyer, top_mass
from core.maths.scaling import scale_acts
from core.tables import TableSpec

N_ENDS, N_LOADINGS = 10, 20


@dataclass(frozen=True)
class Matrix:
    """A of a run under its scale, and the null copies of it. ``residual``: less what the token explains."""

    patterns: Patterns
    scale: str
    residual: bool

    def scaled(self, rows: np.ndarray | None = None, acts: sparse.spmatrix | None = None) -> Deflated:
        """A, or some rows of it (repeats allowed) scaled anew, or the same from other activations."""
        p = self.patterns
        at = np.arange(len(p.token)) if rows is None else rows
        acts = (p.acts if acts is None else acts).tocsr()
        tied = (p.token[at], p.document[at]) if self.residual else (None, None)
        return scale_acts(acts if rows is None else acts[at], self.scale, *tied)

    def centred(self, acts: sparse.spmatrix) -> Deflated:
        a = self.scaled(acts=acts)
        return a if self.scale == "phi" else a.centred()

    def shuffled(self, acts: sparse.spmatrix, rng: np.random.Generator) -> sparse.csc_matrix:
        """Columns permuted; for the residual only among rows of one token, so that the token explains as much."""
        return shuffle_columns(acts, rng, self.patterns.token if self.residual else None)

    def shifted(self, acts: sparse.spmatrix, rng: np.random.Generator) -> sparse.csc_matrix:
        return shift_columns(acts, self.patterns.document, rng)


def describe_prototypes(
    m: Matrix, method: str, k: int, n_boot: int, n_seeds: int, seed: int
) -> dict[TableSpec, pd.DataFrame]:
    """What one method makes of A."""
    a = m.scaled()
    basis = find_basis(a, method, k)
    p = m.patterns
    halves = p.halves(seed) if p.document.max() > 0 else (np.arange(0), np.arange(0))
    twin = m.shuffled(p.acts, np.random.default_rng([seed, 4]))
    twin_basis = find_basis(m.scaled(acts=twin), method, k)
    twin_split = split_half(lambda r: m.scaled(r, twin), halves, twin_basis.c, method)
    half = np.isin(np.arange(len(p.token)), halves[0]).astype(int)
    luck = np.random.default_rng([seed, 5])
    n_boot = n_boot if method != "nmf" and p.document.max() > 0 else 0  # NMF: seeds tell more for the same time
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
            "seeds": seed_stability(a, basis.c, method, n_seeds),
            "degenerate": basis.degenerate,
            "residual": basis.residual,
        }
    )
    tables = {PROTOTYPES: frame, PROTOTYPE_ROWS: _ends(p, basis), LOADINGS: _loadings(p, basis)}
    tables[COEFFICIENTS] = pd.DataFrame(
        {
            "feature": p.features,
            "r2": explained(a, basis),
            "r2_null": explained(m.scaled(acts=twin), twin_basis),
            "coefficients": list(basis.c.astype(np.float32)),
        }
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
