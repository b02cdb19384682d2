"""Where a result's numbers come from, and the commands that make runs and results again. No streamlit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from dashboard.facts import Fact
from dashboard.wording import count, missing, number


def run_command(manifest: Mapping[str, Any]) -> str:
    """What makes a run again: the command it says of itself, else its own recipe, which its name stands for."""
    made = manifest.get("provenance") or {}
    return str(made.get("command") or f"prism run {shlex.quote(str(manifest['name']))} --replace")


def result_command(run_name: str, manifest: Mapping[str, Any]) -> str:
    """What makes a result again, every parameter written out: a default that moves later changes nothing."""
    if command := manifest.get("command"):
        return str(command)
    params = "".join(f" --param {shlex.quote(f'{k}={_toml(v)}')}" for k, v in _given(manifest).items())
    return f"prism analyze {shlex.quote(run_name)} {manifest['analysis']}{params}"


def _given(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that have a value: None, which TOML cannot write, is what leaving one out means."""
    return {k: v for k, v in (manifest.get("params") or {}).items() if v is not None}


def _toml(value: Any) -> str:
    """A value as ``--param`` reads it: TOML, where texts, numbers and lists look as in JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def result_facts(manifest: Mapping[str, Any]) -> list[Fact]:
    """Analysis, parameters, seeds, time, versions and inputs of one stored result."""
    params, packages = manifest.get("params") or {}, manifest.get("packages") or {}
    seeds = {k: v for k, v in params.items() if "seed" in k}
    others = {k: v for k, v in params.items() if k not in seeds}
    seconds = manifest.get("seconds")
    took = "" if missing(seconds) else f"took {number(seconds)} s"
    versions = ", ".join(f"{k} {v}" for k, v in packages.items() if k != "sae-prism")
    rows = ", ".join(f"{name} {count(t.get('n_rows'))}" for name, t in (manifest.get("tables") or {}).items())
    return [
        Fact("analysis", str(manifest.get("analysis", "?")), f"version {manifest.get('version', '?')} of its method"),
        Fact("parameters", _pairs(others) or "none", "everything that could change a number"),
        Fact("seeds", _pairs(seeds) or "none", "the same seeds give the same tables"),
        Fact("made", f"{str(manifest.get('created_at', '?'))[:19]} (UTC)", took),
        Fact("with", f"sae-prism {packages.get('sae-prism', '?')}", versions),
        Fact("tables", rows or "none", "rows of each"),
        Fact("inputs", ", ".join(manifest.get("inputs") or {}) or "none", "tables of the run; their hashes are kept"),
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in values.items())
