"""A view as one file, by value: what the link names is in it, escaped, under a policy that forbids script and fetch."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import NotFoundError
from core.store import Store
from dashboard import export_html, nav, views_html
from dashboard.truths.truth_data import Known
from tests.dashboard.conftest import HOSTILE, Open
from tests.decomposition_factory import write_decomposition

BASE = "http://localhost:8501"
LINK = {
    "run": "toy",
    "feature": "2",
    "feature_top": "3",
    "feature_band": "0",
    "feature_near": "0",
    "feature_scale": "log",
}


class Tags(HTMLParser):
    """Names and attributes of all elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def cache(toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(toy_cache))
    return toy_cache


def saved(cache: Path, page: str, link: dict[str, str]) -> str:
    view = views_html.view_of(page, Store(cache).run(link["run"]), link, BASE)
    return export_html.document(view.title, view.sections, view.footer, f"{BASE}/{page}?run=toy")


def test_a_file_of_a_feature_holds_what_its_link_names(cache: Path) -> None:
    html = saved(cache, "feature", LINK)
    for part in ("Feature 2", "95 % interval over documents", "SAE units, log axis", "3 strongest of", "8 drawn of",
                 "Nearest by decoder cosine", "Where these numbers come from", "prism run toy --replace",
                 f"{BASE}/feature?run=toy"):  # fmt: skip
        assert part in html
    assert "Near misses" not in html
    assert "Quarter" not in html


@pytest.mark.parametrize("page", [spec.key for spec in nav.PAGES])
def test_a_file_of_any_page_has_the_policy_and_nothing_that_runs_or_fetches(page: str, cache: Path) -> None:
    html = saved(cache, page, LINK | {"features": "1,2,3", "lists_a": "1", "lists_b": "2"})
    tags = Tags(html).found
    (policy,) = (a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert not {"script", "img", "iframe", "object", "embed", "link", "svg", "form", "base"} & {t for t, _ in tags}
    assert not [a for _, attrs in tags for a in attrs if a.startswith("on") or a == "src"]
    assert all(a["href"].startswith(("http://localhost:8501/", "https://www.neuronpedia.org/"))
               for t, a in tags if t == "a")  # fmt: skip
    assert not re.search(r"url\(|@import", html)


def test_strangers_text_stays_text_in_a_file(cache: Path) -> None:
    html = saved(cache, "feature", LINK)
    assert HOSTILE.split(" **")[0] not in html
    assert "&lt;img src=x onerror=alert(1)&gt; **bold**" in html


def test_a_file_is_refused_for_a_feature_that_is_not_there(cache: Path) -> None:
    with pytest.raises(NotFoundError):
        saved(cache, "feature", LINK | {"feature": "400"})


def test_only_web_addresses_become_links() -> None:
    html = export_html.document("t", [], "", "javascript:alert(1)")
    assert "<a " not in html
    assert 'href="http://h/?a=1&amp;b=%22"' in export_html.document("t", [], "", "http://h/?a=1&b=%22")


def test_tables_say_absence_and_how_much_is_shown() -> None:
    frame = pd.DataFrame({"<x>": ["<b>", None], "n": [1234, 5], "share": [0.25, np.nan], "on": [True, False],
                          "l": [np.array([1.0, 2.5]), np.array([])]})  # fmt: skip
    html = export_html.table_html(frame, "a & b", max_rows=1)
    assert "a &amp; b: 1 of 2 rows" in html
    assert "<td>&lt;b&gt;</td><td>1,234</td><td>0.250</td><td>yes</td><td>1.00, 2.50</td>" in html
    assert '<th scope="col">&lt;x&gt;</th>' in html
    assert html.count("<tr>") == 2
    assert "<td>not measured</td><td>5</td><td>not measured</td><td>no</td><td></td>" in export_html.table_html(
        frame, ""
    )


def test_a_file_of_a_verdict_holds_sentence_plot_and_phrases(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(own_cache))
    write_decomposition(Store(own_cache).run("toy"))
    html = saved(own_cache, "feature", {"run": "toy", "feature": "5", "feature_shown": "2"})
    for part in ("LABEL-FAILS", "Share of phrases that make feature 5 fire", "Should fire, did not", "Top activations"):
        assert part in html
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(3)&gt;" in html
    assert "LABEL-FAILS" not in saved(
        own_cache, "feature", {"run": "toy", "feature": "5", "feature_view": "activations"}
    )
    assert "LABEL-FAILS" in saved(own_cache, "decomposability", {"run": "toy"})


def test_a_file_of_a_feature_with_planted_truth_says_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Planted truth:" not in saved(cache, "feature", LINK)
    known = Known("weather=<b>rain</b>", 0.9, 0.8, 0.85, True, 120, (), ())
    monkeypatch.setattr(views_html.readers, "truth_of", lambda run, feature: known)
    html = saved(cache, "feature", LINK)
    assert "<strong>Planted truth:</strong> stands for weather=&lt;b&gt;rain&lt;/b&gt; (precision 0.900" in html


def test_the_footer_of_a_file_is_of_the_result_that_its_link_names(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(own_cache))
    old, _ = (write_decomposition(Store(own_cache).run("toy"), seed=seed) for seed in (11, 12))
    assert "seed = 12" in saved(own_cache, "decomposability", {"run": "toy"})
    key = old.path.name[:8]
    assert "seed = 11" in saved(own_cache, "decomposability", {"run": "toy", "decomposability_result": key})
    assert "seed = 11" in saved(own_cache, "feature", {"run": "toy", "feature": "5", "feature_test": f"{key}-3"})


# --- the dialog ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [spec.key for spec in nav.PAGES])
def test_share_opens_on_every_page_with_the_whole_link(page: str, open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, page, run="toy", feature="2", features="1,2")
    at.button(key="share").click().run()
    assert not at.exception
    assert [code.value for code in at.code if code.value.startswith("/?run=toy")]
    assert [b.label for b in at.get("download_button") if b.key == "share_html"]


def test_the_dialog_offers_the_data_of_this_view_only(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="2")
    at.button(key="share").click().run()
    offered = {b.label for b in at.get("download_button") if str(b.key).startswith("share_feature_")}
    assert offered == {"csv", "csv for spreadsheets", "parquet", "manifest"}
    assert "The data behind it: feature 2" in "".join(h.value for h in at.html)


def test_an_embedded_page_has_no_sidebar(open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.runtime.context import ContextProxy

    monkeypatch.setattr(ContextProxy, "is_embedded", property(lambda self: True))
    at = open_page(toy_cache, "feature", run="toy", feature="2")
    assert not at.exception
    assert not at.sidebar.button
    assert "Feature 2 <" in "".join(h.value for h in at.html)
