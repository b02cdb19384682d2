"""``prism test | find | contrast | account | decode``: people's own prompts through a run's model and SAE."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Annotated

import typer

from core import console, feature_lists
from core.analyses.prompt_model import PromptModel
from core.cli_answers import Job, write_bytes
from core.decompose.choose import choose_labels
from core.errors import InputError, MachineError
from core.hosting import OWN
from core.lab.accounting import AccountParams, hold_to_account, phrases_csv, positives
from core.lab.contrasting import ContrastParams, contrast_groups, group_names
from core.lab.decoding import DecodeParams, check_decode, decode_features
from core.lab.finding import FindParams, find_features
from core.lab.prompts import PromptTable
from core.lab.testing import measure_features, summarise
from core.lab.upload import Columns, read_prompts
from core.settings import Settings
from core.store import Run

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name in the cache directory, or its path.")]
File = Annotated[Path, typer.Option("--prompts", metavar="FILE", help="txt (one a line), csv, jsonl or parquet.")]
Column = Annotated[str | None, typer.Option("--column", help="Column of the prompts, where it has no usual name.")]
Document = Annotated[str | None, typer.Option(help="Column that says which prompts are of one document.")]
Theta = Annotated[float, typer.Option(min=0, help="Firing is act > theta.")]
Out = Annotated[Path | None, typer.Option(help="Write the answer's table to this .csv or .parquet file.")]
Table = Annotated[str | None, typer.Option(help="Another of the answer's tables for --out.")]
Sheet = Annotated[bool, typer.Option("--spreadsheet", help="Guard cells of the csv that a spreadsheet would compute.")]
Save = Annotated[str | None, typer.Option("--save", metavar="NAME", help="Keep the answer in the run as a prompt set.")]
Replace = Annotated[bool, typer.Option(help="Replace a prompt set of that name.")]
Alpha = Annotated[float, typer.Option(min=0.0001, max=0.5, help="False discovery rate.")]
Seed = Annotated[int, typer.Option(min=0)]
Top = Annotated[int, typer.Option(min=1, max=1000, help="Rows to print.")]
Device = Annotated[str | None, typer.Option(help="auto | cpu | cuda | mps")]
CacheDir = Annotated[Path | None, typer.Option("--cache-dir", help="Folder of runs [PRISM_CACHE_DIR, else cache/].")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]


def measure_command(
    run: RunName, prompts: File,
    features: Annotated[
        str, typer.Option(metavar="SPEC", help="12,40 | list:NAME | random:200 | all | a file of labels.")
    ],
    out: Out = None, theta: Theta = 0.0,
    log_probs: Annotated[bool, typer.Option("--log-probs", help="Also the log-probability of every token.")] = False,
    column: Column = None, save: Save = None, replace: Replace = False, table: Table = None, spreadsheet: Sheet = False,
    seed: Seed = 0, top: Top = 20, device: Device = None, cache_dir: CacheDir = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Chosen features on your prompts: largest, mean and last act, and how many tokens fire."""
    job = Job(run, cache_dir, "test", out, table, spreadsheet, save, replace, top, as_json)
    chosen = choose_features(job.run, features, seed)
    asked = _read(prompts, Columns(column))
    with console.ConsoleProgress() as progress:
        model = _model(job.run, device, progress)
        measured = measure_features(model, asked, chosen, log_probs, progress)
        job.finish(summarise(measured, theta, job.run), model, asked)


