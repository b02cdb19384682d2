"""Every page x {empty cache, toy run, bad link, unknown feature, damaged table}, without a browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pandas as pd
import pytest

from core.store import Store
from dashboard import browse, nav, readers, subject, widgets
from tests.dashboard.conftest import APP, HOSTILE, NEURONPEDIA, Open, add_labels, alerts, texts
from tests.factories import write_run

PAGES = [spec.key for spec in nav.PAGES]
OWN = ["home", "feature", "lists"]  # pages that draw any run
BAD_LINKS = [
    ({"run": "no-such-run"}, "there is no run"),
    ({"run": "../../etc"}, "there is no run"),
    ({"run": "toy", "feature": "-3"}, "there is no feature -3"),
    ({"run": "toy", "feature": "1000000000"}, "there is no feature 1000000000"),
    ({"run": "toy", "feature": "40"}, "this SAE has features 0 to 39"),
    ({"run": "toy", "feature": "abc"}, "is not a feature"),
    ({"run": "toy", "feature": ""}, "the link names no feature"),
    ({"run": "toy", "feature": "1e3"}, "is not a feature"),
    ({"run": "toy", "features": "1,x"}, "is not a feature"),
    ({"run": "toy", "features": "1,99"}, "there is no feature 99"),
]


@pytest.mark.parametrize("page", OWN)
def test_an_empty_cache_says_what_to_do(page: str, open_page: Open, tmp_path: Path) -> None:
    at = open_page(tmp_path / "not there", page)
    assert not at.exception
    assert not alerts(at)
    assert "prism run stories260K" in texts(at)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_run_draws_without_an_exception(page: str, open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, page, run="toy")
    assert not at.exception
    assert at.query_params["run"] == "toy"
    if page in OWN:
        assert not alerts(at)
        assert "licence: CC0-1.0" in texts(at)


@pytest.mark.parametrize(
    ("page", "query", "said"),
    [("feature", *bad) for bad in BAD_LINKS] + [(page, *bad) for page in ("home", "lists") for bad in BAD_LINKS[::4]],
    ids=lambda v: str(v)[:40],
)
def test_a_bad_link_is_said_and_not_replaced(
    page: str, query: dict[str, str], said: str, open_page: Open, toy_cache: Path
) -> None:
    at = open_page(toy_cache, page, **query)
    assert not at.exception
    (alert,) = alerts(at)
    assert said in alert
    assert at.query_params == query
    assert "p-facts" not in texts(at)


def test_a_misspelt_run_names_its_neighbour(open_page: Open, toy_cache: Path) -> None:
    (alert,) = alerts(open_page(toy_cache, run="tooy"))
    assert "&#x27;toy&#x27;" in alert


def test_after_a_bad_link_the_sidebar_leads_on(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="no-such-run")
    assert at.selectbox(key="run_picker").value is None
    at.selectbox(key="run_picker").select("toy").run()
    assert not alerts(at)
    assert at.query_params["run"] == "toy"


@pytest.mark.parametrize(
    ("query", "named", "instead"),
    [
        ({"feature_top": "abc"}, "feature_top=abc", "8"),
        ({"feature_top": "51"}, "whole number from 0 to 50", "8"),
        ({"feature_scale": "sideways"}, "feature_scale=sideways", "linear"),
        ({"feature_seed": "-1"}, "feature_seed=-1", "0"),
    ],
)
def test_a_control_the_link_gets_wrong_is_named_and_has_its_default(
    query: dict[str, str], named: str, instead: str, open_page: Open, toy_cache: Path
) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="1", **query)
    assert named in texts(at)
    assert at.query_params[next(iter(query))] == instead
    assert "p-facts" in texts(at)


@pytest.mark.parametrize("where", ["density:1", "nope:0:1", "density:0:1'--"])
def test_a_filter_the_link_gets_wrong_is_named(where: str, open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="toy", home_where=where)
    assert not at.exception
    assert "home_where" in texts(at)
    assert at.query_params["home_where"] == ""


@pytest.mark.parametrize("page", OWN)
def test_a_view_writes_all_its_values_in_a_fixed_order_and_stays_short(
    page: str, open_page: Open, toy_cache: Path
) -> None:
    features = ",".join(map(str, range(20, 40)))
    at = open_page(toy_cache, page, features=features, run="toy", feature="7")
    again = open_page(toy_cache, page, **at.query_params)
    assert list(at.query_params.items()) == list(again.query_params.items())
    assert next(iter(at.query_params)) == "run"
    assert all(key in subject.KEYS or key.startswith(f"{page}_") for key in at.query_params)
    assert len(urlencode(at.query_params)) < subject.MAX_LINK
    assert dict(parse_qsl(urlencode(at.query_params))).get("features") == features


@pytest.mark.parametrize("what", ["activations", "features", "contexts", "vocabulary", "near_misses", "run.json"])
def test_a_flipped_bit_is_an_error_with_its_remedy(what: str, open_page: Open, own_cache: Path) -> None:
    path = own_cache / "toy" / (what if "." in what else f"{what}.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    at = open_page(own_cache, "feature", run="toy", feature="3")
    assert not at.exception
    (alert,) = alerts(at)
    assert "is damaged" in alert or "no readable run.json" in alert
    assert "encode it anew" in alert or "make &#x27;toy&#x27; anew" in alert


def test_one_damaged_run_does_not_hide_the_others(open_page: Open, toy_cache: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_cache, tmp_path / "cache")
    (tmp_path / "cache" / "other" / "run.json").write_text("{}")
    at = open_page(tmp_path / "cache", run="toy")
    assert not at.exception
    assert not alerts(at)
    assert set(at.dataframe[0].value["run"]) == {"toy", "other"}


def test_a_run_replaced_on_disk_is_not_served_stale(open_page: Open, tmp_path: Path) -> None:
    add_labels(write_run(tmp_path), {1: "before"})
    at = open_page(tmp_path, "feature", run="toy", feature="1")
    assert "before" in texts(at)
    folder = Store(tmp_path).run("toy").path
    shutil.rmtree(folder)
    add_labels(write_run(tmp_path), {1: "after"})
    assert "after" in texts(at.run())


def test_unfinished_runs_are_listed_as_such(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / ".partial-half-done").mkdir()
    at = open_page(tmp_path)
    assert "Started, not finished: half-done" in texts(at)


# --- home --------------------------------------------------------------------------------------------------


def test_home_filters_sorts_and_searches(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="toy", home_flag="dense", home_sort="density", home_order="down")
    table = at.dataframe[-1].value
    assert table["feature"].tolist() == ["3", "2"]
    at = open_page(toy_cache, run="toy", home_q="WORD ON")
    assert at.dataframe[-1].value["feature"].tolist() == ["5"]
    at = open_page(toy_cache, run="toy", home_where="density:0.2:1")
    assert at.dataframe[-1].value["feature"].tolist() == ["3"]


def test_a_filter_set_by_hand_is_in_the_link(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="toy", home_page="7")
    at.selectbox(key="home_flag").select("dense").run()
    assert (at.query_params["home_flag"], at.query_params["home_page"]) == ("dense", "1")
    assert at.dataframe[-1].value["feature"].tolist() == ["2", "3"]


@pytest.mark.parametrize(
    ("text", "feature"),
    [("12", 12), ("feature 12", 12), (f"https://www.neuronpedia.org/{NEURONPEDIA}/12", 12), ("cats", 1),
     ("http://localhost:8501/feature?run=toy&feature=12", 12)],
)  # fmt: skip
def test_what_is_unambiguous_opens_on_enter(text: str, feature: int, open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="toy")
    at.text_input(key="home_find").set_value(text).run()
    assert f"Feature {feature}<" in texts(at)
    assert at.query_params["feature"] == str(feature)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-3", "there is no feature -3"),
        ("9999", "this SAE has features 0 to 39"),
        ("gpt2-small-res-jb:blocks.8.hook_resid_pre", "no run here has release gpt2-small-res-jb"),
        ("gemma-2-2b/20-gemmascope-res-65k/1", NEURONPEDIA),
        ("catz", "cat"),
        ("<style>zzz</style>", "no feature has these words"),
    ],
)
def test_what_is_not_there_is_said_in_place_with_what_is_near(
    text: str, said: str, open_page: Open, toy_cache: Path
) -> None:
    at = open_page(toy_cache, run="toy")
    at.text_input(key="home_find").set_value(text).run()
    assert not at.exception
    assert said in " ".join(alerts(at))
    assert at.dataframe


def test_words_that_several_features_have_are_listed_and_open_nothing(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="other")
    at.text_input(key="home_find").set_value("a cat sat").run()
    assert "Understood as <b>words" in texts(at)
    assert 'data-feature="19"' in texts(at)
    assert "feature" not in at.query_params


def test_a_link_that_carries_a_text_shows_its_answer_without_leaving(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, run="toy", home_find="12")
    assert "Understood as <b>feature 12</b>" in texts(at)
    at.button(key="home_open").click().run()
    assert "Feature 12<" in texts(at)


# --- feature -----------------------------------------------------------------------------------------------


def test_a_feature_page_shows_numbers_with_intervals_histogram_contexts_and_neighbours(
    open_page: Open, toy_cache: Path
) -> None:
    html = texts(open_page(toy_cache, "feature", run="toy", feature="2"))
    for part in ("95 % interval over documents", "chance reaches", "p-hist", "Top activations", "Uniformly random",
                 "Quarter 4 of 4", "Near misses", "did not fire", "Nearest by decoder cosine"):  # fmt: skip
        assert part in html


def test_a_dead_feature_says_so(open_page: Open, toy_cache: Path) -> None:
    html = texts(open_page(toy_cache, "feature", run="toy", feature="0"))
    assert "never fires" in html
    assert "not measured" in html
    assert "0 strongest of 0 firing contexts" in html


def test_strangers_text_stays_text(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="2")
    html = texts(at)
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; **bold**" in html
    assert not any(HOSTILE[:8] in m.value for m in (*at.markdown, *at.caption))


def test_next_previous_and_random_move_and_write_the_link(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="39")
    assert at.button(key="next").click().run().query_params["feature"] == "0"
    assert at.button(key="previous").click().run().query_params["feature"] == "39"
    assert "Feature 39<" in texts(at)
    assert at.button(key="random").click().run().query_params["feature"] != "0"


def test_stepping_through_a_list_stays_on_the_list(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="12", features="12,30,7", feature_step="list")
    seen = [at.button(key="next").click().run().query_params["feature"] for _ in range(3)]
    assert seen == ["30", "7", "12"]


def test_a_feature_goes_on_and_off_the_list(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy", feature="12")
    assert at.button(key="keep").click().run().query_params["features"] == "12"
    assert "features" not in at.button(key="keep").click().run().query_params


def test_counts_width_and_seed_of_the_link_decide_what_is_shown(open_page: Open, toy_cache: Path) -> None:
    query = {"run": "toy", "feature": "3", "feature_top": "3", "feature_band": "0", "feature_near": "0"}
    one, same, other = (texts(open_page(toy_cache, "feature", **query, feature_seed=seed)) for seed in ("0", "0", "1"))
    assert one == same != other
    assert "3 strongest of" in one
    assert "Near misses" not in one
    assert "Quarter" not in one


def test_neuronpedia_is_linked_where_there_is_an_id(open_page: Open, toy_cache: Path) -> None:
    def addresses(run: str) -> list[str]:
        at = open_page(toy_cache, "feature", run=run, feature="7")
        return [e.proto.url for e in at.get("link_button")]

    assert addresses("toy") == [f"https://www.neuronpedia.org/{NEURONPEDIA}/7"]
    assert addresses("other") == []


# --- lists -------------------------------------------------------------------------------------------------


def test_a_list_is_typed_compared_and_saved(open_page: Open, own_cache: Path) -> None:
    at = open_page(own_cache, "lists", run="toy")
    assert "The list is empty" in texts(at)
    at.text_input(key="lists_typed").set_value("12, 7; 3").run()
    assert at.query_params["features"] == "12,7,3"
    assert (at.query_params["lists_a"], at.query_params["lists_b"]) == ("12", "7")
    assert "contexts in which both fire" in texts(at)
    at.text_input(key="list_name").set_value("mine").run()
    at.button(key="list_save").click().run()
    assert not alerts(at)
    again = open_page(own_cache, "lists", run="toy")
    again.selectbox(key="saved_list").select("mine").run()
    assert again.query_params["features"] == "12,7,3"


def test_a_typed_list_with_a_mistake_is_said_and_the_list_stays(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "lists", run="toy", features="1,2")
    at.text_input(key="lists_typed").set_value("1, 2, 400").run()
    assert "there is no feature 400" in " ".join(alerts(at))
    assert at.query_params["features"] == "1,2"


def test_a_list_name_is_not_a_path(open_page: Open, own_cache: Path) -> None:
    at = open_page(own_cache, "lists", run="toy", features="1")
    at.text_input(key="list_name").set_value("../../evil").run()
    at.button(key="list_save").click().run()
    assert "cannot be used as a name" in " ".join(alerts(at))
    assert not list(own_cache.parent.rglob("*evil*"))


def test_a_host_for_strangers_cannot_write(open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def can_save() -> bool:
        at = open_page(toy_cache, "lists", run="toy", features="1")
        return bool([b for b in at.button if b.key in ("list_save", "list_delete")])

    assert can_save()
    monkeypatch.setenv("PRISM_HOSTED", "1")
    assert not can_save()
    monkeypatch.delenv("PRISM_HOSTED")
    monkeypatch.setattr(widgets, "LOCAL", ())
    assert not can_save()


def test_a_host_for_strangers_names_no_folder(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(tmp_path) in texts(open_page(tmp_path))
    monkeypatch.setenv("PRISM_HOSTED", "1")
    assert str(tmp_path) not in texts(open_page(tmp_path))
    run = write_run(tmp_path)
    (run.path / "features.parquet").unlink()
    html = texts(open_page(tmp_path, "feature", run="toy"))
    assert "features.parquet" in html
    assert str(tmp_path) not in html


def test_a_feature_taken_off_the_list_is_no_longer_compared(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "lists", run="toy", features="1,2,3", lists_a="3", lists_b="1")
    at.text_input(key="lists_typed").set_value("1, 2").run()
    assert not at.exception
    assert (at.query_params["lists_a"], at.query_params["lists_b"]) == ("1", "1")


# --- the whole ---------------------------------------------------------------------------------------------


def test_no_page_imports_torch(toy_cache: Path) -> None:
    script = f"""
