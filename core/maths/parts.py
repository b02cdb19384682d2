"""Parts of one computation on all cores: numba releases the interpreter's lock, so threads are enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_parts(work: Callable[[int], T], n_parts: int) -> list[T]:
    """``[work(0), work(1), ...]`` on as many threads as ``OMP_NUM_THREADS`` says, or as there are cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    n_threads = min(n_parts, int(said) if said.isdigit() and int(said) else len(os.sched_getaffinity(0)))
    if n_threads == 1:
        return [work(part) for part in range(n_parts)]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, range(n_parts)))
