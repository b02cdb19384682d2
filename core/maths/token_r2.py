"""How token-driven a feature is: held-out R^2 of act on token id over all positions, by a sparse formula.

Method: Activation Pattern SVD, comment "A has no token identity" (METHODS: the in-sample share of variance
between tokens is about (distinct tokens - 1) / (positions - 1) even for a feature that ignores tokens), so
means come from other documents than those they are judged on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class TokenHalves:
    """Tokens of every position and a random split of the documents in two halves."""

    ptr: np.ndarray  # [n_contexts + 1] int64: positions of a context
    token: np.ndarray  # [n_positions] int32
    rotated: np.ndarray  # [n_positions] int32: real tokens rotated by a random offset inside each context
    half: np.ndarray  # [n_contexts] int8: 0 | 1, the same for all contexts of a document
    n: np.ndarray  # [2, n_vocabulary] float64: real positions of each token in each half

    @classmethod
    def over(
        cls, ptr: np.ndarray, token: np.ndarray, is_special: np.ndarray, document: np.ndarray, seed: int | list[int]
    ) -> TokenHalves:
        """Split and rotate. ``is_special [n_vocabulary]`` marks ids that are no position; ``document [n_contexts]``.

        Half the documents (rounded down) are half 1. A context of one real token stays as it is.
        """
        rng = np.random.default_rng(seed)
        n_documents = int(document.max()) + 1 if len(document) else 0
        of_document = np.zeros(n_documents, np.int8)
        of_document[rng.permutation(n_documents)[: n_documents // 2]] = 1
        half = of_document[document]
        rotated, n = _rotate(ptr, token, is_special, half, rng.random(len(document)))
        return cls(ptr, token, rotated, half, n)

    def r2(
        self, ptr: np.ndarray, context: np.ndarray, pos: np.ndarray, act: np.ndarray, null: bool = False
    ) -> np.ndarray:
        """Held-out R^2 ``[n]`` of each segment of firings, zeros at all other real positions included.

        1 - sum (y - y^)^2 / sum (y - mean y)^2 over all real positions of both halves, where y^ is the mean act
        of the token id in the *other* half, and that half's overall mean for tokens it lacks. At most 1; below 0
        for a feature that ignores tokens, by about twice (distinct tokens / positions), for means of few
        positions are noise. NaN where a half has no firing (nothing to learn or nothing to judge) or act is the
        same everywhere. ``null``: with the rotated tokens, which keep each context's tokens and break their
        places: what remains is topic, not token.
        """
        out = np.empty(len(ptr) - 1)
        _r2(ptr, context, pos, act, self.ptr, self.rotated if null else self.token, self.half, self.n, out)
        return out


@njit(cache=True, nogil=True)
def _rotate(ptr, token, is_special, half, luck):  # type: ignore[no-untyped-def]
    """Rotated tokens and the count of each real token by half; ``luck [n_contexts]`` uniform in 0..1."""
    rotated, n = token.copy(), np.zeros((2, len(is_special)))
    for c in range(len(ptr) - 1):
        real = np.empty(ptr[c + 1] - ptr[c], np.int64)
        length = 0
        for p in range(ptr[c], ptr[c + 1]):
            if not is_special[token[p]]:
                real[length] = p
                length += 1
                n[half[c], token[p]] += 1
        if length > 1:
            offset = 1 + int(luck[c] * (length - 1))
            for k in range(length):
                rotated[real[k]] = token[real[(k + offset) % length]]
    return rotated, n


@njit(cache=True, nogil=True)
def _r2(ptr, context, pos, act, ctx_ptr, token, half, n, out):  # type: ignore[no-untyped-def]
    sums = np.zeros((2, n.shape[1]))  # of one feature's acts by half and token; only touched cells are cleared
    touched = np.empty(n.shape[1], np.int64)
    n_half = n.sum(axis=1)
    unseen = np.zeros(2)  # positions of each half whose token the other half lacks
    for t in range(n.shape[1]):
        for h in range(2):
            unseen[h] += n[h, t] if n[1 - h, t] == 0 else 0.0
    for i in range(len(ptr) - 1):
        n_touched, squares = 0, 0.0
        total = np.zeros(2)
        for r in range(ptr[i], ptr[i + 1]):
            c, a = context[r], np.float64(act[r])  # float() would keep float32
            t, h = token[ctx_ptr[c] + pos[r]], half[c]
            if sums[0, t] == 0 and sums[1, t] == 0:
                touched[n_touched] = t
                n_touched += 1
            sums[h, t] += a
            total[h] += a
            squares += a * a
        error = squares
        for h in range(2):
            error += _excess(sums, n, touched[:n_touched], h, total[1 - h] / max(n_half[1 - h], 1.0), unseen[h])
        spread = squares - (total[0] + total[1]) ** 2 / max(n_half.sum(), 1.0)
        defined = total[0] > 0 and total[1] > 0 and spread > 1e-12 * squares
        out[i] = 1 - error / spread if defined else np.nan
        for k in range(n_touched):
            sums[:, touched[k]] = 0.0


@njit(cache=True, nogil=True)
def _excess(sums, n, touched, h, mean, unseen):  # type: ignore[no-untyped-def]
    """Sum over half ``h`` of (y - y^)^2 - y^2 = y^ (y^ - 2 y), grouped by token; ``mean`` is the other half's."""
    other, excess = 1 - h, mean * mean * unseen
    for t in touched:
        if n[other, t] > 0:
            guess = sums[other, t] / n[other, t]
            excess += n[h, t] * guess * guess - 2 * guess * sums[h, t]
        else:
            excess -= 2 * mean * sums[h, t]
    return excess
