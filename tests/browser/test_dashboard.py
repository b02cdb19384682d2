"""What only a real browser can tell: links in a second clean context, keys, clicks, layout, what runs and loads."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE

pytestmark = pytest.mark.browser


def query(page: Page) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(urlsplit(page.url).query).items()}


def settled(page: Page, **wanted: str) -> None:
    """Wait until the script has ended and the address says what is wanted."""
    for key, value in wanted.items():
        page.wait_for_url(re.compile(rf"[?&]{key}={re.escape(value)}(&|$)"))
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")


def open_feature(page: Page, url: str, feature: int, **more: str) -> None:
    rest = "".join(f"&{k}={v}" for k, v in more.items())
    page.goto(f"{url}/feature?run=toy&feature={feature}{rest}")
    expect(page.locator(".p-h")).to_contain_text(f"Feature {feature}")
    settled(page, feature_seed=more.get("feature_seed", "0"))
    expect(page.locator("html")).to_have_attribute("data-prism-links", "caught")


def seen(page: Page) -> str:
    return "\n".join(page.locator("[data-testid=stMain] [data-testid=stHtml]").all_inner_texts())


def same_in_a_clean_browser(page: Page, chromium: Browser) -> None:
    """The address opened in another context shows the same and stays the same."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE)
        other = context.new_page()
        other.goto(page.url)
        expect(other.locator(".p-facts")).to_have_count(page.locator(".p-facts").count())
        expect(other.locator(".p-groups")).to_have_count(page.locator(".p-groups").count())
        settled(other)
        assert seen(other) == seen(page)
        assert other.url == page.url
        assert len(urlsplit(page.url).query) < 500


def test_a_feature_view_reopens_exactly_in_another_browser(page: Page, url: str, chromium: Browser) -> None:
    open_feature(page, url, 2)
    page.get_by_role("button", name="Show").click()
    page.get_by_text("log", exact=True).click()
    settled(page, feature_scale="log")
    page.get_by_label("Top", exact=True).fill("3")
    page.get_by_label("Top", exact=True).press("Enter")
    settled(page, feature_top="3")
    page.get_by_role("button", name="Draw again").click()
    settled(page, feature_seed="1")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add to list").click()
    settled(page, features="2")
    expect(page.get_by_text("3 strongest of")).to_be_visible()
    same_in_a_clean_browser(page, chromium)


def test_a_home_view_reopens_exactly_in_another_browser(page: Page, url: str, chromium: Browser) -> None:
    page.goto(f"{url}/?run=toy")
    page.get_by_label("Search labels and top tokens").fill("cat")
    page.keyboard.press("Enter")
    settled(page, home_q="cat")
    page.get_by_text("down", exact=True).click()
    settled(page, home_order="down")
    page.get_by_role("button", name="Ranges").click()
    page.get_by_label("Columns to filter by").click()
    page.keyboard.type("density")
    page.get_by_role("option", name="density", exact=True).click()
    page.wait_for_url(re.compile("home_where=density%3A%3A"))
    page.keyboard.press("Escape")
    page.get_by_label("density from").fill("0.02")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("home_where=density%3A0.02%3A"))
    settled(page)
    expect(page.get_by_text(re.compile("of 40 features, density from 0.0200"))).to_be_visible()
    page.keyboard.press("Escape")
    same_in_a_clean_browser(page, chromium)


def test_a_list_view_reopens_exactly_in_another_browser(page: Page, url: str, chromium: Browser) -> None:
    page.goto(f"{url}/lists?run=toy&features=2,9,5&lists_b=5")
    expect(page.locator(".p-h").nth(3)).to_contain_text("Feature 5")
    settled(page, lists_n="6")
    expect(page.locator(".js-plotly-plot .bars path").first).to_be_attached()
    same_in_a_clean_browser(page, chromium)


def test_keys_step_and_search_and_quick_presses_leave_page_and_link_in_step(page: Page, url: str) -> None:
    open_feature(page, url, 5)
    page.locator(".p-h").click()
    page.keyboard.press("ArrowRight")
    settled(page, feature="6")
    page.keyboard.press("ArrowLeft")
    settled(page, feature="5")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(60)
    page.wait_for_timeout(1500)  # presses during one run of the script count as one, so how far is not fixed
    settled(page)
    before = query(page)["feature"]
    assert 6 <= int(before) <= 9
    expect(page.locator(".p-h")).to_contain_text(f"Feature {before}")
    page.keyboard.press("x")
    page.wait_for_url(lambda address: f"feature={before}&" not in address)
    page.keyboard.press("/")
    page.get_by_role("dialog").get_by_role("textbox").fill("12")
    page.keyboard.press("Enter")
    settled(page, feature="12")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".p-h")).to_contain_text("Feature 12")


