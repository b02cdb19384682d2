"""Ten visitors who click every ten seconds: how long a page takes, and whether the server's memory stays flat. By hand.

    python -m tests.bench.bench_visitors [--cache-dir cache] [--visitors 10] [--think 10] [--minutes 30] [--burst 0]

Each visitor is a session that speaks Streamlit's protocol and goes through the pages, each time with another feature.
Seconds are from the click to the end of the page's script, without a browser's drawing. Memory is the server's resident
set, once in every 15 seconds. After ``--leave`` clicks a visitor closes the page and another comes. ``--burst N``: N
visitors arrive at once first.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from core.store import Store
from dashboard import nav
from tests.browser.serving import ROOT, serve
from tests.hosting.protocol import Visitor

PAGES = [spec.key for spec in nav.PAGES]


@dataclass
class Record:
    """What all visitors saw: seconds by page, exceptions, and the server's memory in MB at seconds since the start."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def visit(url: str, run: str, features: list[int], nth: int, args: argparse.Namespace, record: Record) -> None:
    """One visitor's clicks until the time is over; pages in turn, starting each at another."""
    draw = random.Random(nth)
    time.sleep(args.think * nth / args.visitors)
    until, clicks = time.monotonic() + 60 * args.minutes, nth
    while time.monotonic() < until:
        visitor = Visitor(url)
        for _ in range(args.leave):
            page = PAGES[clicks % len(PAGES)]
            clicks += 1
            try:
                seen = visitor.open(page, run=run, feature=str(draw.choice(features)))
                record.seconds[page].append(seen.seconds)
                record.wrong += seen.exceptions
            except Exception as error:  # noqa: BLE001 - counted, and the visitor goes on
                record.wrong.append(f"{page}: {type(error).__name__}: {error}")
                break
            if time.monotonic() > until:
                break
            time.sleep(max(0.0, args.think * draw.uniform(0.7, 1.3)))
        visitor.close()


def memory_mb(pid: int) -> float:
    """Resident set of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1e3


def server_pid(url: str) -> int:
    """The process that listens on the port of a local address."""
    port = f":{int(url.rsplit(':', 1)[1]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()[1:]]
    sockets = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(port) and line[3] == "0A"}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in sockets for link in (folder / "fd").iterdir()):
                return int(folder.name)
        except OSError:
            continue
    raise LookupError(f"nothing listens on {url}")


def watch(pid: int, begun: float, over: threading.Event, record: Record) -> None:
    while not over.wait(15):
        record.memory.append((time.monotonic() - begun, memory_mb(pid)))


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, -(-int(share * 1000) * len(values) // 1000) - 1)]


def slope(points: list[tuple[float, float]]) -> float:
    """MB per minute over the second half, by least squares: caches fill in the first."""
    half = points[len(points) // 2 :]
    if len(half) < 3:
        return float("nan")
    found = statistics.linear_regression([t / 60 for t, _ in half], [mb for _, mb in half])
    return found.slope


def report(record: Record) -> dict[str, object]:
    rows = {page: values for page, values in record.seconds.items() if values}
    every = [s for values in rows.values() for s in values]
    for page, values in rows.items():
        p50, p95 = (quantile(values, share) * 1e3 for share in (0.5, 0.95))
        print(f"{page:16} n {len(values):5}  p50 {p50:6.0f} ms  p95 {p95:6.0f} ms")
    return {
        "clicks": len(every), "p50_s": quantile(every, 0.5), "p95_s": quantile(every, 0.95), "max_s": max(every),
        "errors": len(record.wrong), "memory_mb": [round(mb) for _, mb in record.memory],
        "memory_mb_per_minute": slope(record.memory), "first_errors": record.wrong[:3],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", type=Path, default=ROOT / "cache")
    parser.add_argument("--run", default="demo")
    parser.add_argument("--visitors", type=int, default=10)
    parser.add_argument("--think", type=float, default=10.0)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--leave", type=int, default=12)
    parser.add_argument("--burst", type=int, default=0)
    args = parser.parse_args()
    features = [int(f) for f in Store(args.cache_dir).run(args.run).encoded_features]
    with serve(args.cache_dir, PRISM_HOSTED="1") as url:
        record, over, begun, pid = Record(), threading.Event(), time.monotonic(), server_pid(url)
        record.memory.append((0.0, memory_mb(pid)))
        threading.Thread(target=watch, args=(pid, begun, over, record), daemon=True).start()
        with ThreadPoolExecutor(max(args.visitors, args.burst, 1)) as pool:
            if args.burst:
                print("burst", json.dumps(burst(url, args, pool)))
            list(pool.map(lambda nth: visit(url, args.run, features, nth, args, record), range(args.visitors)))
        over.set()
        record.memory.append((time.monotonic() - begun, memory_mb(pid)))
        print(json.dumps(report(record)))


def burst(url: str, args: argparse.Namespace, pool: ThreadPoolExecutor) -> dict[str, float]:
    """First pages of visitors who come at the same moment."""

    def arrive(nth: int) -> float:
        visitor = Visitor(url)
        seconds = visitor.open("home", run=args.run).seconds
        visitor.close()
        return seconds

    found = list(pool.map(arrive, range(args.burst)))
    return {"visitors": args.burst, "p50_s": quantile(found, 0.5), "p95_s": quantile(found, 0.95)}


if __name__ == "__main__":
    main()
