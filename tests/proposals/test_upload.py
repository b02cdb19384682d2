"""Phrases from people's files: what is usable is used, the rest is named by line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.proposals.upload import MAX_BYTES, Uploaded, read_upload


def upload(text: str, name: str = "mine.csv", **options: object) -> Uploaded:
    return read_upload(text.encode(), name, **options)  # type: ignore[arg-type]


def test_a_csv_of_part_and_phrase_is_one_proposal_for_the_feature_named() -> None:
    made = upload("part,phrase\nsea,the waves\nsea,salt on skin\nport,cranes at dawn\n", feature=3, label="coast")
    (proposal,) = made.proposals.made
    assert [(p.word, p.texts) for p in proposal.parts] == [
        ("sea", ("the waves", "salt on skin")),
        ("port", ("cranes at dawn",)),
    ]
    assert (proposal.feature, proposal.label, proposal.source, proposal.generator) == (3, "coast", "upload", "mine.csv")
    assert (made.rejected, made.n_rows) == ((), 3)


def test_json_lines_may_name_feature_label_kind_and_call() -> None:
    rows = [
        {"feature": 1, "label": "one", "part": "a", "phrase": "x y", "call": 2},
        {"feature": "2", "part": "b", "phrase": "早上好"},
        {"feature": 1, "part": "", "phrase": "all of it", "kind": "whole", "call": "3"},
    ]
    made = upload("\n".join(map(json.dumps, rows)), "mine.jsonl", label="given")
    one, two = made.proposals.made
    assert (one.feature, one.label, one.parts[0].phrases[0].call) == (1, "one", 2)
    assert [(p.text, p.call) for p in one.whole] == [("all of it", 3)]
    assert (two.feature, two.label, two.parts[0].texts) == (2, "given", ("早上好",))


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("word,sentence\na,b\n", "x.csv", "lacks part and phrase"),
        ("part,phrases\na,b\n", "x.csv", "Did you mean 'phrase'"),
        ("phrase\nb\n", "x.csv", "lacks part"),
        ("part;phrase\na;b\n", "x.csv", "columns found: part;phrase"),
        ("", "x.csv", "lacks"),
        ("part,phrase\n", "x.csv", "no rows"),
        ("", "x.jsonl", "no rows"),
        ('{"a": 1}', "x.jsonl", "lacks"),
        ('part,phrase\na,"b', "x.csv", "line"),
    ],
)
def test_files_with_wrong_columns_are_refused_with_what_was_found(text: str, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        upload(text, name, feature=1)


def test_bytes_that_are_no_text_and_files_too_large_are_refused() -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        read_upload(b"part,phrase\na,\xff\n", "x.csv", 1)
    with pytest.raises(InputError, match="bytes"):
        read_upload(b"x" * (MAX_BYTES + 1), "x.csv", 1)


def test_rows_that_cannot_be_used_are_named_by_line_and_the_rest_goes_on() -> None:
    text = (
        "feature,part,phrase,kind\n1,a,good,\n9,a,x,\n1,,x,\n1,a,,\n1,a,good,\n,a,x,\n1.5,a,x,\n1,a,x,other\n1,a,x,y,z\n"
        f"1,a,{'w ' * 5000},\n-1,a,x,\ntrue,a,x,\n1,b,fine,part\n"
    )
    made = upload(text, known=lambda feature: feature < 5)
    (proposal,) = made.proposals.made
    assert [(p.word, p.texts) for p in proposal.parts] == [("a", ("good",)), ("b", ("fine",))]
    assert dict(made.rejected) == {
        3: "there is no feature 9",
        4: "the part is empty",
        5: "the phrase is empty, too long, or there twice",
        6: "the phrase is empty, too long, or there twice",
        7: "no feature is named",
        8: "the feature is not a whole number",
        9: "kind is neither part nor whole",
        10: "more fields than columns",
        11: "the phrase is empty, too long, or there twice",
        12: "the feature is not a whole number",
        13: "the feature is not a whole number",
    }


def test_a_feature_with_whole_phrases_only_is_reported() -> None:
    made = upload("part,phrase,kind\n,x,whole\n", feature=4)
    assert made.proposals.made == ()
    assert made.proposals.failed[0].feature == 4


@pytest.mark.parametrize(
    "row", ['["a"]', "3", "null", '{"part": 1, "phrase": "x"}', '{"part": "a", "phrase": {"b": 1}}', "{", "[" * 99999]
)
def test_hostile_json_lines_are_rejected_one_by_one(row: str) -> None:
    made = upload(f'{{"part": "a", "phrase": "ok"}}\n{row}\n', "x.jsonl", feature=1)
    assert len(made.rejected) == 1
    assert made.proposals.made[0].parts[0].texts == ("ok",)


def test_markup_and_formulas_stay_text() -> None:
    phrases = ["<img src=x onerror=alert(1)>", "=1+1", "../../etc/passwd", "a\nb"]
    stream = io.StringIO()
    csv.writer(stream).writerows([["part", "phrase"], *[["p", t] for t in phrases]])
    assert upload("\ufeff" + stream.getvalue(), feature=1).proposals.made[0].parts[0].texts == tuple(phrases)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["x.csv", "x.jsonl", "x"]))
def test_any_bytes_give_proposals_or_an_input_error(data: bytes, name: str) -> None:
    try:
        made = read_upload(data, name, feature=1)
    except InputError:
        return
    assert made.n_rows >= len(made.rejected)