def test_find_lists_matches_and_a_click_opens_one(page: Page, url: str) -> None:
    open_feature(page, url, 5)
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("textbox").fill("cat sat")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").locator("a[data-feature='19']").click()
    settled(page, feature="19")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_neighbour_opens_without_a_reload_and_back_returns(page: Page, url: str) -> None:
    open_feature(page, url, 5)
    page.evaluate("window.sameSession = true")
    link = page.locator("a[data-feature]").first
    to = link.inner_text()
    link.click()
    settled(page, feature=to)
    expect(page.locator(".p-h")).to_contain_text(f"Feature {to}")
    page.go_back()
    settled(page, feature="5")
    expect(page.locator(".p-h")).to_contain_text("Feature 5")
    assert page.evaluate("window.sameSession") is True


def test_a_number_of_the_table_opens_its_feature_and_ticked_rows_become_a_list(page: Page, url: str) -> None:
    page.goto(f"{url}/?run=toy&home_sort=feature&home_order=down")
    table = page.locator("[data-testid=stDataFrame]").last
    expect(table.locator("canvas").first).to_be_visible()
    settled(page, home_page="1")
    table.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    for row in (0, 1):
        table.click(position={"x": 17, "y": 35 + 17 + 35 * row})
        page.wait_for_timeout(300)
    page.get_by_role("button", name="Put 2 on the list").click()
    settled(page, features="39%2C38")
    page.go_back()
    settled(page, home_order="down")
    table.scroll_into_view_if_needed()
    page.wait_for_timeout(700)
    table.click(position={"x": 34 + 28, "y": 35 + 17})
    settled(page, feature="39")
    expect(page.locator(".p-h")).to_contain_text("Feature 39")


def test_downloads_are_named_after_what_they_hold(page: Page, url: str) -> None:
    open_feature(page, url, 5)
    page.locator(".p-h").click()
    with page.expect_download() as download:
        page.keyboard.press("d")
    assert re.fullmatch(r"prism_toy_feature_5_\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    text = download.value.path().read_text(encoding="utf-8")
    assert text.startswith("group,context,document,source,pos,value")
    assert text.count("Top activations") == 8


def test_tokens_that_try_to_be_more_than_text_stay_text(page: Page, url: str) -> None:
    page.goto(f"{url}/feature?run=hostile&feature=3&feature_width=whole&feature_top=50")
    expect(page.locator(".p-g").first).to_be_visible()
    settled(page, feature_top="50")
    text = page.locator(".p-groups").inner_text()
    for token in ("<script>alert(1)</script>", "</title", "-->", "↵", "<U+202E>evil", "**b**", "&amp;", "<U+200B>"):
        assert token in text
    assert page.locator(".p-groups img, .p-groups script, .p-groups a").count() == 0
    marks = page.locator(".p-groups mark")
    assert marks.count() > 100
    assert page.locator(".p-groups mark:not([title])").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_fit_the_window_and_are_accessible(
    width: int, scheme: Literal["light", "dark"], page: Page, url: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for address in ("/?run=toy&home_find=cat", "/feature?run=toy&feature=2", "/lists?run=toy&features=2,9"):
        page.goto(url + address)
        expect(page.locator(".p-facts").first).to_be_visible()
        settled(page)
        page.wait_for_timeout(300)  # canvas and chart
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
        assert page.locator("[data-testid=stMain]").evaluate("m => m.scrollWidth - m.clientWidth") == 0
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []


def test_a_bad_link_is_an_alert_and_no_traceback(page: Page, url: str) -> None:
    page.goto(f"{url}/feature?run=toy&feature=1000000000")
    expect(page.get_by_role("alert").filter(has_text="there is no feature 1000000000")).to_be_visible()
    assert page.locator("[data-testid=stException]").count() == 0
    assert "Traceback" not in page.content()
