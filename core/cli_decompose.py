"""``prism decompose``: test labels of a run with phrases that ought to make their features fire."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core import console
from core.analyses.decomposition import Params
from core.decompose.choose import Chosen, choose_labels
from core.decompose.proposers import FromFile, FromModel, FromText, Proposer
from core.decompose.tester import decompose
from core.errors import InputError, MachineError
from core.llm.ledger import Ledger
from core.llm.opening import open_session, replay_session
from core.llm.prices import PriceTable, load_prices
from core.llm.session import Session
from core.proposals import from_llm
from core.proposals.asking import Asking
from core.proposals.corpus import Corpus
from core.proposals.upload import read_upload
from core.results import Result
from core.settings import Settings
from core.store import Run, Store

ProposerName = Literal["llm", "corpus", "truth", "upload", "replay"]
LEDGER, JOURNAL = "ledger.jsonl", "neuronpedia.jsonl"


def decompose_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name in the cache directory, or its path.")],
    features: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="12,40 | random:200 | all | file of labels or numbers. Default: random:200."),
    ] = None,
    proposer: Annotated[ProposerName, typer.Option(help="Who proposes parts and phrases.")] = "corpus",
    phrases: Annotated[int, typer.Option(min=1, max=120, help="Phrases a part.")] = 12,
    parts: Annotated[int, typer.Option(min=1, max=12, help="Parts a label.")] = 5,
    style: Annotated[
        Literal["isolated", "published"], typer.Option(help="published: phrases thought to activate the feature.")
    ] = "isolated",
    model: Annotated[str | None, typer.Option(help="The language model (replay: of several in the ledger).")] = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint [OPENAI_BASE_URL].")] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the key of --base-url, where it is not the default's.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="TOML file of prices per million tokens.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Money to spend at most; needs --prices.")] = None,
    calls: Annotated[int | None, typer.Option(min=0, help="Calls to make at most.")] = None,
    upload: Annotated[Path | None, typer.Option(help="CSV or JSONL of part, phrase (and feature, label).")] = None,
    source: Annotated[
        Literal["run", "neuronpedia"], typer.Option(help="Who measures: the run's own model, or Neuronpedia.")
    ] = "run",
    bank: Annotated[Literal["auto", "shipped", "text"], typer.Option(help="Control phrases.")] = "auto",
    groups: Annotated[
        int, typer.Option(min=100, help="Control groups at most; fewer mean fewer requests to Neuronpedia.")
    ] = 310,
    retest: Annotated[int, typer.Option(min=0, help="Labels to test a second time with other phrases.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str | None, typer.Option(help="auto | cpu | cuda | mps")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Calls, tokens and cost; send and write nothing.")] = False,
    cache_dir: Annotated[
        Path | None, typer.Option("--cache-dir", help="Folder of runs [PRISM_CACHE_DIR, else cache/].")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")
    ] = False,
) -> None:
    """Do the human parts of a feature's label make it fire? Interrupted, it goes on without paying twice."""
    opened = Store((cache_dir or Settings.from_env().cache_dir).resolve()).open_run(run)
    asking = _asking(style, parts, phrases)
    if style == "published" and proposer in ("corpus", "truth"):
        raise InputError(
            "phrases cut from text are isolated",
            "style published is what somebody thinks would activate a feature",
            "--style isolated, or --proposer llm, replay or upload",
        )
    default = "all" if proposer == "upload" else "random:200"
    spec = default if features is None else features
    session = _session(opened, proposer, model, base_url, key_env, prices, budget, calls)
    chosen_by = _proposer(opened, proposer, asking, session, upload, seed)
    chosen = _labels(opened, spec, chosen_by, seed)
    if dry_run:
        _show_plan(chosen, asking, session, as_json)
        return
    params = Params(
        proposer="llm" if proposer == "replay" else proposer,
        style=style, n_parts=parts, n_phrases=phrases, n_whole=asking.n_whole, bank=bank, n_groups=groups,
        n_retest=retest, seed=seed,
    )  # fmt: skip
    with console.ConsoleProgress() as progress:
        for note in chosen.notes:
            progress.note(note)
        measured_by = _source(opened, source, device)
        result = decompose(opened, chosen.labels, chosen_by, measured_by, params, progress)
    if as_json:
        why = {"not_proposed": _why_not(result)} if result.manifest["classes"].get("NOT-PROPOSED") else {}
        console.print_json({"path": str(result.path)} | why | result.manifest)
    else:
        _show(opened, result, session)
    if result.manifest["classes"].get("NOT-PROPOSED", 0) == len(chosen.labels):
        if as_json:  # its one object is out
            raise typer.Exit(2)
        raise InputError(
            "no label could be tested",
            f"nothing was proposed for any of them: {_why_not(result)}",
            "mend that and run the same command again; what was answered is in the ledger and not paid twice",
        )


