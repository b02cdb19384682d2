"""A run of fakes in a process of its own, to be killed. Import this before any thread is started."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine import choices
from core.engine.run import run_recipe
from core.errors import PrismError
from core.store import Run, Store
from tests.fakes import FakeModel, fake_recipe, install


def make_run(folder: Path, cache_dir: Path, delay: float = 0.0) -> Run:
    """The same small run with many shards, whatever process makes it; ``delay`` seconds per batch of the model."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, FakeModel(delay=delay))
        patch.setattr(choices, "SHARD_TOKENS", 250)
        return run_recipe(fake_recipe(corpus={"n_contexts": 150}), folder, Store(cache_dir))


def run_until_killed(folder: Path, cache_dir: Path, delay: float, started: Any) -> None:
    """Child process: tell that work begins, then make the run."""
    started.set()
    make_run(folder, cache_dir, delay)


def run_and_die_at(folder: Path, cache_dir: Path, n: int) -> None:
    """Child process: SIGKILL itself when something is made durable for the ``n``-th time (from 0)."""
    count, sync = 0, os.fsync

    def fsync(handle: int) -> None:
        nonlocal count
        if count == n:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        sync(handle)

    os.fsync = fsync  # type: ignore[assignment]
    make_run(folder, cache_dir)


def run_when_told(folder: Path, cache_dir: Path, ready: Any, told: Any, answer: Any) -> None:
    """Child process: wait (a tracer attaches meanwhile), make the run and send what stopped it."""
    ready.set()
    told.wait(60)
    try:
        make_run(folder, cache_dir)
        answer.put(("", "", ""))
    except PrismError as error:
        answer.put((type(error).__name__, error.title, error.remedy))
