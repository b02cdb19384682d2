"""The lab's drawings by value: matrices against sums by hand, strips, previews, effects; hostile text stays text."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.analyses.prompt_model import Continuation, Decoded, Prompt, TokenEffect
from dashboard.lab import lab_decode_html, lab_matrix, lab_tokens
from dashboard.lab.lab_matrix import LabActs
from tests.dashboard.fake_prompt_model import FakePromptModel, log_prob_of
from tests.dashboard.fake_source import act_of

HOSTILE = "apple <script>alert(1)</script> **b** \u202eevil 🦊 =1+1 \x00 bee"
TEXTS = ("an apple and ale", "bee bee", "", HOSTILE, "zoo")


def measured(features: tuple[int, ...] = (1, 0), texts: tuple[str, ...] = TEXTS) -> LabActs:
    model, prompts = FakePromptModel(), [Prompt(t) for t in texts]
    acts = model.token_acts(prompts, features)
    logs = dict(enumerate(model.log_probs(prompts)))
    scale = lab_matrix.with_scale([0.0] * len(features), acts, features)
    return LabActs(features, texts, ("",) * len(texts), model.views(prompts), acts, logs, ("<i>b</i>", ""), scale)


def by_hand(stat: str, text: str, feature: int, theta: float = 0.0) -> float:
    acts = [act_of(word, feature) for word in text.split()]
    if not acts:
        return float("nan")
    return {"max": max(acts), "mean": sum(acts) / len(acts), "last": acts[-1], "count": sum(a > theta for a in acts)}[
        stat
    ]


@pytest.mark.parametrize("stat", lab_matrix.STATS)
def test_a_matrix_is_what_one_counts_by_hand_whatever_the_order_of_features(stat: str) -> None:
    found = lab_matrix.matrix(measured(), stat)
    expected = [[by_hand(stat, text, f) for f in (1, 0)] for text in TEXTS]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_threshold_is_a_share_of_the_largest_act_and_changes_counts_only() -> None:
    some = measured((0,), ("an apple ale",))
    assert some.act_max.tolist() == [5.0]
    assert lab_matrix.matrix(some, "count", 0.5).tolist() == [[2.0]]  # 2 is not above 2.5
    assert lab_matrix.matrix(some, "count", 1.0).tolist() == [[0.0]]  # the largest is not above itself
    assert lab_matrix.matrix(some, "max", 1.0).tolist() == [[5.0]]


def test_rows_are_ordered_by_a_column_and_prompts_without_tokens_come_last() -> None:
    values = lab_matrix.matrix(measured((0,)), "max")
    assert lab_matrix.order(values, 0).tolist() == [0, 3, 1, 4, 2]
    assert lab_matrix.order(values, None).tolist() == [0, 1, 2, 3, 4]


def test_the_table_for_download_has_every_number_and_no_0_where_nothing_was_measured() -> None:
    frame = lab_matrix.frame(measured((0, 1)), 0.5)
    row = frame[(frame["prompt"] == 0) & (frame["feature"] == 0)].iloc[0]
    assert (row["max_act"], row["last_act"], row["n_firing"], row["fires"], row["n_tokens"]) == (5, 3, 3, True, 4)
    empty = frame[frame["prompt"] == 2]
    assert empty[["max_act", "mean_act", "last_act", "n_firing"]].isna().all(axis=None)
    assert set(empty["problem"]) == {"there is no token in it"}


def test_cells_link_to_themselves_are_framed_where_they_fire_and_hold_hostile_text_as_text() -> None:
    some = measured((1, 0))
    html = lab_matrix.matrix_html(some, "max", 0.5, np.arange(5), 1, (0, 0), lambda key: f"prompts?cell={key}&x=1")
    assert '<a class="p-a10 p-f p-here" href="prompts?cell=0.0&amp;x=1" data-lab="0.0"' in html
    assert "<script" not in html
    assert "<i>b" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert "\x00" not in html
    assert html.count("aria-sort") == 1
    assert "<td>2 of 4" in html  # the prompt without tokens is in no denominator


def test_a_strip_shows_act_and_log_probability_of_every_token_and_marks_above_the_threshold_only() -> None:
    some = measured((0,), ("an apple ale",))
    html = lab_tokens.strip_html(some.views[0], some.token_acts(0, 0), 5.0, 2.5, some.log_probs[0])
    assert html.count("<b class=") == 2
    assert "position 2 · act 5.00, 100 % of max · log p \u22122.50 nats" in html
    assert f"<i>\u2212{-log_prob_of('ale'):.1f}</i>" in html
    assert html.count("p-peak") == 1
    assert "special: masked" in html
    assert "log p" not in lab_tokens.strip_html(some.views[0], some.token_acts(0, 0), 5.0)


def test_a_preview_says_what_is_special_unknown_and_cut() -> None:
    views = FakePromptModel().views([Prompt("what? " + "a " * 20), Prompt("")])
    html = lab_tokens.preview_html(views, ["1", "<b>2</b>"])
    assert "✂ 9 tokens cut" in html
    assert html.count('class="p-unk"') == 1
    assert html.count('class="p-spec"') == 1
    assert "there is no token in it" in html
    assert "<b>2" not in html
    said = {f.label: f for f in lab_tokens.preview_facts(views, 46)}
    assert (said["prompts"].value, said["tokens"].value, said["cut"].value, said["unknown"].value) == (
        "2",
        "12",
        "1",
        "1",
    )
    assert "1 cannot be measured" in said["prompts"].note


def test_bars_stand_in_proportion_and_the_line_is_what_chance_reaches() -> None:
    effects = (TokenEffect(1, "<b>cat</b>", 4.0), TokenEffect(2, " dog", 1.0))
    decoded = Decoded(2.0, 8.0, effects, (), 2.0, 50)
    html = lab_decode_html.effects_html(decoded)
    assert "width:100.0%" in html
    assert "width:25.0%" in html
    assert html.count("left:50.0%") == 2
    assert "not beyond chance" in html
    assert "<b>cat" not in html
    facts = {f.label: f for f in lab_decode_html.decoded_facts(decoded)}
    assert facts["beyond chance"].value == "1 of 2"
    assert facts["norm"].note.startswith("25.0 %")
    unknown = lab_decode_html.decoded_facts(dataclasses.replace(decoded, resid_norm=None))[0]
    assert unknown.note == "the residual's was not measured"


def test_a_written_token_is_shaded_by_the_change_of_its_log_probability() -> None:
    up, down = np.array([-1.0], np.float32), np.array([-5.0], np.float32)
    likelier = Continuation("steered", 2.0, np.array([3]), ("<i>",), up, down)
    html = lab_decode_html.continuations_html(
        [likelier, dataclasses.replace(likelier, log_probs=down, plain_log_probs=up)], "p"
    )
    assert "change 4.00 nats" in html
    assert "change \u22124.00 nats" in html
    assert html.count("dotted") == 1
    assert "<i>" not in html
    assert lab_decode_html.shade(0.0) == ""
    frame = lab_decode_html.continuations_frame([likelier])
    assert frame[["kind", "strength", "log_prob", "plain_log_prob"]].iloc[0].tolist() == ["steered", 2.0, -1.0, -5.0]
