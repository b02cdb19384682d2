"""What planted truth says, in words: of one feature, and of a run. Pure HTML, everything escaped. No streamlit."""

from __future__ import annotations

from html import escape

import pandas as pd

from core.analyses.truth_summary import OUTCOMES, by_kind
from core.maths.matching_outcomes import FOUND_F1
from dashboard.facts import Fact
from dashboard.tokens import visible
from dashboard.truths.truth_data import Known, Rule
from dashboard.wording import count, interval, missing, number, plural

N_SHOWN = 4  # lines on the feature's page

MEANING = {
    "found": f"one feature has F1 ≥ {FOUND_F1} for it",
    "split": "several features share it between them",
    "merged": "one feature stands for it and another of its kind",
    "absorbed": "its feature is silent where a narrower one fires",
    "not found": "none of these",
}
ROLES = {"split": "one of the parts of", "merged": "merges", "absorbed": "takes part in the absorption of"}


def feature_html(known: Known | None) -> str:
    """One block on a feature: what it stands for or that it is unmatched, and the concepts that it is best for."""
    if known is None:
        return ""
    lines = [_headline(known), *(f"{ROLES[o]} {c}" for o, c in known.outcomes[:N_SHOWN]), *_rules(known.rules)]
    more = max(0, len(known.outcomes) - N_SHOWN) + max(0, len(known.rules) - N_SHOWN)
    lines += [f"and {more} more, see Planted truth"] if more else []
    first, *rest = (escape(visible(line)) for line in lines)
    items = "".join(f"<li><small>{line}</small></li>" for line in rest)
    return (
        f'<ul class="p-labels" aria-label="Planted truth"><li><strong>Planted truth:</strong> {first}</li>{items}</ul>'
    )


def _headline(known: Known) -> str:
    if known.n_documents == 0:
        return "silent in the half of the documents that is scored, so not judged"
    if known.concept is None:
        return f"not judged, it fires in too few documents ({count(known.n_documents)} of the scored half)"
    scores = f"precision {number(known.precision)}, recall {number(known.recall)}, F1 {number(known.f1)}"
    if known.matched:
        return f"stands for {known.concept} ({scores})"
    return f"unmatched; of all planted concepts it is nearest to {known.concept} ({scores})"


def _rules(rules: tuple[Rule, ...]) -> list[str]:
    return [rule_text(rule) for rule in rules[:N_SHOWN]]


def rule_text(rule: Rule) -> str:
    """``best for X with feature 12 (OR): F1 0.88 [0.8, 0.93], chance 0.01, by token``."""
    pair = "" if rule.other is None else f" with feature {rule.other} ({rule.form.upper()})"
    level = f"by {rule.level}"
    if not missing(rule.coverage):
        level += f", firing on {number(100 * rule.coverage, 2)} % of its tokens"
    scores = f"F1 {number(rule.f1)} {interval(rule.lo, rule.hi)}, chance {number(rule.null)}"
    return f"best for {rule.concept}{pair}: {scores}, {level}"


def says(concepts: pd.DataFrame) -> str:
    """What the run shows, in a sentence; without judged concepts it says that."""
    judged = concepts["outcome"].dropna()
    if not len(judged):
        return f"{plural(len(concepts), 'concept')} known, none frequent enough to judge."
    counts = judged.value_counts()
    parts = [f"{count(counts.get(o, 0))} {o}" for o in OUTCOMES if counts.get(o, 0)]
    by_chance = int((concepts["outcome_null"].dropna() != "not found").sum())
    rare = len(concepts) - len(judged)
    chance = f"{plural(by_chance, 'concept')} would seem to be there" if by_chance else "all would be not found"
    return (
        f"What is true of this text is known token by token. Of {plural(len(judged), 'concept')}: {', '.join(parts)}. "
        f"With the firings moved to other documents, {chance}."
        + (f" {count(rare)} more are too rare to judge." if rare else "")
    )


def outcome_facts(concepts: pd.DataFrame) -> list[Fact]:
    """How many concepts of each outcome, with what it means."""
    counts, null = concepts["outcome"].value_counts(), concepts["outcome_null"].value_counts()
    return [Fact(o, count(counts.get(o, 0)), f"{MEANING[o]}; by chance {count(null.get(o, 0))}") for o in OUTCOMES]


def match_facts(features: pd.DataFrame) -> list[Fact]:
    """How many features stand for a concept, beside chance, and how many for none."""
    judged, matched = features["concept"].notna(), features["matched"]
    silent = int((features["n_documents"] == 0).sum())
    rare = int((~judged).sum()) - silent
    by_chance = f"precision ≥ 0.7, recall ≥ 0.1; by chance {count(features['matched_null'].sum())}"
    return [
        Fact("features matched", f"{count(matched.sum())} of {count(len(features))}", by_chance),
        Fact("unmatched", count((judged & ~matched).sum()), "they fire, and stand for no planted concept"),
        Fact("too rare to judge", count(rare), "fire in fewer than 10 documents of a half"),
        Fact("silent", count(silent), "never fire in the scored half of the documents"),
    ]


def kinds_html(truth: pd.DataFrame) -> str:
    """The summary by kind as one table, both levels side by side; a level at which a kind is not judged is empty."""
    rows = by_kind(truth).set_index(["kind", "level"])
    columns = {
        "token": ("f1", "null", "share", "null_share"),
        "span": ("f1", "null", "share", "null_share", "coverage"),
    }
    titles = {"f1": "F1", "null": "chance", "share": "≥\u00a00.8", "null_share": "chance", "coverage": "coverage"}
    groups = "".join(f'<th scope="colgroup" colspan="{len(c)}">by {level}</th>' for level, c in columns.items())
    heads = "".join(f'<th scope="col">{titles[c]}</th>' for level in columns for c in columns[level])
    body = ""
    for kind in rows.index.get_level_values("kind").unique():
        n = max(int(rows.loc[(kind, level), "n"]) for level in columns if (kind, level) in rows.index)
        cells = "".join(_cell(rows, kind, level, c) for level in columns for c in columns[level])
        body += f'<tr><th scope="row">{escape(str(kind))}</th><td>{n}</td>{cells}</tr>'
    return (
        '<div class="p-scroll" tabindex="0" role="region" aria-label="Best single feature by kind of concept">'
        f'<table class="p-list"><thead><tr><td></td><td></td>{groups}</tr>'
        f'<tr><th scope="col">kind</th><th scope="col">concepts</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(rows: pd.DataFrame, kind: object, level: str, column: str) -> str:
    value = rows.loc[(kind, level), column] if (kind, level) in rows.index else None
    if value is None or missing(value):
        return "<td></td>"
    return f"<td>{float(value):.2f}</td>" if column in ("f1", "null") else f"<td>{100 * float(value):.0f}\u00a0%</td>"
