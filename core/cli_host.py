"""``prism dashboard`` and ``prism host-check``: the server, and what would fail where strangers visit it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from core import console, host_check, server_options
from core.errors import InputError
from core.settings import Settings
from core.store import Store

APP_FOLDER = Path(__file__).resolve().parent.parent
"""Where the server is started: the checkout, or where the package is installed."""


def serve(cache_dir: Path | None, port: int, headless: bool) -> int:
    """Start the dashboard's server on a cache directory; its exit code."""
    settings = Settings.from_env()
    environment = settings.environment(cache_dir or settings.cache_dir)
    page = APP_FOLDER / "dashboard" / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(page), "--server.port", str(port)]
    command += server_options.flags(APP_FOLDER, settings)
    command += ["--server.headless", "true"] if headless or settings.hosted else []
    if os.name != "posix":
        return subprocess.call(command, env=environment, cwd=APP_FOLDER)
    os.chdir(APP_FOLDER)  # the server takes this process' place: signals reach it, and a small host keeps the memory
    os.execve(command[0], command, environment)


def host_check_command(
    cache_dir: Annotated[Path | None, typer.Option("--cache-dir", help="Folder of runs [PRISM_CACHE_DIR].")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object and nothing else on standard output.")
    ] = False,
) -> None:
    """What would fail if strangers visited a dashboard of these runs: settings, keys, licences, damage, memory.

    Exit code 2 when a line says fail. Set the host's variables first: PRISM_HOSTED=1 PRISM_PUBLIC_HOST=NAME.
    """
    settings = Settings.from_env()
    store = Store((cache_dir or settings.cache_dir).resolve())
    found = host_check.findings(store, APP_FOLDER, settings)
    n = Counter(finding.state for finding in found)
    if as_json:
        console.print_json({"findings": [f.as_dict() for f in found], "ok": not n["fail"]})
    else:
        console.print_table("this host", [f.as_dict() for f in found])
        console.out.print(f"{n['ok']} ok, {n['warn']} warn, {n['fail']} fail")
    if n["fail"]:
        raise typer.Exit(InputError.exit_code)
