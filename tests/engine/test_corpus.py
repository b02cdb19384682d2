"""Text to contexts: every format, every count, every bad file."""

from __future__ import annotations

import csv
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.analyses.base import Silent
from core.engine import documents as documents_module
from core.engine.corpus import Windowing, require_windowing, write_contexts
from core.engine.documents import open_documents
from core.engine.tokens import special_ids
from core.errors import CorpusError, InputError, MachineError
from core.parquet import read_table
from core.recipe import CorpusRecipe
from core.types import CorpusCounts
from tests.fakes import letters_tokenizer, sentences

TEXTS = ["Alpha says\nhello.", "  Beta, ünïcode 🦊", 'Gamma "quoted", with comma', "Delta"]


def corpus(path: Path, **changes: Any) -> CorpusRecipe:
    return CorpusRecipe(**({"path": str(path), "n_contexts": 1000} | changes))


def windowing(size: int = 16, bos: bool = True) -> Windowing:
    tokenizer = letters_tokenizer()
    return require_windowing(tokenizer, size, bos, special_ids(tokenizer))


def contexts_of(
    tmp_path: Path, recipe: CorpusRecipe, size: int = 16, bos: bool = True
) -> tuple[CorpusCounts, list[dict]]:
    path = tmp_path / "contexts.parquet"
    counts = write_contexts(path, open_documents(recipe), recipe, windowing(size, bos), Silent())
    return counts, read_table(path).to_pylist()


def write_texts(path: Path, texts: list[str]) -> Path:
    writers: dict[str, Callable[[], object]] = {
        ".txt": lambda: path.write_text("\n\n".join(t.replace("\n", " ") for t in texts) + "\n", encoding="utf-8"),
        ".json": lambda: path.write_text(json.dumps([{"text": t, "id": i} for i, t in enumerate(texts)])),
        ".jsonl": lambda: path.write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)),
        ".parquet": lambda: pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path),
        ".csv": lambda: _write_csv(path, texts),
    }
    writers[path.suffix]()
    return path


def _write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(texts))


# --- formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".json", ".jsonl", ".csv", ".parquet"])
def test_every_format_gives_back_its_texts_with_their_place(tmp_path: Path, suffix: str) -> None:
    documents = open_documents(corpus(write_texts(tmp_path / f"a{suffix}", TEXTS)))
    wanted = [t.replace("\n", " ") for t in TEXTS] if suffix == ".txt" else TEXTS
    assert [documents[i].text for i in range(len(documents))] == wanted
    places = {".txt": "line 1 line 3 line 5 line 7", ".jsonl": "line 1 line 2 line 3 line 4"}
    expected = places.get(suffix, "row 0 row 1 row 2 row 3")
    assert " ".join(documents[i].source for i in range(len(documents))) == expected


def test_a_json_list_of_strings_needs_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(TEXTS))
    assert open_documents(corpus(tmp_path / "a.json", column="anything"))[1].text == TEXTS[1]


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    documents = open_documents(corpus(tmp_path / "a.txt"))
    assert [documents[i].text for i in range(len(documents))] == ["one", "two"]


def test_a_csv_field_may_hold_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\n"one\ntwo",1\nthree,2\n')
    documents = open_documents(corpus(tmp_path / "a.csv"))
    assert [documents[i].text for i in range(len(documents))] == ["one\ntwo", "three"]


def test_text_beyond_the_memory_limit_spills_to_disk_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_module, "_MEMORY", 100)
    texts = sentences(50)
    documents = open_documents(corpus(write_texts(tmp_path / "a.jsonl", texts)))
    assert [documents[i].text for i in (49, 0, 17)] == [texts[49], texts[0], texts[17]]


# --- windows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bos", [True, False])
def test_windows_of_a_document_are_its_tokens_in_order_and_never_another_ones(tmp_path: Path, bos: bool) -> None:
    texts = sentences(40)
    recipe = corpus(write_texts(tmp_path / "a.json", texts))
    _, rows = contexts_of(tmp_path, recipe, bos=bos)
    tokenizer = letters_tokenizer()
    by_source: dict[str, list[int]] = {}
    for row in rows:
        ids = row["token_ids"]
        assert len(ids) <= 16
        assert (ids[0] == tokenizer.bos_token_id) == bos
        body = ids[1:] if bos else ids
        assert row["start"] == len(by_source.setdefault(row["source"], []))
        by_source[row["source"]] += body
    for source, ids in by_source.items():
        whole = tokenizer(texts[int(source.removeprefix("row "))], add_special_tokens=False)["input_ids"]
        lengths = [len(row["token_ids"]) for row in rows if row["source"] == source]
        assert set(lengths[:-1]) <= {16}
        assert len(whole) - len(ids) < 16  # a last window that is too short, or ends as another one does, is dropped
        assert ids == whole[: len(ids)]


