"""Statistics of every encoded feature: the tables ``features``, ``histograms`` and ``neighbours``.

Each column's definition is in core.tables, its method in the module of core.maths that computes it:

- ``density_lo``, ``density_hi``: bootstrap over documents (``bootstrap``); null in a run of fewer than 10
  documents, except 0 and the rule-of-three bound for a feature without firings.
- ``token_r2``: act on token id, cross-fitted between two random halves of the documents (``token_r2``);
  absent with firings in fewer than 10 documents or with none in one half. Its null rotates the tokens inside
  each context.
- ``top_divergence``: peak tokens of the top 20 contexts against those of all other firing contexts
  (``peak_tokens``); its null splits the same contexts at random.
- ``act_*`` and histograms: over firings (``statistics``); linear bins from 0, log bins from the smallest act.
- ``nearest_*`` and ``neighbours``: cosine of decoder rows (``neighbours``), 10 per feature.

Results depend on the tables, the directions and ``seed``, not on block sizes or the number of threads.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from core.errors import PrismError
from core.maths.bootstrap import DocumentBootstrap, document_counts
from core.maths.neighbours import Neighbours, nearest_by_cosine
from core.maths.peak_tokens import find_peaks, frequent_tokens, top_divergences
from core.maths.statistics import ActSummary, summarise_acts
from core.maths.token_r2 import TokenHalves
from core.parquet import damaged
from core.store import FeatureBlock, FlatContexts, Run
from core.tables import ACTIVATION_INDEX, CONTEXTS, FEATURES, HISTOGRAMS, NEIGHBOURS, VOCABULARY, TableSpec

Progress = Callable[[float], None]

N_NEIGHBOURS = 10
R2_MIN_DOCUMENTS = 10
ULTRA_RARE_CONTEXTS = 10
DENSE = 0.1
BLOCK_ROWS = 2_000_000
N_THREADS = 2
ACTS_SHARE = 0.8  # of the time, for the progress bar; the rest is neighbours


@dataclass(frozen=True)
class Directions:
    """What the SAE's weights say of each encoded feature; rows in the order of the encoded features."""

    decoder: np.ndarray  # [n_features, d_in] float32, as loaded
    bias: np.ndarray  # [n_features], encoder bias (gated: the gate's)
    threshold: np.ndarray | None  # [n_features], JumpReLU only

    @classmethod
    def unknown(cls, n_features: int) -> Directions:
        """For activations that came without the SAE: nothing is known, and nothing has neighbours."""
        return cls(np.full((n_features, 1), np.nan, np.float32), np.full(n_features, np.nan), None)


def compute_feature_tables(
    run: Run,
    directions: Directions | None,
    special_ids: frozenset[int],
    seed: int = 0,
    progress: Progress | None = None,
    max_rows: int = BLOCK_ROWS,
) -> dict[TableSpec, pa.Table]:
    """The three tables of a run whose contexts, vocabulary, activations and activation index are written.

    ``directions`` None: the SAE's weights are not here; what they say is null and nothing has a neighbour.
    ``progress`` is told the share done, 0..1. Memory: the run's tokens twice (4 bytes each), up to 64 MB of
    bootstrap weights, the decoder twice, and a few blocks of ``max_rows`` activations at about 60 bytes each.
    """
    features, tell = run.encoded_features, progress or _quiet
    directions = directions or Directions.unknown(len(features))
    if len(directions.decoder) != len(features):
        raise PrismError("directions do not fit the run", f"{len(directions.decoder)} rows, {len(features)} features")
    texts = _Texts.of(run, special_ids, seed)
    acts = _join(_each_block(run, texts, seed, max_rows, lambda share: tell(ACTS_SHARE * share)))
    near = nearest_by_cosine(
        directions.decoder, N_NEIGHBOURS, lambda share: tell(ACTS_SHARE + (1 - ACTS_SHARE) * share)
    )
    return {
        FEATURES: _feature_table(features, acts, directions, near, texts.n_positions, run.str_tokens),
        HISTOGRAMS: _histogram_table(features, acts.summary),
        NEIGHBOURS: _neighbour_table(features, near),
    }


