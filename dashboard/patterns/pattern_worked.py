"""The conjecture on a matrix of 6 contexts and 5 features, by hand: every step as a table. No streamlit.

Only the matrix is written down; everything else is computed from it by the functions that the analyses use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import combinations

import numpy as np
from scipy import sparse

from core.maths.cofiring_excess import pair_similarity, ranks
from core.maths.column_nulls import shuffle_columns
from core.maths.conjecture_scores import jaccard_distance
from core.maths.scaling import scale_acts
from core.maths.svd import truncated_svd
from dashboard.wording import number

A = (
    (3, 2, 0, 0, 0),
    (2, 1, 1, 0, 0),
    (1, 3, 0, 0, 0),
    (0, 0, 0, 4, 0),
    (0, 0, 0, 2, 1),
    (0, 0, 1, 0, 0),
)  # act of features a..e (columns) on the last token of contexts 1..6 (rows)
NAMES = "abcde"
K = 2
N_SHUFFLES = 200


@dataclass(frozen=True)
class Worked:
    """``pairs [10, 2]``; arrays over pairs: distance of columns of A and of C at full rank and at k, cosine, 1 - J."""

    a: np.ndarray  # [6, 5]
    s: np.ndarray  # [5] singular values
    u: np.ndarray  # [6, k] prototypes
    c: np.ndarray  # [k, 5] coefficients
    pairs: np.ndarray
    of_a: np.ndarray
    full: np.ndarray
    at_k: np.ndarray
    cosine: np.ndarray
    jaccard: np.ndarray
    spearman: dict[str, tuple[float, float]]  # with 1 - J: of A, and the mean over shuffled columns

    def name(self, pair: int) -> str:
        return " and ".join(NAMES[i] for i in self.pairs[pair])


@cache
def worked() -> Worked:
    a = np.array(A, np.float64)
    pairs = np.array(list(combinations(range(a.shape[1]), 2)))
    svd = truncated_svd(scale_acts(sparse.csc_matrix(a), "raw"), a.shape[1])
    c = svd.coefficients
    sides = {"of_a": a.T, "full": c, "at_k": c[:, :K]}
    far = {name: -pair_similarity(rows, pairs, "euclid") for name, rows in sides.items()}
    return Worked(
        a=a, s=svd.s, u=svd.u[:, :K], c=c[:, :K].T, pairs=pairs, cosine=pair_similarity(c[:, :K], pairs, "cosine"),
        jaccard=jaccard_distance(sparse.csc_matrix(a > 0, dtype=np.float64), pairs), spearman=_spearman(a, pairs),
        **far,
    )  # fmt: skip


def _spearman(a: np.ndarray, pairs: np.ndarray) -> dict[str, tuple[float, float]]:
    real, rng = _correlations(a, pairs), np.random.default_rng(0)
    null = [_correlations(shuffle_columns(sparse.csc_matrix(a), rng).toarray(), pairs) for _ in range(N_SHUFFLES)]
    return {name: (value, float(np.nanmean([n[name] for n in null]))) for name, value in real.items()}


def _correlations(a: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
    """Spearman with Jaccard distance over the pairs."""
    own = ranks(jaccard_distance(sparse.csc_matrix(a > 0, dtype=np.float64), pairs))[0]
    c = truncated_svd(scale_acts(sparse.csc_matrix(a), "raw"), K).coefficients
    size = np.sqrt((a > 0).sum(0)[pairs].sum(1))
    sides = {
        "distance": -pair_similarity(c, pairs, "euclid"),
        "1 - cosine": -pair_similarity(c, pairs, "cosine"),
        "size": size,
    }  # fmt: skip
    return {name: float(ranks(side)[0] @ own) for name, side in sides.items()}


# --- as HTML ---------------------------------------------------------------------------------------------------


def sentences(w: Worked) -> list[str]:
    """What agrees and what does not, from the numbers."""
    nearest = int(w.at_k.argmin())
    also = w.jaccard[nearest] == w.jaccard.min()
    agree = "and they are also the nearest" if also else "though they are not the nearest"
    apart = np.flatnonzero(w.jaccard == 1)
    wrong = int(apart[w.at_k[apart].argmin()])
    some = np.flatnonzero(w.jaccard < 1)
    far = int(some[w.at_k[some].argmax()])
    d, cos, size = (w.spearman[n] for n in ("distance", "1 - cosine", "size"))
    return [
        f"At full rank distances in C are those between columns of A: the largest difference is "
        f"{np.abs(w.full - w.of_a).max():.0e}. C says nothing of A that its columns do not.",
        f"What agrees: {w.name(nearest)} are nearest in C ({number(w.at_k[nearest])}), {agree} by Jaccard "
        f"({number(w.jaccard[nearest])}).",
        f"What does not: {w.name(wrong)} never fire together (Jaccard distance {number(w.jaccard[wrong])}), and yet "
        f"only {number(w.at_k[wrong])} lies between them in C, because both are rare: short columns end up near the "
        f"origin, and so near each other. {w.name(far)} do fire together (Jaccard distance {number(w.jaccard[far])}) "
        f"and are {number(w.at_k[far])} apart, because one of them is large.",
        f"Cosine takes the lengths off: {number(w.cosine[wrong], 2)} for {w.name(wrong)}, {number(w.cosine[far], 2)} "
        f"for {w.name(far)}.",
        f"Spearman with Jaccard distance over the {len(w.pairs)} pairs: distance in C {d[0]:+.2f} (mean over "
        f"{N_SHUFFLES} shuffles of the columns {d[1]:+.2f}), cosine {cos[0]:+.2f} (shuffled {cos[1]:+.2f}), how often "
        f"the two fire, sqrt(p + q), {size[0]:+.2f} (shuffled {size[1]:+.2f}). Ten pairs prove nothing; they show how "
        "it is computed.",
    ]  # fmt: skip


def worked_html(w: Worked) -> str:
    """A, its singular values, U and C, all pairs, and what they say."""
    contexts, proto = [f"context {i + 1}" for i in range(len(w.a))], [f"prototype {i + 1}" for i in range(K)]
    steps = [
        _table("A: acts of five features on the last tokens of six contexts", ["", *NAMES],
               [[name, *(f"{v:.0f}" for v in row)] for name, row in zip(contexts, w.a, strict=True)]),
        _table(f"Singular values; the first {K} are kept", ["", *(str(i + 1) for i in range(len(w.s)))],
               [["s", *map(number, w.s)]]),
        _table("U: prototypes, one column each", ["", *proto],
               [[name, *(f"{v:.2f}" for v in row)] for name, row in zip(contexts, w.u + 0.0, strict=True)]),
        _table("C = S Vᵀ: each feature as a mix of prototypes", ["", *NAMES],
               [[name, *(f"{v:.2f}" for v in row)] for name, row in zip(proto, w.c + 0.0, strict=True)]),
    ]  # fmt: skip
    order = np.argsort(w.at_k, kind="stable")
    head = ["pair", f"distance in C, k = {K}", "at full rank", f"cosine, k = {K}", "Jaccard distance"]
    rows = [
        [w.name(i), *(f"{v + 0.0:.2f}" for v in (w.at_k[i], w.full[i], w.cosine[i], w.jaccard[i]))] for i in order
    ]  # fmt: skip
    said = "".join(f"<li>{escape(text)}</li>" for text in sentences(w))
    pairs = _table("All pairs, nearest in C first", head, rows)
    return f'<div class="p-steps">{"".join(steps)}</div>{pairs}<ul>{said}</ul>'


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(v)}</td>" for v in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="p-scroll"><table class="p-list"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )
