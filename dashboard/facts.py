"""Key numbers and provenance as labelled facts, each with its unit, interval or null, and their HTML. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dashboard.paste import SLASHED
from dashboard.tokens import visible
from dashboard.wording import NOT_MEASURED, count, interval, missing, number, token_driven, typical


@dataclass(frozen=True)
class Fact:
    """``label: value``, with a note under it (interval, null, denominator) and an explanation on hover."""

    label: str
    value: str
    note: str = ""
    about: str = ""


def facts_html(facts: Sequence[Fact], kind: str = "p-facts") -> str:
    """A definition list that wraps to the width of the window; everything escaped."""
    cells = "".join(
        f'<div title="{escape(f.about)}"><dt>{escape(f.label)}</dt><dd>{escape(f.value)}'
        + (f"<small>{escape(f.note)}</small>" if f.note else "")
        + "</dd></div>"
        for f in facts
    )
    return f'<dl class="{kind}">{cells}</dl>'


def feature_facts(row: Mapping[str, Any], n_tokens: int | None) -> list[Fact]:
    """The key numbers of one row of the feature table.

    Density names its own denominator: where phrases were tried on single features it is less than ``n_tokens``.
    """
    verdict, sentence = typical(row["top_divergence"], row["top_divergence_null"], row["top_divergence_p"])
    positions = round(row["n_firings"] / row["density"]) if row["density"] else n_tokens
    of = f" of {count(positions)} tokens" if positions else ""
    density = interval(row["density_lo"], row["density_hi"])
    nearest = NOT_MEASURED if missing(row["nearest_feature"]) else str(int(row["nearest_feature"]))
    facts = [
        Fact("density", number(row["density"]), density, f"share{of} on which it fires; 95 % interval over documents"),
        Fact("firings", count(row["n_firings"]), f"positions{of}", "positions with act > 0, special tokens left out"),
        Fact("contexts", count(row["n_contexts"]), f"in {count(row['n_documents'])} documents", "with a firing"),
        Fact("act max", number(row["act_max"]), _quantiles(row), "SAE units, over its firings"),
        Fact(
            "token R²",
            number(row["token_r2"]),
            token_driven(row["token_r2"], row["token_r2_null"]),
            "held-out share of the variance of act that the token alone explains, means from other documents",
        ),
        Fact(
            "top examples",
            verdict,
            sentence,
            "Jensen-Shannon divergence of peak tokens, top 20 contexts against uniformly drawn firing contexts",
        ),
        Fact("nearest", nearest, f"decoder cosine {number(row['nearest_cosine'])}", "highest decoder cosine"),
        Fact("decoder norm", number(row["decoder_norm"]), f"encoder bias {number(row['bias'])}", "as loaded"),
    ]
    if not missing(row["threshold"]):
        facts.append(Fact("threshold", number(row["threshold"]), "SAE units", "JumpReLU: fires above it"))
    return facts


def _quantiles(row: Mapping[str, Any]) -> str:
    if missing(row["act_max"]):
        return "it never fires here"
    return f"SAE units; median {number(row['act_q50'])}, 99 % below {number(row['act_q99'])}"


def fidelity_facts(manifest: Mapping[str, Any]) -> list[Fact]:
    """How well model and SAE fit each other, as measured before the encode."""
    fit = manifest.get("fidelity") or {}
    stated, stated_ev = fit.get("stated_l0"), fit.get("stated_explained_variance")
    says = "the release does not say" if missing(stated) else f"the release says {number(stated)}"
    says_ev = "" if missing(fit.get("n_tokens")) else f"of {count(fit['n_tokens'])} tokens"
    says_ev += "" if missing(stated_ev) else f"; the release says {number(stated_ev)}"
    recovered = fit.get("loss_recovered")
    return [
        Fact("fidelity", fit.get("verdict") or NOT_MEASURED, str(fit.get("cause") or ""), "do model and SAE fit?"),
        Fact("L0", number(fit.get("l0")), says, "features firing per token"),
        Fact("explained variance", number(fit.get("explained_variance")), says_ev, "share of the residual's variance"),
        Fact("loss recovered", number(recovered), "", "1: as good as the model's own activations; 0: as zeros"),
    ]


def run_facts(manifest: Mapping[str, Any]) -> list[Fact]:
    """Where a run's numbers come from: model, SAE, corpus with licence and counts, when, with what."""
    model, sae = manifest.get("model") or {}, manifest.get("sae") or {}
    corpus, made = manifest.get("corpus") or {}, manifest.get("provenance") or {}
    counts, packages = manifest.get("counts") or {}, made.get("packages") or {}
    tokens = f"{count(corpus.get('n_tokens'))} tokens in {count(corpus.get('n_contexts'))} contexts"
    read = f"{count(corpus.get('n_documents_used'))} of {count(corpus.get('n_documents_read'))} documents"
    firings = f"{count(counts.get('n_firings'))} firings"
    width = "" if missing(sae.get("d_sae")) else f" of {count(sae['d_sae'])}"
    wide = f"{count(counts.get('n_features'))}{width} features encoded"
    seconds = made.get("seconds")
    took = "" if missing(seconds) else f"took {number(seconds)} s on {made.get('device', '?')}"
    return [
        Fact("model", last_part(model.get("name")), f"{model.get('dtype', '?')}, read by {model.get('loader', '?')}"),
        Fact("SAE", sae_name(manifest), f"{sae.get('architecture', '?')} at {sae.get('hook_name', '?')}"),
        Fact("features", wide, firings),
        Fact("corpus", corpus_name(manifest), f"licence: {corpus.get('licence') or 'not stated'}"),
        Fact("text", tokens, f"{read}; {count(corpus.get('n_special'))} special tokens masked"),
        Fact("made", f"{manifest.get('created_at', '?')} (UTC)", took),
        Fact("with", f"sae-prism {packages.get('sae-prism', '?')}", f"recipe {str(manifest.get('digest', '?'))[:12]}"),
    ]


