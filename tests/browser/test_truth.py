"""Planted truth of the committed demo in a real browser: a click on the map, the table and its downloads."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import serving
from tests.browser.conftest import PATIENCE

pytestmark = pytest.mark.browser

CACHE = Path(__file__).resolve().parents[2] / "cache"
MAP = "[data-testid=stPlotlyChart] .js-plotly-plot"
FIRST_CELL = """() => {
  const graph = document.querySelectorAll("%s")[1], points = graph.data[1], layout = graph._fullLayout;
  const at = (axis, value) => axis.c2p(axis.d2c(value));
  return [at(layout.xaxis, points.x[0]), at(layout.yaxis, points.y[0]), points.customdata[0]];
}"""


@pytest.fixture
def truth(chromium: Browser) -> Iterator[Page]:
    """The page of one kind, judged by span, at a width of a laptop."""
    size = {"width": 1280, "height": 3200}
    with serving.serve(CACHE) as address, chromium.new_context(viewport=size, accept_downloads=True) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"{address}/truth?run=demo&truth_kind=profession&truth_level=span")
        expect(page.locator(MAP)).to_have_count(2)
        expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
        yield page


def test_a_click_on_the_map_opens_the_feature_and_back_returns(truth: Page) -> None:
    before = truth.url
    x, y, feature = truth.evaluate(FIRST_CELL % MAP)
    truth.wait_for_timeout(500)  # plotly arranges itself once more after the fonts are there
    box = truth.locator(MAP).nth(1).locator(".nsewdrag").first.bounding_box()
    assert box is not None
    truth.mouse.move(box["x"] + x, box["y"] + y)
    truth.mouse.click(box["x"] + x, box["y"] + y)
    truth.wait_for_url(re.compile(rf"/feature\?run=demo&feature={feature}(&|$)"))
    expect(truth.get_by_role("list", name="Planted truth")).to_contain_text("profession=")
    truth.go_back()
    truth.wait_for_url(before)
    expect(truth.locator(MAP)).to_have_count(2)


def test_all_tables_download_and_no_chart_covers_its_legend(truth: Page) -> None:
    buttons = truth.get_by_role("button", name=re.compile("csv"))
    expect(buttons).to_have_count(3)
    for i, columns in enumerate(({"kind", "null"}, {"concept", "OR F1", "coverage"}, {"feature", "matched"})):
        with truth.expect_download() as download:
            buttons.nth(i).click()
        assert columns <= set(pd.read_csv(io.BytesIO(Path(download.value.path()).read_bytes())).columns)
    legend = truth.locator(f"{MAP} .legend").first.bounding_box()
    plot = truth.locator(f"{MAP} .nsewdrag").first.bounding_box()
    assert legend is not None
    assert plot is not None
    assert legend["y"] + legend["height"] <= plot["y"] + 1