def find_command(
    run: RunName, prompts: File, out: Out = None, theta: Theta = 0.0, alpha: Alpha = 0.05, column: Column = None,
    document: Document = None, save: Save = None, replace: Replace = False, table: Table = None,
    spreadsheet: Sheet = False, seed: Seed = 0, top: Top = 20, device: Device = None, cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Features that fire consistently on your prompts and not on the run's text of equal length."""
    job = Job(run, cache_dir, "find", out, table, spreadsheet, save, replace, top, as_json)
    asked = _read(prompts, Columns(column, document=document))
    with console.ConsoleProgress() as progress:
        model = _model(job.run, device, progress)
        found = find_features(model, job.run, asked, FindParams(theta, alpha, seed=seed), progress)
        job.finish(found, model, asked)


def contrast_command(
    run: RunName, prompts: File,
    group: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the groups.")] = None,
    a: Annotated[str, typer.Option(help="One group, where there are more than two.")] = "",
    b: Annotated[str, typer.Option(help="The other.")] = "",
    out: Out = None, theta: Theta = 0.0, alpha: Alpha = 0.05, column: Column = None, document: Document = None,
    folds: Annotated[int, typer.Option(min=2, max=50, help="Folds of the held-out ranking.")] = 5,
    shuffles: Annotated[int, typer.Option(min=100, max=100_000, help="Shuffled groups.")] = 1000,
    save: Save = None, replace: Replace = False, table: Table = None, spreadsheet: Sheet = False,
    seed: Seed = 0, top: Top = 20, device: Device = None, cache_dir: CacheDir = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Features that tell two groups of your prompts apart, beside the best that shuffled groups give."""
    job = Job(run, cache_dir, "contrast", out, table, spreadsheet, save, replace, top, as_json)
    asked = _read(prompts, Columns(column, group=group, document=document))
    params = ContrastParams(a, b, theta, alpha, folds, shuffles, seed=seed)
    group_names(asked, params)
    with console.ConsoleProgress() as progress:
        model = _model(job.run, device, progress)
        job.finish(contrast_groups(model, job.run, asked, params, progress), model, asked)


def account_command(
    run: RunName, prompts: File, feature: Annotated[int, typer.Option(help="The feature.")],
    label: Annotated[str, typer.Option(help="What it is said to mean.")],
    label_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that says on which it should fire.")
    ] = None,
    positive: Annotated[str, typer.Option(metavar="VALUE", help="The value there that means it should.")] = "",
    phrases: Annotated[Path | None, typer.Option(help="Also write the positives for decompose --upload.")] = None,
    out: Out = None, theta: Theta = 0.0, column: Column = None, save: Save = None, replace: Replace = False,
    table: Table = None, spreadsheet: Sheet = False, seed: Seed = 0, top: Top = 20, device: Device = None,
    cache_dir: CacheDir = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Hold a label to account: does its feature fire on prompts it should fire on, and on no others?"""
    job = Job(run, cache_dir, "account", out, table, spreadsheet, save, replace, top, as_json)
    job.run.require_feature(feature)
    asked = _read(prompts, Columns(column, label_column))
    positives(asked, positive)
    with console.ConsoleProgress() as progress:
        model = _model(job.run, device, progress)
        result = hold_to_account(model, asked, feature, label, AccountParams(theta, positive, seed), progress)
    if phrases is not None:
        write_bytes(phrases, phrases_csv(result))
    job.finish(result, model, asked)


def decode_command(
    run: RunName,
    values: Annotated[list[str], typer.Option("--set", metavar="FEATURE=VALUE", help="Set a feature; repeatable.")],
    prompt: Annotated[list[str] | None, typer.Option("--prompt", help="Go on from this text; repeat for more.")] = None,
    strengths: Annotated[str, typer.Option(help="Multiply the direction, such as 1,2,4.")] = "1",
    tokens: Annotated[int, typer.Option(min=1, max=200, help="New tokens a continuation.")] = 20,
    temperature: Annotated[float, typer.Option(min=0, max=10, help="0: the likeliest token.")] = 0.0,
    out: Out = None, save: Save = None, replace: Replace = False, table: Table = None, spreadsheet: Sheet = False,
    seed: Seed = 0, top: Top = 20, device: Device = None, cache_dir: CacheDir = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Set features by hand: tokens promoted and suppressed, and continuations beside a random direction's."""
    job = Job(run, cache_dir, "decode", out, table, spreadsheet, save, replace, top, as_json)
    chosen = _settings_of(job.run, values)
    params = DecodeParams(_numbers(strengths), tokens, min(top, 200), temperature, seed)
    asked = PromptTable.of_texts(prompt or [])
    check_decode(chosen, len(asked), params)
    with console.ConsoleProgress() as progress:
        model = _model(job.run, device, progress)
        job.finish(decode_features(model, chosen, asked, params, progress), model, asked)


# --- what is asked ------------------------------------------------------------------------------------


def choose_features(run: Run, spec: str, seed: int = 0) -> list[int]:
    """Features meant by ``12,40 | list:NAME | random:N | all | a file of labels``."""
    if spec.strip().startswith("list:"):
        return feature_lists.load_list(run, spec.strip().removeprefix("list:"))
    chosen = choose_labels(run, spec, needs_label=False, seed=seed)
    for note in chosen.notes:
        console.err.print(note, markup=False)
    return list(dict.fromkeys(x.feature for x in chosen.labels))


def _settings_of(run: Run, values: list[str]) -> dict[int, float]:
    """``12=5`` as feature 12 set to 5."""
    out: dict[int, float] = {}
    for text in values:
        feature, _, value = text.partition("=")
        if not feature.strip().isascii() or not feature.strip().isdigit():
            raise InputError(f"{text[:40]!r} sets no feature", "expected FEATURE=VALUE", "--set 12=5")
        out[run.require_feature(int(feature))] = _numbers(value)[0]
    return out


def _numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(x) for x in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(math.isfinite(x) for x in found):
        raise InputError(f"{text[:40]!r} is no number", "expected numbers, with commas between", "--strengths 1,2")
    return found


def _read(path: Path, columns: Columns) -> PromptTable:
    """The file's prompts; what was left out of it is said."""
    try:
        with path.open("rb") as stream:  # no more of a file that is too big than it takes to refuse it
            data = stream.read(OWN.upload_mb * 1_000_000 + 1)
    except OSError as error:
        raise InputError(
            f"{path.name!r} cannot be read", str(error), "name a txt, csv, jsonl or parquet file"
        ) from error
    asked = read_prompts(data, path.name, columns)
    for why, (n, line) in asked.left_out.items():
        console.err.print(f"{n} rows left out, the first in line {line}: {why}", markup=False)
    return asked


def _model(run: Run, device: str | None, progress: console.ConsoleProgress) -> PromptModel:
    progress.stage("load model and SAE")
    try:
        module = importlib.import_module("core.engine.prompt_model")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "core":
            raise
        raise MachineError(
            f"measuring prompts runs the model and needs the package {error.name!r}",
            "only the base install, which reads and draws, is here",
            "pip install 'sae-prism[model]'  (in a checkout: make install)",
        ) from error
    model: PromptModel = module.run_prompt_model(run, device or Settings.from_env().device)
    return model
