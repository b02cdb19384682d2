"""Phrases of a test: what contradicts the label is found, drawn as text, and goes back into a file for a new test."""

from __future__ import annotations

import pandas as pd
import pytest

from core.proposals.upload import read_upload
from dashboard.verdicts import verdict_edit, verdict_phrases
from dashboard.verdicts.verdict_phrases import Phrase

HOSTILE = "<script>alert(1)</script>"


def phrase(group: str, index: int, act: float | None, part: int = -1, name: str = "", text: str = "a cat") -> Phrase:
    acts = [0.0, act or 0.0]
    return Phrase(group, part, name or group, index, text, ["a", f" {text[2:]}"], acts, act)


PHRASES = [
    phrase("own", 0, 5.0),
    phrase("own", 1, 0.5),
    phrase("whole", 0, 0.0),
    phrase("whole", 1, 4.0),
    phrase("whole", 2, 0.0),
    phrase("part", 0, 0.0, 0, "rain"),
    phrase("part", 1, 0.0, 0, "rain"),
    phrase("part", 0, 0.9, 1, "wind"),
    phrase("part", 1, None, 1, "wind"),
    phrase("near", 0, 2.0),
    phrase("near", 1, 0.0),
    phrase("other", 0, 9.0),
]


def test_a_phrase_that_its_tokens_do_not_spell_is_shown_as_written_too() -> None:
    unknown = Phrase("part", 0, "rain", 0, HOSTILE, ["<unk>", "<unk>"], [0.0, 0.0], 0.0)
    html = verdict_phrases.line_html(unknown, 1.0, 4.0)
    assert "written “&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "written “" not in verdict_phrases.line_html(phrase("part", 0, 2.0), 1.0, 4.0)


def test_evidence_is_what_contradicts_the_label_above_the_threshold() -> None:
    silent, loud, own = verdict_phrases.evidence(PHRASES, 1.0, 10)
    assert [(p.group, p.part_index, p.index) for p in silent.phrases] == [
        ("whole", -1, 0), ("part", 0, 0), ("part", 1, 0), ("whole", -1, 2), ("part", 0, 1),
    ]  # fmt: skip
    assert silent.about.startswith("5 of 6 phrases")
    assert [(p.group, p.max_act) for p in loud.phrases] == [("near", 2.0), ("other", 9.0)]
    assert loud.about.startswith("1 of 2 phrases for near labels")
    assert own.about.startswith("fires on 1 of 2")


def test_at_threshold_zero_a_weak_act_counts_and_only_so_many_are_shown() -> None:
    silent, _, own = verdict_phrases.evidence(PHRASES, 0.0, 2)
    assert len(silent.phrases) == 2
    assert silent.about.startswith("4 of 6")
    assert own.about.startswith("fires on 2 of 2")


def test_a_phrase_is_drawn_as_text_with_its_acts() -> None:
    html = verdict_phrases.line_html(phrase("part", 0, 2.0, 0, HOSTILE, text=f"a {HOSTILE}"), 1.0, 4.0)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 2
    assert 'class="p-a5"' in html
    assert "● act 2.00" in html
    assert "○ silent" in verdict_phrases.line_html(phrase("part", 0, 0.0), 1.0, 4.0)
    assert "not measured" in verdict_phrases.line_html(phrase("part", 0, None), 1.0, 4.0)


def test_the_heatmap_has_one_row_a_group_frames_what_fires_and_escapes() -> None:
    html = verdict_phrases.heat_html([*PHRASES, phrase("part", 2, 3.0, 1, "wind", HOSTILE)], 1.0, 9.0, "title")
    assert html.count("<tr>") == 6
    assert html.count(" p-f") == sum(p.fires(1.0) for p in PHRASES) + 1
    assert "<script" not in html
    assert "1 of 2 fire" in html


def test_rows_of_the_table_become_phrases_in_the_order_of_the_plot() -> None:
    rows = pd.DataFrame(
        {
            "group": ["part", "own", "part"], "part_index": [1, -1, 0], "phrase_index": [0, 0, 0],
            "phrase": ["p", "o", "q"], "str_tokens": [["p"], None, ["q"]], "acts": [[1.0], None, [0.0]],
            "max_act": [1.0, None, 0.0], "call": [0, 0, 0], "document": [None, 7, None],
        }
    )  # fmt: skip
    found = verdict_phrases.phrases_of(rows, ["rain", "wind"])
    assert [p.name for p in found] == ["own text", "rain", "wind"]
    assert found[0].max_act is None
    assert found[0].document == 7
    assert not found[0].fires(0.0)


def test_what_is_downloaded_to_change_is_what_an_upload_reads() -> None:
    texts = [f"phrase number {i}" for i in range(6)]
    parts = [phrase("part", i, 0.0, i % 2, ("rain", "wind")[i % 2], t) for i, t in enumerate(texts)]
    frame = verdict_phrases.upload_frame([*parts, phrase("whole", 0, 1.0, text="the whole of it"), *PHRASES[:1]])
    data = frame.assign(feature=3, label="weather").to_csv(index=False).encode()
    found = read_upload(data, "phrases.csv")
    assert found.rejected == ()
    (made,) = found.proposals.made
    assert (made.feature, made.label) == (3, "weather")
    assert {p.word: p.texts for p in made.parts} == {"rain": tuple(texts[::2]), "wind": tuple(texts[1::2])}
    assert [p.text for p in made.whole] == ["the whole of it"]


def test_changed_rows_become_phrases_by_part_and_empty_ones_are_left_out() -> None:
    edited = pd.DataFrame(
        {"kind": ["part", "whole", "part", "part", None], "part": ["wind", None, "rain", "", "x"],
         "phrase": [" it blows ", "weather", "it rains", "no part", None], "call": [0, 0, None, 0, 0]}
    )  # fmt: skip
    rows = verdict_edit.rows_of(edited)
    assert rows == [("part", "wind", "it blows"), ("whole", "", "weather"), ("part", "rain", "it rains"),
                    ("whole", "", "no part")]  # fmt: skip
    acts = [(("it",), [2.0]), (("weather",), [0.0]), ((), []), (("no",), [1.0])]
    found = verdict_edit.measured(rows, acts)
    assert [(p.name, p.max_act) for p in found] == [
        ("whole label", 0.0), ("whole label", 1.0), ("wind", 2.0), ("rain", None),
    ]  # fmt: skip


@pytest.mark.parametrize(("theta", "fires"), [(0.0, [True, False]), (5.0, [False, False])])
def test_the_table_for_download_says_what_fires_at_the_threshold_shown(theta: float, fires: list[bool]) -> None:
    frame = verdict_phrases.as_frame([PHRASES[3], PHRASES[2]], theta)
    assert frame["fires"].tolist() == fires
