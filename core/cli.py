"""``prism ...``: the command line. Results go to standard output, progress and messages to standard error.

Exit codes: 0 done, 2 the user's input, 3 something missing on the machine, 1 a bug. With ``--json`` the last
line of standard output is one JSON object and nothing else is on standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from core import console, doctor
from core.analyses.registry import ANALYSES, analysis
from core.cli_decompose import decompose_command
from core.cli_host import host_check_command, serve
from core.cli_import import import_command
from core.cli_prompts import account_command, contrast_command, decode_command, find_command, measure_command
from core.errors import DamagedError, InputError, MachineError, PrismError, RecipeError, did_you_mean
from core.recipe import Recipe, load_recipe, overrides_as_values, stored_recipe
from core.results import checked_params, run_analysis
from core.settings import Settings
from core.store import Run, Store, check_name

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
bench_app = typer.Typer(no_args_is_help=True, help="Measure this machine against the floor and against peers.")
app.add_typer(bench_app, name="bench")
demo_app = typer.Typer(no_args_is_help=True, help="The embedded demo: a planted world whose concepts are known.")
app.add_typer(demo_app, name="demo")

CacheDir = Annotated[Path | None, typer.Option("--cache-dir", help="Folder of runs [PRISM_CACHE_DIR, else cache/].")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name in the cache directory, or its path.")]
RecipeFile = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, a shipped recipe's name or a run's.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one value.")]


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    device: Annotated[str | None, typer.Option(help="auto | cpu | cuda | mps")] = None,
    replace: Annotated[bool, typer.Option(help="Discard a run of the same name made by another recipe.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; load and write nothing.")] = False,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Encode a recipe's text with its SAE into a run folder; stopped at any moment, it resumes."""
    store = _store(cache_dir)
    changes = [*(overrides or []), *([f'encode.device="{device}"'] if device else [])]
    parsed, folder = _recipe(recipe, store, changes)
    for key, params in parsed.analyses.items():
        checked_params(analysis(key), params)
    if dry_run:
        _show_plan(parsed, folder, store, as_json)
        return
    with console.ConsoleProgress() as progress:
        made = _engine("run").run_recipe(parsed, folder, store, replace=replace, progress=progress)
        for key, params in parsed.analyses.items():
            run_analysis(made, analysis(key), params, progress)
    if as_json:
        console.print_json(_summary(made) | {"path": str(made.path)})
    else:
        console.print_pairs(f"run {made.name} is ready", _summary(made))
        console.err.print("look at it with: prism dashboard" + (f" --cache-dir {cache_dir}" if cache_dir else ""))


def _show_plan(recipe: Recipe, folder: Path, store: Store, as_json: bool) -> None:
    plan = _engine("plan").plan_recipe(recipe, folder, store)
    if as_json:
        console.print_json(plan.as_dict())
    else:
        console.print_pairs(f"plan of {recipe.name} (nothing was loaded or written)", plan.lines())


