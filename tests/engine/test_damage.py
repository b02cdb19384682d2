"""Flipped bits, cut files and full disks: noticed, told, nothing lost."""

from __future__ import annotations

import errno
import json
import multiprocessing
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import parquet
from core.engine import manifest
from core.engine.run import run_recipe
from core.engine.shards import Shards
from core.errors import DamagedError, MachineError
from core.store import Run, Store
from tests.engine.killable import make_run, run_when_told
from tests.fakes import D_SAE, fake_recipe, install, sentences


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "text.json").write_text(json.dumps(sentences(100)))
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def copied(whole: Run, tmp_path: Path) -> Path:
    """A run folder to be damaged."""
    return Path(shutil.copytree(whole.path, tmp_path / whole.name))


def everything(run: Run) -> Iterator[tuple[str, Any]]:
    """All that can be read from a run, by whole tables and by the lookups that pages make."""
    for name in run.manifest["tables"]:
        yield name, run.table(name)
    for feature in range(D_SAE):
        acts = run.acts(feature)
        yield f"acts {feature}", pd.DataFrame({"context": acts.context, "pos": acts.pos, "act": acts.act})
        for lookup in (run.near_misses, run.neighbours, run.histograms):
            yield f"{lookup.__name__} {feature}", lookup(feature)
    yield "contexts", run.contexts(range(run.manifest["counts"]["n_contexts"]))


def flip_and_look(whole: Run, copied: Path, n: int, seed: int) -> Counter[str]:
    """Flip one bit at a time somewhere in the tables (each table as likely as any) and read everything."""
    right = dict(everything(whole))
    rng = np.random.default_rng(seed)
    outcome: Counter[str] = Counter()
    files = sorted(copied.glob("*.parquet"))
    for _ in range(n):
        path = files[rng.integers(len(files))]
        content = path.read_bytes()
        at, bit = int(rng.integers(len(content))), int(rng.integers(8))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        assert any(path.name in problem for problem in Run(copied).verify()), (path.name, at, bit)
        outcome[_look(Run(copied), right, f"{path.name} byte {at} bit {bit}")] += 1
        path.write_bytes(content)
    assert Run(copied).verify() == []
    return outcome


def _look(run: Run, right: dict[str, Any], where: str) -> str:
    try:
        for name, frame in everything(run):
            pd.testing.assert_frame_equal(frame, right[name], obj=f"{name} after {where}")
    except DamagedError as error:
        return "told" if error.remedy else "no remedy"
    return "unread"


def test_twenty_flipped_bits_are_reported_and_never_change_what_is_read(whole: Run, copied: Path) -> None:
    outcome = flip_and_look(whole, copied, 20, seed=0)
    assert outcome["told"] >= 15  # the rest hit bytes that nobody reads; verify named those as well


@pytest.mark.slow
def test_two_hundred_flipped_bits_are_reported_and_never_change_what_is_read(whole: Run, copied: Path) -> None:
    assert flip_and_look(whole, copied, 200, seed=1)["told"] >= 150


@pytest.mark.parametrize("name", ["activations", "contexts", "features", "near_misses"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_truncated_table_is_told_with_its_remedy(copied: Path, name: str, keep: float) -> None:
    path = copied / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DamagedError) as caught:
        Run(copied).table(name)
    assert f"{name}.parquet" in caught.value.title
    assert "prism" in caught.value.remedy
    assert any(f"{name}.parquet" in problem for problem in Run(copied).verify())


# --- full disks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["shard", "table", "manifest"])
def test_a_full_disk_is_told_and_the_work_goes_on_from_there(
    folder: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = {
        "shard": (Shards, "write"),
        "table": (parquet.ChunkWriter, "write"),
        "manifest": (manifest, "write_sealed"),
    }[where]
    install(monkeypatch)
    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(*place, full)
        with pytest.raises(MachineError, match="is full") as caught:
            run_recipe(fake_recipe(), folder, store)
    assert "same command again" in caught.value.remedy
    assert store.unfinished() == ["fake"]
    assert store.names() == []
    assert run_recipe(fake_recipe(), folder, store).verify() == []


def test_an_unwritable_cache_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MachineError, match="cannot write") as caught:
        run_recipe(fake_recipe(), folder, Store(tmp_path / "file" / "cache"))
    assert "--cache-dir" in caught.value.remedy


def trace_works() -> bool:
    return shutil.which("strace") is not None and subprocess.run(["strace", "-o", "/dev/null", "true"]).returncode == 0


@pytest.mark.skipif(not trace_works(), reason="needs strace and the right to trace")
@pytest.mark.parametrize("file", ["contexts.parquet", "activations.parquet", "features.parquet", "shards/00002.tmp"])
def test_a_write_that_fails_in_the_kernel_is_told_and_resumed(
    folder: Path, whole: Run, tmp_path: Path, file: str
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.killable"])
    ready, told, answer = context.Event(), context.Event(), context.Queue()
    child = context.Process(target=run_when_told, args=(folder, tmp_path, ready, told, answer))
    child.start()
    assert ready.wait(120)
    path = Store(tmp_path).partial("fake") / file
    command = ["strace", "-f", "-q", "-o", str(tmp_path / "trace"), "-p", str(child.pid), "-P", str(path)]
    tracer = subprocess.Popen([*command, "-e", "trace=write,fsync", "-e", "inject=write:error=ENOSPC"])
    while f"TracerPid:\t{tracer.pid}" not in Path(f"/proc/{child.pid}/status").read_text():
        assert tracer.poll() is None
    told.set()
    try:
        kind, title, remedy = answer.get(timeout=120)
    except Empty:
        kind, title, remedy = "nothing", "", ""
    child.join(30)
    tracer.wait(30)
    assert "ENOSPC" in (tmp_path / "trace").read_text()
    assert (kind, "is full" in title, "same command again" in remedy) == ("MachineError", True, True)
    run = make_run(folder, tmp_path)
    assert {p.name: p.read_bytes() for p in run.path.glob("*.parquet")} == {
        p.name: p.read_bytes() for p in whole.path.glob("*.parquet")
    }
