"""The pages of decomposition tests x {empty cache, no result, result, bad link, unknown feature, damage}."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import pytest

from core.llm.base import Message, Reply, Request
from core.llm.ledger import Ledger
from core.store import Store
from dashboard import live, readers, subject
from dashboard.verdicts import verdict_export, verdict_wording
from dashboard.work_queue import WorkQueue
from tests.dashboard.conftest import Open, alerts, texts
from tests.dashboard.fake_source import FakeSource
from tests.dashboard.test_live import settled
from tests.decomposition_factory import CASES, write_decomposition

PAGES = ["decomposability", "phrases"]
BY_KIND = {case.kind: (i, case) for i, case in reversed(list(enumerate(CASES)))}
ASKED = Request((Message("user", "Write <b>phrases</b>\nfor weather"),), None)


@pytest.fixture(scope="session")
def tested_cache(toy_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run ``toy`` with a test of every class; the first of them was asked of a language model."""
    folder = tmp_path_factory.mktemp("tested")
    shutil.copytree(toy_cache / "toy", folder / "toy")
    run = Store(folder).run("toy")
    ledger = Ledger(run.path / "ledger.jsonl")
    ledger.record(ASKED, "toy-1", "http://localhost:9/v1", Reply("It <i>rains</i>."), None, "USD")
    write_decomposition(run, asked={0: [ASKED.key("toy-1", "http://localhost:9/v1"), "0" * 64]})
    return folder


def key_of(cache: Path) -> str:
    return readers.verdict_data.folders(cache / "toy")[0].name[: readers.verdict_data.N_KEY]


def dots(html: str) -> list[str]:
    """Where the dots of the plot stand."""
    return re.findall(r'p-dot p-d-[^"]*" style="left:([0-9.]+)%', html)


# --- what is not there -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_cache_says_what_to_do(page: str, open_page: Open, tmp_path: Path) -> None:
    at = open_page(tmp_path / "not there", page)
    assert not at.exception
    assert "prism run stories260K" in texts(at)


@pytest.mark.parametrize(
    ("page", "query", "command"),
    [
        ("decomposability", {}, "prism decompose toy --features random:200 --proposer corpus"),
        ("phrases", {"feature": "7"}, "prism decompose toy --features 7 --proposer corpus"),
        ("feature", {"feature": "7", "feature_view": "verdict"}, "prism decompose toy --features 7 --proposer corpus"),
    ],
)
def test_without_a_result_the_command_that_makes_one_is_said(
    page: str, query: dict[str, str], command: str, open_page: Open, toy_cache: Path
) -> None:
    at = open_page(toy_cache, page, run="toy", **query)
    assert not at.exception
    assert not alerts(at)
    assert command in texts(at)


def test_a_feature_without_a_result_opens_on_its_activations(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="7")
    assert at.query_params["feature_view"] == "activations"
    assert "Top activations" in texts(at)


@pytest.mark.parametrize("page", ["phrases", "feature"])
def test_an_untested_feature_of_a_tested_run_says_so_and_names_tested_ones(
    page: str, open_page: Open, tested_cache: Path
) -> None:
    at = open_page(tested_cache, page, run="toy", feature="30")
    assert not at.exception
    html = texts(at)
    assert "No label of feature 30 has been tested" in html
    assert "nearest numbers: 4, 5, 6, 7, 8" in html
    assert page == "phrases" or "Top activations" in html


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("query", "said"),
    [({"run": "no-such-run"}, "there is no run"), ({"run": "toy", "feature": "99"}, "there is no feature 99"),
     ({"run": "toy", "feature": "x"}, "is not a feature")],
)  # fmt: skip
def test_a_bad_link_is_said(page: str, query: dict[str, str], said: str, open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, page, **query)
    assert not at.exception
    (alert,) = alerts(at)
    assert said in alert


@pytest.mark.parametrize(
    ("page", "control", "value"),
    [("feature", "feature_test", "00000000-0"), ("feature", "feature_theta", "theta9"),
     ("phrases", "phrases_group", "martians"), ("phrases", "phrases_page", "-1"),
     ("decomposability", "decomposability_lo", "1'--"), ("decomposability", "decomposability_kind", "GOOD"),
     ("decomposability", "decomposability_result", "../../etc")],
)  # fmt: skip
def test_a_control_the_link_gets_wrong_is_named_and_has_its_default(
    page: str, control: str, value: str, open_page: Open, tested_cache: Path
) -> None:
    at = open_page(tested_cache, page, run="toy", feature="2", **{control: value})
    assert not at.exception
    assert f"the link says {control}=" in texts(at)
    assert at.query_params[control] != value


