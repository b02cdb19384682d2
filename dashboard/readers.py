"""The caches over the store (``pattern_readers`` has more). All are bounded and keyed by the state of the run on disk.

``cache_resource`` hands out one shared object and copies nothing, so what it returns is never changed by a page.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import DamagedError, PrismError
from core.results import MANIFEST as RESULT_MANIFEST
from core.run_folder import MANIFEST
from core.settings import Settings
from core.store import FeatureActs, Run, Store
from core.tables import CONTEXTS, LABELS
from dashboard import examples
from dashboard.examples import Group
from dashboard.paste import Index, RunCard, card_of
from dashboard.truths import truth_data
from dashboard.truths.truth_data import Known, Truth
from dashboard.verdicts import verdict_data
from dashboard.verdicts.verdict_data import Tested, TestRef
from dashboard.wording import one_line

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class FeatureTable:
    """All features of a run with the columns ``label``, ``tokens`` (top tokens in words) and ``search_text``."""

    frame: pd.DataFrame  # index 0..n-1, ascending feature
    index: Index
    labels: pd.DataFrame  # all labels of all features, ascending feature


class ContextRow(NamedTuple):
    """One row of ``contexts``."""

    context: int
    document: int
    source: str
    token_ids: np.ndarray  # [n_pos] int32


class ContextReader:
    """Contexts by id. A page shows 30 from all over the run, the next page 30 others of the same row groups: decoded
    groups are kept, the ones used longest ago go. 128 groups of 256 contexts of 128 tokens are about 20 MB."""

    MAX_GROUPS = 128

    def __init__(self, run: Run) -> None:
        self._run, self._size, self._lock = run, CONTEXTS.row_group_size, threading.Lock()
        self._groups: OrderedDict[int, list[ContextRow]] = OrderedDict()

    def rows(self, ids: np.ndarray) -> list[ContextRow]:
        with self._lock:
            wanted = [divmod(int(i), self._size) for i in ids]
            missing = sorted({group for group, _ in wanted} - self._groups.keys())
            for group in missing:
                self._groups[group] = self._read(group)
            found = []
            for group, at in wanted:
                self._groups.move_to_end(group)
                found.append(self._groups[group][at])
            while len(self._groups) > self.MAX_GROUPS:
                self._groups.popitem(last=False)
            return found

    def _read(self, group: int) -> list[ContextRow]:
        n_contexts = self._run.manifest["corpus"]["n_contexts"]
        ids = np.arange(group * self._size, min((group + 1) * self._size, n_contexts))
        frame = self._run.contexts(ids)
        columns = (frame[name] for name in ContextRow._fields)
        return [ContextRow(int(c), int(d), str(s), t) for c, d, s, t in zip(*columns, strict=True)]


def store() -> Store:
    return Store(Settings.from_env().cache_dir)


def run_names() -> list[str]:
    """The complete runs, newest first."""
    return sorted(store().names(), key=lambda name: (-_stamp(store().cache_dir / name)[0], name))


def run(name: str) -> Run:
    """The run of that name as it is on disk now; NotFoundError with the nearest names otherwise."""
    found = store().run(name)
    opened = _run(str(found.path), _stamp(found.path))
    opened.manifest  # noqa: B018 - read now, so that a damaged one is said before anything is drawn
    return opened


def cards() -> list[RunCard]:
    """How the SAEs of all runs are known; a run whose manifest cannot be read is known by its name."""
    found = []
    for name in run_names():
        try:
            found.append(card_of(run(name).manifest, name))
        except PrismError:
            found.append(RunCard(name))
    return found


def feature_table(run: Run) -> FeatureTable:
    return _feature_table(run, str(run.path), _stamp(run.path))


def acts(run: Run, feature: int) -> FeatureActs:
    return _acts(run, str(run.path), _stamp(run.path), feature)


def contexts(run: Run, ids: np.ndarray) -> list[ContextRow]:
    """The contexts asked for, in that order; row groups read before are kept."""
    return _contexts(run, str(run.path), _stamp(run.path)).rows(ids)


def example_groups(
    run: Run, feature: int, seed: int, width: int | None, n_top: int, n_random: int, n_band: int, n_near: int
) -> list[Group]:
    """The contexts of a feature's page, chosen and cut."""
    found = acts(run, feature)
    picked = examples.choose(
        examples.peaks_of(found), run.near_misses(feature), (seed, feature), n_top, n_random, n_band, n_near
    )
    return examples.groups_of(picked, found, lambda ids: contexts(run, ids), run.str_tokens, run.special_ids, width)


