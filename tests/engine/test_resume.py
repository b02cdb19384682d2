"""A run that is killed at any moment and started again ends with the tables of one that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from core.run_folder import MANIFEST
from core.store import Run, Store
from tests.engine.killable import make_run, run_and_die_at, run_until_killed
from tests.fakes import sentences

DELAY = 0.002


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children forked from a server that has imported the engine but started no thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.killable"])
    return context


@pytest.fixture
def place() -> Iterator[Path]:
    """Memory where there is some: hundreds of runs on a disk mostly wait for its fsync."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 200e6
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "text.json").write_text(json.dumps(sentences(100)))
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of an uninterrupted run."""
    return tables(make_run(folder, tmp_path_factory.mktemp("whole")))


def tables(run: Run) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(run.path.glob("*.parquet"))}


def assert_resumed(folder: Path, cache_dir: Path, whole: dict[str, bytes]) -> None:
    run = make_run(folder, cache_dir)
    assert tables(run) == whole
    assert run.verify() == []
    left = [p.name for p in cache_dir.iterdir() if p.name != "fake" and not p.name.startswith(".lock")]
    assert left == []
    assert {p.name for p in run.path.iterdir()} == whole.keys() | {MANIFEST}


def time_of_a_run(processes: ForkServerContext, folder: Path, cache_dir: Path) -> float:
    started = processes.Event()
    child = processes.Process(target=run_until_killed, args=(folder, cache_dir, DELAY, started))
    child.start()
    assert started.wait(120)
    begun = time.monotonic()
    child.join(120)
    assert child.exitcode == 0
    return time.monotonic() - begun


def kill_and_resume(
    processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes], n: int, seed: int
) -> None:
    seconds = time_of_a_run(processes, folder, place / "timed")
    n_killed, shares = 0, np.random.default_rng(seed).uniform(0.02, 0.9, 6 * n)
    for i, share in enumerate(shares):
        if n_killed == n:
            break
        cache_dir, started = place / f"cache{i}", processes.Event()
        child = processes.Process(target=run_until_killed, args=(folder, cache_dir, DELAY, started))
        child.start()
        assert started.wait(120)
        print(f"kill {i} after {share:.3f} of {seconds:.2f} s")  # shown when it fails
        time.sleep(share * seconds)
        child.kill()
        child.join()
        killed = child.exitcode == -signal.SIGKILL
        n_killed += killed
        seconds *= 1 if killed else 0.7  # the machine is less busy than when the run was timed
        if Store(cache_dir).names():  # it was quicker than the clock said
            assert child.exitcode == 0 or tables(Store(cache_dir).run("fake")) == whole
        assert_resumed(folder, cache_dir, whole)
        shutil.rmtree(cache_dir)
    assert n_killed == n


def test_five_kills_at_random_moments(
    processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes]
) -> None:
    kill_and_resume(processes, folder, place, whole, 5, seed=int(time.time()))


@pytest.mark.slow
def test_two_hundred_kills_at_random_moments(
    processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes]
) -> None:
    kill_and_resume(processes, folder, place, whole, 200, seed=0)


def die_at_every(processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes], step: int) -> None:
    """Kill at every ``step``-th moment at which something becomes durable, until a run gets through."""
    for n in range(0, 10_000, step):
        cache_dir = place / f"cache{n}"
        child = processes.Process(target=run_and_die_at, args=(folder, cache_dir, n))
        child.start()
        child.join(120)
        assert_resumed(folder, cache_dir, whole)
        shutil.rmtree(cache_dir)
        if child.exitcode == 0:
            assert n > 30
            return
        assert child.exitcode == -signal.SIGKILL


def test_deaths_between_any_two_durable_steps(
    processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes]
) -> None:
    die_at_every(processes, folder, place, whole, step=9)


@pytest.mark.slow
def test_death_before_every_durable_step(
    processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes]
) -> None:
    die_at_every(processes, folder, place, whole, step=1)


def test_a_run_killed_again_and_again_gets_on(
    processes: ForkServerContext, folder: Path, place: Path, whole: dict[str, bytes]
) -> None:
    cache_dir = place / "cache"
    for _ in range(3):
        child = processes.Process(target=run_and_die_at, args=(folder, cache_dir, 8))
        child.start()
        child.join(120)
        assert child.exitcode == -signal.SIGKILL
    assert len(list((Store(cache_dir).partial("fake") / "shards").glob("*.json"))) > 6
    assert_resumed(folder, cache_dir, whole)
