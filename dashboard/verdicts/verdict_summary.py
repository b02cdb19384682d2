"""Decomposition tests of a whole run as HTML: headline, classes beside their null, agreement, list. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from core.maths.agreement import CLASSES, compare_verdicts
from core.maths.rates import clopper_pearson
from core.maths.verdict_types import EVERY_PART, NO_PART, SOME_PART
from dashboard.facts import Fact
from dashboard.tokens import visible
from dashboard.verdicts.verdict_plot import Dot, Plot, track_html
from dashboard.verdicts.verdict_wording import KINDS, badge_html, kind_of, range_text, rate_text
from dashboard.wording import count, missing, number, one_line, plural

SCROLL = '<div class="p-scroll" role="region" tabindex="0" aria-label="{}">'  # reached by keys where it scrolls
AXIS = Plot((), None, None)


def headline(tests: pd.DataFrame) -> str:
    """What becomes of the labels that counting firing phrases calls decomposable."""
    counted = tests[tests["published_count"] == EVERY_PART]
    tested = int(tests["published_count"].notna().sum())
    if not tested:
        why = tests["reason"].value_counts().index[0] if "reason" in tests and len(tests) else ""
        return f"No label of this result was measured{f': {one_line(visible(why), 300)}' if why else ''}."
    if not len(counted):
        return f"Counting firing phrases calls none of {plural(tested, 'label')} decomposable."
    if uncontrolled(tests):
        return (
            f"Counting firing phrases calls {len(counted)} of {plural(tested, 'label')} decomposable. "
            "No control phrases were measured, so it is not known how many of these hold."
        )
    kinds = counted["kind"].value_counts()
    survive, fails = int(kinds.get("ALL-PARTS", 0)), int(kinds.get("LABEL-FAILS", 0))
    partly = int(kinds.get("SOME-PARTS", 0)) + int(kinds.get("WHOLE-ONLY", 0))
    rest = len(counted) - survive - fails - partly
    said = [f"{partly} hold only in part or as a whole", f"{fails} fail outright", f"{rest} are not decided"]
    spread = share_text(survive, len(counted))
    silent = tests.loc[tests["published_count"] == NO_PART, "kind"]
    whole = int((silent == "WHOLE-ONLY").sum())
    missed = f" Of {len(silent)} in which no part fires, {whole} hold as a whole." if len(silent) else ""
    return (
        f"Counting firing phrases calls {len(counted)} of {plural(tested, 'label')} decomposable. "
        f"With controls {survive} of these {len(counted)} survive ({spread}); {', '.join(said)}.{missed}"
    )


def uncontrolled(tests: pd.DataFrame) -> bool:
    """Whether no test was measured with control phrases, as in a run imported from elsewhere."""
    measured = tests[tests["kind"] != "NOT-PROPOSED"]
    return "theta5" in tests and len(measured) > 0 and bool(measured["theta5"].isna().all())


def share_text(hits: int, n: int) -> str:
    """A share in percent with its exact 95 % interval."""
    lo, hi = clopper_pearson(np.array(hits), np.array(n))
    return f"{rate_text(hits / n)} {range_text(float(lo), float(hi))}" if n else "not measured"


def _false_claims(claims: Mapping[str, Any] | None) -> Fact:
    if not claims or missing(claims.get("share")):
        return Fact("false claims", "not measured", NO_SWAP)
    spread = range_text(claims["lo"], claims["hi"])
    note = f"of {count(claims['n'])} labels swapped between features get a class that says they hold"
    return Fact("false claims", f"{rate_text(claims['share'])} {spread}", note, "ALL-PARTS, SOME-PARTS or WHOLE-ONLY")


def summary_facts(tests: pd.DataFrame, rates: pd.DataFrame, claims: Mapping[str, Any] | None = None) -> list[Fact]:
    """Headline numbers, each beside the same of labels swapped between features.

    ``claims`` is the manifest's row of swapped labels that got any class that says they hold; None: not measured.
    """
    proposed = tests[tests["kind"] != "NOT-PROPOSED"]
    swapped = {str(r["kind"]): r for r in rates.to_dict("records")}
    facts = [
        Fact(
            "labels tested",
            count(len(proposed)),
            f"of {plural(tests['feature'].nunique(), 'feature')}; {len(tests) - len(proposed)} more had no phrases",
        ),
    ]
    if uncontrolled(proposed):
        return [*facts, Fact("labels that hold or fail", "not measured", "it takes control phrases")]
    facts.append(_false_claims(claims))
    for kind, title in (("ALL-PARTS", "labels that hold"), ("LABEL-FAILS", "labels that fail")):
        hits = int((proposed["kind"] == kind).sum())
        of = swapped.get(kind)
        null = NO_SWAP if of is None or missing(of["swapped_share"]) else (
            f"swapped labels: {rate_text(of['swapped_share'])} {range_text(of['swapped_lo'], of['swapped_hi'])}"
        )  # fmt: skip
        facts.append(Fact(title, f"{hits} of {len(proposed)}", f"{share_text(hits, len(proposed))}; {null}", kind))
    return facts


NO_SWAP = "too few labels to swap any between features"


def classes_html(rates: pd.DataFrame) -> str:
    """Every class: share of labels with interval, and the share it has among swapped labels where any were."""
    swapped = bool((rates["n_swapped"].fillna(0) > 0).any())
    order = [k for k in KINDS if k in set(rates["kind"])] + [str(k) for k in rates["kind"] if str(k) not in KINDS]
    by_kind = {str(r["kind"]): r for r in rates.to_dict("records")}
    head = (
        '<thead><tr><th scope="col">class</th><th scope="col" class="p-ax"><span class="p-scale" aria-hidden="true">'
        '<i>0</i><i>25</i><i>50</i><i>75</i><i>100 %</i></span><span class="p-hid">share of labels</span></th>'
        f'<th scope="col">labels</th>{"<th scope=col>swapped labels</th>" if swapped else ""}</tr></thead>'
    )
    rows = "".join(_class_row(kind, by_kind[kind], swapped) for kind in order)
    legend = LEGEND if swapped else ""
    title = "Share of labels in each class, with 95 % intervals"
    return f'<table class="p-dots p-classes"><caption>{title}</caption>{head}<tbody>{rows}</tbody></table>{legend}'


LEGEND = (
    '<p class="p-legend" aria-hidden="true"><span><b class="p-dot p-s-up"></b>labels as given</span>'
    '<span><b class="p-dot p-s-open"></b>labels swapped between features: how often the class is given wrongly '
    "(LABEL-FAILS: rightly)</span></p>"
)


def _class_row(kind: str, r: Mapping[Any, Any], swapped: bool) -> str:
    given = _dot("up", r["n"], r["share"], r["share_lo"], r["share_hi"])
    false = _dot("open", r["n_swapped"], r["swapped_share"], r["swapped_lo"], r["swapped_hi"])
    null = f"<td>{escape(_said(false))}</td>" if swapped else ""
    tracks = track_html(given, AXIS) + (track_html(false, AXIS) if swapped else "")
    return (
        f'<tr><th scope="row">{badge_html(kind)} <small>{escape(kind_of(kind).short)}</small></th>'
        f'<td class="p-ax" aria-hidden="true"><span class="p-small">{tracks}</span></td>'
        f"<td>{escape(_said(given))}</td>{null}</tr>"
    )


def _dot(state: str, n: Any, rate: Any, lo: Any, hi: Any) -> Dot:
    share, low, high = (None if missing(v) else float(v) for v in (rate, lo, hi))
    hits = 0 if missing(n) else int(n)
    return Dot("part", "", max(hits, 2), hits, share, low, high, state)


def _said(dot: Dot) -> str:
    if dot.rate is None:
        return f"{dot.fired}, left out" if dot.fired else "left out"
    return f"{dot.fired} · {rate_text(dot.rate)} {range_text(dot.lo, dot.hi)}"


def crosstab_html(tests: pd.DataFrame) -> str:
    """What counting says (rows) against what controls say (columns)."""
    kinds = [k for k in KINDS if (tests["kind"] == k).any() and k != "NOT-PROPOSED"]
    head = "".join(f'<th scope="col">{badge_html(k)}</th>' for k in kinds)
    rows = ""
    for reading in (EVERY_PART, SOME_PART, NO_PART):
        of = tests[tests["published_count"] == reading]
        counts = [int((of["kind"] == k).sum()) for k in kinds]
        cells = "".join(f"<td>{n}</td>" if n else '<td class="p-zero">0</td>' for n in counts)
        rows += f'<tr><th scope="row">{escape(reading)}</th>{cells}<td>{len(of)}</td></tr>'
    columns = "none is decided, for no control phrases were measured" if uncontrolled(tests) else "with controls"
    about = f"Rows: counting firing phrases, threshold 0, no controls, as published. Columns: {columns}."
    return (
        f'{SCROLL.format("counting against controls")}<table class="p-list p-cross"><caption>{about}</caption>'
        f'<thead><tr><th scope="col">counting says</th>{head}<th scope="col">all</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def agreement_text(retests: pd.DataFrame) -> str:
    """Test-retest agreement in a sentence; "" when no label was tested twice."""
    known = retests[retests["kind"].isin(CLASSES) & retests["kind_again"].isin(CLASSES)]
    if not len(known):
        return ""
    found = compare_verdicts(known["kind"].tolist(), known["kind_again"].tolist())
    kappa = "not defined (one class throughout)" if found.kappa is None else (
        f"{number(found.kappa, 2)} [{number(found.lo, 2)}, {number(found.hi, 2)}]"
    )  # fmt: skip
    agree = f"{plural(found.n, 'label')}, {rate_text(found.share)} agree"
    return f"Tested twice with other phrases: {agree}, kappa {kappa}."