def _quiet(share: float) -> None:
    """Progress nobody asked for."""


@dataclass(frozen=True)
class _Texts:
    """What the statistics need of the run's text."""

    flat: FlatContexts
    document: np.ndarray  # [n_contexts] int32, 0-based without gaps
    n_positions: int  # that are not special
    halves: TokenHalves
    bootstrap: DocumentBootstrap

    @classmethod
    def of(cls, run: Run, special_ids: frozenset[int], seed: int) -> _Texts:
        flat, n_vocabulary = run.flat_contexts(), len(run.str_tokens)
        if len(flat.token_ids) and not 0 <= flat.token_ids.min() <= flat.token_ids.max() < n_vocabulary:
            raise damaged(run.path / f"{VOCABULARY.name}.parquet", "contexts hold token ids that it lacks")
        is_special = np.isin(np.arange(n_vocabulary), list(special_ids))
        document = np.unique(flat.document, return_inverse=True)[1].astype(np.int32)
        halves = TokenHalves.over(flat.ptr, flat.token_ids, is_special, document, [seed, 0])
        real = np.concatenate([[0], np.cumsum(~is_special[flat.token_ids])])[flat.ptr]
        lengths = np.bincount(document, weights=np.diff(real))
        return cls(flat, document, int(lengths.sum()), halves, DocumentBootstrap.over(lengths, [seed, 1]))


@dataclass(frozen=True)
class _Acts:
    """What the firings of some features say; rows in the order of the features."""

    n_firings: np.ndarray
    n_contexts: np.ndarray
    n_documents: np.ndarray
    interval: np.ndarray  # [n, 2]
    summary: ActSummary
    r2: np.ndarray  # [n, 2]: real, null
    divergence: np.ndarray  # [n, 3]: observed, null, p
    frequent: np.ndarray  # [n, 5] token ids, -1 where fewer


def _each_block(run: Run, texts: _Texts, seed: int, max_rows: int, progress: Progress) -> Iterator[_Acts]:
    """Statistics block by block, in order, computed by a few threads while the next block is read."""
    waiting: deque[Future[_Acts]] = deque()
    n_rows, n_done = max(1, int(run.table(ACTIVATION_INDEX.name, ["n_firings"])["n_firings"].sum())), 0
    with ThreadPoolExecutor(N_THREADS) as pool:
        for block in run.blocks(max_rows):
            _check(block, texts.flat, run)
            waiting.append(pool.submit(_block_acts, block, texts, len(run.str_tokens), seed))
            while len(waiting) > N_THREADS:
                done = waiting.popleft().result()
                n_done += int(done.n_firings.sum())
                progress(n_done / n_rows)
                yield done
        yield from (future.result() for future in waiting)


def _check(block: FeatureBlock, flat: FlatContexts, run: Run) -> None:
    """Refuse firings that lie outside the contexts, which compiled code would follow anywhere in memory."""
    n_contexts, path = len(flat.document), run.path / "activations.parquet"
    if not len(block.act):
        return
    if not 0 <= block.context.min() <= block.context.max() < n_contexts:
        raise damaged(path, f"it names contexts beyond the {n_contexts} of {CONTEXTS.name}")
    if block.pos.min() < 0 or (block.pos >= np.diff(flat.ptr)[block.context]).any():
        raise damaged(path, "it names positions beyond the end of their context")
    if not (np.isfinite(block.act).all() and block.act.min() > 0):
        raise damaged(path, 'acts must be finite and above 0 (too large for float16? store_dtype = "float32")')


def _block_acts(block: FeatureBlock, texts: _Texts, n_vocabulary: int, seed: int) -> _Acts:
    firings = (block.ptr, block.context, block.pos, block.act)
    peaks = find_peaks(*firings, texts.flat.ptr, texts.flat.token_ids)
    doc_ptr, documents, counts = document_counts(block.ptr, block.context, texts.document)
    n_documents = np.diff(doc_ptr)
    r2 = np.stack([texts.halves.r2(*firings), texts.halves.r2(*firings, null=True)], axis=1)
    r2[n_documents < R2_MIN_DOCUMENTS] = np.nan
    return _Acts(
        n_firings=np.diff(block.ptr),
        n_contexts=np.diff(peaks.ptr),
        n_documents=n_documents,
        interval=texts.bootstrap.intervals(doc_ptr, documents, counts),
        summary=summarise_acts(block.ptr, block.act),
        r2=r2,
        divergence=top_divergences(peaks, block.features, n_vocabulary, seed),
        frequent=frequent_tokens(peaks, n_vocabulary),
    )


