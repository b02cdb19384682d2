"""The prompt lab on the demo's own model in a real Chromium: five tasks, files in and out, saved sets elsewhere."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import serving
from tests.browser.test_dashboard import query, settled
from tests.browser.test_live import LOADING
from tests.browser.test_share import opened_from_disk, share

pytest.importorskip("torch")
pytestmark = pytest.mark.browser
FEATURE = 340
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> **b** [x](javascript:alert(3)) \u202eevil 🦊 =1+1"
KESTEL = ["Mara Kestel said yes.", "They say Mara Kestel spoke.", "Mara Kestel drafted the hall.", 
          "Mara Kestel waited.", "In 1950, Mara Kestel worked.", "Mara Kestel kindly travelled."]  # fmt: skip
OTHERS = ["The brown bark curled.", "She danced near Bilbao.", "There were many bees in the garden.", "He waited.",
          "The wooden bat dented.", "The muddy bank crumbled."]  # fmt: skip


@pytest.fixture(scope="module")
def cache_of_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo that may be written to."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(serving.ROOT / "cache" / "demo", folder / "demo")
    return folder


@pytest.fixture(scope="module")
def lab_url(cache_of_lab: Path, chromium: Browser) -> Iterator[str]:
    with serving.serve(cache_of_lab, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1") as address:
        yield address


@pytest.fixture
def lab(context: BrowserContext, lab_url: str) -> Iterator[Page]:
    """The lab with one feature; fails when the page reaches beyond the server or opens a dialog of a script."""
    page, beyond = context.new_page(), []
    page.on("request", lambda r: beyond.append(r.url) if not r.url.startswith((lab_url, "blob:", "data:")) else None)
    page.on("dialog", lambda d: (beyond.append(f"dialog {d.message}"), d.dismiss()))
    page.goto(f"{lab_url}/prompts?run=demo&feature={FEATURE}&prompts_features={FEATURE},12")
    expect(page.get_by_label("Prompts", exact=True)).to_be_visible()
    settled(page, prompts_seed="0")
    yield page
    page.close()
    assert beyond == []


def send(page: Page, first: list[str], second: list[str] | None = None, boxes: tuple[str, str] | None = None) -> None:
    one, two = boxes or ("Prompts", "A second group (optional)")
    page.get_by_label(one, exact=True).fill("\n".join(first))
    page.get_by_label(two, exact=True).fill("\n".join(second or []))
    page.get_by_role("button", name="Use these prompts").click()


def task(page: Page, title: str, name: str) -> None:
    page.get_by_role("button", name=title, exact=True).or_(page.get_by_role("radio", name=title)).first.click()
    settled(page, prompts_task=name)


def answered(page: Page, selector: str) -> None:
    expect(page.locator(selector).first).to_be_visible(timeout=LOADING)
    settled(page)


def download(page: Page, name: str) -> bytes:
    with page.expect_download() as found:
        page.get_by_role("button", name=name).first.click()
    return Path(found.value.path()).read_bytes()


def seen(page: Page) -> list[str]:
    return page.locator("[data-testid=stMain] [data-testid=stHtml]").all_inner_texts()


def test_a_cell_opens_its_prompt_token_by_token_and_the_matrix_downloads(lab: Page) -> None:
    send(lab, [*KESTEL[:2], HOSTILE], OTHERS[:1])
    answered(lab, ".p-strip")
    assert "Kestel" not in lab.url
    lab.locator(f'a[data-lab="1.{FEATURE}"]').click()
    settled(lab, prompts_cell=f"1.{FEATURE}")
    expect(lab.get_by_text(f"Prompt 2 · feature {FEATURE}")).to_be_visible()
    expect(lab.locator(".p-strip .p-peak")).to_contain_text("Kestel")
    assert len(lab.locator(".p-strip > span").all()) == 7  # BOS, five words, full stop
    lab.locator(f'a[data-lab="f{FEATURE}"]').click()
    settled(lab, prompts_sort=str(FEATURE))
    frame = pd.read_csv(io.BytesIO(download(lab, "csv")))
    assert list(frame["text"].unique()) == [*KESTEL[:2], HOSTILE, OTHERS[0]]
    of = frame[frame["feature"] == FEATURE].set_index("prompt")
    shown = float(lab.locator(f'a[data-lab="1.{FEATURE}"]').inner_text())
    assert of["max_act"][1] == pytest.approx(shown, rel=0.05)
    assert of["max_act"][3] == 0
    lab.get_by_role("button", name="Other forms").first.click()
    with lab.expect_download() as sheet:
        lab.get_by_role("button", name="csv for spreadsheets").click()
    rows = list(csv.reader(io.StringIO(Path(sheet.value.path()).read_text("utf-8-sig"), newline="")))
    assert not any(cell.lstrip().startswith(("=", "+", "@")) for row in rows for cell in row)
    assert lab.locator(".p-lab script, .p-lab img").count() == 0


def test_a_threshold_is_kept_in_the_link(lab: Page) -> None:
    send(lab, KESTEL[:2])
    answered(lab, ".p-lab")
    lab.get_by_role("slider").first.focus()
    for _ in range(3):
        lab.keyboard.press("ArrowRight")
    settled(lab, prompts_theta="3")
    assert query(lab)["prompts_theta"] == "3"


def test_an_uploaded_file_is_contrasted_by_its_groups_and_the_planted_feature_separates_them(lab: Page) -> None:
    rows = "".join(f'"{t}",{g}\n' for texts, g in ((KESTEL, "kestel"), (OTHERS, "others")) for t in texts)
    task(lab, "Contrast two groups", "contrast")
    lab.get_by_text("Upload a file", exact=True).click()
    lab.locator("input[type=file]").set_input_files(
        {"name": "groups.csv", "mimeType": "text/csv", "buffer": f"text,group\n{rows}".encode()}
    )
    expect(lab.get_by_text("csv, 12 rows, 2 columns")).to_be_visible()
    lab.get_by_role("button", name="Use this file").click()
    answered(lab, ".p-ranks")
    expect(lab.locator(".js-plotly-plot")).to_have_count(1)
    frame = pd.read_csv(io.BytesIO(download(lab, "csv")))
    row = frame.set_index("feature").loc[FEATURE]
    assert (row["share_a"], row["share_b"], row["auroc"]) == pytest.approx((1, 0, 1))
    assert row["held_out_auroc"] == pytest.approx(1)


def test_found_features_lead_to_their_page_and_back(lab: Page) -> None:
    send(lab, KESTEL)
    task(lab, "Find features", "find")
    answered(lab, ".p-ranks")
    expect(lab.locator(".p-ranks tbody a").first).to_have_text(str(FEATURE))
    expect(lab.locator("html")).to_have_attribute("data-prism-links", "caught")
    lab.locator(".p-ranks tbody a").first.click()
    lab.wait_for_url(re.compile(rf"/feature\?run=demo&feature={FEATURE}"))
    expect(lab.get_by_role("heading", name=f"Feature {FEATURE}")).to_be_visible()
    settled(lab, feature_seed="0")
    lab.go_back()
    answered(lab, ".p-ranks")
    expect(lab.get_by_text("6 prompts, typed")).to_be_visible()


def test_a_label_is_held_to_account_saved_and_shows_on_the_verdict_screen(
    lab: Page, lab_url: str, chromium: Browser, tmp_path: Path
) -> None:
    task(lab, "Hold a label to account", "account")
    send(lab, KESTEL, [*OTHERS, "They say Mara Kestel rowed near Odense."], ("Should fire", "Should not fire"))
    answered(lab, ".p-score")
    expect(lab.locator(".p-score")).to_contain_text("1 counter-example among 13 prompts")
    expect(lab.locator(".p-groups .p-g").first).to_contain_text("Odense")
    lab.get_by_role("button", name="Save as").click()
    lab.get_by_label("Name", exact=True).fill("kestel")
    lab.keyboard.press("Tab")
    lab.get_by_role("button", name="Save", exact=True).click()
    settled(lab, prompts_set="kestel")
    expect(lab.get_by_role("button", name="Go on with these prompts")).to_have_count(1)
    before = [text for text in seen(lab) if "Kestel" in text]
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as clean:
        other = clean.new_page()
        other.goto(lab.url)
        expect(other.locator(".p-score")).to_be_visible()
        settled(other, prompts_set="kestel")
        assert [text for text in seen(other) if "Kestel" in text] == before
        assert other.locator(".p-groups mark").count() == lab.locator(".p-groups mark").count() > 0
        assert other.url == lab.url
    path = html_file(lab, tmp_path)
    found = opened_from_disk(chromium, path)
    assert (found["requests"], found["dialogs"], found["console"], found["scripts"]) == ([], [], [], 0)
    assert "They say Mara Kestel rowed near Odense." in found["text"]
    lab.get_by_role("button", name="Verdict screen of this feature").click()
    expect(lab.get_by_text("Held to account in the Prompt lab")).to_be_visible()


def html_file(page: Page, folder: Path) -> Path:
    share(page)
    with page.expect_download() as found:
        page.get_by_role("dialog").get_by_role("button", name="This view as one HTML file").click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    return path


def test_own_prompts_are_in_the_file_that_one_shares_and_hostile_text_does_nothing_there(
    lab: Page, chromium: Browser, tmp_path: Path
) -> None:
    send(lab, [HOSTILE, *KESTEL[:2]])
    answered(lab, ".p-strip")
    found = opened_from_disk(chromium, html_file(lab, tmp_path))
    assert (found["requests"], found["dialogs"], found["scripts"]) == ([], [], 0)
    assert "<script>alert(1)</script>" in found["text"]
    assert KESTEL[0] in found["text"]
    assert "Where these numbers come from: run demo" in found["text"]


def test_a_direction_is_decoded_and_goes_on_with_a_text(lab: Page) -> None:
    task(lab, "Decode", "decode")
    answered(lab, ".p-toks")
    assert lab.locator(".p-toks .p-up li").count() == 12
    lab.get_by_role("button", name="Continue the text").click()
    answered(lab, ".p-cont")
    assert lab.locator(".p-cont").count() == 3
    frame = pd.read_csv(io.BytesIO(download(lab, "csv")))
    assert (frame["side"] == "promoted").sum() == 12
    shown = float(lab.locator(".p-toks .p-up li").first.locator("span").last.inner_text())
    assert frame["logit"].iloc[0] == pytest.approx(shown, rel=0.01)


def test_samples_show_something_within_one_click_and_two_visitors_do_not_meet(
    lab: Page, lab_url: str, chromium: Browser
) -> None:
    lab.get_by_role("button", name="Sample prompts").click()
    answered(lab, ".p-strip")
    assert int(lab.locator(".p-lab tbody tr").count()) == 48
    with chromium.new_context() as clean:
        other = clean.new_page()
        other.goto(lab.url)
        expect(other.get_by_label("Prompts", exact=True)).to_be_visible()
        assert other.get_by_label("Prompts", exact=True).input_value() == ""
        assert other.locator(".p-lab").count() == 0


def test_a_long_job_can_be_cancelled(lab: Page) -> None:
    lines = [f"{KESTEL[i % 6]} {OTHERS[i % 5]} {i}" for i in range(12_000)]
    lab.get_by_text("Upload a file", exact=True).click()
    lab.locator("input[type=file]").set_input_files(
        {"name": "many.txt", "mimeType": "text/plain", "buffer": "\n".join(lines).encode()}
    )
    lab.get_by_role("button", name="Use this file").click()
    expect(lab.get_by_role("button", name="Measure 2 features on 12,000 prompts")).to_be_visible(timeout=LOADING)
    task(lab, "Find features", "find")
    lab.get_by_role("button", name="Measure all features on 12,000 prompts").click()
    lab.get_by_role("button", name="Cancel").click()
    expect(lab.get_by_text("Cancelled")).to_be_visible()
    expect(lab.get_by_role("button", name="Try again")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_tasks_fit_the_window_and_are_accessible(width: int, scheme: Literal["light", "dark"], lab: Page) -> None:
    lab.set_viewport_size({"width": width, "height": 900})
    lab.emulate_media(color_scheme=scheme)
    send(lab, KESTEL, OTHERS)
    answered(lab, ".p-strip")
    for title, name, wait_for in (
        ("Find features", "find", ".p-ranks"), ("Contrast two groups", "contrast", ".p-ranks"),
        ("Hold a label to account", "account", ".p-score"), ("Decode", "decode", ".p-toks"),
        ("Test features", "test", ".p-strip"),
    ):  # fmt: skip
        task(lab, title, name)
        answered(lab, wait_for)
        lab.wait_for_timeout(300)
        assert lab.locator("[data-testid=stMain]").evaluate("m => m.scrollWidth - m.clientWidth") == 0
        found = [v for v in Axe().run(lab).response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"][:300]) for v in found] == [], json.dumps(name)


def test_a_page_inside_another_shows_a_saved_set(lab: Page, lab_url: str) -> None:
    send(lab, KESTEL[:3])
    answered(lab, ".p-strip")
    lab.get_by_role("button", name="Save as").click()
    lab.get_by_label("Name", exact=True).fill("three")
    lab.keyboard.press("Tab")
    lab.get_by_role("button", name="Save", exact=True).click()
    settled(lab, prompts_set="three")
    lab.goto(lab.url + "&embed=true")
    expect(lab.locator(".p-strip")).to_be_visible()
    assert lab.locator("[data-testid=stSidebar]").count() == 0
    lab.locator(f'a[data-lab="2.{FEATURE}"]').click()
    settled(lab, prompts_cell=f"2.{FEATURE}", embed="true")
    expect(lab.get_by_text(f"Prompt 3 · feature {FEATURE}")).to_be_visible()
