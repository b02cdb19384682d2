"""Prototypes, Distances and Conjecture as pieces of HTML for a file, made from a link alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from core.analyses.base import Analysis
from core.store import Run
from dashboard import controls, facts, listing, readers, tokens
from dashboard.export_html import table_html
from dashboard.patterns import pattern_data, pattern_facts, pattern_pair, pattern_readers
from dashboard.patterns.pattern_charts import NAMES

Link = Mapping[str, str]
Page = tuple[str, list[str]]
NOTHING = "<p>Nothing has been computed yet.</p>"


def prototypes(run: Run, link: Link, base: str) -> Page:
    """Ranks and spectrum, the prototype of the link with loadings and contexts, all of its method."""
    title = f"Prototypes of run {run.name}"
    if pattern_data.newest(run, pattern_data.PROTOTYPES) is None:
        return title, [NOTHING]
    found = pattern_readers.require_prototypes(run)
    sections = [_head(title, pattern_data.PROTOTYPES), table_html(found.ranks, "ranks")]
    spectrum = table_html(found.spectrum, "spectrum")
    if not found.methods:
        return title, [*sections, "<p>No component stands above shuffled columns.</p>", spectrum]
    method, k = link.get("pattern_svd_method", ""), int(found.matrix["k"])
    method = method if method in found.methods else found.methods[0]
    number = _whole(link, "pattern_svd_number", k - 1, 0)
    row = {str(n): v for n, v in found.of(found.prototypes, method, number).iloc[0].items()}
    loadings = found.of(found.loadings, method, number).set_index("feature")["loading"]
    groups = pattern_readers.card(run, found, method, number)
    sections += [
        f"<h2>Prototype {number}, {escape(method)}</h2><p>{escape(pattern_facts.standing(row))}</p>",
        facts.facts_html(pattern_facts.prototype_facts(row)),
        _listed(run, loadings.index.tolist(), {"loading": loadings.to_numpy()}, "Largest loadings", base),
        tokens.groups_html(groups, pattern_data.largest_pull(groups), level=3),
        f"<p>{escape(pattern_facts.compared_sentence(found.groups))}</p>",
        pattern_facts.compared_html(found.groups, run.name),
        table_html(found.of(found.prototypes, method), f"prototypes of {method}"),
        spectrum,
    ]
    return title, sections


def distances(run: Run, link: Link, base: str) -> Page:
    """The neighbours of the link's feature by its affinity, with every affinity of each pair."""
    title = f"Distances of run {run.name}"
    if pattern_data.newest(run, pattern_data.DISTANCES) is None or not link.get("feature"):
        return title, [NOTHING]
    feature = run.require_feature(int(link["feature"]))
    by = link.get("distances_by", "")
    by = by if by in NAMES else controls.AFFINITIES[0]
    near = pattern_readers.near(pattern_readers.require_distances(run), feature)
    found, head = pattern_data.nearest(near, by), _head(title, pattern_data.DISTANCES)
    if not len(found):
        return title, [head, f"<p>{escape(pattern_facts.none_near(near, feature, pattern_data.stored_as(by)))}</p>"]
    values = pattern_data.affinities_shown(found)
    said = f"Nearest to feature {feature} by {NAMES[by]}; {pattern_facts.neighbours_said(by, near.units)}"
    sections = [head, _listed(run, found["neighbour"].tolist(), values, said, base)]
    if re.fullmatch(r"[0-9]{1,9},[0-9]{1,9}", link.get("distances_pair", "")):
        a, b = (run.require_feature(int(n)) for n in link["distances_pair"].split(","))
        rows = [readers.feature_row(run, f) for f in (a, b)]
        names = [pattern_facts.known_as(row["label"], row["tokens"]) for row in rows]
        pair = pattern_readers.pair(run, pattern_readers.require_distances(run), a, b)
        html = pattern_pair.pair_html(
            pair, (names[0], names[1]), lambda n: f"{base}/feature?run={run.name}&feature={n}"
        )
        sections += ["<h2>The pair</h2>", html, f"<p>{escape(pattern_facts.pair_order(pair.per_context))}</p>"]
    return title, sections


def conjecture(run: Run, link: Link, base: str) -> Page:
    """The verdict, and every score with its null."""
    title = f"Conjecture on run {run.name}"
    result = pattern_data.newest(run, pattern_data.CONJECTURE)
    if result is None:
        return title, [NOTHING]
    said = escape(str(result.table("verdict")["sentence"].iloc[0]))
    tables = [table_html(result.table(name), name) for name in ("scores", "raw", "planted")]
    return title, [_head(title, pattern_data.CONJECTURE), f"<p>{said}</p>", *tables]


PAGES: dict[str, Callable[[Run, Link, str], Page]] = {
    "pattern_svd": prototypes, "distances": distances, "conjecture": conjecture,
}  # fmt: skip


def _head(title: str, about: Analysis) -> str:
    return f"<h1>{escape(title)}</h1><p>{escape(about.question)}</p><p>Null: {escape(about.null)}</p>"


def _whole(link: Link, key: str, most: int, default: int) -> int:
    """A whole number of the link inside its bounds, else the default."""
    text = link.get(key, "")
    return int(text) if text.isdecimal() and len(text) < 10 and int(text) <= most else default


def _listed(run: Run, features: Sequence[int], values: Mapping[str, Any], title: str, base: str) -> str:
    part = readers.feature_rows(run, features, **values)
    return listing.listing_html(
        part, title, tuple(values), lambda number: f"{base}/feature?run={run.name}&feature={number}"
    )
