"""Writing in constant row groups, reading with checks, and every way in which a file may lie."""

from __future__ import annotations

import random
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import parquet
from core.errors import DamagedError, PrismError
from core.tables import ACTIVATION_INDEX, CONTEXTS, TableSpec, activations_spec

SPEC = activations_spec("float16")


def firings(n: int, start: int = 0) -> pa.Table:
    rows = np.arange(start, start + n)
    columns = [rows // 7, rows % 5, rows % 3, (rows % 100 + 1) / 8]
    arrays = [pa.array(c).cast(f.type) for c, f in zip(columns, SPEC.schema, strict=True)]
    return pa.table(arrays, schema=SPEC.schema)


def flipped(data: bytes, bit: int) -> bytes:
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 30))
def test_whatever_the_chunks_row_groups_are_of_one_size_and_nothing_is_lost(tmp_path_factory, chunks, size):
    path = tmp_path_factory.mktemp("chunks") / "t.parquet"
    starts = np.cumsum([0, *chunks])
    with parquet.open_writer(path, SPEC, size) as writer:
        for start, n in zip(starts, chunks, strict=False):
            writer.write(firings(n, int(start)))
    total = int(sum(chunks))
    groups = pq.ParquetFile(path).metadata
    sizes = [groups.row_group(g).num_rows for g in range(groups.num_row_groups)]
    assert all(s == size for s in sizes[:-1])
    assert all(0 < s <= size for s in sizes)
    assert parquet.read_table(path).equals(firings(total))


def test_how_the_rows_came_in_chunks_does_not_change_the_bytes(tmp_path):
    with parquet.open_writer(tmp_path / "a", SPEC, 50) as writer:
        writer.write(firings(120))
    with parquet.open_writer(tmp_path / "b", SPEC, 50) as writer:
        for start in range(0, 120, 40):
            writer.write(firings(40, start))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_reader_of_parquet_reads_what_is_written(tmp_path):
    polars = pytest.importorskip("polars")
    parquet.write_table(tmp_path / "t.parquet", firings(500), SPEC)
    got = polars.read_parquet(tmp_path / "t.parquet")
    assert got["context"].to_list() == firings(500)["context"].to_pylist()


def test_a_table_that_breaks_its_spec_is_not_written(tmp_path):
    with pytest.raises(PrismError, match="lacks the column"), parquet.open_writer(tmp_path / "t", SPEC) as writer:
        writer.write(firings(3).drop(["act"]))


def test_every_flipped_bit_of_a_page_is_an_error_or_of_no_consequence(tmp_path):
    """Plain parquet reads most of them back wrong; here none may be read back wrong."""
    path, table = tmp_path / "t.parquet", firings(3000)
    parquet.write_table(path, table, SPEC)
    whole, footer = path.read_bytes(), parquet.footer_sha256(path)
    errors, draw = [], random.Random(0)
    for _ in range(400):
        path.write_bytes(flipped(whole, draw.randrange(8 * len(whole))))
        try:
            assert parquet.read_table(path, footer=footer).equals(table)
        except DamagedError as error:
            errors.append(error)
    assert len(errors) > 350
    assert all("t.parquet" in error.title and "prism verify" in error.remedy for error in errors)


def test_plain_parquet_would_have_read_flipped_bits_back_wrong(tmp_path):
    """The reason for the checksums: without them the same flips go unseen."""
    table, wrong, draw = firings(3000), 0, random.Random(0)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    whole = sink.getvalue().to_pybytes()
    for _ in range(50):
        broken = flipped(whole, draw.randrange(4 * len(whole)))
        with suppress(OSError, pa.ArrowException):
            wrong += not pq.read_table(pa.BufferReader(broken)).equals(table)
    assert wrong > 25


