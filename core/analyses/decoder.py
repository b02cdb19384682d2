"""Decoder rows of a run's features, from the SAE's folder, without the libraries that run models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from core.errors import NotFoundError
from core.store import Run

WEIGHTS = "sae_weights.safetensors"
MAX_HEADER = 1_000_000
DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def load_decoder(run: Run) -> np.ndarray:
    """``[n_features, d_in]`` float32, rows in the order of the encoded features, as stored.

    NotFoundError where the SAE's folder is not where the recipe says, or is another SAE than the run's.
    """
    path = run.manifest["recipe"].get("sae", {}).get("path")
    home = run.manifest["provenance"].get("recipe_folder")
    folder = (run.path / home / path) if path and home is not None else None
    if folder is None or not (folder / WEIGHTS).is_file():
        raise _absent(run, "the run's recipe names no SAE folder that is here")
    decoder = _tensor(folder / WEIGHTS, "W_dec", run)
    if decoder.ndim != 2 or decoder.shape[0] <= int(run.encoded_features.max()):
        raise _absent(run, f"W_dec has the shape {decoder.shape}, the run {len(run.encoded_features)} features")
    decoder = decoder[run.encoded_features]
    stated = run.table("features", ["decoder_norm"])["decoder_norm"].to_numpy(np.float64)
    if not np.allclose(np.linalg.norm(decoder.astype(np.float64), axis=1), stated, rtol=1e-2, equal_nan=True):
        raise _absent(run, "the SAE there has other decoder norms than the run's features")
    return decoder


def _absent(run: Run, detail: str) -> NotFoundError:
    return NotFoundError(
        f"the decoder of run {run.name!r} is not here", detail, "--param decoder=false leaves its comparison out"
    )


def _tensor(path: Path, name: str, run: Run) -> np.ndarray:
    """One tensor of a safetensors file: a header of JSON after its length in 8 bytes, then the numbers."""
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if not 2 <= n_header <= MAX_HEADER:
            raise _absent(run, f"{path.name} is no safetensors file")
        header = json.loads(file.read(n_header))
        entry = header.get(name)
        if entry is None or entry["dtype"] not in DTYPES:
            raise _absent(run, f"{path.name} holds no {name} of a known type")
        start, stop = entry["data_offsets"]
        file.seek(8 + n_header + start)
        flat = np.frombuffer(file.read(stop - start), DTYPES[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":
        return (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.astype(np.float32)