def _asking(style: Literal["isolated", "published"], parts: int, phrases: int) -> Asking:
    if style == "published":
        return Asking(style=style, n_parts=parts, n_phrases=phrases, n_whole=0)
    return Asking(n_parts=parts, n_phrases=phrases)


def _session(
    run: Run,
    proposer: ProposerName,
    model: str | None,
    base_url: str | None,
    key_env: str | None,
    prices: Path | None,
    budget: float | None,
    calls: int | None,
) -> Session | None:
    """Who is asked, for the two proposers that ask; the ledger lies in the run's folder."""
    ledger = Ledger(run.path / LEDGER)
    if proposer == "replay":
        return replay_session(ledger, model)
    if proposer != "llm":
        return None
    table = load_prices(prices) if prices else PriceTable()
    return open_session(base_url, model or "", ledger, table, budget, calls, _key(key_env, base_url))


def _key(variable: str | None, base_url: str | None) -> str | None:
    """The key in a variable that was named for this very endpoint; None: see ``resolve_endpoint``."""
    if variable is None:
        return None
    if not base_url:
        raise InputError("--key-env belongs to an endpoint", "no --base-url was given", "give both, or neither")
    if not os.environ.get(variable):
        raise InputError(
            f"the variable {variable[:60]} is not set", "it was to hold a key", f"export {variable[:60]}=..."
        )
    return os.environ[variable]


def _proposer(
    run: Run, name: ProposerName, asking: Asking, session: Session | None, upload: Path | None, seed: int
) -> Proposer:
    if session is not None:
        return FromModel(session, asking)
    if name == "truth":
        from core.demo.proposals import FromWorld

        return FromWorld.of_run(run, asking)
    if name == "upload":
        return _uploaded(run, upload, asking)
    return FromText(Corpus(run, seed), asking)


def _uploaded(run: Run, path: Path | None, asking: Asking) -> FromFile:
    if path is None:
        raise InputError("no file of phrases was named", "--proposer upload needs one", "--upload phrases.csv")
    known = set(run.encoded_features.tolist())
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name!r} cannot be read", str(error), "name a CSV or JSONL file") from error
    found = read_upload(data, path.name, known=known.__contains__, style=asking.style)
    for line, why in found.rejected[:5]:
        console.err.print(f"{path.name}:{line}: {why}", markup=False)
    if len(found.rejected) > 5:
        console.err.print(f"... and {len(found.rejected) - 5} more rows left out")
    return FromFile(found.proposals, path.name)


def _labels(run: Run, spec: str, proposer: Proposer, seed: int) -> Chosen:
    """The labels of a file of phrases are in it; otherwise they are the run's, or those of a file of labels."""
    if isinstance(proposer, FromFile):
        wanted = None if spec == "all" else {x.feature for x in choose_labels(run, spec, False, seed).labels}
        labels = tuple(x for x in proposer.labels if wanted is None or x.feature in wanted)
        return Chosen(labels)
    return choose_labels(run, spec, proposer.needs_label, seed)