def feature_row(run: Run, feature: int) -> dict[str, Any]:
    """The feature's row of the table; NotFoundError when the run did not encode it."""
    table = feature_table(run).frame
    at = int(table["feature"].searchsorted(run.require_feature(feature)))
    if at >= len(table) or table["feature"].iat[at] != feature:
        raise DamagedError(f"the feature table of run {run.name!r} lacks feature {feature}", "", "encode the run anew")
    return {str(name): value for name, value in table.iloc[at].items()}


def feature_rows(run: Run, features: Iterable[int], **columns: Any) -> pd.DataFrame:
    """The table's rows of features of the run, in that order, with ``columns`` beside its own."""
    table = feature_table(run).frame
    rows: pd.DataFrame = table.iloc[table["feature"].searchsorted(np.fromiter(features, np.int64))]
    return rows.assign(**columns)


def labels_of(run: Run, feature: int) -> pd.DataFrame:
    labels = feature_table(run).labels
    lo, hi = labels["feature"].searchsorted([feature, feature + 1])
    return labels.iloc[lo:hi]


def decompositions(run: Run) -> tuple[Tested, ...]:
    """The run's decomposition tests, newest result first."""
    folders = verdict_data.folders(run.path)
    return _decompositions(folders, tuple(str(f) for f in folders), manifest_stamp(folders)) if folders else ()


def tests_of(run: Run, feature: int) -> list[TestRef]:
    """The tests of a feature's labels, the one to show first at the head."""
    return verdict_data.tests_of(decompositions(run), feature)


def require_truth(run: Run) -> Truth:
    """The run's planted truth; NotFoundError with what to do otherwise."""
    folder = truth_data.require_newest(run).path
    return _truth(folder, str(folder), manifest_stamp([folder]))


def truth_of(run: Run, feature: int) -> Known | None:
    """What planted truth says of a feature; None where the run has none."""
    try:
        return require_truth(run).known.get(feature) if truth_data.newest(run) else None
    except PrismError:  # said on the result's own page
        return None


def phrases(ref: TestRef) -> pd.DataFrame:
    """Every phrase of one test."""
    folder = ref.tested.result.path
    return _phrases(ref.tested, str(folder), manifest_stamp([folder]), ref.test)


def manifest_stamp(folders: Sequence[Path]) -> Stamp:
    statuses = [(folder / RESULT_MANIFEST).stat() for folder in folders]
    return tuple(n for s in statuses for n in (s.st_mtime_ns, s.st_size, s.st_ino))


def _stamp(folder: Path) -> Stamp:
    """What changes when a run is replaced or labels are added; zeros for a file that is not there."""
    stamp: Stamp = ()
    for name in (MANIFEST, f"{LABELS.name}.parquet"):
        try:
            status = (folder / name).stat()
            stamp += (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp += (0, 0, 0)
    return stamp


@st.cache_resource(max_entries=16, show_spinner=False)
def _run(path: str, stamp: Stamp) -> Run:
    return Run(Path(path))


@st.cache_resource(max_entries=4, show_spinner="Reading the feature table")
def _feature_table(_run: Run, path: str, stamp: Stamp) -> FeatureTable:
    frame = _run.features().sort_values("feature", ignore_index=True)
    tokens = [_token_list(text) for text in frame["top_tokens"]]
    frame["tokens"] = ["  ".join(one_line(t, 20) for t in row) for row in tokens]
    joined = (" ".join(row) for row in tokens)
    frame["search_text"] = [f"{label}\n{row}".lower() for label, row in zip(frame["label"], joined, strict=True)]
    return FeatureTable(frame, Index.of(frame["label"].tolist(), tokens), _run.labels().sort_values("feature"))


@st.cache_resource(max_entries=16, show_spinner=False)
def _acts(_run: Run, path: str, stamp: Stamp, feature: int) -> FeatureActs:
    return _run.acts(feature)


@st.cache_resource(max_entries=4, show_spinner="Reading the verdicts")
def _decompositions(_folders: list[Path], paths: tuple[str, ...], stamp: Stamp) -> tuple[Tested, ...]:
    return verdict_data.load_all(_folders)


@st.cache_resource(max_entries=4, show_spinner="Reading the planted truth")
def _truth(_folder: Path, path: str, stamp: Stamp) -> Truth:
    return truth_data.load(_folder)


@st.cache_resource(max_entries=16, show_spinner=False)
def _phrases(_tested: Tested, path: str, stamp: Stamp, test: int) -> pd.DataFrame:
    return verdict_data.load_phrases(_tested, test)


@st.cache_resource(max_entries=2, show_spinner=False)
def _contexts(_run: Run, path: str, stamp: Stamp) -> ContextReader:
    return ContextReader(_run)


def _token_list(text: object) -> list[str]:
    """``top_tokens`` of one feature; what is no JSON list (a table of another make) counts as no tokens."""
    try:
        values = json.loads(str(text))
    except ValueError:
        return []
    return [str(v) for v in values] if isinstance(values, list) else []
