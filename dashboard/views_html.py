"""What a link shows, as pieces of HTML for a file: made from the link alone, so that file and link say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from core.analyses.registry import ANALYSES
from core.results import Result, results
from core.store import Run
from dashboard import (
    charts,
    compare,
    controls,
    facts,
    filters,
    limits_screen,
    listing,
    nav,
    provenance,
    readers,
    subject,
    tokens,
)
from dashboard.export_html import table_html
from dashboard.lab import lab_export
from dashboard.patterns import pattern_export, pattern_facts, pattern_readers
from dashboard.subject import Control, read_features
from dashboard.truths import truth_facts
from dashboard.verdicts import (
    verdict_data,
    verdict_export,
    verdict_phrases,
    verdict_plot,
    verdict_screen,
    verdict_wording,
)

Link = Mapping[str, str]
MAX_ROWS = 250


@dataclass(frozen=True)
class View:
    """One view: a title in plain text, sections and footer as escaped HTML."""

    title: str
    sections: list[str]
    footer: str


def view_of(page: str, run: Run, link: Link, base: str) -> View:
    """The view that ``link`` names on a page; ``base`` is the address of the dashboard, for links in the file."""
    spec = next(spec for spec in nav.PAGES if spec.key == page)
    if page in PAGES:
        title, sections = PAGES[page](run, link, base)
    else:
        title, sections = f"{spec.title} of run {run.name}", result_sections(run, spec.analysis)
    return View(title, sections, footer_html(run, result_of(run, spec, link)))


def value(link: Link, known: tuple[Control, ...], key: str) -> str:
    """What the link says of a control, else its default."""
    return str(link.get(key) or next(c.default for c in known if c.key == key))


# --- pages ---------------------------------------------------------------------------------------------------


def home(run: Run, link: Link, base: str) -> tuple[str, list[str]]:
    """The run, and the features inside the filters of the link."""
    table = readers.feature_table(run)
    text, flag, where, sort, order = (
        value(link, controls.HOME, f"home_{k}") for k in ("q", "flag", "where", "sort", "order")
    )
    ranges = filters.parse_where(where)
    rows = filters.chosen(table.frame, text, flag, ranges)
    shown = filters.ordered(table.frame, rows, sort, "up" if order == "up" else "down")
    wanted = ("flag", "density", "n_firings", "act_max", "token_r2", "top_divergence_p")
    part = table.frame.iloc[shown[:MAX_ROWS]]
    said = f"{len(part)} of {len(rows)} features{''.join(filters.said(r) for r in ranges)}, by {sort}, {order}"
    head = f"<h1>Run {escape(run.name)}</h1>" + facts.facts_html(facts.fidelity_facts(run.manifest))
    return f"Run {run.name}", [head, listing.listing_html(part, said, wanted, linked(run, base))]


def feature(run: Run, link: Link, base: str) -> tuple[str, list[str]]:
    """Header, numbers, verdict where there is one, histogram and neighbours, contexts."""
    number = run.require_feature(int(link["feature"]))
    known = controls.FEATURE
    near = run.neighbours(number)
    found = readers.feature_rows(run, near["neighbour"], cosine=near["cosine"].to_numpy())
    scale = value(link, known, "feature_scale")
    said = verdict(run, number, link)
    brief = ' class="p-brief"' if said else ""
    sections = [
        f"<div{brief}>{header(run, number, 1)}{truth_facts.feature_html(readers.truth_of(run, number))}</div>",
        mix(run, number, base),
        said,
        charts.bars_html(run.histograms(number), f"feature {number}", scale),
        listing.listing_html(found, "Nearest by decoder cosine", ("cosine",), linked(run, base)),
        contexts(run, number, link, known),
    ]
    return f"Feature {number} of run {run.name}", sections


def lists(run: Run, link: Link, base: str) -> tuple[str, list[str]]:
    """The list, and the two of it that are compared."""
    chosen = read_features(run, link.get("features", ""))
    part = readers.feature_rows(run, chosen)
    columns = ("flag", "density", "act_max", "token_r2", "top_divergence_p")
    listed = listing.listing_html(part, f"{len(part)} features", columns, linked(run, base))
    sections = ["<h1>Feature list</h1>" + listed]
    pair = [int(link[key]) for key in ("lists_a", "lists_b") if link.get(key, "").isdecimal()]
    if len(pair) == 2 and set(pair) <= set(chosen):
        acts = [readers.acts(run, f) for f in pair]
        corpus, n, scale = run.manifest["corpus"], int(link.get("lists_n", 6)), link.get("lists_scale", "linear")
        both = compare.compare_facts(acts[0], acts[1], corpus["n_tokens"], corpus["n_contexts"])
        sections.append("<h2>Compare two</h2>" + facts.facts_html(both))
        for f, found in zip(pair, acts, strict=True):
            groups = readers.example_groups(run, f, 0, 16, n, n, 0, 0)
            bars = charts.bars_html(run.histograms(f), f"feature {f}", scale)
            sections += [header(run, f, 3), bars, tokens.groups_html(groups, found.largest, level=4)]
    return f"Features of run {run.name}", sections


def limits(run: Run, link: Link, base: str) -> tuple[str, list[str]]:
    """What the server was that the file was saved from."""
    return "Limits of this host", limits_screen.sections()


PAGES: dict[str, Callable[[Run, Link, str], tuple[str, list[str]]]] = {
    "home": home, "feature": feature, "lists": lists, "limits": limits,
    "decomposability": verdict_export.decomposability, "phrases": verdict_export.phrases, **pattern_export.PAGES,
    "prompts": lab_export.prompts,
}  # fmt: skip


def result_sections(run: Run, analysis: str | None) -> list[str]:
    """The tables of the newest result of an analysis, their first rows."""
    found = results(run, analysis) if analysis in ANALYSES else []
    if analysis is None or not found:
        return ["<p>Nothing has been computed yet.</p>"]
    about = ANALYSES[analysis]
    head = f"<h1>{escape(about.title)}</h1><p>{escape(about.question)}</p><p>Null: {escape(about.null)}</p>"
    tables = [
        f"<h2>{escape(spec.name)}</h2><p>{escape(spec.about)}</p>"
        + table_html(readable(found[0].table(spec.name, [c.name for c in spec.columns])), spec.name, MAX_ROWS)
        for spec in about.tables
    ]
    return [head, *tables]


# --- pieces --------------------------------------------------------------------------------------------------


def header(run: Run, number: int, level: int) -> str:
    row = readers.feature_row(run, number)
    labels = [(str(r.label), str(r.source)) for r in readers.labels_of(run, number).itertuples()]
    numbers = facts.feature_facts(row, run.manifest["corpus"].get("n_tokens"))
    return facts.header_html(number, labels, row["flag"], level) + facts.facts_html(numbers)


def mix(run: Run, number: int, base: str) -> str:
    """The feature as a mix of prototypes; "" without any."""
    return pattern_facts.mix_html(
        pattern_readers.mix_of(run, number), lambda method, i: f"{base}/{subject.prototype_link(method, i, run.name)}"
    )


def verdict(run: Run, number: int, link: Link) -> str:
    """The verdict on one label of the feature with its plot and phrases; "" where none was tested."""
    refs = readers.tests_of(run, number)
    if not refs or link.get("feature_view") == "activations":
        return ""
    ref = next((ref for ref in refs if ref.id == link.get("feature_test")), refs[0])
    theta_name = link.get("feature_theta", verdict_wording.THETAS[0])
    said = verdict_wording.verdict_html(ref.row, theta_name)
    if ref.row["kind"] == "NOT-PROPOSED":
        return said
    plot, phrases, note = verdict_screen.shown(ref, theta_name, link.get("feature_bos", ""))
    theta = verdict_screen.threshold(ref, theta_name)
    groups = verdict_phrases.evidence(phrases, theta, int(link.get("feature_shown", 5)))
    return (
        said
        + note
        + verdict_plot.plot_html(plot, verdict_screen.plot_title(number, theta))
        + verdict_phrases.groups_html(groups, theta, verdict_screen.act_scale(run, number, phrases))
    )


def contexts(run: Run, number: int, link: Link, known: tuple[Control, ...]) -> str:
    top, random, band, near, seed = (
        int(value(link, known, f"feature_{k}")) for k in ("top", "random", "band", "near", "seed")
    )
    width = value(link, known, "feature_width")
    cut = None if width == "whole" else int(width)
    groups = readers.example_groups(run, number, seed, cut, top, random, band, near)
    return tokens.groups_html(groups, readers.acts(run, number).largest)


def linked(run: Run, base: str) -> Callable[[int], str]:
    """Addresses of features in the dashboard that the file was saved from."""
    return lambda number: f"{base}/feature?run={run.name}&feature={number}"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that people read: those that hold tokens and acts by the hundred stay in the data."""
    first = {} if frame.empty else frame.iloc[0].to_dict()
    return frame.drop(columns=[c for c, value in first.items() if isinstance(value, (list, np.ndarray))])


