"""Prototypes and distances as pages need them: tables of a result, a prototype's contexts, a feature's mix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.analyses import conjecture, feature_distances, pattern_svd, prototype_interpretability
from core.analyses.base import Analysis
from core.errors import NotFoundError
from core.results import Result, require_result, results
from core.store import Run
from dashboard import examples
from dashboard.examples import Example, Group

CONJECTURE, DISTANCES, PROTOTYPES = conjecture.ANALYSIS, feature_distances.ANALYSIS, pattern_svd.ANALYSIS
BEFORE = 16  # tokens shown before a row
HARDLY = 0.2  # of the other end: what reaches no farther is no opposite
METHODS = ("varimax", "svd", "nmf")  # in the order in which they are offered
COLUMNS = ("jaccard", "dice", "overlap", "phi", "decoder_cosine", "c_cosine", "c_euclid", "n_both")
ENDS = {"+": "Most like it", "-": "Its opposite"}


@dataclass(frozen=True)
class Prototypes:
    """One result of ``pattern_svd``. ``groups`` compare prototypes with features; None where that was not computed."""

    result: Result
    matrix: dict[str, Any]
    spectrum: pd.DataFrame
    ranks: pd.DataFrame
    prototypes: pd.DataFrame
    loadings: pd.DataFrame
    rows: pd.DataFrame
    groups: pd.DataFrame | None

    @property
    def methods(self) -> list[str]:
        """Those that have prototypes; none where nothing stands above chance."""
        return [m for m in METHODS if (self.prototypes["method"] == m).any()]

    def of(self, table: pd.DataFrame, method: str, number: int | None = None) -> pd.DataFrame:
        mine = table["method"] == method
        return table[mine if number is None else mine & (table["prototype"] == number)]


@dataclass(frozen=True)
class Mix:
    """A feature as a mix of prototypes: its column of C. ``coefficients`` is empty where the feature was left out."""

    method: str
    coefficients: np.ndarray  # [k] units of A
    r2: float
    r2_null: float


@dataclass(frozen=True)
class Near:
    """What one result says of one feature's distances; no rows where it fires too rarely to be compared."""

    units: dict[str, Any]
    neighbours: pd.DataFrame
    histograms: pd.DataFrame
    whole: pd.DataFrame  # histograms of all pairs, with null_counts


def newest(run: Run, analysis: Analysis) -> Result | None:
    """The newest result that this version can read; None without one."""
    return next((r for r in results(run, analysis.key) if r.manifest["version"] == analysis.version), None)


def require_newest(run: Run, analysis: Analysis) -> Result:
    """The newest readable result; NotFoundError with the command that makes one."""
    if found := newest(run, analysis):
        return found
    old = require_result(run, analysis)
    raise NotFoundError(
        f"{analysis.title} of {run.name!r} was computed in another way",
        f"it is of version {old.manifest['version']}, this page reads version {analysis.version}",
        f"prism analyze {run.name} {analysis.key}",
    )


def load_prototypes(folder: Path, compared: Path | None) -> Prototypes:
    result = Result(folder)
    spectrum, ranks, prototypes = (result.table(n) for n in ("spectrum", "ranks", "prototypes"))
    loadings, rows = (result.table(n) for n in ("loadings", "prototype_rows"))
    matrix = {str(k): v for k, v in result.table("matrix").iloc[0].items()}
    groups = None if compared is None else Result(compared).table("groups")
    return Prototypes(result, matrix, spectrum, ranks, prototypes, loadings, rows, groups)


def compared(run: Run) -> Result | None:
    """The comparison of prototypes with features, if it was made."""
    return newest(run, prototype_interpretability.ANALYSIS)


def load_mix(folder: Path, feature: int) -> Mix | None:
    """None where the result has no prototypes at all."""
    result = Result(folder)
    rows = result.rows("coefficients", "feature", feature).set_index("method")
    if method := next((m for m in METHODS if m in rows.index), None):
        row = rows.loc[method]
        return Mix(method, np.asarray(row["coefficients"], np.float64), float(row["r2"]), float(row["r2_null"]))
    k = int(result.table("matrix", ["k"])["k"].iloc[0])
    return Mix(METHODS[0], np.empty(0), np.nan, np.nan) if k else None


# --- a prototype's contexts ----------------------------------------------------------------------------------


def card_groups(
    run: Run, found: Prototypes, method: str, number: int, contexts: Callable[[np.ndarray], Sequence[Any]]
) -> list[Group]:
    """Rows at both ends, each with the text before it; a token's number adds up the loadings that fire on it.

    Only the loadings stored, the largest, and of them those that pull to the end shown.
    """
    loadings, rows = found.of(found.loadings, method, number), found.of(found.rows, method, number)
    acts = {int(f): run.acts(int(f)) for f in loadings["feature"]}
    special = np.array(sorted(run.special_ids), np.int32)
    reach = rows.assign(far=rows["score"].abs()).groupby("end")["far"].max()
    groups = []
    for end, title in ENDS.items():
        some = rows[rows["end"] == end].sort_values("rank")
        if not len(some):
            continue
        pulls = loadings[np.sign(loadings["loading"]) == (1 if end == "+" else -1)]
        weights = {int(f): abs(float(w)) for f, w in zip(pulls["feature"], pulls["loading"], strict=True)}
        read = contexts(some["context"].to_numpy())
        shown = [
            _example(run, row, int(pos), float(score), weights, acts, special)
            for row, pos, score in zip(read, some["pos"], some["score"], strict=True)
        ]
        none = "" if weights else "; none of its largest loadings pulls this way"
        about = f"{len(shown)} rows farthest out at this end, one per context; each ends at its row's token{none}"
        if reach[end] < HARDLY * reach.max():
            about += f". Hardly an end: it reaches {reach[end] / reach.max():.0%} as far as the other"
        groups.append(Group(f"{title} ({end})", about, shown, unit="loadings firing", value="score"))
    return groups