import os, sys
os.environ["PRISM_CACHE_DIR"] = {str(toy_cache)!r}
from streamlit.testing.v1 import AppTest
from dashboard import nav
at = AppTest.from_file({str(APP)!r}, default_timeout=60).run()
for spec in nav.PAGES:
    at.switch_page(spec.script)
    at.query_params = {{"run": "toy", "features": "1,2"}}
    at.run()
print(sorted({{"torch", "transformers", "transformer_lens", "sae_lens", "datasets"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_every_cache_is_bounded_and_lives_with_the_readers_or_the_model() -> None:
    for path in APP.parent.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        caches = [line for line in lines if "@st.cache" in line]
        assert path.name in ("readers.py", "pattern_readers.py", "lab_readers.py", "live.py") or not caches
        assert all("max_entries=" in line for line in caches)


@pytest.mark.parametrize("path", sorted(APP.parent.rglob("*.py")), ids=lambda p: p.stem)
def test_no_module_allows_unsafe_html_and_pages_are_short(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in code
    assert "unsafe_allow_javascript" not in code
    assert len(code.splitlines()) <= (40 if path == APP else 120 if path.parent.name == "app_pages" else 260)


def test_downloads_hold_every_row_and_no_helper_columns(toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_CACHE_DIR", str(toy_cache))
    frame = readers.feature_table(readers.run("toy")).frame
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 40
    assert set(browse.MADE_HERE) <= set(frame.columns)
