"""The policy that the README gives for a proxy: under it a real browser draws every page and blocks nothing."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dashboard import nav
from tests.browser.serving import ROOT, serve
from tests.dashboard.conftest import toy_cache

__all__ = ["toy_cache"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def policy() -> str:
    (found,) = re.findall(
        r'add_header Content-Security-Policy "([^"]+)"', (ROOT / "README.md").read_text(encoding="utf-8")
    )
    return found


def pump(source: socket.socket, sink: socket.socket, header: bytes = b"") -> None:
    """Pass bytes on until either side closes, with a header added to every answer that is a page or a file."""
    try:
        while data := source.recv(1 << 16):
            if header and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 101"):
                status, rest = data.split(b"\r\n", 1)
                data = status + b"\r\n" + header + b"\r\n" + rest
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        end.close()


@contextmanager
def proxy(url: str, header: str) -> Iterator[str]:
    """The address of a server in front of another that adds a header."""
    port = int(url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    visitor, _ = door.accept()
                except OSError:
                    return
                server = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=pump, args=(visitor, server), daemon=True).start()
                threading.Thread(target=pump, args=(server, visitor, header.encode()), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://localhost:{door.getsockname()[1]}"


def test_every_page_works_under_the_policy_of_the_readme(policy: str, toy_cache: Path, chromium: Browser) -> None:
    blocked: list[str] = []
    with (
        serve(toy_cache) as url,
        proxy(url, f"Content-Security-Policy: {policy}") as address,
        chromium.new_context() as context,
    ):
        page = context.new_page()
        page.on("console", lambda m: blocked.append(m.text) if "Content Security Policy" in m.text else None)
        for spec in nav.PAGES:
            page.goto(f"{address}/{'' if spec is nav.PAGES[0] else spec.key}?run=toy&feature=2&features=1,2")
            expect(page.locator(".p-h").first).to_be_visible()
            expect(page.locator("html")).to_have_attribute("data-prism-keys", "caught")
        assert blocked == []
        page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.stranger = 1'")
        assert page.evaluate("window.stranger") is None
        assert [text for text in blocked if "inline" in text]


def test_the_policy_names_the_one_inline_script_of_the_installed_streamlit(policy: str, toy_cache: Path) -> None:
    with serve(toy_cache) as url, urllib.request.urlopen(url) as answer:
        (script,) = re.findall(r"<script>(.*?)</script>", answer.read().decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
