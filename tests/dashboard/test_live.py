"""The door to the live model: who may pass, what comes back, and that pages survive whatever goes wrong behind it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.errors import InputError, MachineError
from core.run_folder import write_sealed
from core.store import Store
from dashboard import live, widgets
from dashboard.work_queue import WorkQueue
from tests.dashboard.conftest import Open, alerts, texts
from tests.dashboard.fake_source import FakeSource, act_of

BOX = "try_texts_toy"
HOSTILE = "<img src=x onerror=alert(1)> apple </span>"


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """A fake model behind the door, and a queue of its own."""
    fake, queue = FakeSource(), WorkQueue()
    monkeypatch.setattr(live, "_source", lambda *args: fake)
    monkeypatch.setattr(live, "work_queue", lambda: queue)
    return fake


def measure(at: AppTest, text: str) -> AppTest:
    at.text_area(key=BOX).set_value(text)
    return next(b for b in at.button if b.label == "Measure").click().run()


def settled(at: AppTest) -> AppTest:
    """Run until nothing waits any more."""
    for _ in range(100):
        if not [b for b in at.button if b.label == "Cancel"]:
            return at
        time.sleep(0.05)
        at.run()
    raise AssertionError("still waiting")


def button(at: AppTest, label: str) -> object:
    return next(b for b in at.button if b.label == label)


def open_feature(open_page: Open, cache: Path, feature: int = 0) -> AppTest:
    return open_page(cache, "feature", run="toy", feature=str(feature))


def test_acts_come_back_by_text_and_feature_special_tokens_left_out(source: FakeSource, toy_cache: Path) -> None:
    found = live.phrase_acts(Store(toy_cache).run("toy"), [1, 0], ["bee an apple", "", "cat"])
    assert [f.str_tokens for f in found] == [(" bee", " an", " apple"), (), (" cat",)]
    assert found[0].acts.tolist() == [[3, 0, 0], [0, 2, 5]]
    assert [f.acts.shape for f in found] == [(2, 3), (2, 0), (2, 1)]
    assert [f.problem for f in found] == ["", "there is no token in it", ""]


def test_what_is_typed_is_measured_highlighted_and_kept_out_of_the_address(
    source: FakeSource, open_page: Open, toy_cache: Path
) -> None:
    at = settled(measure(open_feature(open_page, toy_cache, 0), f"an apple\n\nbee\n{HOSTILE}"))
    assert not at.exception
    html = texts(at)
    assert "it fires on 2 of 3 texts; largest act 5.00; in the run it never fires" in html
    assert 'class="p-a10" title="&#x27; apple&#x27; · position 1 · act 5.00' in html
    assert "&lt;img" in html
    assert "<img" not in html
    assert "apple" not in json.dumps(dict(at.query_params))


def test_an_answer_is_asked_for_once_and_again_for_another_feature(
    source: FakeSource, open_page: Open, toy_cache: Path
) -> None:
    at = settled(measure(open_feature(open_page, toy_cache, 0), "an apple"))
    assert source.n_asked == 1
    at.run()
    assert source.n_asked == 1
    at = settled(at.button(key="next").click().run())
    assert source.n_asked == 2
    assert "it fires on 0 of 1 text" in texts(at)
    at = settled(at.button(key="previous").click().run())
    assert source.n_asked == 2
    assert "it fires on 1 of 1 text" in texts(at)


def test_a_long_wait_shows_progress_and_can_be_cancelled_and_asked_again(
    source: FakeSource, open_page: Open, toy_cache: Path
) -> None:
    source.gate = threading.Event()
    at = measure(open_feature(open_page, toy_cache, 0), "an apple")
    assert button(at, "Cancel")
    at = settled(button(at, "Cancel").click().run())
    assert "Cancelled" in texts(at)
    source.gate.set()
    at = settled(button(at, "Try again").click().run())
    assert "it fires on 1 of 1 text" in texts(at)


@pytest.mark.parametrize(
    ("raised", "said"),
    [(InputError("no such hook", "why", "do that"), "no such hook"), (ValueError("secret"), "could not finish")],
)
def test_an_error_behind_the_door_is_a_box_and_no_traceback(
    raised: Exception, said: str, source: FakeSource, open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise raised

    monkeypatch.setattr(live, "_source", fails)
    at = settled(measure(open_feature(open_page, toy_cache), "an apple"))
    assert not at.exception
    assert [said in alert for alert in alerts(at)] == [True]
    assert "secret" not in texts(at)
    assert "p-facts" in texts(at)


def test_more_than_a_job_may_hold_is_refused_in_words() -> None:
    live.check_texts([0], ["x" * live.MAX_CHARS] * live.MAX_TEXTS)
    for features, written in (
        ([0], ["x"] * (live.MAX_TEXTS + 1)),
        ([0], ["x" * (live.MAX_CHARS + 1)]),
        (range(live.MAX_FEATURES + 1), ["x"]),
    ):
        with pytest.raises(InputError, match="are more than"):
            live.check_texts(features, written)


# --- who may -------------------------------------------------------------------------------------------------


def has_box(at: AppTest) -> bool:
    return bool([t for t in at.text_area if t.key == BOX])


def test_hosts_and_open_servers_refuse_and_say_how_to_run_it(
    open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has_box(open_feature(open_page, toy_cache))
    monkeypatch.setenv("PRISM_HOSTED", "1")
    at = open_feature(open_page, toy_cache)
    assert not has_box(at)
    assert "is off here" in texts(at)
    assert "prism dashboard" in texts(at)
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    assert has_box(open_feature(open_page, toy_cache))
    monkeypatch.delenv("PRISM_HOSTED")
    monkeypatch.setattr(widgets, "LOCAL", ())
    at = open_feature(open_page, toy_cache)
    assert not has_box(at)
    assert "PRISM_HOSTED=1" in texts(at)


def test_a_host_does_not_measure_even_when_a_page_asks(
    source: FakeSource, open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_feature(open_page, toy_cache)
    monkeypatch.setenv("PRISM_HOSTED", "1")
    measure(at, "an apple")
    assert source.n_asked == 0


def test_a_base_install_says_what_to_install(open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    at = open_feature(open_page, toy_cache)
    assert not has_box(at)
    assert "sae-prism[model]" in texts(at)


def test_an_imported_run_says_that_it_has_no_model(own_cache: Path, open_page: Open) -> None:
    run = Store(own_cache).run("toy")
    manifest = dict(run.manifest)
    manifest["recipe"] = {"name": "toy"}
    write_sealed(run.path, manifest)
    at = open_feature(open_page, own_cache)
    assert not has_box(at)
    assert "has no model" in texts(at)


def test_missing_model_files_are_said_with_a_remedy_and_a_host_names_no_folder(
    source: FakeSource, open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: object) -> None:
        raise InputError("there is no SAE folder '/somewhere/sae'", "", "check path in [sae]")

    monkeypatch.setattr(live, "_source", missing)
    (alert,) = alerts(settled(measure(open_feature(open_page, toy_cache), "an apple")))
    assert "could not be loaded" in alert
    assert "/somewhere/sae" in alert
    assert "prism run toy --dry-run" in alert
    monkeypatch.setenv("PRISM_HOSTED", "1")
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    (alert,) = alerts(settled(measure(open_feature(open_page, toy_cache), "an apple")))
    assert "could not be loaded" in alert
    assert "/somewhere" not in alert


def test_a_fake_act_is_what_it_says() -> None:
    assert [act_of("apple", 0), act_of("bee", 0), act_of("bee", 1)] == [5, 0, 3]
    assert np.float32(act_of("Apple", 8)) == 5


def test_refusals_have_title_detail_and_remedy(toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    error = live.refusal(Store(toy_cache).run("toy"))
    assert error is not None
    assert all((error.title, error.detail, error.remedy))
    monkeypatch.delenv("PRISM_HOSTED")
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    assert isinstance(live.refusal(Store(toy_cache).run("toy")), MachineError)
