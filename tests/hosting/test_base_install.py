"""The base install, which has no torch: installed as a host would, it serves every page of the demo.

``PRISM_BASE_PYTHON`` names the Python of a fresh environment with ``pip install .`` and nothing else; ``.ci/run`` makes
one. The server runs there, outside of the checkout; this process only visits it.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import nav
from tests.browser.serving import ROOT, wait_for
from tests.hosting.protocol import Visitor

PYTHON = os.environ.get("PRISM_BASE_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="needs PRISM_BASE_PYTHON, a Python with the base install only")
SAYS = {
    "home": "fidelity",
    "feature": "sae-prism[model]",
    "lists": "list is empty",
    "prompts": "sae-prism[model]",
    "decomposability": "ALL-PARTS",
    "phrases": "label by planted truth",
    "truth": "concept",
    "pattern_svd": "prototype",
    "distances": "Jaccard",
    "conjecture": "Spearman",
    "limits": "only the base install",
}
"""A piece of what each page is for; a page that runs models says what it lacks instead."""


def base(code: str) -> str:
    done = subprocess.run([PYTHON, "-c", code], cwd="/", capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(PYTHON).with_name("prism")), "dashboard", "--cache-dir", str(ROOT / "cache")]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PRISM_", "STREAMLIT_", "PYTHON"))}
    env |= {"PRISM_HOSTED": "1", "PRISM_HOSTED_LIVE": "1", "PRISM_PUBLIC_HOST": "localhost"}
    folder = tmp_path_factory.mktemp("elsewhere")
    log = (folder / "log").open("w+")
    with log, subprocess.Popen([*command, "--port", str(port)], cwd=folder, env=env, stdout=log, stderr=log) as server:
        try:
            wait_for(f"http://localhost:{port}/_stcore/health", server)
            yield f"http://localhost:{port}"
        finally:
            server.terminate()
            server.wait(30)
            log.seek(0)
            assert "Traceback" not in log.read()


def test_the_base_install_has_no_model_library_and_is_not_the_checkout() -> None:
    wanted = ["torch", "sae_lens", "transformer_lens", "transformers", "datasets", "openai", "pytest"]
    found = base(f"import importlib.util as u; print([m for m in {wanted} if u.find_spec(m)])")
    assert found == "[]"
    assert not Path(base("import core; print(core.__file__)")).is_relative_to(ROOT / "core")


@pytest.mark.parametrize("page", [spec.key for spec in nav.PAGES])
def test_the_base_install_serves_the_page(page: str, url: str) -> None:
    visitor = Visitor(url)
    seen = visitor.open(page, run="demo", feature="2")
    visitor.close()
    assert seen.exceptions == []
    assert SAYS[page].lower() in seen.text.lower()
    assert not re.search(r"Traceback|ModuleNotFoundError", seen.text)


def test_the_host_check_of_the_base_install_finds_nothing_wrong_with_the_demo() -> None:
    env = os.environ | {"PRISM_HOSTED": "1", "PRISM_PUBLIC_HOST": "prism.example.org"}
    prism = str(Path(PYTHON).with_name("prism"))
    done = subprocess.run([prism, "host-check", "--cache-dir", str(ROOT / "cache")], cwd="/", env=env,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 fail" in done.stdout
