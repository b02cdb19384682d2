"""Two visitors at once on the demo's own model: each gets an answer to the own texts and sees nothing of the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from core.store import Run, Store
from tests.browser import serving
from tests.browser.conftest import PATIENCE

pytest.importorskip("torch")
pytestmark = pytest.mark.browser
LOADING = 120_000  # ms: the first answer waits for torch, on two busy cores


@pytest.fixture(scope="module")
def demo() -> Run:
    return Store(serving.ROOT / "cache").run("demo")


@pytest.fixture(scope="module")
def demo_url(demo: Run, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cache = tmp_path_factory.mktemp("live")
    (cache / "demo").symlink_to(demo.path, target_is_directory=True)
    with serving.serve(cache, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1") as address:
        yield address


def strongest(run: Run, nth: int) -> tuple[int, str, str]:
    """The feature with the ``nth`` most firings, a text of one line on which it fires strongly, and the token there."""
    table = run.features()
    feature = int(table.sort_values("n_firings", ascending=False)["feature"].iloc[nth])
    acts = run.acts(feature)
    for peak in np.argsort(-acts.act)[:500]:
        ids = run.contexts([int(acts.context[peak])])["token_ids"].iloc[0]
        text = "".join(run.str_tokens[i] for i in ids if i not in run.special_ids).strip()
        if "\n" not in text:
            return feature, text, str(run.str_tokens[ids[int(acts.pos[peak])]])
    raise AssertionError("every text has several lines")


def measure(page: Page, text: str) -> None:
    box = page.get_by_label("One text a line")
    box.scroll_into_view_if_needed()
    box.fill(text)
    page.get_by_role("button", name="Measure").click()


def test_two_visitors_at_once_get_their_own_tokens_highlighted(demo: Run, demo_url: str, chromium: Browser) -> None:
    asked = [strongest(demo, nth) for nth in (3, 40)]
    contexts = [chromium.new_context(viewport={"width": 1100, "height": 900}) for _ in asked]
    try:
        pages = [context.new_page() for context in contexts]
        for page, (feature, _, _) in zip(pages, asked, strict=True):
            page.set_default_timeout(PATIENCE)
            page.goto(f"{demo_url}/feature?run=demo&feature={feature}&feature_view=activations")
            expect(page.get_by_label("One text a line")).to_be_visible()
        for page, (_, text, _) in zip(pages, asked, strict=True):
            measure(page, text)
        for page, (_, text, peak) in zip(pages, asked, strict=True):
            expect(page.get_by_text(re.compile(r"it fires on 1 of 1 text"))).to_be_visible(timeout=LOADING)
            tried = page.locator(".p-one").last
            assert tried.locator(".p-t").inner_text().split() == text.split()
            assert peak.strip() in tried.locator("mark").all_inner_texts()
        for page, (_, text, _) in zip(pages, reversed(asked), strict=True):
            assert text not in page.content()
            assert text.split()[0] not in page.url
    finally:
        for context in contexts:
            context.close()
