"""``prism host-check``: what is whole passes, and each planted fault is a line that says fail."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import cli_host, host_files
from core.cli import app
from core.errors import InputError
from core.licences import Standing, licence
from core.run_folder import write_sealed
from core.settings import VARIABLES
from core.store import Store
from tests.dashboard.conftest import own_cache, toy_cache

__all__ = ["own_cache", "toy_cache"]
KEY = "sk-proj-" + "Ab3" * 12


@pytest.fixture(autouse=True)
def a_safe_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*VARIABLES, "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRISM_HOSTED", "1")
    monkeypatch.setenv("PRISM_PUBLIC_HOST", "prism.example.org")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def check(cache: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and the lines by what they are about; of two about the same the worse."""
    done = CliRunner().invoke(app, ["host-check", "--cache-dir", str(cache), "--json"])
    found: dict[str, dict[str, str]] = {}
    for line in json.loads(done.stdout.splitlines()[-1])["findings"]:
        if line["state"] != "ok" or line["what"] not in found:
            found[line["what"]] = line
    return done.exit_code, found


def test_a_whole_cache_and_safe_settings_pass(own_cache: Path) -> None:
    code, found = check(own_cache)
    assert [w for w, line in found.items() if line["state"] != "ok"] == []
    assert code == 0
    assert found["run toy"]["found"].startswith("8 tables")
    assert "690 MB" in found["memory"]["found"]
    text = CliRunner().invoke(app, ["host-check", "--cache-dir", str(own_cache)])
    assert (text.exit_code, "0 fail" in text.stdout) == (0, True)


def flip(cache: Path) -> None:
    path = cache / "toy" / "features.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def change_licence(text: str | None) -> Callable[[Path], None]:
    def change(cache: Path) -> None:
        run = Store(cache).run("toy")
        manifest = json.loads(json.dumps(run.manifest))
        manifest["corpus"]["licence"] = text
        write_sealed(run.path, manifest)

    return change


def plant(name: str, text: str) -> Callable[[Path], None]:
    def write(cache: Path) -> None:
        (cache / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / "toy" / name).write_text(text, encoding="utf-8")

    return write


def empty(cache: Path) -> None:
    shutil.rmtree(cache / "toy")


def break_manifest(cache: Path) -> None:
    path = cache / "toy" / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("CC0-1.0", "CC1-1.0"), encoding="utf-8")


FAULTS = [
    (flip, "run toy", "fail"),
    (lambda cache: (cache / "toy" / "contexts.parquet").unlink(), "run toy", "fail"),
    (break_manifest, "run toy", "fail"),
    (plant("svd/0/manifest.json", '{"tables": {"a": {"file": "a", "bytes": 1, "sha256": ""}}}'), "run toy", "fail"),
    (empty, "runs", "fail"),
    (change_licence("LDC User Agreement"), "licence of toy", "fail"),
    (change_licence("CC BY-NC 4.0"), "licence of toy", "warn"),
    (change_licence(None), "licence of toy", "warn"),
    (plant("ledger.jsonl", json.dumps({"error": f"Incorrect API key: {KEY}"})), "key in a run", "fail"),
    (plant("notes/a.txt", "x" * (host_files.CHUNK - 10) + " " + KEY), "key in a run", "fail"),
    (lambda cache: (cache / ".partial-next").mkdir(), "unfinished", "warn"),
]


@pytest.mark.parametrize(("fault", "what", "state"), FAULTS)
def test_a_fault_of_the_runs_is_a_line_with_a_remedy(
    fault: Callable[[Path], object], what: str, state: str, own_cache: Path
) -> None:
    fault(own_cache)
    code, found = check(own_cache)
    assert found[what]["state"] == state
    assert found[what]["remedy"]
    assert code == (2 if state == "fail" else 0)
    assert KEY not in json.dumps(found)


