"""Runs on disk: find them, read them, check them.

``<cache-dir>/<run name>/`` holds ``run.json`` and the run's tables. A folder without ``run.json`` does not
exist: writing happens in ``<cache-dir>/.partial-<name>``, the manifest comes last, one rename ends it
(``core.publish``). A run that is replaced waits in ``.old-<name>`` for the moment between two renames; who is killed
there loses nothing: the next to open the run puts it back. Locks lie beside the run folders, ``.lock...``, so that a
folder holds only what is copied.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core import parquet
from core.errors import DamagedError, InputError, NotFoundError, did_you_mean
from core.recipe import NAME
from core.run_folder import FORMAT, MANIFEST, changing, seal, sync_names
from core.tables import (
    ACTIVATION_INDEX,
    CONTEXTS,
    FEATURES,
    HISTOGRAMS,
    LABELS,
    NEAR_MISSES,
    NEIGHBOURS,
    RUN_TABLES,
    VOCABULARY,
    activations_spec,
)

SPECS = {spec.name: spec for spec in (*RUN_TABLES, LABELS)}
SECTIONS = ("recipe", "provenance", "sae", "model", "corpus", "fidelity", "counts", "tables")


@dataclass(frozen=True)
class Store:
    """All runs of one cache directory. A run is named, never given by a path, except by ``open_run``."""

    cache_dir: Path

    def names(self) -> list[str]:
        """Names of the complete runs, sorted."""
        if not self.cache_dir.is_dir():
            return []
        found = {p.parent.name for p in self.cache_dir.glob(f"*/{MANIFEST}")}
        found |= {p.parent.name.removeprefix(".old-") for p in self.cache_dir.glob(f".old-*/{MANIFEST}")}
        return sorted(name for name in found if NAME.fullmatch(name))

    def unfinished(self) -> list[str]:
        """Names of runs that were started and neither finished nor discarded."""
        return sorted(p.name.removeprefix(".partial-") for p in self.cache_dir.glob(".partial-*") if p.is_dir())

    def run(self, name: str) -> Run:
        """The run of that name; NotFoundError with the nearest names otherwise."""
        if name not in self.names():
            known = self.names()
            raise NotFoundError(
                f"there is no run {name!r}",
                did_you_mean(name, known) or f"runs in {self.cache_dir}: {', '.join(known) or 'none'}",
                "list them with `prism list`, or make one with `prism run RECIPE.toml`",
            )
        target = self.cache_dir / name
        if not target.exists():
            with changing(target):
                self.put_back(name)
        return Run(target)

    def open_run(self, name_or_path: str) -> Run:
        """For the command line only: a run's name in the cache directory, or the path of its folder."""
        path = Path(name_or_path)
        return Run(path.resolve()) if (path / MANIFEST).is_file() else self.run(name_or_path)

    def partial(self, name: str) -> Path:
        """Where a run is being written."""
        return self.cache_dir / f".partial-{name}"

    def replaced(self, name: str) -> Path:
        """Where the run that is being replaced waits between two renames."""
        return self.cache_dir / f".old-{name}"

    def put_back(self, name: str) -> None:
        """Give a run its place again whose replacement was killed between the two renames; ``changing`` is held."""
        target, old = self.cache_dir / name, self.replaced(name)
        if not target.exists() and (old / MANIFEST).is_file():
            old.rename(target)
            sync_names(self.cache_dir)


@dataclass(frozen=True)
class FeatureActs:
    """All firings of one feature, sorted by context, pos. Arrays of equal length ``[n_firings]``."""

    context: np.ndarray  # int32
    pos: np.ndarray  # int16
    act: np.ndarray  # float32, SAE units

    @property
    def largest(self) -> float:
        """The largest act, SAE units: what shades are drawn against; 0 without firings."""
        return float(self.act.max()) if len(self.act) else 0.0


@dataclass(frozen=True)
class FeatureBlock:
    """The firings of consecutive encoded features: feature ``features[i]`` owns rows ``ptr[i] : ptr[i + 1]``."""

    features: np.ndarray  # int32 [n]
    ptr: np.ndarray  # int64 [n + 1]
    context: np.ndarray  # int32 [rows]
    pos: np.ndarray  # int16 [rows]
    act: np.ndarray  # float32 [rows]


