"""Hub caches as huggingface_hub lays them out, filled with random weights in the published formats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.engine import tiny

COMMIT = "0123456789abcdef0123456789abcdef01234567"

GPT2_SAES, GPT2_ID = "jbloom/GPT2-Small-SAEs-Reformatted", "blocks.2.hook_resid_pre"
SCOPE, SCOPE_FOLDER = "google/gemma-scope-2b-pt-res", "layer_20/width_16k/average_l0_71"
SCOPE_D_IN, SCOPE_D_SAE = 2304, 16384


def use_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Point the hub libraries at a cache in this process: they read this name at every call."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def add_repository(cache: Path, repo_id: str, fill: Callable[[Path], Any]) -> Path:
    """A model repository whose files ``fill`` writes into the folder it is given: blobs, snapshot, refs/main."""
    home = cache / f"models--{repo_id.replace('/', '--')}"
    snapshot, blobs, staging = home / "snapshots" / COMMIT, home / "blobs", home / "staging"
    for folder in (snapshot, blobs, home / "refs", staging):
        folder.mkdir(parents=True, exist_ok=True)
    fill(staging)
    (home / "refs" / "main").write_text(COMMIT)
    for path in [p for p in staging.rglob("*") if p.is_file()]:
        target = snapshot / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        blob = blobs / _etag(path)
        path.replace(blob)
        target.symlink_to(blob)
    return snapshot


def _etag(path: Path) -> str:
    """The hub's name of a blob: sha256 for large files (LFS), a 40-digit git hash for small ones.

    Of the 300 MB of Gemma Scope's params.npz only the first part is hashed: its name is never compared.
    """
    with path.open("rb") as file:
        if path.suffix == ".npz":
            return hashlib.sha256(file.read(1 << 16)).hexdigest()
        return hashlib.file_digest(file, "sha256" if path.suffix == ".safetensors" else "sha1").hexdigest()


def add_gpt2_small(cache: Path) -> None:
    """``gpt2`` (tiny) and the release ``gpt2-small-res-jb`` in the flat cfg.json it was published with."""
    add_repository(cache, "gpt2", lambda folder: tiny.save_model(folder, "gpt2"))
    add_repository(cache, GPT2_SAES, _fill_res_jb)


def _fill_res_jb(folder: Path) -> None:
    sae = folder / GPT2_ID
    sae.mkdir(parents=True)
    rng = np.random.default_rng(0)
    d_in, d_sae = tiny.D_MODEL, tiny.D_SAE
    weights = {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_in), "b_enc": (d_sae,), "b_dec": (d_in,)}
    tensors = {name: rng.standard_normal(shape, dtype=np.float32) * 0.3 for name, shape in weights.items()}
    save_file(tensors, sae / "sae_weights.safetensors")
    save_file({"sparsity": np.full(d_sae, -1.0, np.float32)}, sae / "sparsity.safetensors")
    published = {
        "model_name": "gpt2-small", "hook_point": GPT2_ID, "hook_point_layer": 2, "hook_point_head_index": None,
        "dataset_path": "Skylion007/openwebtext", "is_dataset_tokenized": False, "context_size": 128,
        "use_cached_activations": False, "d_in": d_in, "d_sae": d_sae, "expansion_factor": 32, "seed": 42,
        "dtype": "torch.float32", "device": "mps", "prepend_bos": True, "activation_fn_str": "relu",
        "normalize_activations": "none",
    }  # fmt: skip
    (sae / "cfg.json").write_text(json.dumps(published))


def add_gemma_scope(cache: Path) -> None:
    """Gemma Scope's canonical layer 20, 16k: the sizes are fixed by SAELens' loader."""
    add_repository(cache, SCOPE, _fill_scope)


def _fill_scope(folder: Path) -> None:
    sae = folder / SCOPE_FOLDER
    sae.mkdir(parents=True)
    rng = np.random.default_rng(0)
    d_in, d_sae = SCOPE_D_IN, SCOPE_D_SAE
    W_dec = np.tile(rng.standard_normal((d_sae // 16, d_in), dtype=np.float32), (16, 1)) / d_in**0.5
    np.savez(
        sae / "params.npz",
        W_enc=np.ascontiguousarray(W_dec.T),
        W_dec=W_dec,
        b_enc=np.full(d_sae, -0.5, np.float32),
        b_dec=np.zeros(d_in, np.float32),
        threshold=np.linspace(0.5, 2.0, d_sae, dtype=np.float32),
    )


def add_gemma_2_2b(cache: Path) -> None:
    """``google/gemma-2-2b`` with the real width and depth, everything else as small as it gets."""
    sizes = {"d_model": SCOPE_D_IN, "n_layers": 21, "n_ctx": 1024}
    add_repository(cache, "google/gemma-2-2b", lambda folder: tiny.save_model(folder, "gemma2", **sizes))
