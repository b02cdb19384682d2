"""Decomposability and Phrases as pieces of HTML for a file, made from a link alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from core.store import Run
from dashboard import controls, facts, readers
from dashboard.verdicts import (
    verdict_data,
    verdict_list,
    verdict_phrases,
    verdict_rows,
    verdict_screen,
    verdict_summary,
    verdict_wording,
)
from dashboard.verdicts.verdict_data import Tested
from dashboard.verdicts.verdict_plot import card_html, gallery_html

Link = Mapping[str, str]
MAX_LABELS = 500
NOTHING = "<p>No label has been tested.</p>"


def decomposability(run: Run, link: Link, base: str) -> tuple[str, list[str]]:
    """What the result says as a whole, and every label inside the filters of the link, in its order."""
    title, results = f"Decomposability of run {run.name}", readers.decompositions(run)
    named = (r for r in results if r.key == link.get("decomposability_result"))
    result = next(named, verdict_data.overview(results))
    if result is None:
        return title, [NOTHING]
    known = {name: link.get(f"decomposability_{name}", "") for name in ("kind", "source", "q", "lo", "hi", "sort")}
    kind, source, order = known["kind"] or "any", known["source"] or "any", known["sort"] or controls.SORTS[0]
    lo, hi = controls.share(known["lo"]), controls.share(known["hi"])
    frame = verdict_list.inside(verdict_list.joined(run, result), kind, source, known["q"], lo, hi)
    found = verdict_list.ordered(frame, order)
    rows = [{str(k): v for k, v in r.items()} for r in found.head(MAX_LABELS).to_dict("records")]
    plots = [result.plot(int(r["test"]), "theta5") for r in rows]
    said = f"{len(rows)} of {len(result.tests)} labels, {order}"
    if link.get("decomposability_show") == "plots":
        cards = [card_html(r, p, address(run, result, r, base)) for r, p in zip(rows, plots, strict=True)]
        listed = f"<p>{escape(said)}</p>{gallery_html(cards)}"
    else:
        listed = verdict_rows.labels_html(
            rows, plots, lambda r: address(run, result, r, base), said, not verdict_summary.uncontrolled(result.tests)
        )
    return title, [f"<h1>{escape(title)}</h1>", *head(result), listed]


def head(result: Tested) -> list[str]:
    """Headline, key numbers beside their null, classes, counting against controls."""
    again = verdict_summary.agreement_text(result.retests)
    return [
        facts.message_html(verdict_summary.headline(result.tests), again, kind="note"),
        facts.facts_html(verdict_summary.summary_facts(result.tests, result.class_rates, result.claims)),
        verdict_summary.classes_html(result.class_rates),
        verdict_summary.crosstab_html(result.tests),
    ]


def address(run: Run, result: Tested, row: Mapping[str, Any], base: str = "") -> str:
    """The verdict of one test; relative without ``base``."""
    test = {"feature_view": "verdict", "feature_test": f"{result.key}-{int(row['test'])}"}
    query = urlencode({"run": run.name, "feature": int(row["feature"])} | test)
    return f"{base}/feature?{query}" if base else f"feature?{query}"


def phrases(run: Run, link: Link, base: str) -> tuple[str, list[str]]:
    """The verdict, the heatmap, and every phrase with its tokens."""
    number = run.require_feature(int(link["feature"]))
    title, refs = f"Phrases of feature {number} of run {run.name}", readers.tests_of(run, number)
    ref = next((ref for ref in refs if ref.id == link.get("phrases_test")), refs[0] if refs else None)
    if ref is None:
        return title, [NOTHING]
    name = link.get("phrases_theta", verdict_wording.THETAS[0])
    theta, found = verdict_screen.threshold(ref, name), verdict_screen.phrases_of(ref)
    act_max = verdict_screen.act_scale(run, number, found)
    return title, [
        f"<h1>{escape(title)}</h1>",
        verdict_wording.verdict_html(ref.row, name),
        verdict_phrases.heat_html(found, theta, act_max, verdict_phrases.HEAT),
        verdict_phrases.groups_html(verdict_phrases.by_group(found, theta), theta, act_max),
    ]