def test_counts_account_for_every_document_window_and_position(tmp_path: Path) -> None:
    repeated = "the same fifteen" * 4
    texts = [*sentences(30), "", "  \n ", repeated, repeated, "a", "x" * 45 + " cut here", None]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(texts))
    counts, rows = contexts_of(tmp_path, corpus(path))
    assert counts.n_documents_read == len(texts)
    assert (counts.n_documents_empty, counts.n_documents_duplicate) == (3, 1)
    assert counts.n_documents_read == counts.n_documents_empty + counts.n_documents_duplicate + counts.n_documents_used
    tokenizer = letters_tokenizer()
    used = list(dict.fromkeys(t for t in texts if t and t.strip()))
    lengths = [len(tokenizer(t)["input_ids"]) for t in used]
    windows = sum(-(-n // 15) for n in lengths)
    assert counts.n_contexts_duplicate == 2  # "xxxxxxxxxxxxxxx" three times
    assert counts.n_contexts + counts.n_contexts_duplicate + counts.n_contexts_short == windows
    assert counts.n_contexts == len(rows)
    assert counts.n_tokens == sum(row["n_tokens"] for row in rows)
    assert counts.n_tokens + counts.n_special == sum(len(row["token_ids"]) for row in rows)
    assert counts.n_tokens == sum(lengths) - 2 * 15 - counts.n_contexts_short  # short windows hold one token here
    assert counts.n_special == counts.n_contexts
    assert counts.licence == "not stated"


def test_no_two_windows_are_equal(tmp_path: Path) -> None:
    texts = [f"{'again and again ' * 3}{i}" for i in range(20)]
    _, rows = contexts_of(tmp_path, corpus(write_texts(tmp_path / "a.json", texts)))
    assert len({tuple(row["token_ids"]) for row in rows}) == len(rows)


def test_special_tokens_written_in_the_text_are_counted_as_special(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(["ab<bos>cd", "no mark"]))
    counts, rows = contexts_of(tmp_path, corpus(tmp_path / "a.json"))
    assert counts.n_special == 2 + 1
    assert sorted(row["n_tokens"] for row in rows) == [4, 7]


@pytest.mark.parametrize(("limit", "expected"), [({"n_contexts": 7}, 7), ({"n_contexts": None, "n_tokens": 100}, None)])
def test_reading_stops_when_there_is_enough(tmp_path: Path, limit: dict, expected: int | None) -> None:
    counts, rows = contexts_of(tmp_path, corpus(write_texts(tmp_path / "a.json", sentences(200)), **limit))
    assert counts.n_documents_read < 200
    if expected:
        assert counts.n_contexts == len(rows) == expected
    else:
        assert 100 <= counts.n_tokens < 100 + 15


def test_documents_are_drawn_by_seed(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.json", sentences(100))
    drawn = [contexts_of(tmp_path, corpus(path, n_contexts=20, seed=seed))[1] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    sources = list(dict.fromkeys(row["source"] for row in drawn[0]))
    assert sources != sorted(sources, key=lambda s: int(s.split()[1]))


def test_replacements_are_made_before_tokenising(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(["one\n\ntwo", "three"]))
    _, rows = contexts_of(tmp_path, corpus(tmp_path / "a.json", replace={"\n\n": "\n"}))
    tokenizer = letters_tokenizer()
    texts = {tokenizer.decode(row["token_ids"][1:]) for row in rows}
    assert texts == {"one\ntwo", "three"}


def test_the_licence_is_the_recipes(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.json", TEXTS)
    assert contexts_of(tmp_path, corpus(path, licence="CC0-1.0"))[0].licence == "CC0-1.0"


def test_one_line_of_50_mb_is_cut_and_counted_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"word " * 10_000_000 + b"\nsecond line\n")
    started = time.process_time()
    tracemalloc.start()
    documents = open_documents(corpus(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    assert time.process_time() - started < 10
    assert [len(documents[i].text) for i in range(2)] == [documents_module.MAX_CHARACTERS, 11]
    counts, _ = contexts_of(tmp_path, corpus(path, n_contexts=100_000), size=32)
    assert counts.n_documents_cut == 1
    assert counts.n_documents_used == 2


# --- bad input ----------------------------------------------------------------------------------------


def problem(recipe: CorpusRecipe, tmp_path: Path) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        contexts_of(tmp_path, recipe)
    assert caught.value.remedy
    return caught.value


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "stories.txt").write_text("x")
    assert "stories.txt" in problem(corpus(tmp_path / "storys.txt"), tmp_path).detail


@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
def test_an_empty_file_gives_no_contexts(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert "no contexts" in problem(corpus(tmp_path / "a.txt"), tmp_path).title


@pytest.mark.parametrize("suffix", [".txt", ".json", ".jsonl", ".csv"])
def test_a_binary_file_is_named_as_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 100)
    error = problem(corpus(path), tmp_path)
    assert "is not text" in error.title
    assert "offset 8" in error.detail


@pytest.mark.parametrize("before", [0, 5, 3_000_000])
def test_the_first_byte_that_is_no_utf8_is_named(tmp_path: Path, before: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("é".encode() * (before // 2) + b"x" * (before % 2) + b"caf\xe9 au lait\n")
    error = problem(corpus(path), tmp_path)
    assert f"byte 0xE9 at offset {before + 3:,}" in error.detail
    assert "iconv" in error.remedy


def test_a_file_that_ends_inside_a_character_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\n" + "🦊".encode()[:3])
    assert "offset 3" in problem(corpus(tmp_path / "a.txt"), tmp_path).detail


def test_a_parquet_file_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"\x00\xff" * 100)
    assert "not readable as parquet" in problem(corpus(tmp_path / "a.parquet"), tmp_path).title


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_an_unknown_column_names_the_nearest(tmp_path: Path, suffix: str) -> None:
    path = write_texts(tmp_path / f"a{suffix}", TEXTS)
    error = problem(corpus(path, column="texts"), tmp_path)
    assert "'texts'" in error.title
    assert "'text'" in error.remedy


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", '{"text": "no list"}', "not a list"),
        ("a.json", '["one", 7]', "item 1"),
        ("a.json", '["one", ', "not JSON"),
        ("a.jsonl", '"one"\n{"text": \n', "line 2"),
    ],
)
def test_json_that_cannot_be_read_names_the_place(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    assert says in problem(corpus(tmp_path / name), tmp_path).title


def test_a_parquet_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.parquet", TEXTS)
    assert "is not text" in problem(corpus(path, column="id"), tmp_path).title


def test_a_corpus_of_one_text_repeated_is_refused(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.json", ["the very same text"] * 50)
    error = problem(corpus(path), tmp_path)
    assert "are the same" in error.title
    assert "49 of them" in error.detail


def test_texts_of_one_token_give_no_contexts(tmp_path: Path) -> None:
    assert "fewer than 2 tokens" in problem(corpus(write_texts(tmp_path / "a.json", ["a", "b"])), tmp_path).detail


@pytest.mark.parametrize("size", [2, 40_000])
def test_an_impossible_context_size_is_refused(size: int) -> None:
    with pytest.raises(CorpusError, match="context_size"):
        windowing(size)


def test_a_tokenizer_without_any_start_token_cannot_prepend_one() -> None:
    tokenizer = letters_tokenizer()
    tokenizer.bos_token = None
    with pytest.raises(CorpusError, match="BOS"):
        require_windowing(tokenizer, 16, True, frozenset())
    assert require_windowing(tokenizer, 16, False, frozenset()).bos_id is None


# --- datasets of the hub ------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset folder as the hub lays one out; reading it needs no network."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "small-dataset"
    (folder / "data").mkdir(parents=True)
    texts = sentences(30)
    table = pa.table({"text": texts, "n": np.arange(30)})
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    pq.write_table(table.slice(0, 3), folder / "data" / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A card\n")
    return folder


def test_a_dataset_gives_rows_and_its_licence(dataset: Path, tmp_path: Path) -> None:
    counts, rows = contexts_of(tmp_path, CorpusRecipe(dataset=str(dataset), n_contexts=1000))
    assert counts.n_documents_read == 30
    assert counts.licence == "cc-by-4.0"
    assert len({row["source"] for row in rows}) == 30
    assert len(open_documents(CorpusRecipe(dataset=str(dataset), split="train[:5]"))) == 5


def test_an_unknown_split_names_the_nearest(dataset: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        open_documents(CorpusRecipe(dataset=str(dataset), split="trian"))
    assert "'trian'" in caught.value.title
    assert "'train'" in caught.value.remedy


def test_an_unknown_configuration_is_named(dataset: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        open_documents(CorpusRecipe(dataset=str(dataset), config="english"))
    assert "configuration 'english'" in caught.value.title


def test_an_unknown_or_textless_column_of_a_dataset_is_refused(dataset: Path) -> None:
    for column, says in (("txet", "no column 'txet'"), ("n", "is not text")):
        with pytest.raises(CorpusError, match=says):
            open_documents(CorpusRecipe(dataset=str(dataset), column=column))


def test_a_dataset_that_is_not_here_says_how_to_fetch_it() -> None:
    with pytest.raises((MachineError, InputError)) as caught:
        open_documents(CorpusRecipe(dataset="nobody/no-such-dataset"))
    assert isinstance(caught.value, MachineError)
    assert "hf download --repo-type dataset nobody/no-such-dataset" in caught.value.remedy
