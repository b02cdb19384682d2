"""Every affinity between the features of a list, from their own firings: the block that a heatmap is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from core.analyses.decoder import load_decoder
from core.errors import NotFoundError
from core.maths.affinities import dice, jaccard, overlap, phi
from core.store import Run
from core.tables import activations_spec

ROWS_PER_READ = activations_spec("float32").row_group_size


@dataclass(frozen=True)
class Block:
    """Arrays ``[n_features, n_features]``. ``decoder_cosine`` is None where the SAE is not here, the C ones without C.

    NaN in those of C: a feature that was left out of C, and in ``c_cosine`` a column without length.
    """

    features: np.ndarray  # [n_features] SAE units
    n_both: np.ndarray  # units where both fire; the diagonal: where the feature fires
    jaccard: np.ndarray
    dice: np.ndarray
    overlap: np.ndarray
    phi: np.ndarray
    decoder_cosine: np.ndarray | None
    c_cosine: np.ndarray | None = None
    c_euclid: np.ndarray | None = None  # units of A


def affinities_of(
    run: Run, features: np.ndarray, per_context: bool, n_units: int, coefficients: np.ndarray | None = None
) -> Block:
    """The block of some features that each fire; a unit is a position, or a context in which a feature fires anywhere.

    ``n_units`` in all, which only phi needs; ``coefficients [n_features, k]`` as ``coefficients_of`` gives them. Reads
    the firings of these features only, or all of them once where that is less.
    """
    both = counts_of(run, features, per_context)
    n_a, n_b = np.diag(both)[:, None], np.diag(both)[None, :]
    return Block(
        features=features,
        n_both=both,
        jaccard=jaccard(both, n_a, n_b),
        dice=dice(both, n_a, n_b),
        overlap=overlap(both, n_a, n_b),
        phi=phi(both, n_a, n_b, n_units),
        decoder_cosine=decoder_cosines(run, features),
        c_cosine=None if coefficients is None else cosines(coefficients),
        c_euclid=None if coefficients is None else gaps(coefficients),
    )


def counts_of(run: Run, features: np.ndarray, per_context: bool) -> np.ndarray:
    """``[n_features, n_features]`` int32: units where both fire; units and what is read as in ``affinities_of``."""
    codes = dict(_units(run, features, per_context))
    columns = np.repeat(np.arange(len(features)), [len(codes[int(f)]) for f in features])
    unit = np.unique(np.concatenate([codes[int(f)] for f in features]), return_inverse=True)[1]
    ones = np.ones(len(unit), np.int32)
    binary = sparse.csc_matrix((ones, (unit, columns)), shape=(int(unit.max()) + 1, len(features)))
    return np.asarray((binary.T @ binary).toarray())


def coefficients_of(table: pd.DataFrame, features: np.ndarray) -> np.ndarray:
    """Columns of C of some features ``[n_features, k]`` by the result's table ``coefficients``; NaN where left out."""
    known = np.stack(table["coefficients"].to_numpy()).astype(np.float64)
    place = pd.Index(table["feature"]).get_indexer(features)
    return np.where((place >= 0)[:, None], known[place], np.nan)


@dataclass(frozen=True)
class PairFirings:
    """Units of one kind (both fire, or one alone): how many, and their contexts, each once, strongest first.

    Arrays ``[n_contexts]``; ``pos_*`` is where the feature fires most in the unit shown; -1, and act 0, where silent.
    """

    n_units: int
    context: np.ndarray
    pos_a: np.ndarray
    pos_b: np.ndarray
    act_a: np.ndarray  # SAE units
    act_b: np.ndarray


def pair_firings(run: Run, a: int, b: int, per_context: bool, n_most: int = 20) -> dict[str, PairFirings]:
    """Where ``both`` fire, ``only_a`` and ``only_b``: at most ``n_most`` contexts each.

    Units as in ``affinities_of``, so the counts are those of its block. Both: in order of the smaller act, acts being
    shares of their feature's largest.
    """
    first, second = (_peaks(run, f, per_context).add_suffix(name) for f, name in ((a, "_a"), (b, "_b")))
    found = first.join(second, how="outer")
    found = found.fillna({"act_a": 0, "act_b": 0, "pos_a": -1, "pos_b": -1})
    fires = found[["act_a", "act_b"]].to_numpy() > 0
    shares = found[["act_a", "act_b"]] / found[["act_a", "act_b"]].max()
    found["rank"] = np.where(fires.all(1), shares.min(axis=1), shares.max(axis=1))
    kinds = {"both": fires.all(1), "only_a": fires[:, 0] & ~fires[:, 1], "only_b": fires[:, 1] & ~fires[:, 0]}
    return {name: _strongest(found[chosen], per_context, n_most) for name, chosen in kinds.items()}


def _peaks(run: Run, feature: int, per_context: bool) -> pd.DataFrame:
    """The largest act and its position in every unit where the feature fires, by unit."""
    acts = run.acts(feature)
    unit = acts.context.astype(np.int64) if per_context else _positions(acts.context, acts.pos)
    frame = pd.DataFrame({"unit": unit, "pos": acts.pos, "act": acts.act})
    largest_first = frame.sort_values(["unit", "act"], ascending=[True, False], kind="stable")
    return largest_first.drop_duplicates("unit").set_index("unit")


def _strongest(found: pd.DataFrame, per_context: bool, n_most: int) -> PairFirings:
    context = found.index.to_numpy() if per_context else found.index.to_numpy() >> 16
    order = found.assign(context=context).sort_values("rank", ascending=False, kind="stable")
    shown = order.drop_duplicates("context").head(n_most)
    at = {n: shown[n].to_numpy() for n in ("context", "pos_a", "pos_b", "act_a", "act_b")}
    whole = {n: v.astype(np.int32) for n, v in at.items() if not n.startswith("act")}
    return PairFirings(len(found), **whole, act_a=at["act_a"], act_b=at["act_b"])


def _units(run: Run, features: np.ndarray, per_context: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Each feature with the units where it fires, ascending."""
    wanted = set(features.tolist())
    if len(wanted) * ROWS_PER_READ < run.manifest["counts"]["n_firings"]:
        for feature in wanted:
            acts = run.acts(feature)
            yield feature, _unit(acts.context, acts.pos, per_context)
        return
    for block in run.blocks():
        for i, feature in enumerate(block.features.tolist()):
            if feature in wanted:
                at = slice(block.ptr[i], block.ptr[i + 1])
                yield feature, _unit(block.context[at], block.pos[at], per_context)


def _unit(context: np.ndarray, pos: np.ndarray, per_context: bool) -> np.ndarray:
    return np.unique(context.astype(np.int64)) if per_context else _positions(context, pos)


def _positions(context: np.ndarray, pos: np.ndarray) -> np.ndarray:
    return context.astype(np.int64) << 16 | pos.astype(np.int64)


def decoder_cosines(run: Run, features: np.ndarray) -> np.ndarray | None:
    """Cosines between decoder rows; None where the decoder is not here."""
    try:
        rows = load_decoder(run, features).astype(np.float64)
    except NotFoundError:
        return None
    return cosines(rows)


def cosines(rows: np.ndarray) -> np.ndarray:
    """Between rows; NaN where one has no length."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, np.nan)
    return unit @ unit.T


def gaps(rows: np.ndarray) -> np.ndarray:
    """Euclidean distances between rows."""
    squares = (rows**2).sum(1)
    gap = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0))
    np.fill_diagonal(gap, np.where(np.isnan(squares), np.nan, 0))
    return gap
