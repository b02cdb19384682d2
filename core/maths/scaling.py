"""How activations become the matrix A that is factorised: five scales, with or without what the token explains.

Method: METHODS of activation-pattern SVD. ``raw`` acts; ``binary`` 1 where it fires; ``unit`` binary with columns of
length 1 (inner products are Ochiai); ``phi`` binary, centred, columns of length 1 (inner products are phi);
``log1p`` log(1 + act).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy import sparse

from core.maths.deflated import Deflated

Scale = Literal["raw", "binary", "unit", "phi", "log1p"]
SCALES: tuple[str, ...] = get_args(Scale)


def scale_acts(
    acts: sparse.spmatrix, scale: str, token: np.ndarray | None = None, document: np.ndarray | None = None
) -> Deflated:
    """A from activations (> 0 where stored). With ``token`` and ``document [n_rows]``: the token-residual of it,
    0 in rows whose token no other document has.

    A column without variation has no length under ``phi`` and stays 0.
    """
    values = sparse.csr_matrix(acts, dtype=np.float64, copy=True)
    if scale != "raw":
        values.data = np.log1p(values.data) if scale == "log1p" else np.ones_like(values.data)
    a = Deflated.plain(values)
    if token is not None and document is not None:
        known = sparse.diags((~alone(token, document)).astype(np.float64))
        a = Deflated.plain(known @ values).less(*token_means(values, token, document))
    if scale == "phi":
        a = a.centred()
    return unit_columns(a) if scale in ("unit", "phi") else a


def unit_columns(a: Deflated) -> Deflated:
    """Every column divided by its length; columns of length 0 stay 0."""
    squares = a.column_squares()
    floor = 1e-12 * max(1.0, float(a.matrix.shape[0]))
    return a.times_columns(np.where(squares > floor, 1 / np.sqrt(np.where(squares > floor, squares, 1)), 0.0))


def token_means(
    values: sparse.csr_matrix, token: np.ndarray, document: np.ndarray
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Mean of each column over the rows of the same token in *other* documents, as ``left @ right``.

    Nothing is taken off a row whose token no other document has; ``alone`` names these.
    """
    n = len(token)
    of_token = np.unique(token, return_inverse=True)[1]
    both = of_token.astype(np.int64) * (int(document.max()) + 1 if n else 1) + document
    of_both = np.unique(both, return_inverse=True)[1]
    here = np.bincount(of_both)[of_both]
    elsewhere = np.bincount(of_token)[of_token] - here
    weight = np.where(elsewhere > 0, 1 / np.maximum(elsewhere, 1), 0.0)
    rows = np.arange(n)
    by_token = sparse.csr_matrix((np.ones(n), (rows, of_token)))
    by_both = sparse.csr_matrix((np.ones(n), (rows, of_both)))
    left = sparse.diags(weight) @ sparse.hstack([by_token, -by_both], format="csr")
    right = sparse.vstack([by_token.T @ values, by_both.T @ values], format="csr")
    return left.tocsr(), right.tocsr()


def alone(token: np.ndarray, document: np.ndarray) -> np.ndarray:
    """Boolean ``[n_rows]``: rows whose token no other document has, so that nobody knows what is beyond it."""
    of_token = np.unique(token, return_inverse=True)[1]
    pairs = np.unique(np.stack([of_token, document], 1), axis=0)
    return np.bincount(pairs[:, 0])[of_token] == 1