def _join(parts: Iterable[Any]) -> Any:
    """One record of arrays from records of the same kind, end to end; records inside records too."""
    first, *_ = parts = list(parts)
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    return type(first)(**{f.name: _join(getattr(part, f.name) for part in parts) for f in fields(first)})


def _flags(acts: _Acts, density: np.ndarray) -> np.ndarray:
    rare = acts.n_contexts < ULTRA_RARE_CONTEXTS
    return np.select([acts.n_firings == 0, rare, density > DENSE], ["dead", "ultra-rare", "dense"], "")


def _feature_table(
    features: np.ndarray,
    acts: _Acts,
    directions: Directions,
    near: Neighbours,
    n_positions: int,
    str_tokens: np.ndarray,
) -> pa.Table:
    density = acts.n_firings / max(1, n_positions)
    frequent = [[str_tokens[t] for t in row if t >= 0] for row in acts.frequent]
    columns = {
        "feature": features,
        "n_firings": acts.n_firings,
        "n_contexts": acts.n_contexts,
        "n_documents": acts.n_documents,
        "density": density,
        "density_lo": acts.interval[:, 0],
        "density_hi": acts.interval[:, 1],
        "flag": _flags(acts, density),
        "act_max": acts.summary.max,
        "act_mean": acts.summary.mean,
        **dict(zip(("act_q10", "act_q50", "act_q90", "act_q99"), acts.summary.quantiles.T, strict=True)),
        "token_r2": acts.r2[:, 0],
        "token_r2_null": acts.r2[:, 1],
        **dict(zip(("top_divergence", "top_divergence_null", "top_divergence_p"), acts.divergence.T, strict=True)),
        "top_tokens": [json.dumps(tokens, ensure_ascii=False) for tokens in frequent],
        "decoder_norm": np.linalg.norm(directions.decoder.astype(np.float64), axis=1),
        "bias": directions.bias,
        "threshold": np.full(len(features), np.nan) if directions.threshold is None else directions.threshold,
        "nearest_feature": np.ma.masked_array(features[near.index[:, 0]], near.index[:, 0] < 0),
        "nearest_cosine": near.cosine[:, 0],
    }
    return _table(columns, FEATURES)


def _histogram_table(features: np.ndarray, summary: ActSummary) -> pa.Table:
    fired = np.flatnonzero(summary.linear.any(axis=1)).repeat(2)
    log = np.arange(len(fired)) % 2 == 1
    columns = {
        "feature": features[fired],
        "scale": np.where(log, "log", "linear"),
        "lo": np.where(log, summary.log_lo[fired], np.float32(0)),
        "hi": summary.max[fired],
        "counts": list(np.where(log[:, None], summary.log[fired], summary.linear[fired])),
    }
    return _table(columns, HISTOGRAMS)


def _neighbour_table(features: np.ndarray, near: Neighbours) -> pa.Table:
    row, rank = np.nonzero(near.index >= 0)
    columns = {
        "feature": features[row],
        "rank": rank,
        "neighbour": features[near.index[row, rank]],
        "cosine": near.cosine[row, rank],
    }
    return _table(columns, NEIGHBOURS)


def _table(columns: dict[str, Any], spec: TableSpec) -> pa.Table:
    """A table of the spec's types; NaN and masked values become null."""
    return pa.table({c.name: _column(columns[c.name], c.type) for c in spec.columns}, schema=spec.schema)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if not isinstance(values, np.ndarray) or values.dtype.kind == "U":
        return pa.array(values, kind)
    absent = np.ma.getmaskarray(values) | (np.isnan(values) if values.dtype.kind == "f" else False)
    return pa.array(np.asarray(values).astype(kind.to_pandas_dtype()), kind, mask=absent)
