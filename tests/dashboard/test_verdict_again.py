"""Changed phrases are tested again by the code of `prism decompose --proposer upload`, stored where one may write."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.analyses.base import Silent
from core.analyses.decomposition import Params
from core.decompose.bank import shipped_bank
from core.decompose.proposers import FromFile
from core.decompose.tester import decompose
from core.errors import InputError
from core.proposals.upload import read_upload
from core.store import Store
from dashboard import live, readers, widgets
from dashboard.verdicts import verdict_again, verdict_data
from dashboard.verdicts.verdict_again import Asked
from dashboard.work_queue import WorkQueue
from tests.dashboard.conftest import Open, alerts, texts
from tests.dashboard.fake_source import FakeSource
from tests.dashboard.test_live import button, settled
from tests.decomposition_factory import write_decomposition

ROWS = pd.DataFrame(
    [("part", f"d{part}", f"the day {part} dog{part}{i} is dear", 0) for part in "abcde" for i in range(12)]
    + [("whole", "", f"a whole duck{i} dives", i // 10) for i in range(40)],
    columns=["kind", "part", "phrase", "call"],
)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """A fake model behind the door: feature 3 fires on words that begin with d, by their length."""
    fake, queue = FakeSource(), WorkQueue()
    monkeypatch.setattr(live, "_source", lambda *args: fake)
    monkeypatch.setattr(live, "work_queue", lambda: queue)
    return fake


@pytest.fixture
def tested(own_cache: Path) -> Path:
    write_decomposition(Store(own_cache).run("toy"))
    return own_cache


def asked(rows: pd.DataFrame = ROWS, keep: bool = True) -> Asked:
    return Asked("x-1", 3, verdict_again.file_of(rows, 3, "German physicists"), "isolated", keep)


def wait(at: AppTest) -> AppTest:
    """A whole test takes longer than a phrase: look again until nothing waits any more."""
    for _ in range(60):
        at = settled(at)
        if not [b for b in at.button if b.label == "Cancel"]:
            return at
        at.run()
    raise TimeoutError


# --- by value ----------------------------------------------------------------------------------------------


def test_page_and_command_make_the_very_same_result(source: FakeSource, own_cache: Path) -> None:
    run = Store(own_cache).run("toy")
    again = verdict_again.measure(run, asked(), Silent())
    (folder,) = verdict_data.folders(run.path)
    assert again.id == f"{folder.name[:8]}-0"
    found = read_upload(asked().data, "phrases_3.csv", style="isolated")
    proposer = FromFile(found.proposals, "phrases_3.csv")
    same = decompose(run, proposer.labels, proposer, source, Params(proposer="upload"), Silent())
    assert same.path == folder, "the command finds the page's result and makes no second one"
    assert verdict_again.command(run, 3, "isolated") == (
        "prism decompose toy --features 3 --proposer upload --upload phrases_3.csv"
    )
    assert verdict_again.command(run, 3, "published").endswith("--style published")


def test_what_fires_on_every_phrase_and_few_controls_has_all_its_parts_above_control(
    source: FakeSource, own_cache: Path
) -> None:
    again = verdict_again.measure(Store(own_cache).run("toy"), asked(), Silent())
    assert again.row["label"] == "German physicists"
    assert again.row["n_parts_firing"] == 5
    parts = again.groups[(again.groups["group"] == "part") & (again.groups["theta"] == "theta0")]
    assert parts["fired"].tolist() == [12] * 5
    assert len(again.phrases[again.phrases["group"] == "part"]) == 60


def test_nothing_is_written_where_nothing_may_be_kept_and_the_answer_is_the_same(
    source: FakeSource, own_cache: Path
) -> None:
    run = Store(own_cache).run("toy")
    loose = verdict_again.measure(run, asked(keep=False), Silent())
    assert verdict_data.folders(run.path) == []
    assert loose.id == ""
    kept = verdict_again.measure(run, asked(), Silent())
    assert loose.row["kind"] == kept.row["kind"]
    assert loose.row["reason"] == kept.row["reason"]
    pd.testing.assert_frame_equal(loose.groups, kept.groups)
    assert verdict_data.part_names(loose.groups) == ["da", "db", "dc", "dd", "de"]


def test_rows_that_cannot_be_used_are_said_and_no_test_is_made_of_none() -> None:
    odd = pd.DataFrame([("part", "", "a dog", None), ("other", "d", "a day", 2), ("part", "d", "a deer", 3)],
                       columns=ROWS.columns)  # fmt: skip
    found = verdict_again.require_phrases(asked(odd))
    assert [why for _, why in found.rejected] == ["the part is empty", "kind is neither part nor whole"]
    (made,) = found.proposals.made
    assert [(p.text, p.call) for p in made.parts[0].phrases] == [("a deer", 3)], "an empty call does not empty others"
    with pytest.raises(InputError, match="these phrases make no test"):
        verdict_again.require_phrases(asked(odd[:2]))
    many = pd.concat([ROWS.assign(phrase=ROWS["phrase"] + f" {i}") for i in range(20)])
    with pytest.raises(InputError, match="are more than"):
        verdict_again.require_phrases(asked(many))


# --- on the page -------------------------------------------------------------------------------------------


def test_measured_again_the_new_test_is_shown_and_the_old_one_stays_in_the_choice(
    source: FakeSource, open_page: Open, tested: Path
) -> None:
    at = open_page(tested, "phrases", run="toy", feature="3")
    old = at.query_params["phrases_test"]
    at = wait(at.button(key="phrases_again").click().run())
    assert not at.exception
    assert not alerts(at)
    new = at.query_params["phrases_test"]
    assert new != old
    html = texts(at)
    assert "Measured again: " in html
    assert "phrases_3.csv" in at.selectbox(key="phrases_test").options[0]
    assert len(readers.tests_of(readers.run("toy"), 3)) == 2
    at = at.selectbox(key="phrases_test").select(old).run()
    assert "Measured again" not in texts(at)
    assert "SOME-PARTS</span>" in texts(at)


def test_a_label_tested_again_does_not_take_the_place_of_the_runs_overview(
    source: FakeSource, open_page: Open, tested: Path
) -> None:
    wait(open_page(tested, "phrases", run="toy", feature="3").button(key="phrases_again").click().run())
    at = open_page(tested, "decomposability", run="toy")
    assert "9 of 9 labels" in texts(at)
    assert len(at.selectbox(key="decomposability_result").options) == 2


def test_a_host_that_measures_and_keeps_nothing_shows_what_came_out(
    source: FakeSource, open_page: Open, tested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    at = open_page(tested, "phrases", run="toy", feature="3")
    at = wait(at.button(key="phrases_again").click().run())
    assert not alerts(at)
    html = texts(at)
    assert "It is not stored" in html
    assert html.count('class="p-verdict') == 2
    assert html.count('class="p-heat"') == 2
    assert len(verdict_data.folders(tested / "toy")) == 1
    assert any("--proposer upload --upload phrases_3.csv" in c.value for c in at.code)


def test_a_session_that_outlives_the_right_to_write_stores_nothing(
    source: FakeSource, open_page: Open, tested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widgets, "may_write", lambda: False)
    at = open_page(tested, "phrases", run="toy", feature="3")
    at.session_state["phrases_asked"] = Asked(at.query_params["phrases_test"], 3, asked().data, "isolated", True)
    at.run()
    assert "storing a result is off here" in "".join(alerts(at))
    assert source.n_asked == 0


@pytest.mark.parametrize("then", ["Try again", "Measure again"])
def test_a_long_test_can_be_cancelled_and_leaves_nothing_behind(
    source: FakeSource, open_page: Open, tested: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    source.gate = threading.Event()
    monkeypatch.setattr(verdict_again.Work, "bank", shipped_bank())  # choosing one measures without a sign of life
    at = open_page(tested, "phrases", run="toy", feature="3")
    at.button(key="phrases_again").click().run()
    at = settled(button(at, "Cancel").click().run())
    assert "Cancelled" in texts(at)
    source.gate.set()
    assert len(verdict_data.folders(tested / "toy")) == 1
    assert not list((tested / "toy" / "decomposition").glob(".partial*"))
    at = wait(button(at, then).click().run())
    assert "Measured again" in texts(at)


def test_a_base_install_and_an_imported_run_offer_the_file_only(
    open_page: Open, tested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    at = open_page(tested, "phrases", run="toy", feature="3")
    assert not [b for b in at.button if b.key == "phrases_again"]
    assert any("--proposer upload" in c.value for c in at.code)