@app.command("list")
def list_runs(cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """The runs of the cache directory, finished and unfinished."""
    store = _store(cache_dir)
    runs, problems = [], []
    for name in store.names():
        try:
            runs.append(_summary(store.run(name)))
        except DamagedError as error:
            problems.append({"name": name, "problem": error.title})
    if as_json:
        console.print_json({"runs": runs, "damaged": problems, "unfinished": store.unfinished()})
        return
    if runs:
        columns = ("name", "features", "tokens", "fidelity", "explained_variance", "l0")
        console.print_table(f"runs in {store.cache_dir}", [{c: run[c] for c in columns} for run in runs])
    else:
        console.err.print(f"no runs in {store.cache_dir}: make one with `prism run RECIPE.toml` (see `prism recipes`)")
    for problem in problems:
        console.err.print(f"{problem['name']}: {problem['problem']}", markup=False)
    for name in store.unfinished():
        console.err.print(f"unfinished: {name} (run its recipe again to resume)", markup=False)


@app.command()
def show(run: RunName, cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Everything a run says of itself: recipe, provenance, fidelity, counts, tables."""
    opened = _store(cache_dir).open_run(run)
    if as_json:
        console.print_json(opened.manifest)
        return
    for section, values in opened.manifest.items():
        if isinstance(values, dict):
            console.print_pairs(section, values)
        else:
            console.print_pairs(section, {"": values})


@app.command()
def verify(run: RunName, cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Compare every table with the hash written when it was made."""
    opened = _store(cache_dir).open_run(run)
    problems = opened.verify()
    if as_json:
        console.print_json({"run": opened.name, "whole": not problems, "problems": problems})
        raise typer.Exit(DamagedError.exit_code if problems else 0)
    if not problems:
        console.out.print(f"run {opened.name} is whole: {len(opened.manifest['tables'])} tables as written")
    else:
        raise DamagedError(
            f"run {opened.name!r} is damaged",
            "\n".join(problems),
            "copy it again, or make it anew with `prism run RECIPE.toml --replace`",
        )


@app.command()
def query(
    run: RunName,
    feature: Annotated[int, typer.Option("--feature", help="Feature number.")],
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many firings to print, strongest first.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write all firings to this .csv or .parquet file.")] = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """One feature: its statistics and its strongest firings."""
    opened = _store(cache_dir).open_run(run)
    acts = opened.acts(feature)
    rows = pd.DataFrame({"context": acts.context, "pos": acts.pos, "act": acts.act})
    if out is not None:
        _write_frame(rows, out)
    strongest = rows.nlargest(top, "act", keep="first")
    strongest = strongest.assign(str_token=opened.tokens_at(strongest["context"].tolist(), strongest["pos"].tolist()))
    table = opened.features()
    stats = {str(k): v for k, v in table[table["feature"] == feature].iloc[0].items() if v == v and v is not None}
    if as_json:
        console.print_json({"run": opened.name, "stats": stats, "firings": strongest.to_dict("records")})
        return
    console.print_pairs(f"feature {feature} of {opened.name}", stats)
    console.print_table(
        "strongest firings", strongest.assign(str_token=strongest["str_token"].map(repr)).to_dict("records")
    )


@app.command()
def recipes(as_json: Json = False) -> None:
    """The recipes that ship with the package; copy one and change it."""
    shipped = {p.stem: str(p) for p in sorted(_shipped_recipes().glob("*.toml"))}
    if as_json:
        console.print_json(shipped)
    else:
        console.print_pairs("recipes that ship (prism run NAME)", shipped)


@app.command()
def dashboard(
    cache_dir: CacheDir = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    headless: Annotated[bool, typer.Option(help="Do not open a browser window.")] = False,
) -> None:
    """Open the dashboard on the cache directory."""
    raise typer.Exit(serve(cache_dir, port, headless))


@app.command()
def analyze(
    run: RunName,
    name: Annotated[str, typer.Argument(metavar="ANALYSIS", help=f"One of: {', '.join(ANALYSES) or 'none yet'}.")],
    params: Annotated[list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="Change one knob.")] = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Compute one analysis of a run and store its result beside it."""
    opened, chosen = _store(cache_dir).open_run(run), analysis(name)
    with console.ConsoleProgress() as progress:
        result = run_analysis(opened, chosen, overrides_as_values(params or []), progress)
    summary = chosen.summary({t: result.table(t) for t in result.manifest["tables"]}) if chosen.summary else {}
    if as_json:
        console.print_json({"path": str(result.path), "summary": summary} | result.manifest)
        return
    for title, rows in summary.items():
        console.print_table(title, [_rounded(row) for row in rows])
    counts = {table: f"{entry['n_rows']} rows" for table, entry in result.manifest["tables"].items()}
    console.print_pairs(f"{chosen.title}: {chosen.question}", counts | {"stored in": result.path})


@bench_app.command("encode")
def bench_encode(
    recipe: RecipeFile,
    overrides: Overrides = None,
    n_contexts: Annotated[int, typer.Option(min=1, help="How many contexts to time.")] = 64,
    as_json: Json = False,
) -> None:
    """Tokens per second of the encode beside this machine's own matmul rate on the same shapes."""
    parsed, folder = _recipe(recipe, _store(None), overrides)
    result = _engine("bench").bench_encode(parsed, folder, n_contexts=n_contexts)
    if as_json:
        console.print_json(result)
    else:
        console.print_pairs("encode, all of it against the matmuls alone", result)


@demo_app.command("build")
def demo_build(
    seed: Annotated[int, typer.Option(min=0, help="Which world.")] = 7,
    tiny: Annotated[bool, typer.Option(help="A world of a minute, to try the steps.")] = False,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "demo",
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Train the demo's model and SAE, encode, match its concepts, test its labels: about 20 minutes on two cores."""
    _engine("train")
    from core.demo.committed import make_demo

    with console.ConsoleProgress() as progress:
        made = make_demo(_store(cache_dir), check_name(name), seed, "tiny" if tiny else "full", progress)
    if as_json:
        console.print_json(_summary(made) | {"path": str(made.path)})
    else:
        console.print_pairs(f"run {made.name} is ready", _summary(made))


@app.command("doctor")
def check_machine(cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """What this machine has and lacks."""
    findings = doctor.findings(_store(cache_dir))
    if as_json:
        console.print_json({"findings": findings})
    else:
        console.print_table("this machine", findings)
    missing = [f for f in findings if f["state"] == "missing"]
    if missing:
        raise MachineError(
            f"{len(missing)} thing{'s are' if len(missing) > 1 else ' is'} missing",
            "\n".join(f"{f['what']}: {f['found']}" for f in missing),
            "\n".join(f["remedy"] for f in missing if f["remedy"]),
        )


app.command("decompose")(decompose_command)
app.command("import")(import_command)
for _name, _command in (
    ("test", measure_command), ("find", find_command), ("contrast", contrast_command), ("account", account_command),
    ("decode", decode_command),
):  # fmt: skip
    app.command(_name)(_command)
app.command("host-check")(host_check_command)

# --- shared by the commands ---------------------------------------------------------------------------


def _store(cache_dir: Path | None) -> Store:
    return Store((cache_dir or Settings.from_env().cache_dir).resolve())


def _shipped_recipes() -> Path:
    return Path(__file__).with_name("recipes")


def _recipe(name: str, store: Store, overrides: list[str] | None) -> tuple[Recipe, Path]:
    """The recipe meant by a file, by the name of one that ships or by the name of a run, and its folder."""
    path, shipped = Path(name), _shipped_recipes()
    names = sorted(p.stem for p in shipped.glob("*.toml"))
    if path.is_file() or path.suffix == ".toml":
        return load_recipe(path, overrides), path.parent
    if name in names:
        return load_recipe(shipped / f"{name}.toml", overrides), shipped
    if name in store.names():
        made = store.run(name)
        values = stored_recipe(made.manifest["recipe"]).as_dict()
        recipe = stored_recipe(overrides_as_values(overrides or [], values))
        return recipe, (made.path / made.manifest["provenance"]["recipe_folder"]).resolve()
    raise RecipeError(
        f"there is no recipe {name!r}",
        did_you_mean(name, [*names, *store.names()]) or f"recipes that ship: {', '.join(names)}",
        "name a TOML file, one of `prism recipes`, or a run of `prism list`",
    )


def _engine(module: str) -> Any:
    """A module of the engine, or the command that installs what it needs."""
    import importlib

    try:
        return importlib.import_module(f"core.engine.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "core":
            raise
        raise MachineError(
            f"this command runs a model and needs the package {error.name!r}",
            "only the base install, which reads and draws, is here",
            "pip install 'sae-prism[model]'  (in a checkout: make install)",
        ) from error


def _summary(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    fidelity, sae = manifest["fidelity"], manifest["sae"]
    path = manifest["recipe"].get("sae", {}).get("path")  # an imported run has no recipe
    return {
        "name": run.name,
        "model": manifest["model"]["name"],
        "sae": sae.get("sae_id") or path or sae.get("neuronpedia_id"),
        "features": manifest["counts"]["n_features"],
        "contexts": manifest["corpus"]["n_contexts"],
        "tokens": manifest["corpus"]["n_tokens"],
        "firings": manifest["counts"]["n_firings"],
        "fidelity": fidelity["verdict"],
        "explained_variance": _round(fidelity["explained_variance"], 3),
        "l0": _round(fidelity["l0"], 2),
    }


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Three decimals, and an empty cell for a number that is not there."""
    return {k: "" if v is None else f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()}


def _round(value: float | None, digits: int) -> float | None:
    """None, for what an imported run has not measured, stays None."""
    return None if value is None else round(value, digits)


def _write_frame(frame: Any, path: Path) -> None:
    """A download: csv or parquet by the file's ending."""
    writers = {".csv": lambda: frame.to_csv(path, index=False), ".parquet": lambda: frame.to_parquet(path, index=False)}
    if path.suffix not in writers:
        raise InputError(
            f"cannot write {path.name!r}", "the ending decides: .csv or .parquet", f"--out {path.stem}.csv"
        )
    try:
        writers[path.suffix]()
    except OSError as error:
        raise MachineError(f"could not write {path}", str(error), "choose another --out") from error


def main() -> None:
    """Entry point: every PrismError becomes three lines and its exit code."""
    try:
        sys.exit(app(standalone_mode=False) or 0)  # click returns the code of typer.Exit here
    except PrismError as error:
        if "--json" in sys.argv:
            console.print_json(error.as_dict())
        console.print_error(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        console.err.print("stopped; the same command goes on from here")
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # click's usage errors print themselves
        if show is None:
            raise
        show(file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
