"""The prompt lab without a browser: every task on a fake model, bad input, hosts, no torch, saved sets."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.store import Store
from dashboard import live, views_html
from dashboard.work_queue import WorkQueue
from tests.dashboard.conftest import Open, alerts, texts
from tests.dashboard.fake_prompt_model import FakePromptModel
from tests.dashboard.test_live import button, settled

FIRST, SECOND = "lab_text_0_toy", "lab_text_1_toy"
HOSTILE = "<script>alert(1)</script> [x](javascript:1) \u202eevil apple"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakePromptModel:
    """A fake model behind the door, and a queue of its own."""
    fake, queue = FakePromptModel(), WorkQueue()
    monkeypatch.setattr(live, "_source", lambda *args: fake)
    monkeypatch.setattr(live, "work_queue", lambda: queue)
    return fake


def send(at: AppTest, first: str, second: str = "") -> AppTest:
    at.text_area(key=FIRST).set_value(first)
    at.text_area(key=SECOND).set_value(second)
    return settled(button(at, "Use these prompts").click().run())


def lab(open_page: Open, cache: Path, task: str = "test", **more: str) -> AppTest:
    return open_page(cache, "prompts", **{"run": "toy", "feature": "0", "prompts_task": task} | more)


def test_features_on_typed_prompts_one_a_line_and_no_prompt_in_the_address(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = send(lab(open_page, toy_cache, prompts_features="0,1"), f"an apple\n\nbee\n{HOSTILE}")
    assert not at.exception
    assert not alerts(at)
    html = texts(at)
    assert 'data-lab="0.0" title="prompt 1, feature 0: 5.00, fires"' in html
    assert 'data-lab="1.1" title="prompt 2, feature 1: 3.00, fires"' in html
    assert "<td>2 of 3" in html
    assert "Prompt 1 · feature 0" in html
    assert "log p \u22122.50 nats" in html
    assert "<script>alert" not in html
    assert "apple" not in json.dumps(dict(at.query_params))


def test_sorting_thresholds_and_cells_measure_nothing_anew(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = send(lab(open_page, toy_cache, prompts_features="0"), "an apple\nale")
    before = list(model.asked)
    at.slider(key="prompts_theta").set_value(70).run()
    assert "<td>1 of 2" in texts(at)
    at.segmented_control(key="prompts_stat").set_value("count").run()
    assert "prompts_stat" in at.query_params
    assert 'title="prompt 1, feature 0: 1.00, fires"' in texts(at)
    button(at, "Next prompt").click().run()
    assert "Prompt 2 · feature 0" in texts(at)
    assert model.asked == before
    assert not at.exception


def test_an_unknown_feature_is_said_and_what_was_there_stays(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = send(lab(open_page, toy_cache, prompts_features="0"), "an apple")
    at.text_input(key="prompts_features").set_value("0, 999").run()
    assert any("there is no feature 999" in alert for alert in alerts(at))
    assert at.text_input(key="prompts_features").value == "0"
    at.text_input(key="prompts_features").set_value("1; 0").run()
    assert dict(at.query_params)["prompts_features"] == "1,0"
    assert not alerts(at)


def test_features_are_found_by_words_of_their_label(model: FakePromptModel, open_page: Open, toy_cache: Path) -> None:
    at = send(lab(open_page, toy_cache, prompts_features="0"), "an apple")
    at.text_input(key="lab_words").set_value("cats").run()
    button(at, "+ 1 cats").click().run()
    assert at.text_input(key="prompts_features").value == "0,1"


def test_samples_show_something_within_one_click(model: FakePromptModel, open_page: Open, toy_cache: Path) -> None:
    at = settled(button(lab(open_page, toy_cache, feature="1"), "Sample prompts").click().run())
    assert not at.exception
    assert "p-lab" in texts(at)
    assert "cat" in at.text_area(key=FIRST).value


def test_samples_that_hold_a_label_to_account_are_drawn_by_its_words_not_by_firing(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = settled(button(lab(open_page, toy_cache, "account", feature="1"), "Sample prompts").click().run())
    said = [alert for alert in alerts(at) if "no text of the run has a word of this label" in alert]
    assert said  # the label is "cats", the text has "cat"
    at = send(at, "an apple", "a bear")
    at.text_input(key="lab_label_toy_1").set_value("a cat").run()
    at = settled(button(at, "Sample prompts").click().run())
    first, second = (at.text_area(key=key).value.splitlines() for key in (FIRST, SECOND))
    assert first
    assert second
    assert all("cat" in text.split() for text in first)
    assert not any("cat" in text.split() for text in second)


def test_an_empty_box_says_what_to_do(model: FakePromptModel, open_page: Open, toy_cache: Path) -> None:
    at = send(lab(open_page, toy_cache), " \n ")
    assert any("there is no prompt in the box" in alert for alert in alerts(at))
    assert model.asked == []


def test_a_long_job_can_be_cancelled_and_asked_again(model: FakePromptModel, open_page: Open, toy_cache: Path) -> None:
    model.gate = threading.Event()
    at = lab(open_page, toy_cache)
    at.text_area(key=FIRST).set_value("an apple")
    button(at, "Use these prompts").click().run()
    assert button(at, "Cancel")
    at = settled(button(at, "Cancel").click().run())
    assert "Cancelled" in texts(at)
    model.gate.set()
    at = settled(button(at, "Try again").click().run())
    assert "Prompt 1 · feature 0" in texts(at)


def test_directions_are_decoded_without_prompts_and_go_on_with_a_text(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = settled(lab(open_page, toy_cache, "decode", prompts_features="1,2"))
    assert "2 features" not in alerts(at)
    html = texts(at)
    assert "Promoted tokens" in html
    assert "&lt;b&gt;up0&lt;/b&gt;" in html
    assert "continuations" not in model.asked
    at.slider(key="lab_value_1").set_value(0.0).run()
    assert "1:0," in dict(at.query_params)["prompts_values"]
    at = settled(button(at, "Continue the text").click().run())
    assert "with the direction × 1" in texts(at)
    assert "random direction, same norm" in texts(at)
    assert not at.exception


def test_a_host_refuses_in_words_and_measures_nothing(
    model: FakePromptModel, open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    at = lab(open_page, toy_cache)
    assert not at.exception
    assert "is off here" in texts(at)
    assert not at.text_area
    assert model.asked == []


def test_a_base_install_says_what_to_install(open_page: Open, toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    at = lab(open_page, toy_cache)
    assert not at.exception
    assert "sae-prism[model]" in texts(at)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"prompts_task": "magic"}, "prompts_task=magic"),
        ({"prompts_features": "1,x"}, "prompts_features=1,x"),
        ({"prompts_cell": "<b>"}, "prompts_cell"),
        ({"prompts_values": "1:2:3"}, "prompts_values"),
        ({"prompts_theta": "101"}, "prompts_theta=101"),
        ({"prompts_strengths": "99"}, "prompts_strengths=99"),
        ({"prompts_set": "../../etc"}, "etc"),
    ],
)
def test_what_a_link_gets_wrong_is_named(
    query: dict[str, str], named: str, model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = open_page(toy_cache, "prompts", **{"run": "toy", "feature": "1"} | query)
    assert not at.exception
    assert named in texts(at)


# --- features found, groups contrasted, labels held to account ---------------------------------------------

APPLES = "\n".join(f"apple w{i} y" for i in range(12))
BEES = "\n".join(f"bee w{i} y" for i in range(12))


def test_a_feature_that_only_these_prompts_have_is_found(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = send(lab(open_page, toy_cache, "find"), APPLES)
    assert not at.exception
    html = texts(at)
    assert 'data-feature="8"' in html
    assert "compared with" in html
    assert "1.00 <small>[0.735, 1.00]</small>" in html
    before = list(model.asked)
    at.segmented_control(key="prompts_by").set_value("lift").run()
    assert model.asked == before
    assert not at.exception


def test_groups_are_contrasted_beside_shuffled_ones_and_one_group_says_what_is_missing(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = send(lab(open_page, toy_cache, "contrast"), APPLES)
    assert "Two groups are needed" in texts(at)
    at = send(at, APPLES, BEES)
    html = texts(at)
    assert not at.exception
    assert "shuffled groups" in html
    assert "100.0 %" in html or "100 %" in html
    assert "held-out AUROC" in html


def test_a_label_is_held_to_account_counter_examples_first(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = send(lab(open_page, toy_cache, "account", feature="1"), "bee one\nbee two\nzoo", "bee three\nyes\nno")
    html = texts(at)
    assert not at.exception
    assert at.text_input(key="lab_label_toy_1").value == "cats"
    assert "2 counter-examples among 6 prompts" in html
    assert "sensitivity 66.7 % [9.43, 99.2], specificity 66.7 %" in html
    assert html.index("Fired, should not") < html.index("Fired, as it should")
    assert "1 of 3 prompts that should not make it fire" in html
    at.text_input(key="lab_label_toy_1").set_value(HOSTILE).run()
    assert "<script>alert" not in texts(settled(at))


# --- saved sets --------------------------------------------------------------------------------------------


def save(at: AppTest, name: str) -> AppTest:
    at.text_input(key="lab_set_name").set_value(name)
    return button(at, "Save").click().run()


@pytest.mark.parametrize(
    ("task", "shown"),
    [("test", "Prompt 1 · feature 0"), ("find", "compared with"), ("contrast", "shuffled groups"),
     ("account", "counter-example"), ("decode", "Promoted tokens")],
)  # fmt: skip
def test_a_saved_set_shows_the_same_to_others_where_no_model_can_run(
    task: str, shown: str, model: FakePromptModel, open_page: Open, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = send(lab(open_page, own_cache, task, feature="1", prompts_features="0,1"), APPLES, f"{BEES}\n{HOSTILE}")
    assert shown in texts(at)
    at = save(at, "mine")
    assert not alerts(at)
    assert dict(at.query_params)["prompts_set"] == "mine"
    link = dict(at.query_params)
    seen = [h for h in texts(at).split("\n") if shown in h]
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    monkeypatch.setenv("PRISM_HOSTED", "1")
    other = open_page(own_cache, "prompts", **link)
    assert not other.exception
    assert not alerts(other)
    assert [h for h in texts(other).split("\n") if shown in h] == seen
    assert "<script>alert" not in texts(other)
    assert not [b for b in other.button if b.label in ("Delete it", "Save", "Go on with these prompts")]
    file = views_html.view_of("prompts", Store(own_cache).run("toy"), link, "http://x")
    whole = "".join(file.sections)
    assert "mine" in file.title
    assert "<script>alert" not in whole
    assert ("&lt;script&gt;alert(1)" in whole) == (task != "decode")  # nothing was gone on with


def test_a_set_that_is_not_there_says_so_and_one_can_go_on(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = lab(open_page, toy_cache, prompts_set="nothing")
    assert any("has no prompt set &#x27;nothing&#x27;" in alert for alert in alerts(at))
    at = button(at, "Go on without it").click().run()
    assert not alerts(at)
    assert at.text_area(key=FIRST)


def test_prompts_of_a_set_can_be_asked_more_and_the_set_be_deleted(
    model: FakePromptModel, open_page: Open, own_cache: Path
) -> None:
    at = save(send(lab(open_page, own_cache, "test", prompts_features="0"), APPLES), "mine")
    at = settled(at.segmented_control(key="prompts_task").set_value("find").run())
    assert dict(at.query_params)["prompts_set"] == ""
    assert "compared with" in texts(at)
    at.selectbox(key="lab_set").select("mine").run()
    assert "Prompt 1 · feature 0" in texts(at)
    at = button(at, "Delete it").click().run()
    assert not [s for s in at.selectbox if s.key == "lab_set"]
    assert any("has no prompt set" in a for a in alerts(lab(open_page, own_cache, prompts_set="mine")))


def test_a_name_that_is_taken_or_no_name_is_refused_and_nothing_is_lost(
    model: FakePromptModel, open_page: Open, own_cache: Path
) -> None:
    at = save(send(lab(open_page, own_cache, prompts_features="0"), APPLES), "mine")
    at = save(button(at, "Go on with these prompts").click().run(), "mine")
    assert any("already" in alert for alert in alerts(at))
    at = save(at, "../x")
    assert alerts(at)
    assert sorted(p.name for p in (own_cache / "toy" / "prompt_sets").iterdir()) == ["mine"]


def test_a_host_lets_visitors_measure_but_not_save_unless_allowed(
    model: FakePromptModel, open_page: Open, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_HOSTED", "1")
    monkeypatch.setenv("PRISM_HOSTED_LIVE", "1")
    at = send(lab(open_page, own_cache, prompts_features="0"), APPLES)
    assert "Prompt 1 · feature 0" in texts(at)
    assert any("Saving is off here" in c.value for c in at.caption)
    assert not [b for b in at.button if b.label == "Save"]
    monkeypatch.setenv("PRISM_HOSTED_WRITE", "1")
    at.run()
    assert [b for b in at.button if b.label == "Save"]


def test_what_a_label_came_to_shows_on_the_verdict_screen(
    model: FakePromptModel, open_page: Open, own_cache: Path
) -> None:
    save(send(lab(open_page, own_cache, "account", feature="1"), "bee one\nbee two\nzoo", "yes\nno\nzero"), "bees")
    at = open_page(own_cache, "feature", run="toy", feature="1", feature_view="verdict")
    html = texts(at)
    assert "Held to account in the Prompt lab" in html
    assert "“cats”" in html
    assert "sensitivity 66.7 %" in html
    assert "Held to account" not in texts(
        open_page(own_cache, "feature", run="toy", feature="2", feature_view="verdict")
    )


# --- files ---------------------------------------------------------------------------------------------------


def upload(at: AppTest, name: str, data: bytes) -> AppTest:
    at.segmented_control(key="lab_way").set_value("upload").run()
    at.file_uploader(key="lab_file_toy").upload(name, data, "application/octet-stream").run()
    return at


def test_a_file_with_columns_is_used_and_what_is_left_out_is_said(
    model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    data = b"text,group,other\nan apple,x,1\n,x,2\nbee,y,3\n"
    at = upload(lab(open_page, toy_cache, prompts_features="0,1"), "mine.csv", data)
    assert not at.exception
    assert "csv, 3 rows, 3 columns" in texts(at)
    at = settled(button(at, "Use this file").click().run())
    html = texts(at)
    assert 'title="prompt 2, feature 1: 3.00, fires"' in html
    assert "1 row left out" in html
    assert "<small>x</small> an apple" in html


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.csv", b""),
        ("zeros.parquet", b"PAR1" + b"\0" * 40),
        ("broken.jsonl", b"{nope"),
        ("bin.txt", b"\0\xff\xfe\0"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_and_nothing_is_measured(
    name: str, data: bytes, model: FakePromptModel, open_page: Open, toy_cache: Path
) -> None:
    at = upload(lab(open_page, toy_cache), name, data)
    if not alerts(at):
        at = button(at, "Use this file").click().run()
    assert not at.exception
    assert alerts(at)
    assert model.asked == []
