"""JSON out of whatever models write."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.llm.schema import PARTS, PHRASES, PartReply, PartsReply, PhrasesReply, Unreadable, read_json

GOOD = '{"parts": [{"word": "w", "phrases": ["a", "b"]}]}'
WANTED = PartsReply([PartReply("w", ["a", "b"])])


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Sure!\n```json\n{GOOD}\n```\nShall I go on?",
        f'{{"note": 1}} and then {GOOD}',
        f"<think>maybe {{'parts': 3}} or {GOOD.replace('w', 'x')}</think>{GOOD}",
        f"{{ not json }} {GOOD}",
        GOOD.replace('"word"', '"why": {"deep": [1, 2]}, "word"'),
        "\ufeff" + GOOD,
    ],
)
def test_the_first_object_that_fits_is_found(text: str) -> None:
    assert read_json(text, PartsReply) == WANTED


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON object"),
        ("I cannot help with that.", "no JSON object"),
        ('{"parts": [{"word": "w", "phrases": ["a"', "no JSON object"),
        ('["a"]', "no JSON object"),
        ("{}", "parts"),
        ('{"parts": null}', "list"),
        ('{"parts": "abc"}', "list"),
        ('{"parts": [{"word": "w", "phrases": "abc"}]}', "list"),
        ('{"parts": [{"word": 3, "phrases": []}]}', "text"),
        ('{"parts": [{"word": "w", "phrases": [null]}]}', "text"),
        ('{"parts": [["w", "a"]]}', "PartReply|list"),
        ('{"parts": {"w": ["a"]}}', "list"),
        ("[" * 100_000, "no JSON object"),
        ('{"a":' * 50_000, "no JSON object"),
        ("9" * 10_000, "no JSON object"),
        ('{"parts": ' + "9" * 10_000 + "}", "no JSON object"),
        ("x" * 500_000, "characters"),
        ('{"phrases": NaN}', "parts"),
    ],
)
def test_anything_else_is_unreadable_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_json(text, PartsReply)


def test_many_braces_take_no_quadratic_time() -> None:
    started = time.monotonic()
    with pytest.raises(Unreadable):
        read_json('{"' * 190_000, PhrasesReply)
    assert time.monotonic() - started < 1.0


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_or_unreadable(value: object) -> None:
    try:
        reply = read_json(json.dumps({"phrases": value}), PhrasesReply)
    except Unreadable:
        assert not (isinstance(value, list) and all(isinstance(v, str) for v in value))
    else:
        assert reply.phrases == value


@pytest.mark.parametrize("schema", [PARTS, PHRASES])
def test_schemas_are_what_strict_structured_outputs_demand(schema) -> None:
    def check(node: dict) -> None:
        if node["type"] == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
            for inner in node["properties"].values():
                check(inner)
        if node["type"] == "array":
            check(node["items"])

    check(json.loads(schema.json))
