"""Two visitors at once on the demo's own model: each gets an answer to the own texts and sees nothing of the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

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


class Asked(NamedTuple):
    feature: int
    text: str  # one line, a whole context of the run
    peak: str  # the token of its strongest firing
    act: float  # there, as the run has it


def strongest(run: Run, nth: int) -> Asked:
    """The feature with the ``nth`` most firings, and a context of one line on which it fires strongly."""
    feature = int(run.features().sort_values("n_firings", ascending=False)["feature"].iloc[nth])
    acts = run.acts(feature)
    for row in np.argsort(-acts.act)[:500]:
        ids = run.contexts([int(acts.context[row])])["token_ids"].iloc[0]
        text = "".join(run.str_tokens[i] for i in ids if i not in run.special_ids).strip()
        if "\n" not in text:
            peak = str(run.str_tokens[ids[int(acts.pos[row])]]).strip()
            return Asked(feature, text, peak, float(acts.act[acts.context == acts.context[row]].max()))
    raise AssertionError("every text has several lines")


@contextmanager
def visitors(chromium: Browser, address: str, asked: list[Asked]) -> Iterator[list[Page]]:
    """Browsers of their own, each on the page of its feature."""
    contexts = [chromium.new_context(viewport={"width": 1100, "height": 900}) for _ in asked]
    try:
        pages = [context.new_page() for context in contexts]
        for page, one in zip(pages, asked, strict=True):
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}/feature?run=demo&feature={one.feature}&feature_view=activations")
            expect(page.get_by_label("One text a line")).to_be_visible()
        yield pages
    finally:
        for context in contexts:
            context.close()


def measure(page: Page, text: str) -> None:
    page.get_by_label("One text a line").fill(text)
    page.get_by_role("button", name="Measure").click()


def answered(page: Page) -> Locator:
    """The box of the answer, once it is there."""
    expect(page.get_by_text(re.compile(r"it fires on \d of 1 text"))).to_be_visible(timeout=LOADING)
    return page.locator(".p-one").last


def test_visitors_wait_in_order_and_one_who_leaves_is_dropped(demo: Run, demo_url: str, chromium: Browser) -> None:
    """The first job loads torch, which takes long enough for others to queue behind it."""
    asked = [strongest(demo, 3)] * 3
    with visitors(chromium, demo_url, asked) as (first, leaves, last):
        measure(first, "one")
        expect(first.get_by_text("load the model")).to_be_visible()
        measure(leaves, "two")
        expect(leaves.get_by_text("waiting: 1 job before yours")).to_be_visible()
        measure(last, "three")
        expect(last.get_by_text("waiting: 2 jobs before yours")).to_be_visible()
        leaves.close()
        expect(last.get_by_text("waiting: 1 job before yours")).to_be_visible()
        answered(first)
        answered(last)


def test_two_visitors_at_once_get_their_own_tokens_highlighted(demo: Run, demo_url: str, chromium: Browser) -> None:
    asked = [strongest(demo, nth) for nth in (3, 40)]
    with visitors(chromium, demo_url, asked) as pages:
        for page, one in zip(pages, asked, strict=True):
            measure(page, one.text)
        for page, one in zip(pages, asked, strict=True):
            answer = answered(page)
            assert answer.locator(".p-t").inner_text().split() == one.text.split()
            assert one.peak in answer.locator("mark").all_inner_texts()
            said = float(answer.locator(".p-v").inner_text().removeprefix("act "))
            assert said == pytest.approx(one.act, rel=0.01)  # the run rounds to float16, the page to three digits
        for page, other in zip(pages, reversed(asked), strict=True):
            assert other.text not in page.content()
            assert other.text.split()[0] not in page.url
