"""Sharing in a real browser: links, files that open from disk, keys, pages inside other pages."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard import downloads, export_html, nav
from tests.browser.test_dashboard import open_feature, settled

pytestmark = pytest.mark.browser
PAGES = [spec.key for spec in nav.PAGES]


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def share(page: Page) -> None:
    page.locator(".p-h").first.click()
    page.keyboard.press("s")
    expect(page.get_by_role("dialog").get_by_role("button", name="This view as one HTML file")).to_be_visible()


def opened_from_disk(chromium: Browser, path: Path, **context: Any) -> dict[str, Any]:
    """What a file does in a browser of its own: its text, all requests but the one for itself, dialogs, complaints."""
    with chromium.new_context(viewport={"width": 1100, "height": 900}, **context) as clean:
        page, found = clean.new_page(), {"requests": [], "dialogs": [], "console": []}
        page.on("request", lambda r: found["requests"].append(r.url))
        page.on("dialog", lambda d: (found["dialogs"].append(d.message), d.dismiss()))
        page.on("console", lambda m: found["console"].append(m.text))
        page.goto(path.as_uri())
        page.wait_for_timeout(300)
        found["text"] = page.locator("body").inner_text()
        found["scripts"] = page.locator("script, img, iframe").count()
        found["background"] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        found["sideways"] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found["requests"] = [r for r in found["requests"] if r != path.as_uri()]
        return found


def test_a_copied_link_opens_the_same_view_in_a_fresh_browser(page: Page, url: str, chromium: Browser) -> None:
    open_feature(page, url, 2, feature_top="3", feature_scale="log", feature_seed="4")
    share(page)
    link = page.get_by_role("dialog").locator("code").first.inner_text().replace("\n", "")
    assert link.startswith(f"{url}/feature?run=toy&feature=2&")
    page.keyboard.press("Escape")
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as clean:
        other = clean.new_page()
        other.goto(link)
        expect(other.locator(".p-groups").first).to_be_visible()
        settled(other, feature_seed="4")
        assert other.url == page.url == link
        assert other.locator(".p-groups").first.inner_text() == page.locator(".p-groups").first.inner_text()
        assert other.locator(".p-facts").first.inner_text() == page.locator(".p-facts").first.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_opens_from_disk_with_no_requests_and_shows_the_view(
    scheme: str, page: Page, url: str, chromium: Browser, tmp_path: Path
) -> None:
    open_feature(page, url, 2, feature_top="3")
    share(page)
    path = saved(page, "This view as one HTML file", tmp_path)
    assert re.fullmatch(r"prism_toy_feature_2_\d{4}-\d\d-\d\d\.html", path.name)
    found = opened_from_disk(chromium, path, color_scheme=scheme)
    assert (found["requests"], found["dialogs"], found["console"], found["scripts"]) == ([], [], [], 0)
    assert found["background"] == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
    for group in page.locator(".p-groups").first.inner_text().splitlines():
        assert group in found["text"]
    assert "prism run toy --replace" in found["text"]
    assert f"{url}/feature?run=toy" in found["text"]


def test_hostile_text_does_nothing_in_a_file(page: Page, url: str, chromium: Browser, tmp_path: Path) -> None:
    page.goto(f"{url}/feature?run=hostile&feature=3&feature_width=whole&feature_top=50")
    settled(page, feature_top="50")
    share(page)
    found = opened_from_disk(chromium, saved(page, "This view as one HTML file", tmp_path))
    assert (found["requests"], found["dialogs"], found["scripts"]) == ([], [], 0)
    assert "<script>alert(1)</script>" in found["text"]
    assert "<img src=x onerror=alert(1)>" in found["text"]


def test_the_policy_stops_markup_even_if_it_were_not_escaped(chromium: Browser, tmp_path: Path) -> None:
    raw = (
        "<script>alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(2)><p onclick=alert(3)>x</p>"
        "<style>body{background:url(http://127.0.0.1:9/y)}@import 'http://127.0.0.1:9/z';</style>"
        "<iframe src=http://127.0.0.1:9/w></iframe><link rel=stylesheet href=http://127.0.0.1:9/v>"
    )
    path = tmp_path / "raw.html"
    path.write_text(export_html.document("t", [raw], "", ""), encoding="utf-8")
    with chromium.new_context() as clean:
        page, dialogs, answered = clean.new_page(), [], []
        page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
        page.on("requestfinished", lambda r: answered.append(r.url))
        reasons: list[str] = []
        page.on("requestfailed", lambda r: reasons.append(str(r.failure)))
        page.goto(path.as_uri())
        page.locator("p", has_text="x").first.click()
        page.wait_for_timeout(500)
        assert dialogs == []
        assert answered == [path.as_uri()]
        assert all("csp" in reason for reason in reasons)


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_chart_is_saved_as_the_picture_that_was_chosen(kind: str, page: Page, url: str, tmp_path: Path) -> None:
    page.goto(f"{url}/lists?run=toy&features=2,9")
    expect(page.locator(".js-plotly-plot .bars path").first).to_be_attached()
    settled(page, lists_n="6")
    if kind == "png":
        share(page)
        page.get_by_role("dialog").get_by_text("png", exact=True).click()
        page.wait_for_timeout(500)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.wait_for_timeout(2000)  # the page draws the chart anew; nothing visible tells when
    page.locator(".js-plotly-plot").first.hover()
    with page.expect_download() as download:
        page.locator(".modebar-btn").first.click()
    assert download.value.suggested_filename == f"prism_toy_compare.{kind}"
    start = download.value.path().read_bytes()[:8]
    assert start.startswith({"svg": b"<svg", "png": b"\x89PNG"}[kind])


def test_the_data_behind_a_view_comes_in_every_form(page: Page, url: str, tmp_path: Path) -> None:
    open_feature(page, url, 2, feature_top="3")
    share(page)
    exact = pd.read_csv(saved(page, "csv", tmp_path))
    assert (exact["group"] == "Top activations").sum() == 3
    sheet = saved(page, "csv for spreadsheets", tmp_path).read_bytes()
    rows = list(csv.reader(io.StringIO(sheet.decode("utf-8-sig"), newline="")))
    assert len(rows) == len(exact) + 1
    assert not any(cell.lstrip().startswith(("=", "+", "@")) for row in rows for cell in row)
    path = saved(page, "parquet", tmp_path)
    pd.testing.assert_frame_equal(
        pd.read_parquet(path)[["group", "context", "pos"]], exact[["group", "context", "pos"]]
    )
    inside = json.loads(pq.read_schema(path).metadata[downloads.MANIFEST_KEY])
    beside = json.loads(saved(page, "manifest", tmp_path).read_text(encoding="utf-8"))
    assert inside["run"] == beside["run"]
    assert (beside["run"]["name"], beside["n_rows"]) == ("toy", len(exact))
    assert beside["link"].startswith(f"{url}/feature?run=toy&feature=2")


@pytest.mark.parametrize("key", PAGES)
def test_every_page_opens_inside_another_and_keeps_its_address(key: str, page: Page, url: str) -> None:
    path = "" if key == "home" else key
    page.goto(f"{url}/{path}?run=toy&feature=2&features=1,2&embed=true")
    expect(page.locator(".p-h").first).to_be_visible()
    settled(page, embed="true", run="toy")
    assert page.locator("[data-testid=stSidebar]").count() == 0
    assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.parametrize("key", PAGES)
def test_the_question_mark_lists_the_keys_on_every_page(key: str, page: Page, url: str) -> None:
    page.goto(f"{url}/{'' if key == 'home' else key}?run=toy&feature=2&features=1,2")
    expect(page.locator(".p-h").first).to_be_visible()
    settled(page)
    expect(page.locator("html")).to_have_attribute("data-prism-keys", "caught")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_text("share this view")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("path", ["?run=toy", "lists?run=toy&features=1,2"])
def test_a_slash_finds_a_feature_from_pages_without_a_find_button(path: str, page: Page, url: str) -> None:
    page.goto(f"{url}/{path}")
    expect(page.locator(".p-h").first).to_be_visible()
    settled(page)
    expect(page.locator("html")).to_have_attribute("data-prism-links", "caught")
    page.keyboard.press("/")
    page.get_by_role("dialog").get_by_role("textbox").fill("12")
    page.keyboard.press("Enter")
    settled(page, feature="12")
    expect(page.locator(".p-h").first).to_contain_text("Feature 12")
    expect(page.get_by_role("dialog")).to_have_count(0)
