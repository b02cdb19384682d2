"""Prototypes and Distances in a real browser: the map by mouse, keyboard and touch, and the ways between pages."""

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

CANVAS = "canvas[data-drawn]"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a run with topics."""
    folder = tmp_path_factory.mktemp("patterns")
    run = topic_run(folder)
    run_analysis(run, pattern_svd.ANALYSIS, {"rows": "all", "n_null": 20, "n_boot": 1, "n_seeds": 1, "k_max": 12})
    run_analysis(run, feature_distances.ANALYSIS, {"decoder": False, "k": 3})
    with serving.serve(folder) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """The map of all features by phi; a script's error or dialog fails the test."""
    wrong: list[str] = []
    with chromium.new_context(viewport={"width": 1280, "height": 1800}) as context:
        context.set_default_timeout(PATIENCE)
        found = context.new_page()
        found.on("pageerror", lambda error: wrong.append(str(error)))
        found.goto(f"{address}/distances?run=topics&feature=6&distances_by=phi&distances_map=densest")
        expect(found.locator(CANVAS)).to_be_visible()
        settled(found)
        yield found
        assert found.locator("[data-testid=stException]").count() == 0
    assert wrong == []


def settled(page: Page) -> None:
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")


def cell(page: Page, row: int, column: int, n: int = 39) -> tuple[float, float]:
    """The middle of a cell of a map of ``n`` features whose numbers stand beside it."""
    box = page.locator(CANVAS).bounding_box()
    assert box is not None
    side = box["width"] - 46
    return box["x"] + 46 + side * (column + 0.5) / n, box["y"] + 46 + side * (row + 0.5) / n


def pointed_at(page: Page) -> list[int]:
    return [int(text.removeprefix("feature ")) for text in page.locator(".now .pair b").all_inner_texts()]


def test_a_cell_says_its_pair_and_opens_where_both_fire_and_one_alone(page: Page) -> None:
    x, y = cell(page, 2, 9)
    page.mouse.move(x, y)
    a, b = pointed_at(page)
    assert a != b
    about = page.locator(".now")
    for word in ("Jaccard", "phi", "decoder cosine", "cosine of C", "both fire"):
        expect(about).to_contain_text(word)
    page.mouse.click(x, y)
    expect(page.get_by_role("heading", name="The pair")).to_be_visible()
    a, b = re.findall(r"\d+", re.findall(r"distances_pair=([^&]+)", page.url.replace("%2C", "."))[0])
    expect(page.get_by_role("heading", name=f"Only {a} fires")).to_be_visible()
    expect(page.get_by_role("heading", name=f"Only {b} fires")).to_be_visible()
    page.wait_for_url(re.compile(rf"distances_pair={a}%2C{b}$"))
    assert page.locator("mark.p-qab[title]").count() > 0
    page.reload()  # the link holds all of it
    expect(page.get_by_role("heading", name=f"Only {b} fires")).to_be_visible()


def test_a_box_zooms_and_the_whole_map_comes_back(page: Page) -> None:
    whole = page.locator(CANVAS).get_attribute("data-drawn")
    page.mouse.move(*cell(page, 5, 10))
    page.mouse.down()
    page.mouse.move(*cell(page, 7, 12))
    page.mouse.move(*cell(page, 9, 19))
    page.mouse.up()
    page.wait_for_url(re.compile(r"distances_window=5-9%2C10-19"))
    expect(page.locator(CANVAS)).not_to_have_attribute("data-drawn", str(whole))
    expect(page.locator(".shown")).to_contain_text("rows 6–10 and columns 11–20 of 39 features; a cell is one pair")
    page.get_by_role("button", name="Whole map").click()
    expect(page.locator(CANVAS)).to_have_attribute("data-drawn", str(whole))


def test_the_map_works_by_keyboard_alone_and_a_box_becomes_a_list(page: Page) -> None:
    page.get_by_test_id("stButtonGroup").get_by_text("make a list", exact=True).click()
    page.wait_for_url(re.compile("distances_drag=lists"))
    settled(page)
    page.locator(CANVAS).focus()
    page.keyboard.press("ArrowDown")
    a, b = pointed_at(page)
    page.keyboard.press("ArrowRight")
    assert pointed_at(page)[0] == a
    assert pointed_at(page)[1] != b
    for _ in range(2):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="in the box (3 rows, 1 column)")).to_be_visible()
    expect(page.locator(CANVAS)).to_have_js_property("tabIndex", 0)
    assert "strongest pair" in (page.locator(CANVAS).get_attribute("aria-label") or "")
    page.get_by_role("button", name="Open as a feature list").click()
    page.wait_for_url(re.compile(r"/lists\?run=topics&features=\d+%2C\d+%2C\d+"))


def test_the_map_fits_a_phone_and_takes_a_tap_and_works_embedded(chromium: Browser, address: str) -> None:
    with chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark") as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"{address}/distances?run=topics&feature=6&distances_map=densest&embed=true")
        canvas = page.locator(CANVAS)
        expect(canvas).to_be_visible()
        settled(page)
        box = canvas.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        canvas.tap(position={"x": 100, "y": 200})
        expect(page.get_by_role("heading", name="The pair")).to_be_visible()


def test_a_pair_opens_a_feature_whose_mix_opens_its_prototype_and_a_loading_a_feature(page: Page) -> None:
    page.evaluate("window.sameSession = true")
    page.mouse.click(*cell(page, 2, 9))
    expect(page.get_by_role("heading", name="The pair")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-prism-links", "caught")
    link = page.locator(".p-pair a[data-feature]").first
    feature = link.get_attribute("data-feature")
    link.click()
    page.wait_for_url(re.compile(rf"/feature\?run=topics&feature={feature}(&|$)"))
    link = page.get_by_role("list", name="Prototypes").get_by_role("link").first
    expect(page.locator("html")).to_have_attribute("data-prism-links", "caught")
    method, number = (link.get_attribute("data-prototype") or "").split("-")
    link.click()
    page.wait_for_url(re.compile(rf"/pattern_svd\?run=topics&pattern_svd_method={method}&pattern_svd_number={number}$"))
    expect(page.get_by_role("heading", name=f"Prototype {number}, {method}")).to_be_visible()
    loading = page.locator("a[data-feature]").first
    expect(page.locator("html")).to_have_attribute("data-prism-links", "caught")
    loaded = loading.get_attribute("data-feature")
    loading.click()
    page.wait_for_url(re.compile(rf"/feature\?run=topics&feature={loaded}(&|$)"))
    assert page.evaluate("window.sameSession") is True  # nothing was loaded anew
