"""The tables of a run that is made of a published csv: one phrase is one context.

A phrase was tried on the feature it was written for and on no other, so a feature's density is over its own phrases
only; what other phrases would decide is absent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from core import parquet
from core.analyses.feature_statistics import compute_feature_tables
from core.formats.decomposability import PublishedCsv
from core.formats.decomposability_counts import LabelTest, share_interval
from core.formats.decomposability_tables import SOURCE
from core.store import Run
from core.tables import (
    ACTIVATION_INDEX,
    CONTEXTS,
    FEATURES,
    LABELS,
    NEAR_MISSES,
    VOCABULARY,
    TableSpec,
    activations_spec,
)


def write_tables(folder: Path, csv: PublishedCsv, tests: list[LabelTest]) -> None:
    """All tables of a run, through the same specs and statistics as any other."""
    context_of, firsts = _contexts_of(csv)
    tables: dict[TableSpec, pa.Table] = {
        CONTEXTS: _context_table(csv, firsts),
        VOCABULARY: pa.table(
            [pa.array(range(len(csv.str_tokens)), pa.int32()), pa.array(csv.str_tokens), pa.array(csv.special)],
            schema=VOCABULARY.schema,
        ),
        NEAR_MISSES: NEAR_MISSES.schema.empty_table(),
        LABELS: _label_table(tests),
        **_activation_tables(csv, context_of),
    }
    for spec, table in tables.items():
        parquet.write_table(folder / f"{spec.name}.parquet", table, spec)
    special = frozenset(np.flatnonzero(csv.special).tolist())
    for spec, table in compute_feature_tables(Run(folder), None, special).items():
        fitting = _over_own_phrases(table, tests) if spec is FEATURES else table
        parquet.write_table(folder / f"{spec.name}.parquet", fitting, spec)


def _contexts_of(csv: PublishedCsv) -> tuple[np.ndarray, np.ndarray]:
    """Context of each phrase tried, and the phrase that stands for each context: equal tokens are one context."""
    seen: dict[bytes, int] = {}
    context_of = np.array([seen.setdefault(t.token_ids.tobytes(), len(seen)) for t in csv.tried], np.int32)
    return context_of, np.unique(context_of, return_index=True)[1]


def _context_table(csv: PublishedCsv, firsts: np.ndarray) -> pa.Table:
    tried = [csv.tried[i] for i in firsts]
    n = len(tried)
    columns = [
        pa.array(np.arange(n, dtype=np.int32)),
        pa.array(np.arange(n, dtype=np.int32)),
        pa.array(np.zeros(n, np.int32)),
        pa.array([t.token_ids for t in tried], pa.list_(pa.int32())),
        pa.array([int((~csv.special[t.token_ids]).sum()) for t in tried], pa.int32()),
        pa.array([f"line {t.line}" for t in tried], pa.string()),
    ]
    return pa.table(columns, schema=CONTEXTS.schema)


def _activation_tables(csv: PublishedCsv, context_of: np.ndarray) -> dict[TableSpec, pa.Table]:
    """Every firing at a token that is not special. Equal tokens on one feature count once: the first reply holds."""
    spec = activations_spec("float32")
    once = {(t.feature, int(c)): t for t, c in reversed(list(zip(csv.tried, context_of, strict=True)))}
    rows = [(*key, np.flatnonzero((once[key].values > 0) & ~csv.special[once[key].token_ids])) for key in sorted(once)]
    lengths = [len(pos) for *_, pos in rows]
    feature = np.repeat(np.array([f for f, *_ in rows], np.int32), lengths)
    pos = np.concatenate([p for *_, p in rows]).astype(np.int16)
    act = np.concatenate([once[f, c].values[p] for f, c, p in rows])
    context = np.repeat(np.array([c for _, c, _ in rows], np.int32), lengths)
    features = np.unique(np.array([t.feature for t in csv.tried], np.int32))
    first, past = np.searchsorted(feature, [features, features + 1])
    return {
        spec: pa.table([feature, context, pos, act], schema=spec.schema),
        ACTIVATION_INDEX: pa.table([features, first, past - first], schema=ACTIVATION_INDEX.schema),
    }


def _label_table(tests: list[LabelTest]) -> pa.Table:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [{"feature": t.feature, "label": t.label, "source": SOURCE, "added_at": at} for t in tests]
    return pa.Table.from_pylist(rows, schema=LABELS.schema)


def _over_own_phrases(table: pa.Table, tests: list[LabelTest]) -> pa.Table:
    """The feature table with density over the phrases tried on each feature, and without what other phrases decide.

    ``density_lo``, ``density_hi``: the bootstrap of other runs, over the feature's own phrases. A feature is
    ``dead`` when none of its phrases fires; it is not called rare or dense, for the phrases were written for it.
    ``token_r2`` would count phrases that the feature was never tried on as silent: absent.
    """
    lengths: dict[int, dict[bytes, tuple[int, int]]] = {}
    for test in tests:
        for m in (m for part in test.parts.values() for m in part):
            own = lengths.setdefault(test.feature, {})
            own.setdefault(m.tried.token_ids.tobytes(), (int((~m.special).sum()), int((m.acts > 0).sum())))
    ordered = [list(lengths[feature].values()) for feature in table["feature"].to_pylist()]
    n_firings = np.array([sum(k for _, k in own) for own in ordered])
    bounds = [share_interval([n for n, _ in own], [k for _, k in own]) for own in ordered]
    absent = pa.nulls(len(ordered), pa.float32())
    changed: dict[str, pa.Array] = {
        "density": pa.array(n_firings / np.array([sum(n for n, _ in own) for own in ordered])),
        "density_lo": pa.array([lo for lo, _ in bounds], pa.float64()),
        "density_hi": pa.array([hi for _, hi in bounds], pa.float64()),
        "flag": pa.array(np.where(n_firings == 0, "dead", "").tolist()),
        "token_r2": absent,
        "token_r2_null": absent,
    }
    for name, column in changed.items():
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    return table
