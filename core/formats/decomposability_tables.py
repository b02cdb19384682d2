"""A published csv as a decomposition result: the tables of ``core.analyses.decomposition_tables``, nothing invented.

Every label is UNDECIDED: the file has no controls, so there is no theta5, no rate of other labels and no test of any
part. What it does have, counts at threshold 0 without BOS, is given with intervals; the rest is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from core.analyses.decomposition_tables import CLASS_RATES, GROUPS, PHRASES, RETESTS, TESTS
from core.formats.decomposability import PublishedCsv
from core.formats.decomposability_counts import N_NEEDED, LabelTest, Measured
from core.formats.neuronpedia_activation import is_special
from core.maths.rates import clopper_pearson, upper_limit
from core.maths.verdict_rules import UNDECIDED
from core.tables import TableSpec

SOURCE = "published csv"


def result_tables(csv: PublishedCsv, tests: list[LabelTest]) -> dict[TableSpec, pa.Table]:
    """The result's tables; tests are numbered in their order."""
    return {
        TESTS: _table(TESTS, [_test_row(i, test, csv) for i, test in enumerate(tests)]),
        GROUPS: _table(GROUPS, [row for i, test in enumerate(tests) for row in _group_rows(i, test)]),
        PHRASES: _phrases(csv, tests),
        CLASS_RATES: _table(CLASS_RATES, [_class_row(len(tests))]),
        RETESTS: RETESTS.schema.empty_table(),
    }


def _test_row(i: int, test: LabelTest, csv: PublishedCsv) -> dict[str, Any]:
    fired, n = int(test.fired.sum()), int(test.n.sum())
    why = _reason(test)
    return {
        "test": i,
        "feature": test.feature,
        "label": test.label,
        "label_source": SOURCE,
        "style": "published",
        "proposer": "upload",
        "generator": csv.name,
        "kind": UNDECIDED,
        "reason": why,
        "kind_theta0": UNDECIDED,
        "reason_theta0": why,
        "bos_act": _bos_act(test, csv),
        "parts_rate": fired / n,
        "n_parts": len(test.parts),
        "n_parts_firing": test.n_firing,
        "n_phrases": n,
        "n_needed": N_NEEDED,
        "evenness": test.evenness,
        "differ_p": test.differ_p,
        "published_count": test.reading,
        "problems": _problems(test),
        "asked": [],
    }


def _bos_act(test: LabelTest, csv: PublishedCsv) -> float | None:
    """The act at BOS, the same for every text but for rounding; None where no reply begins with a special token."""
    phrases = [m.tried for part in test.parts.values() for m in part]
    acts = [t.values[0] for t in phrases if is_special(csv.str_tokens[t.token_ids[0]], 0, t.phrase)]
    return float(max(acts)) if acts else None


def _reason(test: LabelTest) -> str:
    few = sorted(set(test.n.tolist()))
    phrases = f"{few[0]}" if len(few) == 1 else f"{few[0]} to {few[-1]}"
    return (
        f"{int(test.fired.sum())} of {int(test.n.sum())} phrases fire, in {test.n_firing} of {len(test.parts)} parts. "
        f"With {phrases} phrases a part, no control phrases and none for the whole label this settles nothing: "
        f"test the label again with at least {N_NEEDED} phrases a part."
    )


def _problems(test: LabelTest) -> list[str]:
    phrases = [m for part in test.parts.values() for m in part]
    on_bos, firing = sum(m.max_is_special for m in phrases), sum(m.fires_somewhere for m in phrases)
    if not on_bos:
        return []
    return [f"{on_bos} of {firing} phrases have their largest act on BOS, which does not count here"]


def _group_rows(i: int, test: LabelTest) -> Iterator[dict[str, Any]]:
    """Parts, then all of them together, at threshold 0."""
    for at, name in enumerate(test.parts):
        yield _group_row(i, "part", at, name, int(test.fired[at]), int(test.n[at]))
    yield _group_row(i, "pooled", -1, "all parts", int(test.fired.sum()), int(test.n.sum()))


def _group_row(i: int, group: str, part: int, name: str, fired: int, n: int) -> dict[str, Any]:
    lo, hi = clopper_pearson(np.array([fired]), np.array([n]))
    upper = upper_limit(np.array([fired]), np.array([n]))
    return {
        "test": i,
        "theta": "theta0",
        "group": group,
        "part_index": part,
        "name": name,
        "n": n,
        "fired": fired,
        "rate": fired / n,
        "lo": float(lo[0]),
        "hi": float(hi[0]),
        "upper": float(upper[0]),
    }


def _class_row(n: int) -> dict[str, Any]:
    lo, hi = clopper_pearson(np.array([n]), np.array([n]))
    return {
        "kind": UNDECIDED,
        "n": n,
        "share": 1.0,
        "share_lo": float(lo[0]),
        "share_hi": float(hi[0]),
        "n_swapped": 0,
    }


def _phrases(csv: PublishedCsv, tests: list[LabelTest]) -> pa.Table:
    """One row per phrase, special tokens left out; built from arrays, for a file may hold millions of tokens."""
    places = [
        (i, at, k, m)
        for i, test in enumerate(tests)
        for at, part in enumerate(test.parts.values())
        for k, m in enumerate(part)
    ]
    all_measured = [m for *_, m in places]
    real = [~m.special for m in all_measured]
    ids = _joined([m.tried.token_ids[keep] for m, keep in zip(all_measured, real, strict=True)], np.int32)
    acts = _joined([m.tried.values[keep] for m, keep in zip(all_measured, real, strict=True)], np.float32)
    offsets = pa.array(np.concatenate([[0], np.cumsum([int(keep.sum()) for keep in real])]), pa.int32())
    n = len(places)
    columns: dict[str, Any] = {
        "test": [i for i, *_ in places],
        "group": ["part"] * n,
        "part_index": [at for _, at, *_ in places],
        "phrase_index": [k for *_, k, _ in places],
        "phrase": [m.tried.phrase for m in all_measured],
        "call": np.zeros(n, np.int32),
        "document": [None] * n,
        "str_tokens": pa.ListArray.from_arrays(offsets, pa.array(csv.str_tokens, pa.string()).take(pa.array(ids))),
        "acts": pa.ListArray.from_arrays(offsets, pa.array(acts, pa.float32())),
        "max_act": np.array([m.max_act for m in all_measured], np.float32),
        "n_firing": [_n_firing(m) for m in all_measured],
    }
    return pa.table({c.name: pa.array(columns[c.name], c.type) for c in PHRASES.columns}, schema=PHRASES.schema)


def _n_firing(m: Measured) -> int:
    return int((m.acts > 0).sum())


def _joined(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)


def _table(spec: TableSpec, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows sorted as the spec says; what a row leaves out is null."""
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in spec.sort))
    schema = spec.schema  # made anew by each use
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in ordered], schema)
