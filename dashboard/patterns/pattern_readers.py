"""The caches over prototypes and distances, bounded and keyed by what is on disk, as in ``readers``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.results import Result
from core.store import Run
from dashboard import readers
from dashboard.examples import Group
from dashboard.patterns import pattern_charts, pattern_data, pattern_facts, pattern_map, pattern_pair, pattern_picture
from dashboard.patterns.pattern_data import CONJECTURE, DISTANCES, PROTOTYPES, Chosen, Mix, Near, Prototypes
from dashboard.patterns.pattern_map import Map, Pairs
from dashboard.patterns.pattern_pair import Pair
from dashboard.patterns.pattern_picture import Picture
from dashboard.patterns.pattern_window import Window
from dashboard.readers import Stamp, manifest_stamp
from dashboard.wording import missing


def require_prototypes(run: Run) -> Prototypes:
    """The newest prototypes of a run; NotFoundError with the command that makes them."""
    folder = pattern_data.require_newest(run, PROTOTYPES).path
    beside = pattern_data.compared(run)
    folders = [folder] if beside is None else [folder, beside.path]
    return _prototypes(folders, tuple(map(str, folders)), manifest_stamp(folders))


def card(run: Run, found: Prototypes, method: str, number: int) -> list[Group]:
    """The contexts of one prototype."""
    folder = found.result.path
    return _card(run, found, str(folder), manifest_stamp([folder]), method, number)


def mix_of(run: Run, feature: int) -> Mix | None:
    """The feature as a mix of prototypes; None where the run has none."""
    found = pattern_data.newest(run, PROTOTYPES)
    return None if found is None else _mix(found.path, str(found.path), manifest_stamp([found.path]), feature)


def require_distances(run: Run) -> Result:
    return pattern_data.require_newest(run, DISTANCES)


def scatters(run: Run) -> list[str]:
    """The variants whose pairs are stored, named ``raw, k = 24`` or ``raw, all``."""
    return list(scatter(run)["variant"].unique())


def scatter(run: Run) -> pd.DataFrame:
    """The table of that name of the newest conjecture; NotFoundError where there is none."""
    folder = pattern_data.require_newest(run, CONJECTURE).path
    return _scatter(folder, str(folder), manifest_stamp([folder]))


def _k(k: object) -> str:
    return "all" if missing(k) else f"k = {int(k)}"  # type: ignore[call-overload]


def near(result: Result, feature: int) -> Near:
    """Neighbours and histograms of one feature."""
    return _near(result.path, str(result.path), manifest_stamp([result.path]), feature)


def mapped(run: Run, result: Result, which: str, listed: Sequence[int], feature: int, near: Near, by: str) -> Chosen:
    """The features that a map may show."""
    table = readers.feature_table(run).frame
    return pattern_data.mapped(table, result, which, listed, feature, near, by)


def pairs(run: Run, result: Result, features: np.ndarray) -> Pairs:
    """All pairs of some features ``[n]`` int64."""
    return _pairs(run, result.path, str(result.path), manifest_stamp([result.path]), features.tobytes())


def arranged(result: Result, of: Pairs, by: str) -> Map:
    """The same in the order of a dendrogram."""
    return _arranged(of, str(result.path), manifest_stamp([result.path]), of.features.tobytes(), by)


def picture(run: Run, result: Result, of: Pairs, found: Map, window: Window) -> Picture:
    """A part of the map as a screen shows it."""
    stamp = manifest_stamp([result.path])
    return _picture(run, of, found, str(result.path), stamp, of.features.tobytes(), found.by, window)


def pair(run: Run, result: Result, a: int, b: int) -> Pair:
    """Where two features fire, together and alone."""
    return _pair(run, result.path, str(result.path), manifest_stamp([result.path]), a, b)


@st.cache_resource(max_entries=4, show_spinner="Reading the prototypes")
def _prototypes(_folders: list[Path], paths: tuple[str, ...], stamp: Stamp) -> Prototypes:
    return pattern_data.load_prototypes(_folders[0], _folders[1] if len(_folders) > 1 else None)


@st.cache_resource(max_entries=32, show_spinner=False)
def _card(_run: Run, _found: Prototypes, path: str, stamp: Stamp, method: str, number: int) -> list[Group]:
    return pattern_data.card_groups(_run, _found, method, number, lambda ids: readers.contexts(_run, ids))


@st.cache_resource(max_entries=64, show_spinner=False)
def _mix(_folder: Path, path: str, stamp: Stamp, feature: int) -> Mix | None:
    return pattern_data.load_mix(_folder, feature)


@st.cache_resource(max_entries=4, show_spinner=False)
def _scatter(_folder: Path, path: str, stamp: Stamp) -> pd.DataFrame:
    table = Result(_folder).table("scatter")
    return table.assign(variant=[f"{s}, {_k(k)}" for s, k in zip(table["scale"], table["k"], strict=True)])


@st.cache_resource(max_entries=32, show_spinner=False)
def _near(_folder: Path, path: str, stamp: Stamp, feature: int) -> Near:
    return pattern_data.load_near(_folder, feature)


@st.cache_resource(max_entries=3, show_spinner="Counting what fires together")
def _pairs(_run: Run, _folder: Path, path: str, stamp: Stamp, features: bytes) -> Pairs:
    return pattern_map.load_pairs(_run, _folder, np.frombuffer(features, np.int64))


@st.cache_resource(max_entries=4, show_spinner=False)
def _arranged(_pairs: Pairs, path: str, stamp: Stamp, features: bytes, by: str) -> Map:
    return pattern_map.arrange(_pairs, by)


@st.cache_resource(max_entries=8, show_spinner=False)
def _picture(
    _run: Run, _pairs: Pairs, _found: Map, path: str, stamp: Stamp, features: bytes, by: str, window: Window
) -> Picture:
    table = readers.feature_rows(_run, _pairs.features.tolist())
    names = [pattern_facts.known_as(*row) for row in zip(table["label"], table["tokens"], strict=True)]
    shown = pattern_picture.picture(_pairs, _found, window, names)
    alt = pattern_map.map_alt(_found, _pairs, window, pattern_charts.affinity_name(by))
    return Picture(shown.about | {"alt": alt}, shown.body)


@st.cache_resource(max_entries=16, show_spinner=False)
def _pair(_run: Run, _folder: Path, path: str, stamp: Stamp, a: int, b: int) -> Pair:
    result = Result(_folder)
    per_context = result.manifest["params"]["per"] == "context"
    n_units = int(result.table("units", ["n_units"])["n_units"].iloc[0])
    return pattern_pair.load_pair(
        _run, a, b, per_context, n_units, lambda f: readers.acts(_run, f), lambda ids: readers.contexts(_run, ids)
    )
