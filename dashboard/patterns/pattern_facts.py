"""Prototypes and distances in words: of one prototype, of a feature's mix, of a comparison. Pure HTML, escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from core.analyses.conjecture_tables import WEAK
from dashboard.facts import Fact
from dashboard.patterns.pattern_data import METHODS, Mix, Near
from dashboard.wording import count, interval, missing, number, one_line, percent

N_SHOWN = 5  # coefficients of a feature
NOT_STORED = {"decoder_cosine": "Cosines of decoder rows"}
FEATURES, SHUFFLED = "feature", "feature, rows shuffled"
SCORES = {
    "auroc": ("held-out AUROC", "a bag of tokens tells its rows from others; chance 0.5"),
    "intruder": ("intruder found", "the odd text of five; chance 0.2"),
    "topic_f1": ("topic F1", "with the planted topic that fits the other half best"),
    "concept_f1": ("concept F1", "with the planted concept that fits the other half best"),
}


def prototype_facts(row: Mapping[str, Any]) -> list[Fact]:
    """The numbers of one prototype, each beside its null."""
    apart = "its direction is arbitrary: it shares its singular value" if row["degenerate"] else ""
    seeds = "none: this method has no random start" if missing(row["seeds"]) else "mean |cosine| over other starts"
    return [
        Fact("stability", number(row["split_half"]), f"shuffled {number(row['split_half_null'])} (95 %)",
             "|cosine| of loadings on one half of the documents with the other half"),
        Fact("bootstrap", number(row["bootstrap"]), "mean |cosine| over resampled documents"),
        Fact("other starts", number(row["seeds"]), seeds),
        Fact("token-driven", number(row["token_r2"]), f"tokens permuted {number(row['token_r2_null'])}",
             "share of its scores that the row's token explains on held-out documents"),
        Fact("Hoyer, features", number(row["hoyer_v"]), f"shuffled {number(row['hoyer_v_null'])} (mean)",
             "sparsity of its loadings: 1 = one feature, 0 = all alike"),
        Fact("Hoyer, rows", number(row["hoyer_u"]), "1 = one row", "sparsity of its scores over the rows"),
        Fact("explains", percent(row["explained_variance"]), "of the sum of squares of A"),
        Fact("ten largest", percent(row["top10_mass"]), "of its loadings' squares", apart),
    ]  # fmt: skip


def standing(row: Mapping[str, Any]) -> str:
    """Whether a prototype may be read, in a sentence."""
    if missing(row["split_half"]) or missing(row["split_half_null"]):
        return "Its stability could not be measured: all text is of one document."
    found = f"{number(row['split_half'])} against {number(row['split_half_null'])}"
    if row["split_half"] <= row["split_half_null"]:
        return f"Not above shuffled columns ({found}): do not read it."
    warning = " Its direction within its singular value is arbitrary." if row["degenerate"] else ""
    return f"The two halves of the documents agree on it more than shuffled columns do ({found}).{warning}"


def compared_html(groups: pd.DataFrame | None, run: str) -> str:
    """Features beside prototypes beside the null: which are easier to describe."""
    if groups is None:
        command = f"prism analyze {run} prototype_interpretability"
        said = f"Whether prototypes are easier to describe than features: <code>{escape(command)}</code>"
        return f'<p class="p-none">{said}</p>'
    names = [n for n in SCORES if n in groups and groups[n].notna().any()]
    head = "".join(f'<th scope="col" title="{escape(SCORES[n][1])}">{SCORES[n][0]}</th>' for n in names)
    rows = "".join(_group(row, names) for row in groups.to_dict("records"))
    caption = "Are prototypes easier to describe than features? Matched for density; 95 % intervals over components"
    return (
        f'<div class="p-scroll"><table class="p-list"><caption>{caption}</caption><thead><tr><th scope="col">of</th>'
        f'<th scope="col">components</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _group(row: Mapping[Any, Any], names: list[str]) -> str:
    title = {FEATURES: "features", SHUFFLED: "features, rows shuffled (null)"}.get(str(row["group"]), str(row["group"]))
    cells = "".join(
        f"<td>{number(row[n])} <small>{escape(interval(row[f'{n}_lo'], row[f'{n}_hi']))}</small></td>" for n in names
    )
    return f'<tr><th scope="row">{escape(title)}</th><td>{count(row["n"])}</td>{cells}</tr>'


def compared_sentence(groups: pd.DataFrame | None) -> str:
    """The answer by held-out AUROC: the best method against features, apart only where intervals are."""
    rows = {} if groups is None else groups.set_index("group").to_dict("index")
    methods = [m for m in METHODS if m in rows and not missing(rows[m]["auroc"])]
    if not methods or FEATURES not in rows or missing(rows[FEATURES]["auroc"]):
        return ""
    best, features = max(methods, key=lambda m: rows[m]["auroc"]), rows[FEATURES]
    mine = rows[best]
    if mine["auroc_lo"] > features["auroc_hi"]:
        answer = f"Prototypes ({best}) are easier to describe than features"
    elif mine["auroc_hi"] < features["auroc_lo"]:
        answer = f"Prototypes (even {best}) are harder to describe than features"
    else:
        answer = f"Prototypes (best: {best}) and features are about as easy to describe"
    values = [f"{number(mine['auroc'])} against {number(features['auroc'])}"]
    if SHUFFLED in rows and not missing(rows[SHUFFLED]["auroc"]):
        values.append(f"shuffled features {number(rows[SHUFFLED]['auroc'])}")
    return f"{answer}: held-out AUROC {', '.join(values)}."


def mix_html(mix: Mix | None, href: Callable[[str, int], str]) -> str:
    """One block on a feature: how much of it prototypes give back, and its largest coefficients as links."""
    if mix is None:
        return ""
    title = "<strong>As a mix of prototypes:</strong>"
    if not len(mix.coefficients):
        said = "left out of the factorisation: it fires in too few of its rows, or in all"
        return f'<ul class="p-labels" aria-label="Prototypes"><li>{title} {said}</li></ul>'
    k, order = len(mix.coefficients), np.argsort(-np.abs(mix.coefficients), kind="stable")
    links = " · ".join(
        f'<a href="{escape(href(mix.method, int(i)))}" target="_self" data-prototype="{mix.method}-{int(i)}">'
        f"prototype {int(i)}</a> {number(mix.coefficients[i])}"
        for i in order[:N_SHOWN]
        if mix.coefficients[i]
    )
    said = f"R² {number(mix.r2)} at k = {k} ({mix.method}); shuffled columns {number(mix.r2_null)}"
    return (
        f'<ul class="p-labels" aria-label="Prototypes"><li>{title} {links}</li>'
        f"<li><small>largest coefficients, units of A; {said}</small></li></ul>"
    )


def none_near(near: Near, feature: int, by: str = "") -> str:
    """Why a feature has no neighbours."""
    if by and not (near.whole["affinity"] == by).any():
        return (
            f"{NOT_STORED.get(by, by)} were not computed: the result leaves the decoder out (--param decoder=false), "
            "because the SAE's folder was not there or to save time. Without that parameter it compares decoders too."
        )
    if len(near.histograms):
        return f"Feature {feature} fires together with no other."
    units = near.units
    return (
        f"Feature {feature} was not compared: {count(units['n_rare'])} features fire too rarely and "
        f"{count(units['n_constant'])} fire everywhere; a pattern of so few firings is noise."
    )


def neighbours_said(by: str, units: Mapping[str, Any]) -> str:
    """What the shown neighbours are to be read beside."""
    what = {"dice": "jaccard"}.get(by, by)
    null = units.get(f"nearest_{what}_null")
    chance = "" if missing(null) else f"the nearest of shuffled columns has a median of {number(null)}; "
    kind = "C holds one column per feature of the factorised firings; " if by.startswith("c_") else ""
    over = f"{count(units['n_units'])} {units['of']}"
    return f"{kind}{chance}{count(units['n_features'])} features compared over {over}"


ROWS = {
    "random": "one random position of every context",
    "last": "the last token of every context",
    "all": "every position",
}
SCALES = {
    "raw": "raw activations", "binary": "firing or not", "unit": "firing or not, columns of norm 1",
    "phi": "firing or not, centred columns of norm 1", "log1p": "log(1 + activation)",
}  # fmt: skip


def matrix_said(params: Mapping[str, Any]) -> str:
    """Which A was factorised: what its rows are and what stands in it."""
    rows, scale = ROWS[str(params["rows"])], SCALES[str(params["scale"])]
    return f"A: {rows}; {scale}" + (", less what the token explains" if params["residual"] else "")


def explained_said(spectrum: pd.DataFrame, stable_rank: float, k: int) -> str:
    """What k components explain of the centred matrix, and as many of shuffled columns; "" without components."""
    if not k:
        return ""
    first = spectrum.sort_values("component").head(k)
    share = float((first["centred_value"] ** 2).sum() / (stable_rank * first["centred_value"].iloc[0] ** 2))
    null = share - float(first["excess"].iloc[-1])
    return f"The first {k} explain {percent(share)} of the variance, of shuffled columns {percent(null)}."


def ranks_html(ranks: pd.DataFrame) -> str:
    """How many components stand above chance, by criterion, and what each assumes."""
    rows = "".join(
        f'<tr><th scope="row">{escape(str(r["criterion"]))}</th><td><strong>{count(r["k"])}</strong></td>'
        f'<td class="p-about">{escape(str(r["assumes"]))}</td></tr>'
        for r in ranks.to_dict("records")
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("criterion", "k", "assumes"))
    return (
        '<div class="p-scroll"><table class="p-list"><caption>How many components</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def left_out_said(params: Mapping[str, Any], scores: pd.DataFrame) -> str:
    """Which of the ranks asked for no variant has; "" where every one is there."""
    absent = sorted(set(params["ks"]) - set(scores["k"].dropna().astype(int)))
    return f" Not computed, because the rank is lower: k = {', '.join(map(str, absent))}." if absent else ""


VARIANTS = (
    ("distance in C, as proposed", "raw", "euclid", "proposed_holds"),
    ("cosine in unit-norm C", "unit", "cosine", "cosine_holds"),
)
BASELINES = {
    "density only": "density alone",
    "decoder cosine": "decoder cosine",
    "excess on the fitted half": "co-firing counted directly",
}


def verdict_facts(scores: pd.DataFrame, verdict: Mapping[str, Any]) -> list[Fact]:
    """The two variants named beforehand, beyond density with interval and null, and the baselines."""
    facts = []
    for title, scale, similarity, holds in VARIANTS:
        rows = scores[(scores["scale"] == scale) & (scores["similarity"] == similarity) & (scores["k"] == verdict["k"])]
        for row in rows.to_dict("records"):
            weakly = "only weakly " if row["partial"] < WEAK else ""
            answer = f"{weakly}predicts" if verdict[holds] else "does not predict"
            note = f"beyond density {_signed(row['partial_lo'], row['partial_hi'])}; shuffled at most "
            facts.append(Fact(f"{title}, k = {verdict['k']}", f"{row['partial']:+.2f}: {answer}",
                              note + f"{row['partial_null_hi']:+.2f}", "Spearman with co-firing excess"))  # fmt: skip
    for scale, title in BASELINES.items():
        for row in scores[(scores["scale"] == scale) & (scores["similarity"] == "baseline")].to_dict("records"):
            if not missing(row["spearman"]):
                value, note = (
                    f"{row['spearman']:+.2f}",
                    f"a baseline, densities left in {_signed(row['lo'], row['hi'])}",
                )
                if scale != "density only" and not missing(row["partial"]):
                    value = f"{row['partial']:+.2f}"
                    note = f"a baseline, beyond density {_signed(row['partial_lo'], row['partial_hi'])}"
                facts.append(Fact(title, value, note, "Spearman with co-firing excess"))
    return facts


def _signed(lo: Any, hi: Any) -> str:
    return "" if missing(lo) or missing(hi) else f"[{lo:+.2f}, {hi:+.2f}]"


def known_as(label: str, tokens: str) -> str:
    """A feature's label, or else the tokens at its peaks."""
    return one_line(str(label) or f"no label; peaks on {tokens}", 70)


def pair_order(per_context: bool) -> str:
    """In which order the contexts of a pair stand."""
    where = "in one context, wherever in it" if per_context else "on one token"
    return (
        f"Together means {where}. Both: in order of the weaker of the two acts, each as a share of its feature's "
        "largest; one alone: in order of its act. One line per context; the strongest need not be typical."
    )
