"""Verdicts in a real browser: links in a second clean context, clicks from the list to the verdict, layout, axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from core.results import results
from core.store import Store
from tests.browser import serving
from tests.browser.conftest import PATIENCE
from tests.browser.test_dashboard import query, settled
from tests.decomposition_factory import write_decomposition

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def tested(cache: Path, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server over the run ``toy`` with a test of every class."""
    folder = tmp_path_factory.mktemp("tested")
    shutil.copytree(cache / "toy", folder / "toy")
    write_decomposition(Store(folder).run("toy"))
    with serving.serve(folder) as address:
        yield address


@pytest.fixture
def here(context: object, tested: str) -> Iterator[Page]:
    """A page that fails the test when it opens a script's dialog or reaches beyond the server."""
    opened, beyond = context.new_page(), []  # type: ignore[attr-defined]
    opened.on("request", lambda r: beyond.append(r.url) if not r.url.startswith((tested, "blob:", "data:")) else None)
    opened.on("dialog", lambda d: beyond.append(f"dialog {d.message}"))
    yield opened
    opened.close()
    assert beyond == []


def words(page: Page) -> list[str]:
    return page.locator("[data-testid=stMain] [data-testid=stHtml]").all_inner_texts()


def reopens(page: Page, chromium: Browser, wait_for: str) -> None:
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as clean:
        other = clean.new_page()
        other.goto(page.url)
        expect(other.locator(wait_for).first).to_be_visible()
        settled(other)
        assert other.url == page.url
        assert words(other) == words(page)


def test_the_worst_label_is_one_click_from_its_verdict_which_reopens_elsewhere(
    here: Page, tested: str, chromium: Browser
) -> None:
    here.goto(f"{tested}/decomposability?run=toy")
    expect(here.locator(".p-labels-list a").first).to_be_visible()
    settled(here, decomposability_page="1")
    expect(here.locator("html")).to_have_attribute("data-prism-links", "caught")
    here.locator(".p-labels-list a").first.click()
    settled(here, feature="5", feature_view="verdict")
    expect(here.locator(".p-verdict")).to_contain_text("the label fails")
    assert query(here)["feature_test"].endswith("-3")
    here.get_by_text("0: any act counts").click()
    settled(here, feature_theta="theta0")
    expect(here.locator(".p-dots caption")).to_contain_text("above 0 (SAE units)")
    reopens(here, chromium, ".p-dots")


def test_a_filtered_list_and_phrases_reopen_elsewhere(here: Page, tested: str, chromium: Browser) -> None:
    here.goto(f"{tested}/decomposability?run=toy&decomposability_kind=LABEL-FAILS&decomposability_show=plots")
    expect(here.locator(".p-card")).to_have_count(2)
    settled(here, decomposability_show="plots")
    reopens(here, chromium, ".p-card")
    here.goto(f"{tested}/phrases?run=toy&feature=4")
    settled(here, phrases_page="1")
    here.get_by_text("fires", exact=True).first.click()
    settled(here, phrases_show="fires")
    reopens(here, chromium, ".p-heat")


def test_dots_stand_where_their_numbers_say(here: Page, tested: str) -> None:
    here.goto(f"{tested}/feature?run=toy&feature=2")
    expect(here.locator(".p-dots")).to_be_visible()
    for row in here.locator(".p-dots tbody tr.p-r-part").all():
        share = int(row.locator("td").nth(1).inner_text().split("·")[1].split("%")[0])
        track, dot = row.locator(".p-track").bounding_box(), row.locator(".p-dot").bounding_box()
        assert track is not None
        assert dot is not None
        at = (dot["x"] + dot["width"] / 2 - track["x"]) / track["width"]
        assert abs(100 * at - share) < 1.5


def test_hostile_labels_and_parts_stay_text(here: Page, tested: str) -> None:
    here.goto(f"{tested}/feature?run=toy&feature=5")
    expect(here.locator(".p-verdict")).to_contain_text("<b>and</b> <U+202E>their work")
    expect(here.locator(".p-dots")).to_contain_text("<img src=x onerror=alert(3)>")
    assert here.locator(".p-dots img, .p-verdict b, .p-groups img").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_fit_the_window_and_are_accessible(
    width: int, scheme: Literal["light", "dark"], here: Page, tested: str
) -> None:
    here.set_viewport_size({"width": width, "height": 900})
    here.emulate_media(color_scheme=scheme)
    for address, wait_for in (
        ("/feature?run=toy&feature=3", ".p-dots"),
        ("/decomposability?run=toy", ".p-labels-list"),
        ("/decomposability?run=toy&decomposability_show=plots&decomposability_by=label%20kind", ".p-card"),
        ("/phrases?run=toy&feature=4", ".p-heat"),
    ):
        here.goto(tested + address)
        expect(here.locator(wait_for).first).to_be_visible()
        settled(here)
        here.wait_for_timeout(300)
        assert here.locator("[data-testid=stMain]").evaluate("m => m.scrollWidth - m.clientWidth") == 0
        found = [v for v in Axe().run(here).response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"][:300]) for v in found] == []


def test_bos_counted_moves_the_dots_and_reopens_elsewhere(here: Page, tested: str, chromium: Browser) -> None:
    here.goto(f"{tested}/feature?run=toy&feature=3")
    expect(here.locator(".p-dots")).to_be_visible()
    here.get_by_text("counted", exact=True).click()
    settled(here, feature_bos="counted")
    expect(here.locator(".p-bos")).to_contain_text("so does every control")
    for row in here.locator(".p-dots tbody tr.p-r-part").all():
        track, dot = row.locator(".p-track").bounding_box(), row.locator(".p-dot:not(.p-was)").bounding_box()
        assert track is not None
        assert dot is not None
        assert abs(dot["x"] + dot["width"] / 2 - track["x"] - track["width"]) < 2
        expect(row.locator(".p-was")).to_be_visible()
    reopens(here, chromium, ".p-bos")


def test_phrases_changed_in_the_table_are_tested_again_on_the_demos_own_model(
    chromium: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    shutil.copytree(serving.ROOT / "cache" / "demo", tmp_path / "demo")
    run = Store(tmp_path).run("demo")
    feature = int(results(run, "decomposition")[0].table("tests")["feature"].iloc[0])
    with serving.serve(tmp_path, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1") as address, chromium.new_page() as page:
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/phrases?run=demo&feature={feature}")
        expect(page.locator(".p-heat")).to_be_visible()
        settled(page, phrases_page="1")
        old = query(page)["phrases_test"]
        page.get_by_text("Change these phrases and measure again").click()
        page.get_by_role("button", name="Measure again").click()
        expect(page.get_by_text("Measured again:")).to_be_visible(timeout=180_000)
        assert query(page)["phrases_test"] != old
        expect(page.get_by_text("Label (2 tests)")).to_be_visible()
        page.goto(f"{address}/phrases?run=demo&feature={feature}&phrases_test={old}")
        settled(page, phrases_test=old)
    again, before = (r.table("tests").set_index("feature").loc[feature] for r in results(run, "decomposition"))
    assert again["generator"] == f"phrases_{feature}.csv"
    assert again["kind"] == before["kind"], "the same phrases, the same verdict"
    assert again["parts_rate"] == pytest.approx(before["parts_rate"])