@pytest.mark.parametrize(
    ("name", "value", "what", "state"),
    [
        ("STREAMLIT_SERVER_ENABLE_CORS", "false", "server.enableCORS", "fail"),
        ("STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION", "0", "server.enableXsrfProtection", "fail"),
        ("STREAMLIT_SERVER_ENABLE_STATIC_SERVING", "true", "server.enableStaticServing", "fail"),
        ("STREAMLIT_SERVER_ENABLE_AGENT_API", "true", "server.enableAgentApi", "fail"),
        ("STREAMLIT_CLIENT_SHOW_ERROR_DETAILS", "full", "client.showErrorDetails", "fail"),
        ("STREAMLIT_SERVER_MAX_UPLOAD_SIZE", "200", "server.maxUploadSize", "fail"),
        ("STREAMLIT_SERVER_MAX_MESSAGE_SIZE", "200", "server.maxMessageSize", "fail"),
        ("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "true", "browser.gatherUsageStats", "fail"),
        ("PRISM_PUBLIC_HOST", "", "server.allowedHosts", "fail"),
        ("PRISM_HOSTED", "0", "PRISM_HOSTED", "warn"),
        ("PRISM_HOSTED_LVE", "1", "PRISM_HOSTED_LVE", "warn"),
        ("PRISM_HOSTED_WRITE", "1", "writing", "warn"),
        ("PRISM_HOSTED_ENDPOINTS", "http://169.254.169.254/latest", "endpoint http://169.254.169.254/latest", "fail"),
        ("OPENAI_API_KEY", KEY, "OPENAI_API_KEY", "warn"),
    ],
)
def test_a_fault_of_the_settings_is_a_line_with_a_remedy(
    name: str, value: str, what: str, state: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    code, found = check(own_cache)
    assert found[what]["state"] == state
    assert found[what]["remedy"]
    assert code == (2 if state == "fail" else 0)
    assert KEY not in json.dumps(found)


def test_a_model_that_visitors_may_run_has_to_be_able_to(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, found = check(own_cache)
    assert (code, found["live model"]["state"]) == (2, "fail")


def test_secrets_that_git_would_publish_are_told_from_those_it_ignores(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".streamlit").mkdir(parents=True)
    (checkout / ".streamlit" / "secrets.toml").write_text(f'key = "{KEY}"', encoding="utf-8")
    monkeypatch.setattr(cli_host, "APP_FOLDER", checkout)
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    assert check(own_cache)[1]["secrets"]["state"] == "fail"
    (checkout / ".gitignore").write_text(".streamlit/secrets.toml\n", encoding="utf-8")
    assert "secrets" not in check(own_cache)[1]
    subprocess.run(["git", "add", "-f", ".streamlit/secrets.toml"], cwd=checkout, check=True)
    assert check(own_cache)[1]["secrets"]["state"] == "fail"


def test_memory_grows_with_the_runs_and_with_a_model(own_cache: Path) -> None:
    run = Store(own_cache).run("toy")
    one, two = host_files.memory_bytes([run], False), host_files.memory_bytes([run, run], False)
    assert 0 < one < two
    assert host_files.memory_bytes([run], True) > one + 0.3e9


# --- the server itself ---------------------------------------------------------------------------------------


def test_a_host_does_not_start_with_unsafe_settings(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_host.os, "execve", lambda *args: pytest.fail("it was started"))
    for name, value in (("PRISM_PUBLIC_HOST", ""), ("STREAMLIT_SERVER_ENABLE_CORS", "false"), ("PRISM_HOSTED", "yes")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            done = CliRunner().invoke(app, ["dashboard", "--cache-dir", str(own_cache)])
        assert isinstance(done.exception, InputError)


def test_the_server_gets_folder_settings_and_cache_wherever_it_is_installed(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.setattr(cli_host, "APP_FOLDER", installed)
    monkeypatch.setattr(cli_host.os, "execve", lambda path, args, env: started.append((args, env)))
    monkeypatch.chdir(own_cache.parent)
    monkeypatch.setenv("PRISM_CACHE_DIR", own_cache.name)
    cli_host.serve(None, 8502, headless=False)
    ((args, env),) = started
    assert Path.cwd() == installed
    assert Path(env["PRISM_CACHE_DIR"]) == own_cache
    given = dict(zip(args[5::2], args[6::2], strict=True))
    assert (given["--server.address"], given["--server.enableXsrfProtection"]) == ("localhost", "true")
    assert (given["--server.allowedHosts"], given["--server.headless"]) == ("prism.example.org", "true")


# --- licences ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("MIT (generated for SAE Prism)", "open"),
        ("CC0-1.0", "open"),
        ("cc-by-4.0", "open"),
        ("CC BY-SA 3.0", "open"),
        ("odc-by", "open"),
        ("apache-2.0", "open"),
        ("Public Domain", "open"),
        ("cc-by-nc-4.0", "limited"),
        ("CC BY-NC-SA 4.0", "limited"),
        ("CC-BY-ND", "limited"),
        ("cc-by-nc-nd-3.0", "limited"),
        ("non-commercial use", "limited"),
        ("noncommercial", "limited"),
        ("bigscience-openrail-m", "limited"),
        ("gemma", "limited"),
        ("LDC User Agreement for Non-Members", "forbidden"),
        ("All rights reserved", "forbidden"),
        ("research only, MIT-hosted", "forbidden"),
        ("not redistributable", "forbidden"),
        ("no redistribution", "forbidden"),
        ("proprietary", "forbidden"),
        (None, "not stated"),
        ("", "not stated"),
        ("other", "not stated"),
        ("permitted", "unknown"),
        ("smith's own", "unknown"),
        ("Acme Text Licence v3", "unknown"),
    ],
)
def test_the_standing_of_well_known_licences(text: str | None, standing: Standing) -> None:
    assert licence(text).standing == standing
