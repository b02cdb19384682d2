"""One server and one Chromium for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import factories
from tests.browser import serving
from tests.dashboard.conftest import HOSTILE, NEURONPEDIA, add_labels

PATIENCE = 30_000  # ms, for two busy cores
expect.set_options(timeout=PATIENCE)

HOSTILE_WORDS = [
    *(
        "the",
        "cat",
        "<script>alert(1)</script>",
        "</title",
        "-->",
        "\n",
        "שלום",
        "\u202eevil",
        "🦊",
        "**b**",
        "&amp;",
        "",
    ),
    *("[x](javascript:alert(1))", "naÃ¯ve", "\u200b", "<img src=x onerror=alert(1)>", "a", "b"),
]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``toy`` (plain words, three labels) and ``hostile`` (tokens that try to be more than text)."""
    folder = tmp_path_factory.mktemp("cache")
    labels = {1: "cats", 2: HOSTILE, 5: "the word on"}
    add_labels(factories.write_run(folder, "toy", neuronpedia_id=NEURONPEDIA), labels)
    plain = factories.WORDS
    factories.WORDS = HOSTILE_WORDS
    try:
        factories.write_run(folder, "hostile")
    finally:
        factories.WORDS = plain
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not serving.CHROMIUM.exists():
        pytest.skip(f"needs a Chromium at {serving.CHROMIUM} (or PRISM_CHROMIUM)")
    with serving.browser() as found:
        yield found


@pytest.fixture(scope="session")
def url(cache: Path, chromium: Browser) -> Iterator[str]:
    with serving.serve(cache) as address:
        yield address


@pytest.fixture(scope="session")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """One context for all tests: it keeps Streamlit's scripts compiled; sessions are by page."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True) as found:
        found.set_default_timeout(PATIENCE)
        yield found


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    """A page that fails the test if it reaches beyond the server or opens a script's dialog."""
    opened, beyond = context.new_page(), []
    opened.on("request", lambda r: beyond.append(r.url) if not r.url.startswith((url, "blob:", "data:")) else None)
    opened.on("dialog", lambda d: beyond.append(f"dialog {d.message}"))
    yield opened
    opened.close()
    assert beyond == []
