"""What visitors of a host are told and allowed, page by page, without a browser."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.analyses.base import Progress
from core.run_folder import write_sealed
from core.store import Store
from dashboard import live, nav, widgets
from tests.dashboard.conftest import Open, alerts, open_page, own_cache, texts, toy_cache

__all__ = ["open_page", "own_cache", "toy_cache"]


def fact(at: AppTest, label: str) -> str:
    """What the page says under a label."""
    return texts(at).split(f"<dt>{label}</dt><dd>")[1].split("</dd>")[0]


def test_ones_own_machine_is_told_that_everything_is_on(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "limits", run="toy")
    assert not at.exception
    assert "your own machine" in texts(at)
    assert fact(at, "saving").startswith("on")
    assert fact(at, "one question").startswith("no limit")
    assert "owner should change" not in texts(at)
    assert not at.sidebar.get("page_link")


def test_a_host_says_what_is_off_why_and_how_much_there_is(
    open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    at = open_page(toy_cache, "limits", run="toy")
    assert not at.exception
    assert fact(at, "your own text").startswith("off<small>not allowed by the owner (PRISM_HOSTED_LIVE=1)")
    assert fact(at, "saving").startswith("off")
    assert fact(at, "one question").startswith("60 s")
    assert fact(at, "queue").startswith("10 questions")
    assert fact(at, "server.allowedHosts").startswith("[]")
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    monkeypatch.setenv("PRISM_HOSTED_WRITE", "1")
    monkeypatch.setenv("PRISM_HOSTED_JOB_S", "15")
    at = open_page(toy_cache, "limits", run="toy")
    assert fact(at, "saving").startswith("on")
    assert fact(at, "one question").startswith("15 s")


@pytest.mark.parametrize("page", [spec.key for spec in nav.PAGES])
def test_every_page_of_a_host_links_to_its_limits(
    page: str, open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    at = open_page(toy_cache, page, run="toy")
    assert not at.exception
    (link,) = at.sidebar.get("page_link")
    assert (link.proto.page, "What is off here" in link.proto.label) == ("limits", True)


def test_a_server_that_others_reach_without_the_switch_says_that_it_is_half_open(
    open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widgets, "LOCAL", ())
    at = open_page(toy_cache, "limits", run="toy")
    assert "half open" in texts(at)
    assert [fact(at, label)[:3] for label in ("reading", "your own text", "saving")] == ["on<", "off", "off"]


def test_a_licence_that_forbids_showing_text_is_said(own_cache: Path, open_page: Open) -> None:
    run = Store(own_cache).run("toy")
    manifest = json.loads(json.dumps(run.manifest))
    manifest["corpus"]["licence"] = "LDC User Agreement <b>"
    write_sealed(run.path, manifest)
    at = open_page(own_cache, "limits", run="toy")
    assert fact(at, "toy").startswith("LDC User Agreement &lt;b&gt;<small>forbidden: it forbids passing its text on")


@pytest.mark.parametrize("name", ["PRISM_HOSTED", "PRISM_HOSTED_LIVE", "PRISM_HOSTED_JOB_S", "PRISM_PUBLIC_HOST"])
@pytest.mark.parametrize("page", ["home", "limits"])
def test_a_setting_that_cannot_be_meant_is_said_and_nothing_is_served(
    page: str, name: str, open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "https://yes")
    at = open_page(toy_cache, page, run="toy")
    assert not at.exception
    assert name in alerts(at)[0]
    assert "CC0" not in texts(at)


# --- writing -------------------------------------------------------------------------------------------------


def test_writing_on_a_host_needs_its_own_switch(
    own_cache: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    assert not widgets.may_write()
    assert widgets.refusal("Writing", allowed=False) is not None
    at = open_page(own_cache, "lists", run="toy", features="1,2")
    assert not [b for b in at.button if b.key == "list_save"]
    monkeypatch.setenv("PRISM_HOSTED_WRITE", "1")
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "0")
    assert widgets.may_write()
    assert widgets.refusal("Running the model", allowed=False) is not None
    at = open_page(own_cache, "lists", run="toy", features="1,2")
    at.text_input(key="list_name").set_value("seen")
    at.button(key="list_save").click().run()
    assert (own_cache / "toy" / "lists" / "seen.json").is_file()


# --- time ----------------------------------------------------------------------------------------------------


def test_the_queue_of_a_host_stops_a_question_after_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    monkeypatch.setenv("PRISM_HOSTED_JOB_S", "0.05")
    live.work_queue.clear()

    def endless(progress: Progress) -> None:
        while True:
            time.sleep(0.01)
            progress.advance(1)

    try:
        job = live.work_queue().submit("a visitor", 0, endless)
        assert job.wait(10)
        assert job.error is not None
        assert "0.05 seconds" in job.error.detail
    finally:
        live.work_queue.clear()
