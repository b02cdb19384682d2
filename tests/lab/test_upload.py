"""Files of prompts: what is read exactly, what is left out and counted, what is refused and why."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import zipfile
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.analyses.prompt_model import Prompt, Turn
from core.errors import InputError
from core.hosting import OWN
from core.lab.upload import Columns, peek, read_prompts

HARD = ["=1+1", "@SUM(A1)", " leading", "trailing ", "a,b;\tc", 'say "no"', "two\nlines", "<script>alert(1)</script>",
        "# **b**", "שלום עולם", "e\u0301\u0323", "👩‍👩‍👧‍👦 🦊", "naïve", "\u202eabc", "a\x07b", "\u2028x"]  # fmt: skip


def as_csv(rows: list[list[Any]], header: list[str] | None = None) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([header or ["prompt"], *rows])
    return sink.getvalue().encode()


def as_parquet(columns: dict[str, Any], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **options)
    return bytes(sink.getvalue())


def texts(data: bytes, name: str, columns: Columns | None = None) -> list[str]:
    return [p.text for p in read_prompts(data, name, columns).prompts]


# --- exactly as written ---------------------------------------------------------------------------------


def test_text_is_kept_exactly_in_every_kind_of_file() -> None:
    lines = "".join(json.dumps({"prompt": t}) + "\n" for t in HARD).encode()
    assert texts(as_csv([[t] for t in HARD]), "x.csv") == HARD
    assert texts(lines, "x.jsonl") == HARD
    assert texts(as_parquet({"prompt": HARD}), "x.parquet") == HARD
    flat = [t for t in HARD if "\n" not in t]
    assert texts("\n".join(flat).encode(), "x.txt") == flat


any_text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=50)


@given(st.lists(any_text.filter(lambda t: bool(t.strip())), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_what_csv_and_jsonl_hold_comes_back(written: list[str]) -> None:
    assert texts(as_csv([[t] for t in written]), "x.csv") == written
    assert texts("\n".join(json.dumps({"text": t}) for t in written).encode(), "x.jsonl") == written


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_with_a_mark_and_both_line_ends(encoding: str, end: str) -> None:
    content = end.join(["prompt,group", "naïve 🦊,a", "שלום,b", ""])
    table = read_prompts(content.encode(encoding), "x.csv")
    assert [p.text for p in table.prompts] == ["naïve 🦊", "שלום"]
    assert table.groups == ("a", "b")
    assert table.notes == ()
    assert texts(end.join(["naïve 🦊", "שלום"]).encode(encoding), "x.txt") == ["naïve 🦊", "שלום"]


def test_latin_1_is_read_and_said() -> None:
    table = read_prompts("prompt\ncafé\n".encode("latin-1"), "x.csv")
    assert table.prompts[0].text == "café"
    assert "latin-1" in table.notes[0]


def test_messages_become_turns() -> None:
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}]
    table = read_prompts(json.dumps({"messages": talk, "group": 3}).encode(), "x.jsonl")
    assert table.prompts == (Prompt(turns=(Turn("user", "hi"), Turn("assistant", "yes"))),)
    assert table.groups == ("3",)
    plain = [{"role": "user", "content": "hi"}]
    assert read_prompts(as_parquet({"messages": [plain]}), "x.parquet").prompts[0].turns == (Turn("user", "hi"),)


# --- columns --------------------------------------------------------------------------------------------


def test_columns_are_guessed_by_usual_names_whatever_their_case() -> None:
    seen = peek(as_csv([["a", "b", "c", "d"]], ["ID", " Text ", "Label", "GROUP"]), "x.csv")
    assert seen.columns == ("ID", "Text", "Label", "GROUP")
    assert seen.guess == Columns("Text", "Label", "GROUP", "")
    assert seen.n_rows == 1


def test_a_chosen_column_wins_and_an_empty_choice_means_none() -> None:
    data = as_csv([["a", "b", "c"]], ["prompt", "other", "group"])
    assert texts(data, "x.csv", Columns(prompt="other")) == ["b"]
    assert read_prompts(data, "x.csv", Columns(group="")).groups == ()


def test_a_wrong_column_names_those_there_are_and_the_nearest() -> None:
    data = as_csv([["a"]], ["promt"])
    with pytest.raises(InputError) as error:
        read_prompts(data, "x.csv")
    assert "'promt'" in str(error.value)
    assert "Did you mean 'prompt'?" in str(error.value)
    with pytest.raises(InputError, match="Did you mean 'promt'"):
        read_prompts(data, "x.csv", Columns(prompt="prompts"))


def test_equal_headers_are_numbered_and_said() -> None:
    table = read_prompts(as_csv([["first", "second"]], ["prompt", "prompt"]), "x.csv")
    assert table.prompts[0].text == "first"
    assert "numbered" in table.notes[0]
    assert texts(as_csv([["first", "second"]], ["prompt", "prompt"]), "x.csv", Columns("prompt (2)")) == ["second"]


@pytest.mark.parametrize("by", [";", "\t"])
def test_semicolons_and_tabs_divide_where_the_header_has_no_comma(by: str) -> None:
    assert read_prompts(f"prompt{by}group\na, b{by}x\n".encode(), "x.csv").prompts[0].text == "a, b"


# --- left out and counted -------------------------------------------------------------------------------


def test_every_row_is_a_prompt_or_counted_with_its_reason_and_line() -> None:
    lines = [
        {"prompt": "good"}, {"prompt": ""}, {"prompt": "  "}, {"prompt": 3}, {"other": 1}, {"prompt": "x" * 200_001},
        {"prompt": "nul\0"}, {"prompt": [{"role": "user"}]}, {"prompt": "fine", "group": {"a": 1}}, [1],
    ]  # fmt: skip
    data = "\n".join([*map(json.dumps, lines), '{"prompt": "half \\ud83d"}', "{not json"]).encode()
    table = read_prompts(data, "x.jsonl")
    assert [p.text for p in table.prompts] == ["good"]
    assert table.n_rows == 12
    assert sum(n for n, _ in table.left_out.values()) == 11
    assert table.left_out["the prompt is empty"] == (2, 2)
    assert table.left_out["it is not JSON"] == (1, 12)
    reasons = " ".join(table.left_out)
    for word in ("NUL", "surrogates", "longer", "not a text", "no prompt", "messages", "group"):
        assert word in reasons


def test_ragged_rows_are_counted() -> None:
    table = read_prompts(b"prompt,group\na,b\nc\nd,e,f\n", "x.csv")
    assert len(table) == 1
    assert set(table.left_out.values()) == {(1, 3), (1, 4)}


# --- refused --------------------------------------------------------------------------------------------


def packed_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", b"0" * 50_000_000)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        (b"", "x.csv", "empty"),
        (b" \n\n", "x.txt", "empty"),
        (b"prompt\n", "x.csv", "no rows"),
        (b"a", "x.docx", "ending"),
        (b"a", "x", "ending"),
        (gzip.compress(b"prompt\na\n", mtime=0), "x.csv", "gzip"),
        (gzip.compress(b"prompt\na\n", mtime=0), "x.csv.gz", "gzip"),
        (packed_zip(), "x.csv", "zip"),
        (packed_zip(), "x.parquet", "zip"),
        (b"prompt\na\n", "x.parquet", "another"),
        (as_parquet({"prompt": ["a"]}), "x.csv", "another"),
        ("prompt\na\n".encode("utf-16-le"), "x.csv", "byte order mark"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\1\2\3" * 900, "x.txt", "byte order mark"),
        (b"\xff\xfea", "x.csv", "UTF-16"),
        (b'prompt\n"never closed', "x.csv", "line"),
        (b"[1]\n[2]\n", "x.jsonl", "no line"),
        (b"[" * 100_000, "x.jsonl", "no line"),
        (b"prompt\n\n,\n", "x.csv", "fewer|more|no prompt|rows"),
        (as_parquet({"prompt": [b"raw"]}), "x.parquet", "not text"),
        (as_parquet({"prompt": [{"a": 1}]}), "x.parquet", "not text"),
        (as_parquet({"prompt": ["a"]})[:-20], "x.parquet", "no parquet"),
    ],
)
def test_files_that_hold_no_prompts_are_refused_with_the_reason(data: bytes, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as error:
        read_prompts(data, name)
    assert error.value.remedy


def test_bounds_hold_after_parsing_not_for_bytes() -> None:
    many = as_parquet({"prompt": ["a"] * 200_000})
    assert len(many) < 10_000
    with pytest.raises(InputError, match="200,000 rows"):
        read_prompts(many, "x.parquet")
    with pytest.raises(InputError, match="more than 20,000 prompts"):
        read_prompts(as_parquet({"prompt": ["a"] * 20_001}), "x.parquet")
    bomb = as_parquet({"prompt": ["x" * 100_000] * 200}, compression="zstd")
    assert len(bomb) < 10_000
    with pytest.raises(InputError, match="characters together"):
        read_prompts(bomb, "x.parquet", limits=replace(OWN, n_chars=1_000_000))
    plain = as_parquet({"prompt": ["x" * 100_000] * 200}, compression="zstd", use_dictionary=False)
    with pytest.raises(InputError, match="characters together"):
        read_prompts(plain, "x.parquet", limits=replace(OWN, n_chars=1_000_000))


def test_bytes_columns_and_rows_are_bounded() -> None:
    with pytest.raises(InputError, match="more than 1 MB"):
        read_prompts(b"a" * 1_000_001, "x.txt", limits=replace(OWN, upload_mb=1))
    with pytest.raises(InputError, match="columns"):
        read_prompts(as_csv([["a"] * 300], [f"c{i}" for i in range(299)] + ["prompt"]), "x.csv")
    for kind, data in (("csv", as_csv([["a"]] * 12)), ("txt", b"a\n" * 12), ("jsonl", b'{"prompt":"a"}\n' * 12)):
        with pytest.raises(InputError, match="12 rows"):
            read_prompts(data, f"x.{kind}", limits=replace(OWN, n_rows=11))


@given(st.binary(max_size=300), st.sampled_from(["txt", "csv", "jsonl", "tsv"]))
@example(b"\xef\xbb\xbf", "csv")
@example(b'"', "csv")
@settings(max_examples=400, deadline=None)
def test_any_bytes_give_prompts_or_a_reason(data: bytes, ending: str) -> None:
    try:
        table = read_prompts(data, f"x.{ending}")
    except InputError as error:
        said = error.as_dict()
    else:
        assert len(table) + sum(n for n, _ in table.left_out.values()) == table.n_rows
        return
    assert said["detail"]
    assert said["remedy"]


def test_a_damaged_parquet_file_gives_prompts_or_a_reason_and_this_process_lives_on() -> None:
    """Some of these end the process that reads them."""
    whole = as_parquet({"prompt": ["some text", "more"], "group": ["a", "b"]}, write_page_checksum=True)
    rng = random.Random(0)
    read = refused = 0
    for _ in range(12):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(4, len(content) - 8)] = rng.randrange(256)
        try:
            read += len(read_prompts(bytes(content), "x.parquet")) <= 2
        except InputError:
            refused += 1
    assert read + refused == 12
    assert refused


def test_a_page_that_unpacks_to_more_than_there_is_room_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.lab.upload_files.CHILD_MEMORY", 400_000_000)
    bomb = as_parquet({"prompt": ["x" * 60_000_000]}, compression="zstd", use_dictionary=False, write_statistics=False)
    assert len(bomb) < 100_000
    with pytest.raises(InputError, match=r"memory|damaged|stopped"):
        read_prompts(bomb, "x.parquet", limits=replace(OWN, n_chars=1_000_000))