def _example(
    run: Run, row: Any, pos: int, score: float, weights: dict[int, float], acts: dict[int, Any], special: np.ndarray
) -> Example:
    n, lo = len(row.token_ids), max(0, pos - BEFORE)
    pull = np.zeros(n)
    for feature, weight in weights.items():
        pull += weight * (examples.acts_of(acts[feature], row.context, n) > 0)
    ids = row.token_ids[lo : pos + 1]
    return Example(
        context=row.context, document=row.document, source=row.source, start=lo, tokens=run.str_tokens[ids],
        acts=pull[lo : pos + 1], special=(ids[:, None] == special).any(axis=1), value=score, peak=pos, miss=None,
        cut_before=lo > 0, cut_after=pos + 1 < n,
    )  # fmt: skip


def largest_pull(groups: Sequence[Group]) -> float:
    """The scale of a card's colours."""
    return max((float(e.acts.max(initial=0)) for g in groups for e in g.examples), default=0.0)


# --- distances -----------------------------------------------------------------------------------------------


def load_near(folder: Path, feature: int) -> Near:
    result = Result(folder)
    units = {str(k): v for k, v in result.table("units").iloc[0].items()}
    units["of"] = "contexts" if result.manifest["params"]["per"] == "context" else "positions"
    near, own = (result.rows(n, "feature", feature) for n in ("distance_neighbours", "distance_histograms"))
    return Near(units, near, own, result.rows("distance_histograms", "feature", None))


def stored_as(by: str) -> str:
    """Dice orders pairs as Jaccard does, so its neighbours and histograms are not stored twice."""
    return "jaccard" if by == "dice" else by


def nearest(near: Near, by: str) -> pd.DataFrame:
    """The feature's neighbours by one affinity, nearest first."""
    return near.neighbours[near.neighbours["affinity"] == stored_as(by)].sort_values("rank")


def affinities_shown(found: pd.DataFrame) -> dict[str, np.ndarray]:
    """The affinities of neighbours that were computed, as columns."""
    return {c: found[c].to_numpy() for c in COLUMNS if found[c].notna().any()}


def neighbourhood(near: Near, by: str) -> list[int]:
    """Its neighbours by that affinity, then those by any other."""
    first = nearest(near, by)["neighbour"].tolist()
    return list(dict.fromkeys(first + near.neighbours.sort_values("rank")["neighbour"].tolist()))


@dataclass(frozen=True)
class Chosen:
    """The features that a map may show, those to be kept first, and in words which they are or why there are none."""

    features: list[int]
    why: str


def mapped(
    table: pd.DataFrame, result: Result, which: str, listed: Sequence[int], feature: int, near: Near, by: str
) -> Chosen:
    """The list, the densest, random ones, neighbours, the feature's cluster in C, or the medoids of all clusters."""
    alive = table[table["n_firings"] > 0]
    if which == "list":
        return Chosen(list(listed), "The list" if len(listed) > 1 else "A map of the list needs two features on it.")
    if which == "densest":
        dense = alive.sort_values("n_firings", ascending=False, kind="stable")["feature"]
        return Chosen([int(f) for f in dense], "The features that fire most")
    if which == "random":
        drawn = np.random.default_rng(0).permutation(alive["feature"].to_numpy())
        return Chosen([int(f) for f in drawn], "Features drawn at random")
    if which == "cluster":
        return cluster(result, feature)
    if which == "medoids":
        return cluster_medoids(result)
    found = neighbourhood(near, by)
    said = f"Feature {feature} with its neighbours" if found else f"Feature {feature} has no neighbours to map."
    return Chosen([feature, *(int(f) for f in found)] if found else [], said)


def cluster(result: Result, feature: int) -> Chosen:
    """The features of the feature's cluster, itself first, then those nearest to the cluster's middle."""
    table = result.table("clusters")
    own = table.loc[table["feature"] == feature, "cluster"]
    if not len(own):
        return Chosen([], f"Feature {feature} is in no cluster: its column of C has no length, or it was not compared.")
    inside = table[table["cluster"] == own.iloc[0]].sort_values("cosine", ascending=False, kind="stable")
    members = [feature, *(int(f) for f in inside["feature"] if f != feature)]
    medoid = int(inside["medoid"].iloc[0])
    return Chosen(
        members if len(members) > 1 else [],
        f"The cluster of feature {feature} by cosine in C, {len(members):,} features in all; its medoid is {medoid}",
    )


def cluster_medoids(result: Result) -> Chosen:
    """One feature for every cluster, in the clusters' order."""
    found = result.table("clusters").sort_values("cluster")["medoid"].drop_duplicates()
    return Chosen([int(f) for f in found], f"The medoids of {len(found):,} clusters by cosine in C")
