"""Classes of decomposition tests in plain words, and the block that says a verdict in one sentence. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from core.maths.verdict_types import is_opaque
from dashboard.tokens import visible
from dashboard.wording import missing, number, one_line

THETAS = ("theta5", "theta0")
THETA_TITLES = {"theta5": "θ5: 5 % of control phrases fire", "theta0": "0: any act counts"}


@dataclass(frozen=True)
class Kind:
    """One class. ``sign`` and ``short`` tell it without colour; ``tone`` is what it means for the label."""

    sign: str
    short: str
    meaning: str
    tone: str  # holds | partly | fails | open


KINDS = {
    "ALL-PARTS": Kind("●", "the label holds", "every part alone makes the feature fire", "holds"),
    "SOME-PARTS": Kind("◐", "the label holds in part", "only some of its parts make the feature fire", "partly"),
    "WHOLE-ONLY": Kind("◆", "the label holds as a whole", "its parts alone do not make the feature fire", "partly"),
    "LABEL-FAILS": Kind("✕", "the label fails", "nothing it names makes the feature fire above its controls", "fails"),
    "UNDECIDED": Kind("?", "not decided", "these phrases do not settle it", "open"),
    "UNTESTABLE": Kind("–", "not testable with phrases", "cut this short, it misses even its own text", "open"),
    "NO-FIRING": Kind("○", "nothing to test", "the feature never fires in this run", "open"),
    "NOT-PROPOSED": Kind("∅", "not tested", "no phrases could be had", "open"),
}
DECISIVE = ("ALL-PARTS", "SOME-PARTS", "WHOLE-ONLY", "LABEL-FAILS")
UNKNOWN = Kind("·", "", "", "open")


def kind_of(kind: Any) -> Kind:
    """What a stored class means; a class of another version is shown by its name alone."""
    return KINDS.get(str(kind), UNKNOWN)


def rate_text(share: Any) -> str:
    """A share in percent, one decimal below 10 %."""
    if missing(share):
        return "not measured"
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def range_text(lo: Any, hi: Any) -> str:
    """An interval in percent without the sign; "" when an end is absent."""
    return "" if missing(lo) or missing(hi) else f"[{100 * lo:.0f}, {100 * hi:.0f}]"


def badge_html(kind: Any) -> str:
    """A class as a sign and its name."""
    known = kind_of(kind)
    return (
        f'<span class="p-kind p-{known.tone}"><span aria-hidden="true">{known.sign}</span> {escape(str(kind))}</span>'
    )


def at_theta(test: Mapping[str, Any], theta: str) -> tuple[Any, Any]:
    """Class and reason at one threshold; the headline where the other was not measured."""
    if theta == "theta0" and not missing(test["kind_theta0"]):
        return test["kind_theta0"], test["reason_theta0"]
    return test["kind"], test["reason"]


def verdict_html(test: Mapping[str, Any], theta: str, more: str = "") -> str:
    """The verdict: class, label, the sentence with the numbers that decide, and what else could be said."""
    kind, why = at_theta(test, theta)
    known = kind_of(kind)
    meaning = f": {known.meaning}" if known.meaning else ""
    source = f" <small>label by {escape(visible(one_line(test['label_source'], 80)))}</small>"
    label = escape(visible(one_line(test["label"], 300)))
    lines = "".join(f"<p>{escape(visible(line))}</p>" for line in (*beside(test, theta), more) if line)
    return (
        f'<section class="p-verdict p-{known.tone}" aria-label="Verdict">'
        f"<p>{badge_html(kind)} <strong>{escape(known.short)}</strong>{escape(meaning)}</p>"
        f'<h2 dir="auto">“{label}”{source}</h2>'
        f'<p class="p-why" dir="auto">{_kept(escape(visible(one_line(why, 1500))))}</p>{lines}</section>'
    )


def _kept(html: str) -> str:
    """A number stays on the line of its percent sign."""
    return html.replace(" %", "&nbsp;%")


def opaque_text(tests: Sequence[Mapping[str, Any]]) -> str:
    """Whether the feature of these tests may be called opaque: own text fires, two labels or more all fail."""
    kinds = {str(t["label"]): str(t["kind"]) for t in reversed(tests) if t["kind"] != "NOT-PROPOSED"}
    fires = any(not missing(t["own_rate"]) and t["own_rate"] >= 0.5 for t in tests)
    if is_opaque(list(kinds.values()), fires):
        return f"{len(kinds)} labels were tested and all fail, yet its own text fires: no label so far says what it is."
    if list(kinds.values()) == ["LABEL-FAILS"]:
        return (
            "This is about the label. Only where at least two independent labels fail may a feature be called opaque."
        )
    return ""


def beside(test: Mapping[str, Any], theta: str) -> list[str]:
    """Sentences under the verdict: the other threshold, counting alone, graded index, what went wrong."""
    lines = []
    if not missing(test["kind_theta0"]) and missing(test["theta5"]):
        lines.append("No control phrases were measured: any act above 0 counts as firing.")
    elif not missing(test["kind_theta0"]) and not test["theta5"]:
        lines.append("θ5 is 0 here: fewer than 5 % of control phrases make it fire at all.")
    elif not missing(test["kind_theta0"]):
        other = "theta0" if theta == "theta5" else "theta5"
        at_other = at_theta(test, other)[0]
        same = at_other == at_theta(test, theta)[0]
        where = "At threshold 0" if other == "theta0" else f"At θ5 = {number(test['theta5'])}, the headline,"
        lines.append(f"{where} the class is {'the same' if same else f'{at_other}: {kind_of(at_other).short}'}.")
    if not missing(test["published_count"]):
        lines.append(
            f"Counting firing phrases without controls, as published, would say: {test['published_count']} "
            f"({test['n_parts_firing']} of {test['n_parts']} parts have a phrase that fires)."
        )
    if theta == "theta5" and not missing(test["index"]):
        spread = f"[{test['index_lo']:.2f}, {test['index_hi']:.2f}]"
        lines.append(f"Graded: parts reach {test['index']:.2f} {spread} of what the whole label reaches.")
    problems = "; ".join(str(problem) for problem in test["problems"])
    return [*lines, f"Note: {problems}."] if problems else lines
