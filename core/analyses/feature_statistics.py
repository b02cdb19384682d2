"""Statistics of every encoded feature: tables ``features``, ``histograms`` and ``neighbours``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from core.store import Run
from core.tables import FEATURES, HISTOGRAMS, NEIGHBOURS, TableSpec


@dataclass(frozen=True)
class Directions:
    """What the SAE's weights say of each encoded feature; rows in the order of the encoded features."""

    decoder: np.ndarray  # [n_features, d_in] float32, as loaded
    bias: np.ndarray  # [n_features]
    threshold: np.ndarray | None  # [n_features], JumpReLU only


def compute_feature_tables(
    run: Run,
    directions: Directions,
    special_ids: frozenset[int],
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> dict[TableSpec, pa.Table]:
    """The tables ``features``, ``histograms`` and ``neighbours`` of a run whose activations are written."""
    flat = run.flat_contexts()
    real = ~np.isin(flat.token_ids, list(special_ids))
    n_pos = int(real.sum())
    ctx_len = np.add.reduceat(real, flat.ptr[:-1]).astype(float)
    documents, doc = np.unique(flat.document, return_inverse=True)
    doc_len = np.bincount(doc, weights=ctx_len)
    rng = np.random.default_rng(seed)
    half = np.zeros(len(documents), bool)
    half[rng.permutation(len(documents))[: len(documents) // 2]] = True
    rotated = flat.token_ids.copy()
    for c in range(len(flat.document)):
        where = flat.ptr[c] + np.flatnonzero(real[flat.ptr[c] : flat.ptr[c + 1]])
        if len(where) > 1:
            rotated[where] = np.roll(flat.token_ids[where], rng.integers(1, len(where)))
    n_tok = len(run.str_tokens)
    pos_half = half[np.repeat(doc, np.diff(flat.ptr))]
    n_half = [np.bincount(flat.token_ids[real & (pos_half == h)], minlength=n_tok) for h in (False, True)]
    weights = rng.exponential(size=(1000, len(documents) + 1))
    rows, histograms = [], []
    for block in run.blocks():
        for i, feature in enumerate(block.features):
            part = slice(block.ptr[i], block.ptr[i + 1])
            context, act = block.context[part], block.act[part].astype(float)
            where = flat.ptr[context] + block.pos[part]
            token = flat.token_ids[where]
            per_doc = np.bincount(doc[context], minlength=len(documents)).astype(float)
            n, n_ctx = len(act), len(np.unique(context))
            row = dict.fromkeys(FEATURES.schema.names)
            density = n / n_pos
            row |= {"feature": feature, "n_firings": n, "n_contexts": n_ctx, "n_documents": int((per_doc > 0).sum())}
            row |= {"density": density, "top_tokens": "[]"}
            row["flag"] = "dead" if not n else "ultra-rare" if n_ctx < 10 else "dense" if density > 0.1 else ""
            row["density_lo"], row["density_hi"] = _interval(per_doc, doc_len, weights)
            if n:
                q = np.quantile(act, [0.1, 0.5, 0.9, 0.99])
                row |= {"act_max": act.max(), "act_mean": act.mean()}
                row |= dict(zip(("act_q10", "act_q50", "act_q90", "act_q99"), q, strict=True))
                histograms += _histograms(int(feature), act)
                peaks = np.lexsort((-act, context))
                first = np.r_[True, np.diff(context[peaks]) > 0]
                tokens, top = token[peaks][first], act[peaks][first]
                row["top_tokens"] = _top_tokens(tokens, top, run.str_tokens)
                if n_ctx >= 40:
                    row |= _divergence(tokens, top, np.random.default_rng([seed, int(feature)]))
                if row["n_documents"] >= 10:
                    row["token_r2"] = _r2(token, act, half[doc[context]], n_half, n_pos)
                    row["token_r2_null"] = _r2(rotated[where], act, half[doc[context]], n_half, n_pos)
            rows.append(row)
    neighbours = _neighbours(directions.decoder, [r["feature"] for r in rows])
    nearest = {r["feature"]: r for r in neighbours if r["rank"] == 0}
    for i, row in enumerate(rows):
        row["decoder_norm"] = float(np.linalg.norm(directions.decoder[i]))
        row["bias"] = float(directions.bias[i])
        row["threshold"] = None if directions.threshold is None else float(directions.threshold[i])
        if row["feature"] in nearest:
            row["nearest_feature"] = nearest[row["feature"]]["neighbour"]
            row["nearest_cosine"] = nearest[row["feature"]]["cosine"]
    if progress:
        progress(1.0)
    return {
        FEATURES: _table(rows, FEATURES),
        HISTOGRAMS: _table(histograms, HISTOGRAMS),
        NEIGHBOURS: _table(neighbours, NEIGHBOURS),
    }


def _table(rows: list[dict], spec: TableSpec) -> pa.Table:
    plain = [{k: v.item() if isinstance(v, np.generic) else v for k, v in r.items()} for r in rows]
    return pa.Table.from_pylist(plain, schema=spec.schema)


def _interval(per_doc, doc_len, weights):
    if not per_doc.any():
        return 0.0, 1 - 0.025 ** (1 / len(doc_len))
    if len(doc_len) < 2:
        return None, None
    draws = (weights[:, :-1] @ per_doc) / (weights[:, :-1] @ doc_len)
    return tuple(np.quantile(draws, [0.025, 0.975]))


def _histograms(feature, act):
    lo, hi = act.min(), act.max()
    lo = lo if lo < hi else hi / 10
    out = []
    for scale, start, edges in (("linear", 0.0, np.linspace(0, hi, 31)), ("log", lo, np.geomspace(lo, hi, 31))):
        edges[0], edges[-1] = start, hi
        counts = np.histogram(act, edges)[0].tolist()
        out.append({"feature": feature, "scale": scale, "lo": start, "hi": hi, "counts": counts})
    return out


def _top_tokens(tokens, top, names):
    ids, inverse, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    best = np.zeros(len(ids))
    np.maximum.at(best, inverse, top)
    return json.dumps([names[ids[k]] for k in np.lexsort((ids, -best, -counts))[:5]], ensure_ascii=False)


def _js(a, b):
    p, q = a / a.sum(), b / b.sum()
    both = (p > 0) & (q > 0)
    p, q = p[both], q[both]
    return 1 + 0.5 * (p * np.log2(p / (p + q)) + q * np.log2(q / (p + q))).sum()


def _divergence(tokens, top, rng):
    _, ids = np.unique(tokens, return_inverse=True)
    total = np.bincount(ids)

    def split(chosen):
        counts = np.bincount(ids[chosen], minlength=len(total))
        return _js(counts, total - counts)

    observed = split(np.lexsort((rng.random(len(top)), -top))[:20])
    null = np.array([split(rng.choice(len(ids), 20, replace=False)) for _ in range(200)])
    p = (1 + (null >= observed - 1e-9).sum()) / 201
    return {"top_divergence": observed, "top_divergence_null": np.quantile(null, 0.95), "top_divergence_p": p}


def _r2(token, act, side, n_half, n_pos):
    n_tok = len(n_half[0])
    if not side.any() or side.all():
        return None
    error = 0.0
    for test in (False, True):
        n_train, n_test = n_half[1 - int(test)], n_half[int(test)]
        sums = np.bincount(token[side != test], weights=act[side != test], minlength=n_tok)
        mean = np.where(n_train > 0, sums / np.maximum(n_train, 1), sums.sum() / n_train.sum())
        y, t = act[side == test], token[side == test]
        error += (y**2).sum() - 2 * (y * mean[t]).sum() + (n_test * mean**2).sum()
    return 1 - error / ((act**2).sum() - act.sum() ** 2 / n_pos)


def _neighbours(decoder, features):
    norm = np.linalg.norm(decoder, axis=1, keepdims=True)
    unit = decoder / np.where(norm > 0, norm, 1)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    cosine[:, norm[:, 0] == 0] = -np.inf
    rows = []
    for i, feature in enumerate(features):
        if norm[i] == 0:
            continue
        order = np.argsort(-cosine[i], kind="stable")[:10]
        rows += [
            {"feature": feature, "rank": r, "neighbour": features[j], "cosine": cosine[i, j]}
            for r, j in enumerate(order)
            if np.isfinite(cosine[i, j])
        ]
    return rows
