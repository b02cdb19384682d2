"""The demo as a run like any user's: build its parts, encode them by a recipe, compute what is true, test the labels.

The run folder also keeps the parts (model, SAE, corpus, recipe), so that a fresh clone can run the model live and
anybody can make the same run again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.analyses.base import Progress
from core.analyses.decomposition import Params
from core.analyses.registry import analysis
from core.demo.builder import build_demo
from core.demo.proposals import FromWorld
from core.formats.labels import FoundLabel
from core.formats.run_labels import add_labels
from core.proposals.asking import Asking
from core.publish import PARTS
from core.recipe import load_recipe
from core.results import Result, require_result, run_analysis
from core.run_folder import write_sealed
from core.store import Run, Store

SEED = 7
LABEL_SOURCE = "planted truth"
N_RETEST = 40  # labels tested a second time with other phrases

RECIPE = """\
# The planted world: its model, SAE and text lie in this folder. `prism demo build` makes all of it again.
name = "{name}"

[model]
name = "model"

[sae]
path = "sae"

[corpus]
path = "corpus.jsonl"
n_contexts = {n_contexts}
context_size = 128
licence = "MIT (generated for SAE Prism)"
annotation = "annotation"

[encode]
device = "cpu"

[fidelity]
stop = {stop}

[analyses.truth]
[analyses.pattern_svd]
[analyses.feature_distances]
[analyses.conjecture]
[analyses.prototype_interpretability]
"""


def make_demo(store: Store, name: str, seed: int, scale: str, progress: Progress) -> Run:
    """Train, encode and analyse; replaces a demo of that name. The parts are kept in the run folder."""
    parts = store.cache_dir / f".parts-{name}"
    shutil.rmtree(parts, ignore_errors=True)
    build_demo(parts, seed, scale, _steps_to(progress), model_name="model")
    return encode_demo(store, name, parts, progress, stop=scale == "full")  # a tiny SAE is a bad one


def encode_demo(store: Store, name: str, parts: Path, progress: Progress, stop: bool = True) -> Run:
    """Make the run of built parts, move them into it, label its features with what they match, test those labels."""
    from core.engine.run import run_recipe

    n_contexts = sum(1 for _ in (parts / "corpus.jsonl").open(encoding="utf-8"))
    recipe_file = parts / "recipe.toml"
    recipe_file.write_text(RECIPE.format(name=name, n_contexts=n_contexts, stop=str(stop).lower()), encoding="utf-8")
    recipe = load_recipe(recipe_file)
    run = run_recipe(recipe, parts, store, replace=True, progress=progress)
    run = _adopt_parts(run, parts)
    for key, params in recipe.analyses.items():
        run_analysis(run, analysis(key), params, progress)
    _label(run, require_result(run, analysis("truth")))
    _decompose(run := Run(run.path), progress)
    return run


def _steps_to(progress: Progress) -> Callable[[str, int, int, dict[str, float]], None]:
    """What the trainings report (stage, step, of steps, numbers) as stages of a progress display."""
    now: list[Any] = ["", 0]

    def report(stage: str, done: int, total: int, numbers: dict[str, float]) -> None:
        if stage != now[0]:
            progress.stage(stage, total, "steps")
            now[:] = [stage, 0]
        progress.advance(done - now[1])
        now[1] = done

    return report


def _adopt_parts(run: Run, parts: Path) -> Run:
    """Move the parts into the run folder; from now on the recipe's paths start there."""
    for part in PARTS:
        shutil.move(parts / part, run.path / part)
    shutil.rmtree(parts)
    manifest = json.loads(json.dumps(run.manifest))
    del manifest["seal"]
    manifest["provenance"] |= {"recipe_folder": ".", "command": "prism demo build"}
    write_sealed(run.path, manifest)
    return Run(run.path)


def _label(run: Run, result: Result) -> None:
    """Each matched feature is labelled with the concept that holds where it fires."""
    features = result.table("feature_truth")
    matched = features[features["matched"]]
    pairs = zip(matched["feature"], matched["concept"], strict=True)
    add_labels(run, [FoundLabel(int(feature), concept, LABEL_SOURCE) for feature, concept in pairs])


def _decompose(run: Run, progress: Progress) -> None:
    """Take every label apart as the world itself would, and see whether its parts make the feature fire."""
    from core.decompose.choose import choose_labels
    from core.decompose.tester import decompose
    from core.engine.activation_source import run_source

    if run.labels().empty:  # a tiny world's SAE may match nothing
        return
    labels = choose_labels(run, "all", needs_label=True, seed=0).labels
    params = Params(proposer="truth", n_retest=N_RETEST)
    decompose(run, labels, FromWorld.of_run(run, Asking()), run_source(run, "cpu"), params, progress)
