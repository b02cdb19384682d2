"""``run.json``: everything a run says of itself."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import annotation
from core.engine import work
from core.engine.work import Work
from core.recipe import Recipe
from core.run_folder import FORMAT, table_entry, write_sealed
from core.store import Store
from core.tables import RUN_TABLES


def write_manifest(
    state: Work, recipe: Recipe, recipe_folder: Path, store: Store, device: str, encode_seconds: float
) -> None:
    """Write the manifest of a run whose tables are all there; it names no host and no absolute path."""
    values = state.values
    names = [spec.name for spec in RUN_TABLES] + ["activations"]
    if recipe.corpus.annotation:
        names += [f"{annotation.FOLDER}/{spec.name}" for spec in annotation.SPECS]
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": recipe.name,
        "recipe": recipe.as_dict(),
        "digest": recipe.digest(),
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "provenance": _provenance(state, recipe, recipe_folder, store, device, encode_seconds),
        "sae": values["sae"],
        "model": values["model"],
        "corpus": values["corpus"],
        "fidelity": values["fidelity"],
        "counts": {
            "n_features": values["n_features"],
            "n_firings": values["n_firings"],
            "n_contexts": values["corpus"]["n_contexts"],
            "n_tokens": values["corpus"]["n_tokens"],
        },
        "tables": {name: table_entry(state.folder / f"{name}.parquet", state.folder) for name in names},
    }
    write_sealed(state.folder, work.plain(manifest))


def _provenance(
    state: Work, recipe: Recipe, recipe_folder: Path, store: Store, device: str, encode_seconds: float
) -> dict[str, Any]:
    seconds = state.values["seconds"] | {"encode": round(encode_seconds, 3)}
    now = work.packages()
    changed = {} if now == state.values["packages"] else {"packages_at_end": now}
    return {
        "packages": state.values["packages"],
        **changed,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
        "device_name": _device_name(device),
        "seconds": round(sum(seconds.values()), 3),
        "seconds_by_stage": seconds,
        "tokens_per_s": round(state.values["corpus"]["n_tokens"] / max(encode_seconds, 1e-9), 1),
        "recipe_folder": Path(os.path.relpath(recipe_folder, store.cache_dir / recipe.name)).as_posix(),
        "command": f"prism run {recipe.name} --replace",
    }


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"
