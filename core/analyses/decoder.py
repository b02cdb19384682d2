"""Decoder rows of a run's features, from the SAE's folder or the hub cache, without the libraries that run models."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from core.errors import NotFoundError
from core.store import Run

FILES = {"sae_weights.safetensors": "W_dec", "params.npz": "W_dec", "params.safetensors": "w_dec"}
"""Decoders that need no conversion, ``[d_sae, d_in]``, by file: SAELens, Gemma Scope, Gemma Scope 2."""

HUB_FOLDER = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(/[\w-][\w.=+-]*)*")
MAX_HEADER = 1_000_000
DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def load_decoder(run: Run, features: np.ndarray | None = None) -> np.ndarray:
    """``[n_features, d_in]`` float32 as stored: rows of ``features`` (SAE units), or of all encoded ones in order.

    NotFoundError where the SAE is neither where the recipe says nor in the hub cache, or is another SAE than the run's.
    """
    wanted = run.encoded_features if features is None else np.asarray(features)
    path = _weights(run)
    tensor = _npz(path, run) if path.suffix == ".npz" else _safetensors(path, run)
    if tensor.ndim != 2 or tensor.shape[0] <= int(wanted.max(initial=0)):
        raise _absent(run, f"the decoder in {path.name} has the shape {tensor.shape}")
    decoder = _float32(tensor[wanted])
    stated = run.table("features", ["feature", "decoder_norm"]).set_index("feature")["decoder_norm"]
    norms = np.linalg.norm(decoder.astype(np.float64), axis=1)
    if not np.allclose(norms, stated.loc[wanted].to_numpy(np.float64), rtol=1e-2, equal_nan=True):
        raise _absent(run, "the SAE there has other decoder norms than the run's features")
    return decoder


def _weights(run: Run) -> Path:
    recipe, home = run.manifest["recipe"].get("sae", {}), run.manifest["provenance"].get("recipe_folder")
    if recipe.get("path"):
        folders = iter([run.path / home / recipe["path"]]) if home is not None else iter(())
        why, remedy = "the run's recipe names no SAE folder that is here", ""
    elif hub := _hub_folder(run):
        folders = _snapshots(*hub)
        why = f"{hub[1]!r} of {hub[0]} is not in the hub cache {_cache()} in a format that is read without the engine"
        remedy = f"`hf download {hub[0]} --include '{hub[1]}/*'`, or "
    else:
        raise _absent(run, "the run does not say in which repository of the hub its SAE lies: encode it again")
    found = next((f / name for f in folders for name in FILES if (f / name).is_file()), None)
    if found is None:
        raise _absent(run, why, remedy)
    return found


def _hub_folder(run: Run) -> tuple[str, str] | None:
    """Repository and folder in it; None for a run that does not name them."""
    sae = run.manifest["sae"]
    known = sae.get("hub") or f"{sae.get('release')}/{sae.get('sae_id')}"  # a release may be named by its repository
    if not HUB_FOLDER.fullmatch(known) or known.count("/") < 2:
        return None
    owner, repository, folder = known.split("/", 2)
    return f"{owner}/{repository}", folder


def _cache() -> Path:
    """Where the hub's own library keeps what it fetched."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _snapshots(repository: str, folder: str) -> Iterator[Path]:
    """The folder in every snapshot of the repository, that of its main branch first."""
    home = _cache() / f"models--{repository.replace('/', '--')}"
    head = home / "refs" / "main"
    main = head.read_text(encoding="utf-8").strip() if head.is_file() else ""
    for snapshot in sorted(home.glob("snapshots/*"), key=lambda p: (p.name != main, p.name)):
        yield snapshot / folder


def _absent(run: Run, detail: str, remedy: str = "") -> NotFoundError:
    return NotFoundError(
        f"the decoder of run {run.name!r} is not here",
        detail,
        f"{remedy}--param decoder=false leaves its comparison out",
    )


def _npz(path: Path, run: Run) -> np.ndarray:
    try:
        with np.load(path) as file:  # never code: pickles are refused
            return np.asarray(file[FILES[path.name]])
    except (KeyError, ValueError, OSError, BadZipFile) as error:
        raise _absent(run, f"{path.name} cannot be read: {error}") from error


def _safetensors(path: Path, run: Run) -> np.ndarray:
    """One tensor of a safetensors file, not yet read: the header's length in 8 bytes, the header in JSON, numbers."""
    try:
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(n_header)) if 2 <= n_header <= MAX_HEADER else {}
        entry = header[FILES[path.name]]
        dtype, start = DTYPES[entry["dtype"]], 8 + n_header + entry["data_offsets"][0]
        return np.memmap(path, dtype, "r", start, tuple(entry["shape"]))
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise _absent(run, f"{path.name} is damaged or holds no decoder of a known type: {error}") from error


def _float32(rows: np.ndarray) -> np.ndarray:
    """float32; bfloat16, which numpy lacks, comes as its 16 bits."""
    if rows.dtype == np.uint16:
        return (rows.astype(np.uint32) << 16).view(np.float32)
    return np.array(rows, np.float32)