def _source(run: Run, name: str, device: str | None) -> Any:
    if name == "neuronpedia":
        from core.formats.neuronpedia_source import NeuronpediaSource

        return NeuronpediaSource.of_run(run, run.path / JOURNAL)
    try:
        module = importlib.import_module("core.engine.activation_source")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "core":
            raise
        raise MachineError(
            f"measuring phrases runs the model and needs the package {error.name!r}",
            "only the base install, which reads and draws, is here",
            "pip install 'sae-prism[model]', or let Neuronpedia measure: --source neuronpedia",
        ) from error
    return module.run_source(run, device or Settings.from_env().device)


# --- what is said -------------------------------------------------------------------------------------


def _show_plan(chosen: Chosen, asking: Asking, session: Session | None, as_json: bool) -> None:
    n = len(chosen.labels)
    n_phrases = n * (asking.n_parts * asking.n_phrases + asking.n_whole)
    plan: dict[str, Any] = {"labels": n, "phrases to propose, at most": n_phrases, "notes": list(chosen.notes)}
    if session is None:
        plan |= {"calls": 0, "cost": "nothing is asked of a language model"}
    else:
        found = from_llm.estimate(chosen.labels, session, asking)
        plan |= {"asked": session.name, "calls": found.n_calls, "in the ledger": found.n_recorded,
                 "tokens in": found.n_tokens_in, "tokens out": found.n_tokens_out, "cost": found.cost,
                 "cost at most": found.cost_at_most, "currency": found.currency, "in words": found.text}  # fmt: skip
    if as_json:
        console.print_json(plan)
    else:
        console.print_pairs("plan (nothing was sent or written)", {k: v for k, v in plan.items() if v != []})


def _show(run: Run, result: Result, session: Session | None) -> None:
    """Class counts beside the false-positive rates, and where to look."""
    about = result.manifest
    rows = [
        {
            "class": r.kind, "labels": r.n, "share": _interval(r.share, r.share_lo, r.share_hi),
            "on swapped labels": _interval(r.swapped_share, r.swapped_lo, r.swapped_hi),
        }
        for r in result.table("class_rates").itertuples()
    ]  # fmt: skip
    not_proposed = about["classes"].get("NOT-PROPOSED", 0)
    console.print_table(f"classes of {run.name}'s labels, and how often labels of other features get them", rows)
    pairs: dict[str, Any] = {"not proposed": f"{not_proposed}: {_why_not(result)}"} if not_proposed else {}
    wrong = next((s for s in about["swapped_labels"] if s["kind"] == "any claim"), None)
    if wrong:
        share = _interval(wrong["share"], wrong["lo"], wrong["hi"])
        pairs["false claims"] = f"{share} of {wrong['n']} swapped labels"
    if about["retest"]:
        found = about["retest"]
        kappa = (
            "not defined" if found["kappa"] is None else f"{found['kappa']:.2f} ({found['lo']:.2f}-{found['hi']:.2f})"
        )
        pairs["test-retest"] = f"{found['share']:.0%} of {found['n']} agree, kappa {kappa}"
    pairs["measured"] = f"{about['n_phrases_measured']:,} phrases at {about['phrases_per_s']:,} a second"
    pairs["controls"] = f"{about['bank']['n_groups']} groups, {about['bank']['name']}"
    if session is not None:
        spent = session.spent
        pairs["spent now"] = f"{spent.n_calls} calls, {spent.cost_text if spent.n_calls else 'nothing'}"
    console.print_pairs("", pairs | {"stored in": result.path})


def _why_not(result: Result) -> str:
    """The reason most labels without phrases share, and how many other reasons there are."""
    tests = result.table("tests")
    reasons = tests.loc[tests["kind"] == "NOT-PROPOSED", "reason"].astype(str).value_counts()
    more = len(reasons) - 1
    return f"{reasons.index[0][:300]}" + (f" (and {more} other reasons)" if more else "")


def _interval(share: float | None, lo: float | None, hi: float | None) -> str:
    if share is None or lo is None or hi is None or share != share:
        return ""
    return f"{share:.0%} ({lo:.0%}-{hi:.0%})"
