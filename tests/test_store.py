"""Runs on disk: what is read equals what was written, and what is not there or not whole is said so."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import parquet
from core.errors import DamagedError, InputError, MachineError, NotFoundError
from core.publish import publish
from core.run_folder import MANIFEST, changing, table_entry, write_json, write_sealed
from core.store import Run, Store, check_name
from core.tables import ACTIVATION_INDEX, CONTEXTS, LABELS, activations_spec
from tests.factories import World, make_world, write_run

D_SAE = 40


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(n_contexts=600, d_sae=D_SAE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """One run ``toy`` whose activations lie in row groups of 500, so that most features span several."""
    cache_dir = tmp_path_factory.mktemp("cache")
    folder = write_run(cache_dir, world=world).path
    regroup(folder, 500)
    return cache_dir


@pytest.fixture(scope="module")
def run(cache: Path) -> Run:
    return Store(cache).run("toy")


@pytest.fixture
def own(cache: Path, tmp_path: Path) -> Run:
    """A copy of the run to break."""
    shutil.copytree(cache / "toy", tmp_path / "toy")
    return Store(tmp_path).run("toy")


def regroup(folder: Path, size: int) -> None:
    path = folder / "activations.parquet"
    table = parquet.read_table(path)
    with parquet.open_writer(path, activations_spec("float16"), size) as writer:
        writer.write(table)
    restate(folder, "activations")


def restate(folder: Path, *names: str) -> None:
    """Write the manifest anew for tables that were changed on purpose."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in names:
        manifest["tables"][name] = table_entry(folder / f"{name}.parquet")
    write_sealed(folder, manifest)


def write_labels(folder: Path, rows: list[tuple]) -> None:
    columns = [pa.array(c).cast(f.type) for c, f in zip(zip(*rows, strict=True), LABELS.schema, strict=True)]
    parquet.write_table(folder / "labels.parquet", pa.table(columns, schema=LABELS.schema), LABELS)