@pytest.mark.parametrize("page", ["feature", *PAGES])
@pytest.mark.parametrize("what", ["manifest.json", "tests.parquet"])
def test_a_damaged_result_is_an_error_with_its_remedy(
    page: str, what: str, open_page: Open, tested_cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(tested_cache, tmp_path / "cache")
    (folder,) = readers.verdict_data.folders(tmp_path / "cache" / "toy")
    content = bytearray((folder / what).read_bytes())
    content[0] ^= 4
    content[len(content) // 2] ^= 4
    (folder / what).write_bytes(content)
    at = open_page(tmp_path / "cache", page, run="toy", feature="2", feature_view="verdict")
    assert not at.exception
    assert any("has no readable manifest" in a or "is damaged" in a for a in alerts(at))


# --- the verdict screen ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BY_KIND)
def test_every_class_has_its_screen(kind: str, open_page: Open, tested_cache: Path) -> None:
    number, case = BY_KIND[kind]
    test = f"{key_of(tested_cache)}-{number}"
    at = open_page(tested_cache, "feature", run="toy", feature=str(case.feature), feature_test=test)
    assert not at.exception
    assert not alerts(at)
    html = texts(at)
    assert f"{kind}</span> <strong>{verdict_wording.KINDS[kind].short}" in html
    assert at.query_params["feature_view"] == "verdict"
    assert at.query_params["feature_test"] == test
    assert ("p-dots" in html) == (kind != "NOT-PROPOSED")
    if kind != "NOT-PROPOSED":
        for part in ("own text", "whole label", "other labels", "control rate r0", "Should fire, did not",
                     "Fired, should not", "Its own text", *(w for w in case.words if w.isalpha())):  # fmt: skip
            assert part in html


def test_a_newer_result_in_which_nothing_was_measured_is_not_shown_first(tested_cache: Path, tmp_path: Path) -> None:
    shutil.copytree(tested_cache / "toy", tmp_path / "toy")
    run = Store(tmp_path).run("toy")
    write_decomposition(run, [BY_KIND["NOT-PROPOSED"][1]], retest=False)
    results = readers.decompositions(run)
    assert [len(r.tests) for r in results] == [9, 1]
    assert results[1].result.manifest["created_at"] >= results[0].result.manifest["created_at"]


def test_no_two_tests_read_the_same_in_the_choice_for_a_browser_answers_with_their_text(
    tested_cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(tested_cache / "toy", tmp_path / "toy")
    run = Store(tmp_path).run("toy")
    write_decomposition(run, seed=1)
    titles = [ref.title for ref in readers.tests_of(run, 2)]
    assert len(titles) == 2
    assert len(set(titles)) == 2
    assert all("words for weather · ALL-PARTS" in title for title in titles)


def test_several_tests_of_a_feature_are_a_choice_in_the_link(open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "feature", run="toy", feature="4")
    assert "“Albert Einstein”" in texts(at)
    box = at.selectbox(key="feature_test")
    assert len(box.options) == 2
    box.select(f"{key_of(tested_cache)}-8").run()
    assert "“famous people”" in texts(at)
    assert at.query_params["feature_test"] == f"{key_of(tested_cache)}-8"


def test_the_threshold_switch_shows_the_other_class_and_other_dots(open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "feature", run="toy", feature="6")
    headline = texts(at)
    assert "At threshold 0 the class is UNDECIDED" in headline
    at.segmented_control(key="feature_theta").set_value("theta0").run()
    switched = texts(at)
    assert at.query_params["feature_theta"] == "theta0"
    assert "UNDECIDED</span>" in switched
    assert "act is above 0 (SAE units)" in switched
    assert dots(headline) != dots(switched)


def test_strangers_labels_parts_and_phrases_stay_text(open_page: Open, tested_cache: Path) -> None:
    for page in ("feature", "phrases"):
        html = texts(open_page(tested_cache, page, run="toy", feature="5"))
        assert "<img" not in html
        assert "<b>and" not in html
        assert "&lt;b&gt;and&lt;/b&gt; &lt;U+202E&gt;their work" in html
        assert "“&lt;img src=x onerror=alert(3)&gt;”" in html


def test_what_the_language_model_was_asked_and_answered_is_shown_as_text(tested_cache: Path) -> None:
    from dashboard.verdicts import verdict_asked
    from dashboard.verdicts.verdict_asked import exchange_html

    found = Ledger(tested_cache / "toy" / "ledger.jsonl").exchange(ASKED.key("toy-1", "http://localhost:9/v1"))
    html = exchange_html(found)
    assert "Write &lt;b&gt;phrases&lt;/b&gt;\nfor weather" in html
    assert verdict_asked._text("a\n\nb\u202e") == "a\n\nb&lt;U+202E&gt;"
    assert "It &lt;i&gt;rains&lt;/i&gt;." in html
    assert "toy-1 at 20" in html


def test_stepping_to_another_feature_shows_its_own_test(open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "feature", run="toy", feature="2")
    at.button(key="next").click().run()
    assert not alerts(at)
    assert "Part of the link" not in texts(at)
    assert "“German physicists”" in texts(at)
    assert at.query_params["feature_test"] == f"{key_of(tested_cache)}-1"
    at.segmented_control(key="feature_view").set_value("activations").run()
    assert "Top activations" in texts(at)
    at.button(key="next").click().run()
    assert at.query_params["feature_view"] == "activations"


def test_a_link_to_another_feature_does_not_name_this_ones_test(open_page: Open, tested_cache: Path) -> None:
    html = texts(open_page(tested_cache, "feature", run="toy", feature="2", feature_view="activations"))
    assert "data-feature" in html
    assert "feature_test" not in html


@pytest.mark.parametrize("page", ["feature", *PAGES])
def test_a_view_writes_all_its_values_and_stays_short(page: str, open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, page, run="toy", feature="4")
    again = open_page(tested_cache, page, **at.query_params)
    assert list(at.query_params.items()) == list(again.query_params.items())
    assert len(urlencode(at.query_params)) < subject.MAX_LINK
    assert texts(at) == texts(again)


def test_a_result_made_while_the_page_is_open_is_seen(open_page: Open, own_cache: Path) -> None:
    at = open_page(own_cache, "decomposability", run="toy")
    assert "has been tested" in texts(at)
    write_decomposition(Store(own_cache).run("toy"), CASES[:2])
    assert "2 of 2 labels" in texts(at.run())


# --- decomposability ---------------------------------------------------------------------------------------


def test_the_page_begins_with_what_survives_and_lists_the_worst_label_first(
    open_page: Open, tested_cache: Path
) -> None:
    at = open_page(tested_cache, "decomposability", run="toy")
    html = texts(at)
    assert not alerts(at)
    assert "Counting firing phrases calls 5 of 8 labels decomposable. With controls 1 of these 5 survive" in html
    assert "Tested twice with other phrases: 6 labels, 83 % agree" in html
    assert "swapped labels: 70 % [46, 88]" in html
    first = html[html.index("p-labels-list") :]
    assert first.index("scientists of the 20th century") < first.index("words for weather")
    assert f"feature_test={key_of(tested_cache)}-3" in first


def test_filters_decide_what_is_listed_and_are_in_the_link(open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "decomposability", run="toy", decomposability_page="3")
    at.selectbox(key="decomposability_kind").select("LABEL-FAILS").run()
    assert at.query_params["decomposability_kind"] == "LABEL-FAILS"
    assert at.query_params["decomposability_page"] == "1"
    assert "2 of 9 labels" in texts(at)
    at.text_input(key="decomposability_q").set_value("famous").run()
    assert "1 of 9 labels" in texts(at)
    at.text_input(key="decomposability_q").set_value("nothing like it").run()
    assert not at.exception
    assert "0 of 9 labels" in texts(at)


@pytest.mark.parametrize("by", ["density", "token R²", "label kind", "label source"])
def test_gallery_and_every_comparison_are_drawn(by: str, open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "decomposability", run="toy", decomposability_show="plots", decomposability_by=by)
    assert not at.exception
    assert texts(at).count('class="p-card"') == len(CASES)
    assert len(at.dataframe) == 1


def test_one_of_several_results_is_chosen_by_the_link(open_page: Open, own_cache: Path) -> None:
    run = Store(own_cache).run("toy")
    old = write_decomposition(run, CASES[:3]).path.name[:8]
    new = write_decomposition(run, CASES[:2]).path.name[:8]
    at = open_page(own_cache, "decomposability", run="toy")
    assert at.query_params["decomposability_result"] == new
    at = open_page(own_cache, "decomposability", run="toy", decomposability_result=old)
    assert "3 of 3 labels" in texts(at)


# --- phrases -----------------------------------------------------------------------------------------------


def test_every_phrase_is_in_the_heatmap_and_in_the_list_of_its_group(open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "phrases", run="toy", feature="3", phrases_group="part")
    html = texts(at)
    assert "Part “relativity”" in html
    assert any("60 of 199 phrases" in c.value for c in at.caption)
    assert html[html.index('"p-cells"') : html.index("The phrases")].count("<span") == 199
    edited = at.get("data_editor") or at.dataframe
    assert isinstance(edited[-1].value, pd.DataFrame)
    assert len(edited[-1].value) == 100
    assert any("--proposer upload --upload phrases_3.csv" in c.value for c in at.code)


def test_the_list_of_phrases_turns_pages_and_filters_by_firing(open_page: Open, tested_cache: Path) -> None:
    at = open_page(tested_cache, "phrases", run="toy", feature="3", phrases_show="fires", phrases_page="2")
    shown = texts(at)
    assert not at.exception
    assert "○" not in shown[shown.index("The phrases") :]
    assert at.query_params["phrases_page"] == "2"


# --- live --------------------------------------------------------------------------------------------------


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """A fake model behind the door: feature 3 fires on words that begin with d, by their length."""
    fake, queue = FakeSource(), WorkQueue()
    monkeypatch.setattr(live, "_source", lambda *args: fake)
    monkeypatch.setattr(live, "work_queue", lambda: queue)
    return fake


def test_your_phrases_become_a_dot_at_the_share_above_the_threshold(
    source: FakeSource, open_page: Open, tested_cache: Path
) -> None:
    at = open_page(tested_cache, "feature", run="toy", feature="3")
    assert "your phrases" not in texts(at)
    at.text_area(key="try_texts_toy").set_value("a dangerous dog\nno such thing\na d\na decade")
    next(b for b in at.button if b.label == "Measure").click().run()
    html = texts(settled(at))
    assert "your phrases <small>typed below</small>" in html
    assert "2 of 4 · 50 %" in html
    assert re.search(r'p-d-yours p-s-none" style="left:50.00%', html)
    at.segmented_control(key="feature_theta").set_value("theta0").run()
    assert "3 of 4 · 75 %" in texts(at)
    assert source.n_asked == 1


def test_changed_phrases_are_measured_beside_the_stored_ones(
    source: FakeSource, open_page: Open, tested_cache: Path
) -> None:
    at = open_page(tested_cache, "phrases", run="toy", feature="3")
    at.button(key="phrases_measure").click().run()
    html = texts(settled(at))
    assert not alerts(at)
    assert html.count('class="p-heat"') == 2
    mine = html[html.index("Your version, measured now") :]
    assert "“relativity”" in mine
    assert mine.count("fire</small>") == 6


def test_a_host_that_lets_nobody_measure_offers_the_file_only(
    open_page: Open, tested_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    at = open_page(tested_cache, "phrases", run="toy", feature="3")
    assert not [b for b in at.button if b.key == "phrases_measure"]
    assert any("--proposer upload" in c.value for c in at.code)


# --- a view as a file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "link", "parts"),
    [
        ("decomposability", {}, ("With controls 1 of these 5 survive", "scientists of the 20th", "p-labels-list")),
        ("decomposability", {"decomposability_kind": "LABEL-FAILS", "decomposability_show": "plots"}, ("2 of 9",)),
        ("phrases", {"feature": "3"}, ("SOME-PARTS", "p-heat", "Part “relativity”")),
    ],
)
def test_a_file_says_what_the_page_says(
    page: str, link: dict[str, str], parts: tuple[str, ...], tested_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(tested_cache))
    make = {"decomposability": verdict_export.decomposability, "phrases": verdict_export.phrases}[page]
    _, sections = make(readers.run("toy"), link, "http://localhost:8501")
    for part in parts:
        assert part in "".join(sections)
    assert "<img" not in "".join(sections)


def test_a_file_about_nothing_says_so(toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(toy_cache))
    run = readers.run("toy")
    for made in (verdict_export.decomposability(run, {}, ""), verdict_export.phrases(run, {"feature": "3"}, "")):
        assert "No label has been tested" in made[1][0]
