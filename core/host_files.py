"""What lies in the folders of a host: keys that must not be there, and how much memory the runs take when visited."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core import parquet
from core.store import Run
from core.tables import FEATURES

KEY = re.compile(
    rb"(?<![A-Za-z0-9])(?:sk|pk|rk)[-_][A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36}"
    rb"|AKIA[0-9A-Z]{16}|xox[abp]-[A-Za-z0-9-]{20,}|AIza[0-9A-Za-z_-]{35}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    rb"|Bearer [A-Za-z0-9._-]{20,}"
)
TEXT = {".json", ".jsonl", ".toml", ".txt", ".csv", ".md", ".yaml", ".yml", ".env", ".cfg", ".ini", ".log", ".py"}
CHUNK, OVERLAP = 1 << 20, 256

SERVER_BYTES = 450e6
FEATURE_BYTES = 4_500.0
ACT_BYTES = 10.0
LIVE_BYTES = 400e6
KEPT_RUNS, KEPT_FEATURES = 4, 16


def files_with_keys(folder: Path) -> list[Path]:
    """Text files below a folder that hold something that looks like a key; parquet and weights are not looked into."""
    return sorted(path for path in _text_files(folder) if _has_key(path))


def _text_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if (path.suffix.lower() in TEXT or path.name.startswith(".env")) and path.is_file() and not path.is_symlink():
            yield path


def _has_key(path: Path) -> bool:
    before = b""
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            if KEY.search(before + chunk):
                return True
            before = chunk[-OVERLAP:]
    return False


def secrets_file(folder: Path) -> tuple[Path, bool] | None:
    """Streamlit's file of secrets in a folder and whether git would publish it (True where git cannot say)."""
    path = folder / ".streamlit" / "secrets.toml"
    if not path.is_file():
        return None
    try:
        ignored = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=folder, capture_output=True, timeout=10)
        tracked = subprocess.run(["git", "ls-files", "--error-unmatch", str(path)], cwd=folder, capture_output=True,
                                 timeout=10)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return path, True
    return path, ignored.returncode != 0 or tracked.returncode == 0


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def memory_bytes(runs: list[Run], live: bool) -> float:
    """About what the server takes with everything in its caches that visitors can put there.

    The pages keep the feature tables of the last four runs and the firings of sixteen features; ``live`` adds torch and
    the largest model with its SAE. Measured on Linux: 330 MB once a page was seen, 450 once all were, 4.5 kB a feature;
    they say which size of machine is meant, not how many megabytes.
    """
    tables = sorted((_features(run) * FEATURE_BYTES for run in runs), reverse=True)[:KEPT_RUNS]
    firings = max((_most_firings(run) for run in runs), default=0) * ACT_BYTES * KEPT_FEATURES
    weights = max((_weights(run) for run in runs), default=0.0) + LIVE_BYTES if live and runs else 0.0
    return SERVER_BYTES + sum(tables) + firings + weights


def _features(run: Run) -> int:
    return int(run.manifest["counts"].get("n_features") or 0)


def _most_firings(run: Run) -> int:
    table = parquet.read_table(run.path / f"{FEATURES.name}.parquet", ["n_firings"])
    return int(max(table["n_firings"].to_numpy(), default=0))


def _weights(run: Run) -> float:
    """Bytes of the model and the SAE, as numbers of four bytes."""
    model, sae = run.manifest["model"], run.manifest["sae"]
    n_sae = 2.0 * (sae.get("d_in") or 0) * (sae.get("d_sae") or 0)
    return 4.0 * ((model.get("n_parameters") or 0) + n_sae)