def dense(world: World, feature: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    context, pos = np.nonzero(world.acts[..., feature])
    return context, pos, world.acts[context, pos, feature].astype(np.float16).astype(np.float32)


# --- reading ------------------------------------------------------------------------------------------


def test_every_features_acts_read_by_row_group_equal_the_dense_array(run, world):
    groups = pq.ParquetFile(run.path / "activations.parquet").metadata.num_row_groups
    assert groups > 10
    for feature in range(D_SAE):
        got = run.acts(feature)
        for mine, expected in zip((got.context, got.pos, got.act), dense(world, feature), strict=True):
            np.testing.assert_array_equal(mine, expected)
        assert (got.context.dtype, got.pos.dtype, got.act.dtype) == (np.int32, np.int16, np.float32)


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_acts_do_not_depend_on_the_size_of_row_groups(own, world, size):
    small = make_world(n_contexts=12, n_pos=8, d_sae=6)
    shutil.rmtree(own.path)
    folder = write_run(own.path.parent, world=small).path
    regroup(folder, size)
    for feature in range(6):
        np.testing.assert_array_equal(Run(folder).acts(feature).act, dense(small, feature)[2])


@pytest.mark.parametrize("max_rows", [1, 333, 2000, 10**9])
def test_blocks_hold_every_feature_once_in_order_and_keep_to_their_size(run, world, max_rows):
    seen: list[int] = []
    for block in run.blocks(max_rows):
        assert len(block.act) <= max_rows or len(block.features) == 1
        assert block.ptr[0] == 0
        assert block.ptr[-1] == len(block.act) == len(block.context) == len(block.pos)
        for i, feature in enumerate(block.features.tolist()):
            rows = slice(block.ptr[i], block.ptr[i + 1])
            for mine, expected in zip((block.context, block.pos, block.act), dense(world, feature), strict=True):
                np.testing.assert_array_equal(mine[rows], expected)
            seen.append(feature)
    assert seen == list(range(D_SAE))


def test_flat_contexts_hold_all_tokens_end_to_end(run, world):
    flat = run.flat_contexts()
    np.testing.assert_array_equal(flat.token_ids.reshape(world.tokens.shape), world.tokens)
    np.testing.assert_array_equal(flat.ptr, np.arange(len(world.tokens) + 1) * world.tokens.shape[1])
    np.testing.assert_array_equal(flat.document, world.documents)


def test_contexts_come_in_the_order_asked_for_with_repeats(run, world):
    wanted = [599, 0, 256, 255, 256, 3]
    got = run.contexts(wanted)
    assert got["context"].tolist() == wanted
    np.testing.assert_array_equal(np.stack(got["token_ids"]), world.tokens[wanted])
    assert run.contexts([]).columns.tolist() == CONTEXTS.schema.names


@pytest.mark.parametrize("context", [-1, 600, 10**9])
def test_a_context_that_is_not_there_is_named(run, context):
    with pytest.raises(NotFoundError, match=f"no context {context}\nthis run has contexts 0 to 599"):
        run.contexts([5, context])


@pytest.mark.parametrize("table", ["near_misses", "neighbours", "histograms"])
def test_rows_of_one_feature_equal_those_of_the_whole_table(run, table):
    whole = run.table(table)
    for feature in range(D_SAE):
        got = getattr(run, table)(feature)
        expected = whole[whole["feature"] == feature].reset_index(drop=True)
        assert got.astype(str).equals(expected.astype(str))
    assert run.histograms(0).empty


def test_features_show_their_first_label_and_an_empty_text_without_one(own):
    assert set(own.features()["label"]) == {""}
    rows = [(3, "first", "a", "t"), (3, "second", "b", "t"), (7, "<b>seven</b>", "a", "t")]
    write_labels(own.path, rows)
    labels = own.features().set_index("feature")["label"]
    assert labels[labels != ""].to_dict() == {3: "first", 7: "<b>seven</b>"}


def test_special_ids_and_str_tokens_come_from_the_vocabulary(run):
    assert run.special_ids == {0}
    assert run.str_tokens[:2].tolist() == ["<s>", " the"]


def test_threads_may_share_a_run(run, world):
    wrong: list[int] = []

    def read(seed: int) -> None:
        for feature in np.random.default_rng(seed).permutation(D_SAE).tolist():
            if not np.array_equal(run.acts(feature).act, dense(world, feature)[2]):
                wrong.append(feature)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- what is not there --------------------------------------------------------------------------------


@pytest.mark.parametrize("feature", [-3, -1, D_SAE, 10**9, 2**40])
def test_a_feature_beyond_the_sae_is_named_with_the_range_there_is(run, feature):
    for read in (run.acts, run.near_misses, run.neighbours, run.histograms, run.require_feature):
        with pytest.raises(NotFoundError, match=f"no feature {feature}\nthis SAE has features 0 to 39"):
            read(feature)


def test_a_feature_that_was_not_encoded_names_the_nearest_that_were(own):
    drop(own.path, {10, 11, 39})
    run = Run(own.path)
    assert len(run.encoded_features) == D_SAE - 3
    with pytest.raises(NotFoundError, match=r"feature 10 was not encoded.*\n37 of 40 .*9, 8, 12, 7, 13"):
        run.acts(10)
    with pytest.raises(NotFoundError, match="feature 39 was not encoded"):
        run.acts(39)
    np.testing.assert_array_equal(run.acts(12).act, own.acts(12).act)


def drop(folder: Path, features: set[int]) -> None:
    """Take features out of the index, as if they had not been encoded (their rows stay)."""
    index = parquet.read_table(folder / "activation_index.parquet").to_pandas()
    kept = pa.Table.from_pandas(index[~index["feature"].isin(features)], schema=ACTIVATION_INDEX.schema)
    parquet.write_table(folder / "activation_index.parquet", kept.replace_schema_metadata(None), ACTIVATION_INDEX)
    restate(folder, "activation_index")


def test_an_unknown_run_is_answered_with_the_nearest_names(cache):
    with pytest.raises(NotFoundError, match="no run 'toi'\nDid you mean 'toy'"):
        Store(cache).run("toi")
    with pytest.raises(NotFoundError, match="none"):
        Store(cache / "nowhere").run("toy")


@pytest.mark.parametrize(
    "name", ["../toy", "toy/../toy", "/etc", "toy/", ".", "..", "", "TOY", "toy\n", "toy\x00", "~"]
)
def test_a_run_is_named_and_never_reached_by_a_path(cache, name):
    (cache / "inner").mkdir(exist_ok=True)
    with pytest.raises(NotFoundError):
        Store(cache / "inner").run(name)
    with pytest.raises(NotFoundError):
        Store(cache).run(name)


def test_the_command_line_may_name_a_run_by_its_folder(cache, tmp_path):
    assert Store(tmp_path).open_run(str(cache / "toy")).name == "toy"
    assert Store(cache).open_run("toy").name == "toy"
    with pytest.raises(NotFoundError):
        Store(cache).open_run(str(tmp_path))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=70))