def sae_name(manifest: Mapping[str, Any]) -> str:
    """``release:id``, the folder's name, or for an imported run the SAE's id on Neuronpedia."""
    sae, recipe = manifest.get("sae") or {}, (manifest.get("recipe") or {}).get("sae") or {}
    release, sae_id = sae.get("release") or recipe.get("release"), sae.get("sae_id") or recipe.get("id")
    return f"{release}:{sae_id}" if release else last_part(recipe.get("path") or sae.get("neuronpedia_id"))


def last_part(name: Any) -> str:
    """A folder by its last part, a hub id whole: ``../models/tiny`` is tiny, ``google/gemma-2-2b`` stays."""
    text = str(name or "?").rstrip("/")
    return text.rsplit("/", 1)[-1] if text.startswith((".", "/")) or text.count("/") > 1 else text


def corpus_name(manifest: Mapping[str, Any]) -> str:
    corpus, recipe = manifest.get("corpus") or {}, (manifest.get("recipe") or {}).get("corpus") or {}
    return str(corpus.get("name") or recipe.get("dataset") or recipe.get("path") or "?")


def header_html(feature: int, labels: Sequence[tuple[str, str]], flag: str, level: int = 1) -> str:
    """A feature's number as a heading of ``level`` and its labels, each with its source: strangers' text."""
    said = "".join(
        f'<li dir="auto">{escape(visible(label))} <small>{escape(visible(source))}</small></li>'
        for label, source in labels
    )
    mark = f' <span class="p-flag">{escape(flag)}</span>' if flag else ""
    title = f'<h{level} class="p-h">Feature {feature}{mark}</h{level}>'
    return f'{title}<ul class="p-labels">{said or "<li>no label yet</li>"}</ul>'


def message_html(title: str, detail: str = "", remedy: str = "", kind: str = "error") -> str:
    """A box that says what happened, what was expected and what to do. ``kind``: error | note."""
    role = "alert" if kind == "error" else "note"
    parts = f"<strong>{escape(title)}</strong>"
    parts += f"<p>{escape(detail)}</p>" if detail else ""
    parts += f"<p>{_commands(remedy)}</p>" if remedy else ""
    return f'<div class="p-msg p-{kind}" role="{role}">{parts}</div>'


def _commands(text: str) -> str:
    """Escape a remedy and set what stands between backticks as code."""
    return "".join(f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(text.split("`")))


def neuronpedia_url(manifest: Mapping[str, Any], feature: int | None = None) -> str | None:
    """The same SAE or feature on Neuronpedia, where the SAE states a well-formed id ``model/source``."""
    stated = str((manifest.get("sae") or {}).get("neuronpedia_id") or "")
    match = SLASHED.fullmatch(stated)
    if not match or match["feature"]:
        return None
    return f"https://www.neuronpedia.org/{stated}" + (f"/{feature}" if feature is not None else "")
