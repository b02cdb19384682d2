"""Prototypes and Distances in a real browser: a click on the map opens a feature, its mix opens a prototype."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.analyses import feature_distances, pattern_svd
from core.results import run_analysis
from tests.analyses.pattern_runs import topic_run
from tests.browser import serving
from tests.browser.conftest import PATIENCE

pytestmark = pytest.mark.browser

MAP = "[data-testid=stPlotlyChart] .js-plotly-plot"
CELL = """() => {
  const graph = document.querySelectorAll("%s")[1], points = graph.data[1], layout = graph._fullLayout;
  const about = graph._fullData[1].customdata[1];
  const at = (axis, value) => axis.c2p(axis.d2c(value));
  return [at(layout.xaxis, 1), at(layout.yaxis, 0), Number(about[0])];
}"""


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The Distances page of one feature of a run with topics."""
    folder = tmp_path_factory.mktemp("patterns")
    run = topic_run(folder)
    run_analysis(run, pattern_svd.ANALYSIS, {"rows": "all", "n_null": 20, "n_boot": 1, "n_seeds": 1, "k_max": 12})
    run_analysis(run, feature_distances.ANALYSIS, {"decoder": False, "k": 3})
    with serving.serve(folder) as address, chromium.new_context(viewport={"width": 1280, "height": 2400}) as context:
        context.set_default_timeout(PATIENCE)
        found = context.new_page()
        found.goto(f"{address}/distances?run=topics&feature=6&distances_by=phi&distances_n=12")
        yield found


def test_a_cell_opens_its_feature_whose_mix_opens_its_prototype_and_a_loading_a_feature(page: Page) -> None:
    expect(page.locator(MAP)).to_have_count(2)
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_timeout(500)  # plotly arranges itself once more after the fonts are there
    x, y, feature = page.evaluate(CELL % MAP)
    box = page.locator(MAP).nth(1).locator(".nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.click(box["x"] + x, box["y"] + y)
    page.wait_for_url(re.compile(rf"/feature\?run=topics&feature={feature}(&|$)"))
    expect(page.locator("html")).to_have_attribute("data-prism-links", "caught")
    link = page.get_by_role("list", name="Prototypes").get_by_role("link").first
    method, number = (link.get_attribute("data-prototype") or "").split("-")
    page.evaluate("window.sameSession = true")
    link.click()
    page.wait_for_url(re.compile(rf"/pattern_svd\?run=topics&pattern_svd_method={method}&pattern_svd_number={number}$"))
    expect(page.get_by_role("heading", name=f"Prototype {number}, {method}")).to_be_visible()
    loading = page.locator("a[data-feature]").first
    loaded = loading.get_attribute("data-feature")
    loading.click()
    page.wait_for_url(re.compile(rf"/feature\?run=topics&feature={loaded}(&|$)"))
    assert page.evaluate("window.sameSession") is True  # nothing was loaded anew
    assert page.locator("[data-testid=stException]").count() == 0
