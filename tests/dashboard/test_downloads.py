"""Files to take away, by value: exact, safe for spreadsheets, with their manifest."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from dashboard import downloads

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1+1", '=HYPERLINK("http://x")', "\uff1d1", "\n-2"]
FRAME = pd.DataFrame(
    {
        "=name": [*FORMULAS, "cat", 'say "hi", then; go\nnew'],
        "act": np.arange(12) * -0.1,
        "n": np.arange(12),
        "tokens": [np.arange(2000, dtype=np.int32)] + [np.array([], np.int32)] * 11,
    }
)


def read_csv(content: bytes, encoding: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(encoding), newline="")))


def test_the_exact_csv_gives_every_value_back() -> None:
    rows = read_csv(downloads.csv_bytes(FRAME), "utf-8")
    assert [row[0] for row in rows] == ["=name", *FRAME["=name"]]
    assert [float(row[1]) for row in rows[1:]] == FRAME["act"].tolist()
    assert json.loads(rows[1][3]) == list(range(2000))


def test_no_cell_of_the_spreadsheet_csv_begins_a_formula() -> None:
    content = downloads.sheet_csv_bytes(FRAME)
    assert content.startswith(b"\xef\xbb\xbf")
    rows = read_csv(content, "utf-8-sig")
    texts = [row[0] for row in rows]
    assert all(text == f"'{before}" for text, before in zip(texts, ["=name", *FORMULAS], strict=False))
    assert texts[-2:] == FRAME["=name"].tolist()[-2:]
    assert [float(row[1]) for row in rows[1:]] == FRAME["act"].tolist()  # negative numbers are no formulas
    assert b'"cat"' in content


def test_the_frame_itself_is_left_as_it_was() -> None:
    before = FRAME.copy(deep=True)
    downloads.sheet_csv_bytes(FRAME)
    pd.testing.assert_frame_equal(FRAME, before)


def test_parquet_keeps_types_and_carries_its_manifest() -> None:
    manifest = downloads.manifest_of(
        {"name": "toy", "tables": {"features": {"sha256": "ab"}}}, "p", "w", "http://l", 12
    )
    content = downloads.parquet_bytes(FRAME, manifest)
    table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
    assert json.loads(table.schema.metadata[downloads.MANIFEST_KEY]) == manifest
    assert manifest["run"]["tables"] == {"features": "ab"}
    assert (manifest["link"], manifest["n_rows"]) == ("http://l", 12)
    back = pd.read_parquet(io.BytesIO(content))
    pd.testing.assert_frame_equal(back.drop(columns="tokens"), FRAME.drop(columns="tokens"))
    assert back["tokens"].iloc[0].tolist() == list(range(2000))


def test_what_is_no_text_stays_what_it_is() -> None:
    frame = pd.DataFrame({"x": [1, -2], "y": [None, True], "z": pd.Series([None, "-"], dtype=object)})
    rows = read_csv(downloads.sheet_csv_bytes(frame), "utf-8-sig")
    assert rows == [["x", "y", "z"], ["1", "", ""], ["-2", "True", "'-"]]
