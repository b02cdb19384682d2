"""Click to rendered for Prototypes, Distances and Conjecture at 24,576 features x 200k contexts. By hand.

    python -m tests.bench.bench_pattern_pages [--features 24576] [--contexts 200000] [--clicks 10] [--keep FOLDER]

A synthetic run with topics is written, the three analyses are computed once (minutes; kept with ``--keep``), and one
Chromium clicks. Rendered means: the script has ended, what was asked for is in the page (the canvas says which map it
has drawn), and two animation frames have passed. Cold: nothing of it was computed before; warm: seen once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from playwright.sync_api import Locator, Page

from core import parquet
from core.analyses import conjecture, feature_distances, pattern_svd
from core.publish import publish
from core.results import results, run_analysis
from core.run_folder import table_entry, write_sealed
from core.store import Run, Store
from core.tables import ACTIVATION_INDEX, activations_spec
from tests.bench import bench_pages
from tests.bench.bench_patterns import firings
from tests.browser.serving import browser, serve

N_POS = 10  # BOS and 9 tokens; features fire on the last
WAIT = """async ([expected, since]) => {
  const canvas = () => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .map(host => host.shadowRoot?.querySelector('canvas')).find(Boolean);
  const there = {
    map: () => canvas()?.dataset.drawn && canvas().dataset.drawn !== since,
    text: () => document.querySelector('[data-testid=stMain]').textContent.includes(since),
  }[expected];
  const ready = () => there() && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running';
  await new Promise(done => {
    const look = () => ready() ? requestAnimationFrame(() => requestAnimationFrame(done)) : setTimeout(look, 1);
    look();
  });
}"""


def write_run(folder: Path, n_features: int, n_contexts: int) -> Run:
    """The run ``big`` of contexts of 9 tokens with 63 firings each."""
    bench_pages.N_POS = N_POS
    store, rng = Store(folder), np.random.default_rng(0)
    into = store.partial("big")
    into.mkdir(parents=True)
    binary = firings(n_features, n_contexts, 63).tocsc()
    binary.sum_duplicates()
    counts = np.diff(binary.indptr).astype(np.int64)
    bench_pages._write_contexts(into, rng, n_contexts)
    spec = activations_spec("float16")
    with parquet.open_writer(into / "activations.parquet", spec) as writer:
        for j, n in enumerate(counts):
            context = np.sort(binary.indices[binary.indptr[j] : binary.indptr[j + 1]]).astype(np.int32)
            columns = {"feature": np.full(n, j, np.int32), "context": context, "pos": np.full(n, N_POS - 1, np.int16)}
            act = (rng.standard_exponential(n, np.float32) + 0.05).astype(np.float16)
            writer.write(pa.table(columns | {"act": act}, schema=spec.schema))
    index = {"feature": np.arange(n_features, dtype=np.int32), "first_row": np.cumsum(counts) - counts}
    bench_pages._write(into, ACTIVATION_INDEX, index | {"n_firings": counts})
    bench_pages._write_feature_tables(into, rng, counts, n_contexts * (N_POS - 1), n_contexts)
    tables = {p.stem: table_entry(p) for p in sorted(into.glob("*.parquet"))}
    write_sealed(into, bench_pages._manifest(n_features, n_contexts, int(counts.sum()), tables))
    return publish(store, "big")


def compute(run: Run) -> None:
    """The three analyses, few repeats: the pages' work does not depend on them."""
    wanted = (
        (feature_distances.ANALYSIS, {"decoder": False}),
        (pattern_svd.ANALYSIS, {"rows": "last", "n_null": 20, "n_boot": 1, "n_seeds": 1, "k_max": 16}),
        (conjecture.ANALYSIS, {"rows": "last", "ks": [16], "n_null": 2, "n_boot": 20, "decoder": False}),
    )
    for analysis, params in wanted:
        if results(run, analysis.key):
            continue
        start = time.perf_counter()
        run_analysis(run, analysis, params)
        print(f"{analysis.key}: {time.perf_counter() - start:.0f} s", flush=True)


Times = dict[str, list[float]]


def clock(times: Times, name: str, page: Page, act, expected: str, since: str) -> None:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    act()
    page.evaluate(WAIT, [expected, since])
    times.setdefault(name, []).append(1000 * (time.perf_counter() - start))


