"""The manifest of a run that is made of a published csv: what was not measured is null, and says so on pages."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.formats.decomposability import PublishedCsv
from core.results import PACKAGES
from core.run_folder import FORMAT, table_entry, write_sealed
from core.tables import LABELS, RUN_TABLES, activations_spec

VERSION = 1
IMPORTED = "import"
"""Section of the manifest that holds what the import counted, and key of its recipe, which none is."""


def write_manifest(folder: Path, name: str, csv: PublishedCsv, counts: dict[str, Any], seconds: float) -> None:
    """The manifest of a run that no recipe made: what was not measured is null, and says so where pages show it."""
    activations = activations_spec("float32")
    tables = {s.name: table_entry(folder / f"{s.name}.parquet") for s in (*RUN_TABLES, activations, LABELS)}
    model = csv.sae.partition("/")[0] or "not stated"
    recipe = {
        "name": name,
        IMPORTED: {"format": "decomposability-csv", "file": csv.name, "sha256": csv.sha256},
    }
    manifest = {
        "format": FORMAT,
        "name": name,
        "recipe": recipe,
        "digest": hashlib.sha256(json.dumps([VERSION, csv.sha256]).encode()).hexdigest(),
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "provenance": _provenance(name, csv, seconds),
        "sae": _sae(csv),
        "model": {"name": model, "loader": "nobody: its activations were imported", "dtype": "dtype not stated"},
        "corpus": _corpus(csv, tables["contexts"]["n_rows"]),
        "fidelity": _fidelity(),
        "counts": {
            "n_features": counts["features"],
            "n_firings": tables["activations"]["n_rows"],
            "n_contexts": tables["contexts"]["n_rows"],
            "n_tokens": _n_tokens(csv)[0],
        },
        IMPORTED: counts,
        "tables": tables,
    }
    write_sealed(folder, manifest)


def _provenance(name: str, csv: PublishedCsv, seconds: float) -> dict[str, Any]:
    return {
        "packages": {package: version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": "no device: imported",
        "seconds": round(seconds, 3),
        "command": command(name, csv),
    }


def command(name: str, csv: PublishedCsv) -> str:
    return f"prism import decomposability-csv {shlex.quote(csv.name)} --name {name} --replace"


def _sae(csv: PublishedCsv) -> dict[str, Any]:
    """``d_sae`` None: the file does not say how wide the SAE is."""
    return {
        "architecture": "architecture not stated",
        "kind": None,
        "d_in": None,
        "d_sae": None,
        "hook_name": csv.sae.partition("/")[2] or "a hook not stated",
        "neuronpedia_id": csv.sae or None,
        "release": None,
        "sae_id": None,
        "weights_sha256": None,
    }


def _corpus(csv: PublishedCsv, n_contexts: int) -> dict[str, Any]:
    n_tokens, n_special = _n_tokens(csv)
    return {
        "name": csv.name,
        "sha256": csv.sha256,
        "licence": "not stated",
        "n_documents_read": csv.n_rows,
        "n_documents_used": n_contexts,
        "n_contexts": n_contexts,
        "n_tokens": n_tokens,
        "n_special": n_special,
    }


def _n_tokens(csv: PublishedCsv) -> tuple[int, int]:
    """Positions of all contexts that are not special, and those that are."""
    unique = {t.token_ids.tobytes(): t.token_ids for t in csv.tried}
    special = sum(int(csv.special[ids].sum()) for ids in unique.values())
    return sum(len(ids) for ids in unique.values()) - special, special


def _fidelity() -> dict[str, Any]:
    keys = ("n_tokens", "l0", "explained_variance", "dead_share", "stated_l0", "stated_explained_variance")
    return {
        "verdict": "not measured",
        **dict.fromkeys((*keys, "loss_recovered")),
        "cause": "neither model nor SAE were here: activations were imported",
        "remedy": "",
        "tried": {},
    }