def result_of(run: Run, spec: nav.PageSpec, link: Link) -> Result | None:
    """The result that the view draws: the one its link names, else the newest; None where it draws the run alone."""
    verdict_shown = spec.key == "feature" and link.get("feature_view") != "activations"
    analysis = spec.analysis or (verdict_data.KEY if verdict_shown else None)
    found = results(run, analysis) if analysis else []
    if verdict_shown and not readers.tests_of(run, int(link["feature"])):
        return None
    named = link.get("decomposability_result") or link.get(f"{spec.key}_test", "").partition("-")[0]
    return next((r for r in found if named and r.path.name.startswith(named)), found[0] if found else None)


def footer_html(run: Run, result: Result | None) -> str:
    """Where the numbers come from and what makes them again: the run, and the result that is drawn."""
    parts = [f"<h2>Where these numbers come from: run {escape(run.name)}</h2>"]
    parts.append(facts.facts_html(facts.run_facts(run.manifest) + facts.fidelity_facts(run.manifest), "p-prov"))
    commands = [f"{provenance.run_command(run.manifest)}    # make it again"]
    if result is not None:
        parts.append(f"<h2>{escape(str(result.manifest['analysis']))}</h2>")
        parts.append(facts.facts_html(provenance.result_facts(result.manifest), "p-prov"))
        commands.append(f"{provenance.result_command(run.name, result.manifest)}    # make the result again")
    parts.append(f"<pre>{escape(chr(10).join(commands))}</pre>")
    return "".join(parts)