def segment(page: Page, name: str) -> Locator:
    return page.get_by_test_id("stButtonGroup").get_by_text(name, exact=True)


def drawn(page: Page) -> str:
    return page.locator("canvas[data-drawn]").get_attribute("data-drawn") or ""


def open_at(times: Times, name: str, page: Page, address: str, text: str) -> None:
    """A whole new visit: Streamlit's own start is in it."""
    clock(times, name, page, lambda: page.goto(address), "text", text)


def measure_map(times: Times, page: Page, url: str, n: int, n_clicks: int) -> None:
    address = f"{url}/distances?run=big&feature=100&distances_map=random&distances_n={n}"
    clock(times, f"Distances: visit, map of {n} x {n}, never counted", page, lambda: page.goto(address), "map", "")
    page.wait_for_timeout(1500)
    for affinity in ("phi", "overlap"):
        act = segment(page, affinity).click
        clock(times, f"another affinity of {n} x {n}, first time", page, act, "map", drawn(page))
    for i in range(n_clicks):
        page.wait_for_timeout(300)
        box = page.locator("canvas[data-drawn]").bounding_box() or {}
        x, y = box["x"] + (0.1 + 0.03 * i) * box["width"], box["y"] + (0.1 + 0.05 * i) * box["height"]

        def drag(x: float = x, y: float = y, side: float = box["width"] * (0.3 if i % 2 else 0.5)) -> None:
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + 10, y + 10)
            page.mouse.move(x + side, y + side)
            page.mouse.up()

        clock(times, f"zoom into {n} x {n}", page, drag, "map", drawn(page))
        clock(times, f"back to the whole of {n} x {n}", page, page.get_by_role("button", name="Whole map").click, "map",
              drawn(page))  # fmt: skip
        page.wait_for_timeout(200)
        page.mouse.move(x, y)
        page.wait_for_timeout(100)
        pair = page.locator(".now b").all_inner_texts()
        if len(set(pair)) == 2:
            act = lambda x=x, y=y: page.mouse.click(x, y)  # noqa: E731
            clock(times, "contexts of a cell", page, act, "text", f"Only {pair[1].split()[1]} fires")


def measure(folder: Path, n_clicks: int, side: int) -> Times:
    times: Times = {}
    script = folder / "empty_page.py"
    script.write_text(bench_pages.EMPTY_PAGE, encoding="utf-8")
    with serve(folder) as url, serve(folder, script) as empty_url, browser() as chromium:
        empty = chromium.new_page()
        empty.goto(empty_url)
        empty.evaluate(WAIT, ["text", "Feature 0"])
        for i in range(2 * n_clicks):
            act = empty.get_by_role("button", name="Next").click
            clock(times, "Streamlit's empty page", empty, act, "text", f"Feature {i + 1}")
        empty.close()
        page = chromium.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(120_000)
        page.goto(f"{url}/?run=big")
        page.evaluate(WAIT, ["text", "Run big"])
        for _ in range(2):
            open_at(times, "Prototypes: visit", page, f"{url}/pattern_svd?run=big", "Prototype 0")
        for i in range(n_clicks):
            act = page.get_by_role("button", name="Next").click
            clock(times, "Prototypes: next", page, act, "text", f"Prototype {i + 1},")
        for _ in range(2):
            open_at(times, "Conjecture: visit", page, f"{url}/conjecture?run=big", "a measure of density")
        for i in range(n_clicks):
            other = ("euclid", "cosine")[i % 2]

            def choose(other: str = other) -> None:
                segment(page, other).click()
                page.wait_for_url(f"**conjecture_similarity={other}**")

            clock(times, "Conjecture: similarity", page, choose, "text", "a measure of density")
        measure_map(times, page, url, side, n_clicks)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("features", 24_576), ("contexts", 200_000), ("clicks", 10), ("side", 2_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--keep", type=Path, help="write the run here, or use the one that is there")
    parser.add_argument("--only-write", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        run = Run(folder / "big") if (folder / "big").exists() else write_run(folder, args.features, args.contexts)
        compute(run)
        if args.only_write:
            return
        times = measure(folder, args.clicks, args.side)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, values in times.items():
        print(f"{name:58} median {statistics.median(values):6.0f} ms   most {max(values):6.0f} ms   n {len(values)}")


if __name__ == "__main__":
    main()
