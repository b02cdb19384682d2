"""What this machine has and lacks, each with the command that would mend it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.store import Store

EXTRAS = {
    "torch": "model",
    "sae_lens": "model",
    "transformer_lens": "model",
    "transformers": "model",
    "datasets": "model",
    "openai": "llm",
}
LOW_DISK = 2e9  # bytes; a 16k-feature run of 1M tokens takes about a quarter of that


def findings(store: Store) -> list[dict[str, str]]:
    """Rows ``what, state, found, remedy``; state is ok | optional (a feature is off) | missing."""
    return [_python(), *_packages(), _device(), _cache_dir(store), _disk(store), _hub()]


def _row(what: str, state: str, found: str, remedy: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "found": found, "remedy": remedy}


def _python() -> dict[str, str]:
    good = sys.version_info >= (3, 11)
    return _row("python", "ok" if good else "missing", sys.version.split()[0], "" if good else "install Python 3.11+")


def _packages() -> list[dict[str, str]]:
    rows = []
    for module, extra in EXTRAS.items():
        try:
            rows.append(_row(module, "ok", version(module.replace("_", "-"))))
        except PackageNotFoundError:
            rows.append(_row(module, "optional", "not installed", f"pip install 'sae-prism[{extra}]'"))
    return rows


def _device() -> dict[str, str]:
    """Asks the driver's own files, so that the answer costs no import of torch."""
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        return _row("device", "ok", "an NVIDIA GPU")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return _row("device", "ok", f"CPU only, {cores} cores")


def _cache_dir(store: Store) -> dict[str, str]:
    folder = store.cache_dir
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    if (folder.exists() and not folder.is_dir()) or not os.access(parent, os.W_OK):
        return _row("cache directory", "missing", f"{folder} cannot be written", "choose another with --cache-dir")
    n = len(store.names())
    return _row("cache directory", "ok", f"{folder}: {n} run{'' if n == 1 else 's'}")


def _disk(store: Store) -> dict[str, str]:
    parent = next(p for p in (store.cache_dir, *store.cache_dir.parents) if p.exists())
    free = shutil.disk_usage(parent).free
    state = "ok" if free > LOW_DISK else "missing"
    return _row("disk", state, f"{free / 1e9:.1f} GB free", "" if state == "ok" else "free some space")


def _hub() -> dict[str, str]:
    if importlib.util.find_spec("huggingface_hub") is None:
        return _row("hub", "optional", "huggingface_hub is not installed", "pip install 'sae-prism[model]'")
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    return _row("hub", "ok", "offline: only what is in the hub cache" if offline else "online")
