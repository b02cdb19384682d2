"""A published csv as a run of its own: one phrase is one context, and the pages open it without any model.

A phrase was tried on the feature it was written for and on no other, so a feature's density is over its own phrases
only. What needs the model, the SAE's weights or text that was not written for the feature is absent: fidelity,
pre-activations, decoder rows, token R2. Acts are as Neuronpedia returns them: decoder norm folded in, one positive
factor per feature away from those of a run encoded here.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core import parquet
from core.analyses.feature_statistics import compute_feature_tables
from core.engine import work
from core.errors import InputError
from core.formats.decomposability import PublishedCsv, read_decomposability
from core.formats.decomposability_counts import LabelTest, share_interval, summary, tests_of
from core.formats.decomposability_tables import SOURCE, result_tables
from core.results import PACKAGES, store_result
from core.store import FORMAT, Run, Store, check_name, table_entry, write_sealed
from core.tables import (
    ACTIVATION_INDEX,
    CONTEXTS,
    FEATURES,
    LABELS,
    NEAR_MISSES,
    RUN_TABLES,
    VOCABULARY,
    TableSpec,
    activations_spec,
)

VERSION = 1
FOLDER = "decomposition"
"""Where decomposition results of a run lie; equal to ``core.analyses.decomposition.ANALYSIS.key``."""
IMPORTED = "import"
"""Section of the manifest that holds what the import counted."""


@dataclass(frozen=True)
class Imported:
    """The run and what the import counted; ``already_there`` when this very file was imported before."""

    run: Run
    counts: dict[str, Any]
    already_there: bool


def import_decomposability(path: Path, store: Store, name: str, replace: bool = False) -> Imported:
    """Make a run of a published csv. InputError where the file is none, or the name is taken by another run."""
    check_name(name)
    with work.locked(store, name), work.disk_errors(store.cache_dir):
        started = time.monotonic()
        if not replace and (found := _known(store, name, path)) is not None:
            return Imported(found, found.manifest[IMPORTED], True)
        csv = read_decomposability(path)
        tests = tests_of(csv)
        counts = {"file": csv.name} | summary(csv, tests)
        folder = store.partial(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write_run(folder, csv, tests)
        _write_manifest(folder, name, csv, counts, time.monotonic() - started)
        _write_result(Run(folder), name, csv, tests, started)
        return Imported(store.publish(name), counts, False)


def _known(store: Store, name: str, path: Path) -> Run | None:
    """The run made of this very file; None where the name is free. InputError where something else has it."""
    if name in store.names():
        run = store.run(name)
        made_of = run.manifest["recipe"].get(IMPORTED, {}).get("sha256")
        if path.is_file() and made_of == parquet.sha256(path):
            return run
        what = "a run made of something else"
    elif store.partial(name).exists() and work.Work.read(store.partial(name)) is not None:
        what = "unfinished work"
    else:
        return None
    raise InputError(
        f"there is {what} of this name: {name!r}",
        f"in {store.cache_dir}",
        "choose another --name, or discard what is there with --replace",
    )


# --- the run's tables -----------------------------------------------------------------------------------


def _write_run(folder: Path, csv: PublishedCsv, tests: list[LabelTest]) -> None:
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


# --- manifest and result --------------------------------------------------------------------------------


def _write_manifest(folder: Path, name: str, csv: PublishedCsv, counts: dict[str, Any], seconds: float) -> None:
    """The manifest of a run that no recipe made: what was not measured is null, and says so where pages show it."""
    activations = activations_spec("float32")
    tables = {s.name: table_entry(folder / f"{s.name}.parquet") for s in (*RUN_TABLES, activations, LABELS)}
    model = csv.sae.partition("/")[0] or "not stated"
    recipe = {
        "name": name,
        IMPORTED: {"format": "decomposability-csv", "file": csv.name, "sha256": csv.sha256},
        "model": {"name": model},
        "sae": {"path": csv.sae or "not stated"},
        "corpus": {"path": csv.name},
    }
    manifest = {
        "format": FORMAT,
        "name": name,
        "recipe": recipe,
        "digest": hashlib.sha256(json.dumps([VERSION, csv.sha256]).encode()).hexdigest(),
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "provenance": _provenance(name, csv, seconds),
        "sae": _sae(csv),
        "model": {"name": model, "loader": "nobody: its activations were imported", "dtype": "dtype not stated"},
        "corpus": _corpus(csv, tables["contexts"]["n_rows"]),
        "fidelity": _fidelity(),
        "counts": {
            "n_features": counts["features"],
            "n_firings": tables["activations"]["n_rows"],
            "n_contexts": tables["contexts"]["n_rows"],
            "n_tokens": _n_tokens(csv)[0],
        },
        IMPORTED: counts,
        "tables": tables,
    }
    write_sealed(folder, manifest)


def _provenance(name: str, csv: PublishedCsv, seconds: float) -> dict[str, Any]:
    return {
        "packages": {package: version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": "no device: imported",
        "seconds": round(seconds, 3),
        "command": _command(name, csv),
    }


def _command(name: str, csv: PublishedCsv) -> str:
    return f"prism import decomposability-csv {shlex.quote(csv.name)} --name {name} --replace"


def _sae(csv: PublishedCsv) -> dict[str, Any]:
    """``d_sae`` None: the file does not say how wide the SAE is."""
    return {
        "architecture": "architecture not stated",
        "kind": None,
        "d_in": None,
        "d_sae": None,
        "hook_name": csv.sae.partition("/")[2] or "a hook not stated",
        "neuronpedia_id": csv.sae or None,
        "release": None,
        "sae_id": None,
        "weights_sha256": None,
    }


def _corpus(csv: PublishedCsv, n_contexts: int) -> dict[str, Any]:
    n_tokens, n_special = _n_tokens(csv)
    return {
        "name": csv.name,
        "sha256": csv.sha256,
        "licence": "not stated",
        "n_documents_read": csv.n_rows,
        "n_documents_used": n_contexts,
        "n_contexts": n_contexts,
        "n_tokens": n_tokens,
        "n_special": n_special,
    }


def _n_tokens(csv: PublishedCsv) -> tuple[int, int]:
    """Positions of all contexts that are not special, and those that are."""
    unique = {t.token_ids.tobytes(): t.token_ids for t in csv.tried}
    special = sum(int(csv.special[ids].sum()) for ids in unique.values())
    return sum(len(ids) for ids in unique.values()) - special, special


def _fidelity() -> dict[str, Any]:
    keys = ("n_tokens", "l0", "explained_variance", "dead_share", "stated_l0", "stated_explained_variance")
    return {
        "verdict": "not measured",
        **dict.fromkeys((*keys, "loss_recovered")),
        "cause": "neither model nor SAE were here: activations were imported",
        "remedy": "",
        "tried": {},
    }


def _write_result(run: Run, name: str, csv: PublishedCsv, tests: list[LabelTest], started: float) -> None:
    identity = {
        "analysis": FOLDER,
        "version": VERSION,
        "params": {"proposer": "upload", "style": "published", "source": csv.name},
        "inputs": {"csv": csv.sha256},
    }
    store_result(run, identity, result_tables(csv, tests), time.monotonic() - started, {"command": _command(name, csv)})