@example("a" * 64)
@example("../x")
@example("x/../y")
@example("a\n")
def test_names_that_pass_stay_inside_their_folder(name):
    try:
        assert check_name(name) == name
    except InputError:
        return
    assert len(name) <= 64
    assert Path("/base", name).resolve().parent == Path("/base")
    assert name.isascii()
    assert name == name.lower()
    assert not name.startswith(".")


# --- what is finished, unfinished, published ----------------------------------------------------------


def test_a_folder_without_a_manifest_does_not_exist(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "half").mkdir()
    store.partial("begun").mkdir()
    (tmp_path / "Capital").mkdir()
    (tmp_path / "Capital" / MANIFEST).write_text("{}")
    assert store.names() == []
    assert store.unfinished() == ["begun"]
    assert Store(tmp_path / "nowhere").names() == []
    assert Store(tmp_path / "nowhere").unfinished() == []


def test_publishing_replaces_a_run_of_the_same_name_and_leaves_nothing_behind(tmp_path):
    write_run(tmp_path, world=make_world(n_contexts=20, d_sae=6))
    write_run(tmp_path, world=make_world(n_contexts=20, d_sae=8))
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".lock")] == ["toy"]
    assert len(Store(tmp_path).run("toy").encoded_features) == 8


def replacement(cache_dir: Path) -> Store:
    """A run ``toy`` with a label, a list and a model, and a finished one of the same SAE ready to take its place."""
    for n_contexts in (20, 24):
        path = write_run(cache_dir, world=make_world(n_contexts=n_contexts, d_sae=6)).path
        manifest = json.loads((path / MANIFEST).read_text())
        manifest["sae"]["weights_sha256"] = "a" * 64
        write_sealed(path, manifest)
        if n_contexts == 20:
            path.rename(cache_dir / "first")
    path.rename(cache_dir / ".partial-toy")
    (cache_dir / "first").rename(path)
    write_labels(path, [(3, "precious", "a person", "t")])
    restate(path, "labels")
    (path / "lists").mkdir()
    (path / "lists" / "mine.json").write_text("[3]")
    (path / "ledger.jsonl").write_text("paid")
    (path / "model").mkdir()
    (path / "model" / "weights").write_text("w" * 1000)
    return Store(cache_dir)