def test_every_flipped_bit_of_the_footer_is_noticed_before_pyarrow_parses_it(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(path, firings(100), SPEC)
    whole, footer = path.read_bytes(), parquet.footer_sha256(path)
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for bit in range(8 * start, 8 * len(whole), 23):
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(DamagedError):
            parquet.open_file(path, footer)
    path.write_bytes(whole)
    assert parquet.read_table(path, footer=footer).equals(firings(100))


def test_a_file_cut_anywhere_is_damaged(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(path, firings(300), SPEC)
    whole = path.read_bytes()
    for length in [0, 1, 3, 4, 7, 8, 11, 12, *range(20, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            parquet.read_table(path)


def test_a_missing_file_a_folder_and_no_parquet_at_all_are_damage_not_tracebacks(tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "text.parquet").write_text("PAR1 not really PAR1")
    for name in ("missing.parquet", "folder.parquet", "text.parquet"):
        with pytest.raises(DamagedError, match=name.split(".")[0]):
            parquet.read_table(tmp_path / name)


def test_a_column_that_is_not_there_is_damage_where_pyarrow_leaves_it_out_silently(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(firings(5).drop(["pos"]), path)
    assert pq.ParquetFile(path).read(columns=["pos"]).num_columns == 0
    with pytest.raises(DamagedError, match="lacks the columns pos"):
        parquet.read_table(path, ["context", "pos"])
    with parquet.open_file(path) as file, pytest.raises(DamagedError, match="lacks the columns pos"):
        parquet.read_row_groups(file, path, [0], ["pos"])


def test_a_footer_that_announces_too_many_rows_is_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    parquet.write_table(path, firings(100), SPEC)
    monkeypatch.setattr(parquet, "MAX_CELLS", 399)
    with pytest.raises(DamagedError, match="announces 100 rows"):
        parquet.open_file(path)


def test_a_small_file_of_very_many_values_is_refused_before_they_are_read(tmp_path, monkeypatch):
    """Equal values cost next to nothing on disk: 600,000 of them here, as rows and inside one list."""
    monkeypatch.setattr(parquet, "MAX_READ_CELLS", 500_000)
    flat, nested = tmp_path / "flat.parquet", tmp_path / "nested.parquet"
    zeros = pa.array(np.zeros(300_000, np.int32))
    pq.write_table(pa.table({"a": zeros, "b": zeros}), flat, compression="zstd")
    one_row = pa.ListArray.from_arrays(pa.array([0, 600_000], pa.int32()), pa.array(np.zeros(600_000, np.int32)))
    pq.write_table(pa.table({"l": one_row}), nested, compression="zstd")
    for path in (flat, nested):
        assert path.stat().st_size < 5_000
        with pytest.raises(DamagedError, match="values to be read at once"):
            parquet.read_table(path)
    assert parquet.read_table(flat, ["a"]).num_rows == 300_000


@pytest.mark.parametrize("stated", [101, 150, 227, 64, 99])
def test_a_footer_that_lies_about_its_rows_is_damage_or_reads_no_more_than_there_is(tmp_path, stated):
    """All places that say 228 rows say another number, in a file without a known footer."""
    spec = TableSpec("t", "", ACTIVATION_INDEX.columns, ("feature",), 1000)
    path, rows = tmp_path / "t.parquet", np.arange(228)
    arrays = [pa.array(rows).cast(f.type) for f in spec.schema]
    parquet.write_table(path, pa.table(arrays, schema=spec.schema), spec)
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")

    def varint(n: int) -> bytes:
        return bytes([2 * n & 0x7F | 0x80, 2 * n >> 7])  # thrift: zigzag, two bytes from 64 to 8191

    lying = whole[start:].replace(varint(228), varint(stated))
    assert lying != whole[start:]
    path.write_bytes(whole[:start] + lying)
    try:
        got = parquet.read_table(path)
    except DamagedError:
        return
    assert got["feature"].to_pylist() == list(range(min(stated, 228)))


def test_an_empty_table_reads_back_empty_with_its_columns(tmp_path):
    parquet.write_table(tmp_path / "t", CONTEXTS.schema.empty_table(), CONTEXTS)
    got = parquet.read_table(tmp_path / "t")
    assert got.num_rows == 0
    assert got.schema == CONTEXTS.schema


def test_damage_names_the_run_and_the_file(tmp_path):
    (tmp_path / "my-run").mkdir()
    (tmp_path / "my-run" / "run.json").write_text("{}")
    error = parquet.damaged(tmp_path / "my-run" / "features.parquet", "because")
    assert "features.parquet" in error.title
    assert "'my-run'" in error.title
    assert "prism verify my-run" in error.remedy