@dataclass(frozen=True)
class FlatContexts:
    """All tokens of a run: context ``c`` owns ``token_ids[ptr[c] : ptr[c + 1]]``, special tokens included."""

    ptr: np.ndarray  # int64 [n_contexts + 1]
    token_ids: np.ndarray  # int32 [n_positions]
    document: np.ndarray  # int32 [n_contexts]


class Run:
    """One model x SAE x corpus on disk, read lazily. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self._lock = threading.Lock()
        self._files: dict[str, pq.ParquetFile] = {}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """``run.json``: recipe, provenance, sae, model, corpus, fidelity, counts, tables."""
        try:
            manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DamagedError(
                f"run {self.name!r} has no readable {MANIFEST}",
                str(error),
                f"copy the run again, or `prism run RECIPE.toml --replace` to make {self.name!r} anew",
            ) from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            found = manifest.get("format") if isinstance(manifest, dict) else manifest
            raise DamagedError(
                f"run {self.name!r} is of another format",
                f"expected {FORMAT}, found {found}",
                "encode it anew",
            )
        missing = [key for key in SECTIONS if not isinstance(manifest.get(key), dict)]
        if missing or seal(manifest) != manifest.get("seal"):
            raise DamagedError(
                f"the {MANIFEST} of run {self.name!r} is damaged",
                f"it lacks {', '.join(missing)}" if missing else "it is not what was written",
                f"copy the run again, or `prism run RECIPE.toml --replace` to make {self.name!r} anew",
            )
        return manifest

    def _footer(self, name: str) -> str | None:
        """The digest of a table's footer; None while the run is being written and for labels, which change."""
        if name == LABELS.name or not (self.path / MANIFEST).exists():
            return None
        return self.manifest["tables"].get(name, {}).get("footer_sha256")

    # --- whole tables -------------------------------------------------------------------------------

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A whole small table as a frame."""
        path, spec = self.path / f"{name}.parquet", SPECS.get(name)
        wanted = columns or (spec.schema.names if spec else None)
        table = parquet.read_table(path, wanted, self._footer(name))
        _check_schema(path, name, table.schema, wanted)
        return table.to_pandas()

    @cached_property
    def str_tokens(self) -> np.ndarray:
        """``[n_vocabulary]`` object array: how each token id reads."""
        frame = self.table(VOCABULARY.name, ["str_token"])
        return frame["str_token"].to_numpy(dtype=object)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Token ids that are masked everywhere."""
        frame = self.table(VOCABULARY.name, ["token_id", "is_special"])
        return frozenset(frame.loc[frame["is_special"], "token_id"].tolist())

    def features(self) -> pd.DataFrame:
        """The feature table with the first label of each feature as column ``label`` ("" without one)."""
        frame = self.table(FEATURES.name)
        first = self.labels().drop_duplicates("feature").set_index("feature")["label"]
        labels = frame["feature"].map(first).astype(object)
        return frame.assign(label=labels.where(labels.notna(), "").astype(str))

    def labels(self) -> pd.DataFrame:
        """All labels; an empty frame when the run has none."""
        if not (self.path / f"{LABELS.name}.parquet").exists():
            return LABELS.schema.empty_table().to_pandas()
        return self.table(LABELS.name)

    # --- one feature --------------------------------------------------------------------------------

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frame = self.table(ACTIVATION_INDEX.name)
        feature, first_row, n_firings = (frame[c].to_numpy() for c in ACTIVATION_INDEX.schema.names)
        return feature, first_row, n_firings

    @property
    def encoded_features(self) -> np.ndarray:
        """``[n_features]`` int32, ascending: the features this run encoded."""
        return self._index[0]

    def require_feature(self, feature: int) -> int:
        """The feature itself if this run encoded it; otherwise an error that says what it did encode."""
        d_sae, known = self.manifest["sae"]["d_sae"], self.encoded_features
        if feature < 0 or (d_sae is not None and feature >= d_sae):
            raise NotFoundError(
                f"there is no feature {feature}",
                "features count from 0" if d_sae is None else f"this SAE has features 0 to {d_sae - 1}",
                "choose one of those",
            )
        if known[min(int(np.searchsorted(known, feature)), len(known) - 1)] != feature:
            near = known[np.argsort(np.abs(known.astype(np.int64) - feature), kind="stable")[:5]].tolist()
            raise NotFoundError(
                f"feature {feature} was not encoded in this run",
                f"{len(known)}{f' of {d_sae}' if d_sae is not None else ''} features were; nearest numbers: {near}",
                'encode it too: encode.features = "all" in the recipe' if d_sae is not None else "choose one of those",
            )
        return feature

    def acts(self, feature: int) -> FeatureActs:
        """All firings of a feature by reading only the row groups that hold them."""
        features, first_row, n_firings = self._index
        i = int(np.searchsorted(features, self.require_feature(feature)))
        table = self._firings(features[i : i + 1], int(first_row[i]), int(n_firings[i]))
        context, pos, act = (table[c].to_numpy() for c in ("context", "pos", "act"))
        return FeatureActs(context, pos, act.astype(np.float32))

    def near_misses(self, feature: int) -> pd.DataFrame:
        """The feature's rows of ``near_misses``, highest first."""
        return self._rows_of(NEAR_MISSES.name, feature)

    def neighbours(self, feature: int) -> pd.DataFrame:
        """The feature's rows of ``neighbours``, nearest first."""
        return self._rows_of(NEIGHBOURS.name, feature)

    def histograms(self, feature: int) -> pd.DataFrame:
        """The feature's rows of ``histograms``; empty without firings."""
        return self._rows_of(HISTOGRAMS.name, feature)

    def blocks(self, max_rows: int = 4_000_000) -> Iterator[FeatureBlock]:
        """All activations in order of feature, in blocks of whole features of at most ``max_rows`` rows.

        A feature with more firings than ``max_rows`` comes alone in a larger block.
        """
        features, first_row, n_firings = self._index
        start = 0
        while start < len(features):
            ends = np.cumsum(n_firings[start:])
            stop = start + max(1, int(np.searchsorted(ends, max_rows, side="right")))
            n = int(n_firings[start:stop].sum())
            table = self._firings(features[start:stop][n_firings[start:stop] > 0], int(first_row[start]), n)
            ptr = np.concatenate([[0], np.cumsum(n_firings[start:stop])])
            context, pos, act = (table[c].to_numpy() for c in ("context", "pos", "act"))
            yield FeatureBlock(features[start:stop], ptr, context, pos, act.astype(np.float32))
            start = stop

    def flat_contexts(self) -> FlatContexts:
        """Every context's tokens end to end: 4 bytes a token in memory, for statistics over the whole run."""
        path = self.path / f"{CONTEXTS.name}.parquet"
        table = parquet.read_table(path, ["document", "token_ids"], self._footer(CONTEXTS.name))
        ids = table["token_ids"].combine_chunks()
        return FlatContexts(
            ptr=np.asarray(ids.offsets, dtype=np.int64),
            token_ids=np.asarray(ids.values, dtype=np.int32),
            document=table["document"].to_numpy(),
        )

    # --- contexts -----------------------------------------------------------------------------------

    def contexts(self, ids: np.ndarray | list[int]) -> pd.DataFrame:
        """Rows of ``contexts`` in the order asked for (repeats allowed), read by row group."""
        wanted = np.asarray(ids, dtype=np.int64)
        if not len(wanted):
            return CONTEXTS.schema.empty_table().to_pandas()
        file, path = self._open(CONTEXTS.name)
        n_contexts = file.metadata.num_rows
        if not 0 <= wanted.min() <= wanted.max() < n_contexts:
            beyond = int(wanted.min() if wanted.min() < 0 else wanted.max())
            raise NotFoundError(
                f"there is no context {beyond}", f"this run has contexts 0 to {n_contexts - 1}", "choose one of those"
            )
        size = CONTEXTS.row_group_size
        groups = np.unique(wanted // size)
        with self._lock:
            table = parquet.read_row_groups(file, path, groups.tolist(), CONTEXTS.schema.names)
        have = table["context"].to_numpy()
        return table.take(pa.array(np.searchsorted(have, wanted))).to_pandas()

    def tokens_at(self, contexts: Sequence[int], positions: Sequence[int]) -> list[str]:
        """The str_token at each (context, pos)."""
        rows = self.contexts(np.asarray(contexts))
        ids = [ids[pos] for ids, pos in zip(rows["token_ids"], positions, strict=True)]
        return self.str_tokens[np.asarray(ids, dtype=np.int64)].tolist()

    # --- reading by row -----------------------------------------------------------------------------

    def _open(self, name: str) -> tuple[pq.ParquetFile, Path]:
        path = self.path / f"{name}.parquet"
        with self._lock:
            if name not in self._files:
                file = parquet.open_file(path, self._footer(name))
                _check_schema(path, name, file.schema_arrow)
                self._files[name] = file
            return self._files[name], path

    def _rows(self, name: str, first: int, n: int, columns: list[str]) -> pa.Table:
        """Rows ``first .. first + n`` of a table whose row groups all have the first one's size."""
        file, path = self._open(name)
        if not 0 <= first <= first + n <= file.metadata.num_rows:
            raise parquet.damaged(path, f"rows {first} to {first + n} are beyond its end")
        if not n:
            with parquet.reporting(path):
                return file.schema_arrow.empty_table().select(columns)
        size = file.metadata.row_group(0).num_rows
        groups = range(first // size, (first + n - 1) // size + 1)
        with self._lock:
            table = parquet.read_row_groups(file, path, groups, columns)
        start = first - groups[0] * size
        if table.num_rows < start + n:
            raise parquet.damaged(path, f"rows {first} to {first + n} are beyond its end")
        return table.slice(start, n)

    def _firings(self, features: np.ndarray, first: int, n: int) -> pa.Table:
        """Rows of activations, which must begin with the first of ``features`` and end with the last."""
        table = self._rows("activations", first, n, ["feature", "context", "pos", "act"])
        if n and (table["feature"][0].as_py(), table["feature"][-1].as_py()) != (features[0], features[-1]):
            raise parquet.damaged(
                self.path / f"{ACTIVATION_INDEX.name}.parquet", f"rows {first} to {first + n} belong to other features"
            )
        return table

    def _rows_of(self, name: str, feature: int) -> pd.DataFrame:
        """All rows of one feature in a table sorted by feature, found by the row groups' statistics."""
        self.require_feature(feature)
        file, path = self._open(name)
        groups = [g for g, (lo, hi) in enumerate(self._bounds(name)) if lo <= feature <= hi]
        if not groups:
            return file.schema_arrow.empty_table().to_pandas()
        with self._lock:
            table = parquet.read_row_groups(file, path, groups, SPECS[name].schema.names)
        return table.filter(pc.equal(table["feature"], feature)).to_pandas()

    def _bounds(self, name: str) -> list[tuple[int, int]]:
        file, _ = self._open(name)
        meta = file.metadata
        stats = [meta.row_group(g).column(0).statistics for g in range(meta.num_row_groups)]
        if not all(s is not None and s.has_min_max for s in stats):
            raise parquet.damaged(self.path / f"{name}.parquet", "its footer has no statistics")
        return [(s.min, s.max) for s in stats]

    # --- checking -----------------------------------------------------------------------------------

    def verify(self) -> list[str]:
        """Every way in which the run is not what was written, as sentences; an empty list when whole."""
        problems: list[str] = []
        for name, entry in self.manifest["tables"].items():
            path = self.path / entry["file"]
            if not path.is_file():
                problems.append(f"{entry['file']} is missing")
            elif path.stat().st_size != entry["bytes"]:
                problems.append(f"{entry['file']} has {path.stat().st_size} bytes, expected {entry['bytes']}")
            elif parquet.sha256(path) != entry["sha256"]:
                problems.append(f"{entry['file']} differs from what was written (sha256 of table {name})")
        return problems


def _check_schema(path: Path, name: str, schema: pa.Schema, wanted: list[str] | None = None) -> None:
    """Refuse a table of known name that lacks columns of its spec (of those ``wanted``) or has them of other types."""
    wide = "act" in schema.names and schema.field("act").type == pa.float32()
    spec = activations_spec("float32" if wide else "float16") if name == "activations" else SPECS.get(name)
    for column in spec.columns if spec else ():
        if wanted is None or column.name in wanted:
            found = schema.field(column.name).type if column.name in schema.names else "nothing"
            if found != column.type:
                raise parquet.damaged(path, f"column {column.name!r} should be {column.type}, found {found}")


def check_name(name: str) -> str:
    """A name that may become a file or folder name; anything else is refused."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be used as a name",
            "lower-case letters, digits, . _ - and at most 64",
            "choose another",
        )
    return name
