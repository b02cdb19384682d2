"""What the server itself refuses: facts of Streamlit that hosting rests on, and that an upgrade may change."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from core import server_options
from core.settings import Settings
from dashboard import nav
from tests.browser.serving import ROOT, serve
from tests.dashboard.conftest import toy_cache
from tests.hosting.protocol import Visitor

__all__ = ["toy_cache"]
NAME = "prism.example.org"


@pytest.fixture(scope="module")
def url(toy_cache: Path) -> Iterator[str]:
    with serve(toy_cache, PRISM_HOSTED="1", STREAMLIT_SERVER_ALLOWED_HOSTS=f"localhost {NAME}") as address:
        yield address


def get(url: str, path: str) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of a path that is sent as it stands: clients tidy ``..`` away."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, body, {k.lower(): v for k, v in answer.getheaders()}


@pytest.mark.parametrize("page", [spec.key for spec in nav.PAGES])
def test_every_page_of_a_host_comes_over_the_protocol(page: str, url: str) -> None:
    visitor = Visitor(url)
    seen = visitor.open(page, run="toy")
    visitor.close()
    assert seen.exceptions == []
    assert 'class="p-' in seen.html
    assert "page_link" in seen.kinds


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://evil.example:8501", "null", "http://localhost.evil.example"]
)
def test_a_foreign_website_cannot_open_a_session(origin: str, url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Visitor(url, origin=origin)
    assert refused.value.response.status_code == 403


def test_the_own_website_and_programs_without_an_origin_can(url: str) -> None:
    for origin in (url, None):
        Visitor(url, origin=origin).close()


@pytest.mark.parametrize(
    ("host", "allowed"), [("evil.example", False), ("evil.prism.example.org", False), (NAME, True)]
)
def test_only_the_names_of_the_host_open_a_session(host: str, allowed: bool, url: str) -> None:
    if allowed:
        Visitor(url, host=host).close()
        return
    with pytest.raises(InvalidStatus) as refused:
        Visitor(url, host=host)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/static/../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/component/a/../../../etc/passwd",
     "/component/streamlit/..%2f..%2fetc/passwd", "/_stcore/bidi-components/a/../../etc/passwd"],
)  # fmt: skip
def test_no_path_leads_out_of_the_servers_folders(path: str, url: str) -> None:
    status, body, _ = get(url, path)
    assert status == 400
    assert "root:" not in body


@pytest.mark.parametrize(
    "path", ["/app/static/x", "/app/static/../app.py", "/cache/toy/run.json", "/../cache/toy/run.json"]
)
def test_files_beside_the_app_are_not_served(path: str, url: str) -> None:
    _, body, headers = get(url, path)
    assert '"format"' not in body
    assert "navigation" not in body or headers.get("content-type", "").startswith("text/html")


def test_the_agent_api_is_off(url: str) -> None:
    status, body, _ = get(url, "/_stcore/agent/sessions")
    assert status in (400, 403, 404, 405) or "<!doctype html>" in body.lower()


def test_the_page_has_one_inline_script_which_is_streamlits_so_that_a_policy_is_possible(url: str) -> None:
    _, body, headers = get(url, "/")
    inline = [s.strip() for s in re.findall(r"<script>(.*?)</script>", body, re.DOTALL)]
    assert inline == ["window.prerenderReady = false"]
    assert not re.search(r"<[^>]+\son\w+=", body)
    assert "content-security-policy" not in headers


def test_our_pages_hold_no_script_and_no_handler() -> None:
    for path in (ROOT / "dashboard").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"components\.v1|<script|\son(?:click|load|error|mouse\w+)=[\"']", code), path


def test_flags_reach_the_server_where_no_file_says_anything(toy_cache: Path, tmp_path: Path) -> None:
    settings = Settings(toy_cache, "auto", hosted=True, public_hosts=(NAME, "localhost"))
    flags = server_options.flags(tmp_path, settings)
    with serve(toy_cache, cwd=tmp_path, flags=flags, PRISM_HOSTED="1") as address:
        with pytest.raises(InvalidStatus):
            Visitor(address, host="evil.example")
        visitor = Visitor(address)
        seen = visitor.open("limits", run="toy")
        visitor.close()
    assert "Limits of this host" in seen.html
    assert "owner should change" not in seen.html
