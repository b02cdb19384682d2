"""SVD and all-pairs affinities beside scipy, in CPU-seconds. By hand.

    OMP_NUM_THREADS=1 python -m tests.bench.bench_patterns [--features 24576] [--contexts 200000] [--per-context 63]

A sparse matrix with topics and falling densities; scipy's ``svds`` and the sparse product B'B (which still lacks every
distance, neighbour and histogram) run in the same process. Ratios are the figures that count; without OMP_NUM_THREADS
the clock shows what more cores give. Memory is the highest that the process held beyond what it held before.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from core.maths.cofiring import cofiring_pass
from core.maths.deflated import Deflated
from core.maths.svd import truncated_svd

N_TOPICS = 200


def firings(n_features: int, n_contexts: int, per_context: int, seed: int = 0) -> sparse.csr_matrix:
    """Binary CSR: two thirds of each row by falling popularity, one third from the row's topic."""
    rng = np.random.default_rng(seed)
    popularity = 1 / (np.arange(n_features) + 30.0) ** 0.8
    columns = rng.choice(n_features, (n_contexts, per_context), p=popularity / popularity.sum()).astype(np.int32)
    topic_of, topic = rng.integers(0, N_TOPICS, n_features), rng.integers(0, N_TOPICS, n_contexts)
    order = np.argsort(topic_of, kind="stable")
    start = np.searchsorted(topic_of[order], np.arange(N_TOPICS + 1))
    size, n = (start[topic + 1] - start[topic])[:, None], per_context // 3
    columns[:, :n] = order[start[topic][:, None] + (rng.random((n_contexts, n)) ** 2 * size).astype(int)]
    rows = np.repeat(np.arange(n_contexts), per_context)
    out = sparse.csr_matrix((np.ones(rows.size), (rows, columns.ravel())), shape=(n_contexts, n_features))
    out.data[:] = 1.0
    return out


def held() -> float:
    """MB that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Run and print CPU-seconds, seconds by the clock, and the memory held at most beyond that before."""
    before, highest, done = held(), [held()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest[0] = max(highest[0], held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, clock = time.process_time(), time.perf_counter()
    made = work()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    done.set()
    watcher.join()
    print(f"{name:<44}{cpu:8.2f} CPU-s {clock:8.2f} s {highest[0] - before:8.0f} MB", flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=24_576)
    parser.add_argument("--contexts", type=int, default=200_000)
    parser.add_argument("--per-context", type=int, default=63)
    parser.add_argument("-k", type=int, default=64)
    given = parser.parse_args()
    binary = firings(given.features, given.contexts, given.per_context)
    print(f"{binary.shape[0]} x {binary.shape[1]}, {binary.nnz} non-zeros")
    columns, acts = binary.tocsc(), binary.copy()
    acts.data = np.random.default_rng(1).gamma(2.0, 1.0, acts.nnz)
    few = Deflated.plain(acts[:200, :50])
    cofiring_pass(columns[:200, :50])  # compiled before the clock starts
    few.gram_dot(np.ones((50, 16)), np.float32)
    timed("ours: 3 affinities, top 20, histograms", lambda: cofiring_pass(columns, 20))
    ours = timed(f"ours: SVD, k = {given.k}", lambda: truncated_svd(Deflated.plain(acts), given.k))
    theirs = timed(f"scipy svds, k = {given.k}", lambda: svds(acts, given.k, return_singular_vectors="vh")[1])
    error = np.abs(np.sort(theirs)[::-1] - ours.s).max() / ours.s[0]
    print(f"largest difference of singular values {error:.1e} of s_1, residual {ours.residual:.1e}")
    timed("scipy B'B: counts only", lambda: columns.T @ columns)


if __name__ == "__main__":
    main()
