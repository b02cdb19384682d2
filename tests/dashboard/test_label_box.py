"""Labels written by hand: into the run's own table, only where writing is allowed, shown at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import InputError, NotFoundError
from core.formats.run_labels import add_by_hand
from core.proposals.check import MAX_LABEL
from core.store import Store
from tests.factories import write_run

SCRIPT = """
import streamlit as st
from dashboard import label_box, readers
st.session_state.label_box = True
label_box.render_label_box(readers.run("toy"), st.session_state.get("feature", 3))
"""
LABEL = "<script>alert(1)</script> # cats"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The box open on feature 3 of a run without labels."""
    write_run(tmp_path)
    monkeypatch.setenv("PRISM_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("PRISM_HOSTED", raising=False)
    return AppTest.from_string(SCRIPT, default_timeout=60)


def labels(tmp_path: Path) -> list[list[str]]:
    return Store(tmp_path).run("toy").labels()[["feature", "label", "source"]].values.tolist()


def test_a_label_is_added_once_and_can_be_removed(box: AppTest, tmp_path: Path) -> None:
    at = box.run()
    assert not at.exception
    at.text_area(key="label_text_3").input(LABEL)
    at.button(key="label_add").click().run()
    assert labels(tmp_path) == [[3, LABEL, "by hand"]]
    assert at.text_area(key="label_text_3").value == ""
    assert "Label added" in [c.value for c in at.caption]
    at.text_area(key="label_text_3").input(LABEL)
    at.button(key="label_add").click().run()
    assert labels(tmp_path) == [[3, LABEL, "by hand"]]
    assert Store(tmp_path).run("toy").verify() == []
    at.selectbox(key="label_remove_3").select_index(0).run()
    at.button(key="label_drop").click().run()
    assert labels(tmp_path) == []


def test_an_empty_label_is_said_and_nothing_is_written(box: AppTest, tmp_path: Path) -> None:
    at = box.run()
    at.text_area(key="label_text_3").input("   ")
    at.button(key="label_add").click().run()
    assert any("the label is empty" in h.value for h in at.html)
    assert labels(tmp_path) == []


@pytest.mark.parametrize("public", ["hosted", "open to other machines"])
def test_a_public_server_offers_no_box_and_writes_nothing_for_an_old_session(
    public: str, box: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = box.run()
    at.text_area(key="label_text_3").input(LABEL)
    if public == "hosted":
        monkeypatch.setenv("PRISM_HOSTED", "1")
    else:
        monkeypatch.setattr("dashboard.widgets.LOCAL", ())
    at.button(key="label_add").click().run()
    assert labels(tmp_path) == []
    assert not at.text_area
    assert any("Writing labels is off here" in h.value for h in at.html)


@pytest.mark.parametrize("text", ["", "\n\t ", "x" * (MAX_LABEL + 1), "\x00"])
def test_what_is_no_label_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        add_by_hand(write_run(tmp_path), 3, text, "me")


def test_a_feature_that_is_not_there_gets_no_label(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        add_by_hand(write_run(tmp_path), 40, "cats", "me")