def publish_and_die(store: Store, at: int, after: bool) -> bool:
    """Publish in a child that is killed before or after its ``at``-th change of the file system; whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    seen = 0

    def counted(change: Any) -> Any:
        def deadly(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at and not after:
                os._exit(9)
            try:
                return change(*args, **kwargs)
            finally:
                if seen == at:
                    os._exit(9)

        return deadly

    for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    try:
        publish(store, "toy")
    finally:
        os._exit(0)


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_moment_of_publishing_loses_no_label_list_or_model(tmp_path, after):
    for at in range(1, 200):
        cache_dir = tmp_path / str(at)
        store = replacement(cache_dir)
        killed = publish_and_die(store, at, after)
        run = store.run("toy")
        assert run.labels()["label"].tolist() == ["precious"]
        assert (run.path / "lists" / "mine.json").read_text() == "[3]"
        assert (run.path / "model" / "weights").read_text() == "w" * 1000
        assert run.verify() == []
        assert store.names() == ["toy"]
        if store.partial("toy").exists():
            run = publish(store, "toy")
        assert run.manifest["corpus"]["n_contexts"] == 24, "the next attempt ends what the killed one began"
        assert run.labels()["label"].tolist() == ["precious"]
        assert (run.path / "lists" / "mine.json").read_text() == "[3]"
        assert (run.path / "ledger.jsonl").read_text() == "paid"
        assert run.verify() == []
        assert not [p for p in run.path.rglob(".*")]
        if not killed:
            break
        shutil.rmtree(cache_dir)
    assert 10 < at < 199


def test_a_label_added_after_a_killed_publishing_is_carried_by_the_next(tmp_path):
    store = replacement(tmp_path)
    assert publish_and_die(store, 7, after=False)
    write_labels(tmp_path / "toy", [(3, "precious", "a", "t"), (4, "later", "a", "t")])
    restate(tmp_path / "toy", "labels")
    assert publish(store, "toy").labels()["label"].tolist() == ["precious", "later"]


def test_a_run_of_another_sae_takes_no_labels_over(tmp_path):
    store = replacement(tmp_path)
    manifest = json.loads((store.partial("toy") / MANIFEST).read_text())
    manifest["sae"]["weights_sha256"] = "b" * 64
    write_sealed(store.partial("toy"), manifest)
    run = publish(store, "toy")
    assert run.labels().empty
    assert not (run.path / "lists").exists()
    assert (run.path / "ledger.jsonl").read_text() == "paid", "an answer is true whatever the SAE"
    assert (run.path / "model" / "weights").exists()


def test_publishing_makes_the_new_name_durable(tmp_path, monkeypatch):
    """The folder of the names is synchronised after the rename, or a power cut may take the run back."""
    store, events = replacement(tmp_path), []
    rename, fsync = os.rename, os.fsync
    monkeypatch.setattr(os, "rename", lambda *a, **k: (events.append("rename"), rename(*a, **k)))
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    publish(store, "toy")
    last = len(events) - 1 - events[::-1].index("rename")
    assert str(tmp_path) in events[last + 1 :]


def test_who_cannot_lock_a_run_is_told_so(cache, monkeypatch, tmp_path):
    monkeypatch.setattr("core.run_folder.LOCK_S", 0.1)
    with changing(tmp_path / "toy"), pytest.raises(MachineError, match="being changed"), changing(tmp_path / "toy"):
        pass
    with pytest.raises(MachineError, match="cannot be changed"), changing(Path("/proc/nowhere/toy")):
        pass


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"naïve": "🦊"})
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"naïve": "🦊"}


# --- damage -------------------------------------------------------------------------------------------


def everything(run: Run) -> list[object]:
    """All that pages read of a run, in a form that compares."""
    read: list[object] = [run.manifest, run.features().to_csv(), run.str_tokens.tolist(), sorted(run.special_ids)]
    for feature in range(0, D_SAE, 3):
        acts = run.acts(feature)
        read += [acts.context.tolist(), acts.pos.tolist(), acts.act.tolist()]
        read += [getattr(run, t)(feature).to_csv() for t in ("near_misses", "neighbours", "histograms")]
    return [*read, run.contexts([0, 300, 599]).to_csv()]


def test_verify_finds_nothing_wrong_with_a_whole_run(run):
    assert run.verify() == []


def test_each_flipped_bit_anywhere_is_reported_by_verify_and_never_read_as_another_number(own):
    before, draw = everything(own), random.Random(1)
    files = sorted(p for p in own.path.iterdir() if p.is_file())
    assert len(files) == 9
    for i in range(72):
        path = files[i % len(files)]
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        if path.name == MANIFEST:
            with pytest.raises(DamagedError):
                Run(own.path).verify()
        else:
            assert Run(own.path).verify()
        with suppress(DamagedError):
            assert everything(Run(own.path)) == before
        path.write_bytes(whole)
    assert everything(Run(own.path)) == before


@pytest.mark.parametrize(
    "table", ["activations", "activation_index", "contexts", "features", "near_misses", "vocabulary"]
)
def test_a_truncated_table_is_damage_with_a_remedy_and_a_problem_for_verify(own, table):
    path = own.path / f"{table}.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run = Run(own.path)
    assert len(run.verify()) == 1
    assert f"{table}.parquet has" in run.verify()[0]
    with pytest.raises(DamagedError, match=table) as caught:
        everything(run)
    assert "prism" in caught.value.remedy


def test_a_missing_table_is_damage_and_a_problem_for_verify(own):
    (own.path / "neighbours.parquet").unlink()
    run = Run(own.path)
    assert run.verify() == ["neighbours.parquet is missing"]
    with pytest.raises(DamagedError, match="neighbours"):
        run.neighbours(3)
    assert len(run.acts(3).act), "the rest stays readable"


@pytest.mark.parametrize("change", [("first_row", -5), ("first_row", 10**12), ("n_firings", 10**9), ("first_row", 3)])
def test_an_index_that_lies_never_yields_another_features_rows(own, change):
    column, value = change
    index = parquet.read_table(own.path / "activation_index.parquet").to_pandas()
    index.loc[5, column] = value
    table = pa.Table.from_pandas(index, schema=ACTIVATION_INDEX.schema).replace_schema_metadata(None)
    parquet.write_table(own.path / "activation_index.parquet", table, ACTIVATION_INDEX)
    restate(own.path, "activation_index")
    with pytest.raises(DamagedError):
        Run(own.path).acts(5)
    with pytest.raises(DamagedError):
        list(Run(own.path).blocks(100))


@pytest.mark.parametrize("table", ["features", "near_misses", "activations", "contexts", "activation_index"])
def test_a_table_swapped_for_another_one_is_damage_even_when_the_manifest_agrees(own, table):
    shutil.copy(own.path / "vocabulary.parquet", own.path / f"{table}.parquet")
    with pytest.raises(DamagedError, match="footer"):
        everything(Run(own.path))
    restate(own.path, table)
    with pytest.raises(DamagedError, match=r"lacks the columns|found nothing"):
        everything(Run(own.path))


@pytest.mark.parametrize(("table", "column"), [("features", "density"), ("activations", "pos"), ("near_misses", "pos")])
def test_a_column_of_another_type_is_damage_that_names_both(own, table, column):
    path = own.path / f"{table}.parquet"
    values = pq.read_table(path)
    i = values.column_names.index(column)
    pq.write_table(values.set_column(i, column, values[column].cast(pa.string())), path)
    restate(own.path, table)
    with pytest.raises(DamagedError, match=f"'{column}' should be .*, found string"):
        everything(Run(own.path))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 1}', '{"format": 2}', '{"format": 1, "tables": []}', "\x00", '{"a": NaN'],
)
def test_a_manifest_that_is_no_manifest_is_damage_with_a_remedy(own, text):
    (own.path / MANIFEST).write_text(text)
    with pytest.raises(DamagedError) as caught:
        Run(own.path).acts(3)
    assert "toy" in caught.value.title
    assert caught.value.remedy


def test_a_manifest_changed_by_one_digit_is_damage(own):
    path = own.path / MANIFEST
    path.write_text(path.read_text().replace('"n_documents_read": 50', '"n_documents_read": 58'))
    with pytest.raises(DamagedError, match="not what was written"):
        _ = Run(own.path).manifest


def test_labels_may_change_while_a_reader_holds_an_older_manifest(own):
    assert own.manifest
    write_labels(own.path, [(3, "x", "s", "t")])
    restate(own.path, "labels")
    assert own.labels()["label"].tolist() == ["x"]
