"""What a recipe would do, before anything is loaded: sizes, memory, time, and what is there already."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.engine import models, saes, work
from core.engine.choices import chosen_features, context_size
from core.engine.device import choose_device
from core.engine.rates import flops_per_token, matmul_rate
from core.engine.work import Work
from core.errors import DamagedError, InputError
from core.recipe import Recipe, located
from core.store import Store
from core.types import ModelInfo, SAEInfo
from core.units import human_bytes, human_time

BYTES_PER_ACTIVATION = {"float16": 4.0, "float32": 6.0}
SHARD_BYTES_PER_ACTIVATION = {"float16": 8.0, "float32": 10.0}
LIBRARY_BYTES = 600e6  # Python with torch and the model libraries, measured
WORKING_BYTES = 500e6  # whatever the corpus
OVER_THE_FLOOR = 2.0
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Plan:
    """The plan of one recipe. Bytes and seconds are estimates; ``None`` = cannot be told before the run."""

    name: str
    state: str
    model: str
    model_parameters: int
    sae: str
    sae_parameters: int
    device: str
    n_features: int
    context_size: int
    n_contexts_at_most: int | None
    n_tokens_at_most: int
    l0_expected: float | None
    n_activations: int | None
    table_bytes: int | None
    disk_peak_bytes: int | None
    memory_peak_bytes: int
    seconds: float | None
    seconds_basis: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)

    def lines(self) -> dict[str, str]:
        """The same for people, one line each."""

        def size(n: int | None) -> str:
            return "not known before the fidelity check" if n is None else f"about {human_bytes(n)}"

        contexts = "as many as needed" if self.n_contexts_at_most is None else f"{self.n_contexts_at_most:,}"
        activations = size(None) if self.n_activations is None else f"about {self.n_activations:,}"
        return {
            "state": self.state,
            "model": f"{self.model}, {self.model_parameters:,} parameters",
            "SAE": f"{self.sae}, {self.sae_parameters:,} parameters",
            "features": f"{self.n_features:,}",
            "text": f"{contexts} contexts of {self.context_size} positions, at most {self.n_tokens_at_most:,} tokens",
            "activations": activations + (f" (L0 {self.l0_expected:.3g})" if self.l0_expected else ""),
            "tables": size(self.table_bytes),
            "disk while encoding": size(self.disk_peak_bytes),
            "memory": f"{size(self.memory_peak_bytes)} at the peak, on {self.device}",
            "time": ("not known" if self.seconds is None else f"about {human_time(self.seconds)}")
            + f" ({self.seconds_basis})",
        }


def plan_recipe(recipe: Recipe, folder: Path, store: Store) -> Plan:
    """The plan; reads configurations only and computes nothing but a short matmul on a CPU.

    Raises what loading would raise of names, widths and features, and the refusal of a taken name is part of ``state``.
    """
    here = located(recipe, folder)
    info = saes.sae_info(here.sae)
    n_features = len(chosen_features(recipe, info.d_sae))
    model = models.model_info(here.model, info)
    size = context_size(recipe, info, model.n_ctx)
    models.require_context_size(model, size)
    device = choose_device(recipe.encode.device)
    n_tokens = recipe.corpus.n_tokens or (recipe.corpus.n_contexts or 0) * (size - info.prepend_bos)
    l0 = None if info.stated_l0 is None else info.stated_l0 * n_features / info.d_sae
    firings = None if l0 is None else round(n_tokens * l0)
    seconds, basis = _time(model, info, n_features, size, n_tokens, device, store)
    dtype = recipe.encode.store_dtype
    table_bytes = None if firings is None else round(firings * BYTES_PER_ACTIVATION[dtype])
    shards = None if firings is None else round(firings * SHARD_BYTES_PER_ACTIVATION[dtype])
    sae_parameters = 2 * info.d_in * info.d_sae + info.d_in + info.d_sae
    held = model.n_parameters * DTYPE_BYTES[recipe.model.dtype] + sae_parameters * DTYPE_BYTES[recipe.sae.dtype]
    return Plan(
        name=recipe.name,
        state=_state(recipe, here, store),
        model=f"{recipe.model.name} ({model.loader}, {recipe.model.dtype})",
        model_parameters=model.n_parameters,
        sae=f"{_sae_name(recipe)} ({info.architecture} {info.d_in} x {info.d_sae})",
        sae_parameters=sae_parameters,
        device=device,
        n_features=n_features,
        context_size=size,
        n_contexts_at_most=recipe.corpus.n_contexts,
        n_tokens_at_most=n_tokens,
        l0_expected=l0,
        n_activations=firings,
        table_bytes=table_bytes,
        disk_peak_bytes=None if table_bytes is None or shards is None else table_bytes + shards,
        memory_peak_bytes=round(LIBRARY_BYTES + held + WORKING_BYTES),
        seconds=seconds,
        seconds_basis=basis,
    )


def _sae_name(recipe: Recipe) -> str:
    return recipe.sae.path or f"{recipe.sae.release} {recipe.sae.id}"


def _state(recipe: Recipe, here: Recipe, store: Store) -> str:
    try:
        if work.finished(store, recipe, here) is not None:
            return "finished already: nothing would be done"
        unfinished = work.resumable(store, recipe, replace=False)
    except (InputError, DamagedError) as error:
        why = "; ".join(line.strip() for line in error.detail.splitlines())
        return f"would be refused without --replace: {error.title} ({why})"
    if isinstance(unfinished, Work):
        return f"would resume: {unfinished.n_shards_noted()} parts of the encoding are done"
    return "would begin"


def _time(
    model: ModelInfo, info: SAEInfo, n_features: int, size: int, n_tokens: int, device: str, store: Store
) -> tuple[float | None, str]:
    """Seconds of the encode and what they are based on: an earlier run like this one, else this CPU's matmul rate."""
    for run in map(store.run, store.names()):
        try:
            same = (
                run.manifest["sae"]["d_sae"] == info.d_sae
                and run.manifest["sae"]["hook_name"] == info.hook_name
                and run.manifest["model"]["n_parameters"] == model.n_parameters
                and run.manifest["counts"]["n_features"] == n_features
                and run.manifest["provenance"]["device"] == device
            )
            rate = float(run.manifest["provenance"]["tokens_per_s"]) if same else 0.0
        except (DamagedError, KeyError, TypeError):
            continue
        if rate:
            return n_tokens / rate, f"run {run.name} made {rate:,.0f} tokens/s on {device}"
    if device != "cpu":
        return None, f"no run on {device} to learn from yet"
    language_model, encoder = flops_per_token(model, info, n_features, size)
    rate = matmul_rate([(512, info.d_in, min(info.d_sae, 8192))])
    seconds = OVER_THE_FLOOR * n_tokens * (language_model + encoder) / rate
    return seconds, f"{OVER_THE_FLOOR:g} times the matmuls alone, at {rate / 1e9:,.0f} GFLOP/s measured just now"
