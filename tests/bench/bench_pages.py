"""Click to rendered for Home and Feature at 24,576 features x 1 M tokens, beside Streamlit's empty page. By hand.

    python -m tests.bench.bench_pages [--features 24576] [--contexts 8192] [--per-token 63] [--clicks 20]

A synthetic run is written to a temporary folder, servers are started for the dashboard and for an empty page (with
Streamlit's own settings, which is the floor, and with ours), and one Chromium clicks in all, turn by turn. Rendered
means: the new content is in the page, the script has ended and two animation frames have passed; canvas repaints are
not seen. The ratio of the medians is the figure that counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from core import parquet
from core.publish import publish
from core.run_folder import table_entry, write_sealed
from core.store import Run, Store
from core.tables import (
    ACTIVATION_INDEX,
    CONTEXTS,
    FEATURES,
    HISTOGRAMS,
    LABELS,
    NEAR_MISSES,
    NEIGHBOURS,
    VOCABULARY,
    TableSpec,
    activations_spec,
)
from tests.browser.serving import browser, serve

N_POS = 129  # BOS and 128 tokens
N_WORDS = 50_000
EMPTY_PAGE = """
import streamlit as st
st.session_state.n = st.session_state.get("n", 0)
def more():
    st.session_state.n += 1
st.button("Next", on_click=more)
st.html(f'<h2 class="p-h">Feature {st.session_state.n}</h2>')
"""
CLICK = """async ([button, expected]) => {
  const ready = () => document.querySelector('.p-h')?.textContent.trim().startsWith(expected)
    && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running';
  const start = performance.now();
  [...document.querySelectorAll('button')].find(b => b.textContent.startsWith(button)).click();
  await new Promise(done => {
    const look = () => ready() ? requestAnimationFrame(() => requestAnimationFrame(done)) : setTimeout(look, 1);
    look();
  });
  return performance.now() - start;
}"""
SORT = """async ([label, mark]) => {
  const start = performance.now();
  const buttons = [...document.querySelectorAll('[data-testid=stButtonGroup] button')];
  buttons.find(b => b.textContent.trim() === label).click();
  await new Promise(done => {
    const ready = () => location.search.includes(mark)
      && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running';
    const look = () => ready() ? requestAnimationFrame(() => requestAnimationFrame(done)) : setTimeout(look, 1);
    look();
  });
  return performance.now() - start;
}"""


def write_big_run(cache_dir: Path, n_features: int, n_contexts: int, per_token: int, seed: int = 0) -> Run:
    """A run of the product's formats with zipf densities; statistics are made up, sizes and layout are not."""
    rng = np.random.default_rng(seed)
    store = Store(cache_dir)
    folder = store.partial("big")
    folder.mkdir(parents=True)
    n_tokens = n_contexts * (N_POS - 1)
    weight = 1 / np.arange(1, n_features + 1) ** 0.9
    counts = np.clip(weight / weight.sum() * n_tokens * per_token, 1, n_tokens // 4).astype(np.int64)
    counts = rng.permutation(counts)
    _write_contexts(folder, rng, n_contexts)
    _write_activations(folder, rng, counts, n_tokens)
    _write_feature_tables(folder, rng, counts, n_tokens, n_contexts)
    tables = {p.stem: table_entry(p) for p in sorted(folder.glob("*.parquet"))}
    write_sealed(folder, _manifest(n_features, n_contexts, int(counts.sum()), tables))
    return publish(store, "big")


def _write(folder: Path, spec: TableSpec, columns: dict) -> None:
    parquet.write_table(folder / f"{spec.name}.parquet", pa.table(columns, schema=spec.schema), spec)


def _write_contexts(folder: Path, rng: np.random.Generator, n: int) -> None:
    ids = np.minimum(rng.zipf(1.2, size=(n, N_POS)), N_WORDS).astype(np.int32)
    ids[:, 0] = 0
    _write(folder, CONTEXTS, {
        "context": np.arange(n, dtype=np.int32), "document": np.arange(n, dtype=np.int32) // 4,
        "start": np.zeros(n, np.int32), "token_ids": list(ids), "n_tokens": np.full(n, N_POS - 1, np.int32),
        "source": [f"row {i // 4}" for i in range(n)],
    })  # fmt: skip
    words = ["<bos>"] + [
        " " + "".join(chr(97 + (i * 7 + k * 11) % 26) for k in range(3 + i % 6)) for i in range(N_WORDS)
    ]
    _write(folder, VOCABULARY, {"token_id": np.arange(len(words), dtype=np.int32), "str_token": words,
                                "is_special": [True] + [False] * N_WORDS})  # fmt: skip


def _words(n: int) -> list[str]:
    return [" " + "".join(chr(97 + (i * 7 + k * 11) % 26) for k in range(3 + i % 6)) for i in range(n)]


def _write_activations(folder: Path, rng: np.random.Generator, counts: np.ndarray, n_tokens: int) -> None:
    spec = activations_spec("float16")
    with parquet.open_writer(folder / "activations.parquet", spec) as writer:
        for feature, n in enumerate(counts):
            at = np.sort(rng.choice(n_tokens, n, replace=False, shuffle=False))
            act = (rng.standard_exponential(n, np.float32) + 0.05).astype(np.float16)
            writer.write(pa.table({
                "feature": np.full(n, feature, np.int32), "context": (at // (N_POS - 1)).astype(np.int32),
                "pos": (at % (N_POS - 1) + 1).astype(np.int16), "act": act,
            }, schema=spec.schema))  # fmt: skip
    _write(folder, ACTIVATION_INDEX, {"feature": np.arange(len(counts), dtype=np.int32),
                                      "first_row": np.cumsum(counts) - counts, "n_firings": counts})  # fmt: skip


def _write_feature_tables(
    folder: Path, rng: np.random.Generator, counts: np.ndarray, n_tokens: int, n_contexts: int
) -> None:
    n = len(counts)
    values = {c.name: rng.random(n) for c in FEATURES.columns}
    values |= {"feature": np.arange(n), "n_firings": counts, "n_contexts": np.minimum(counts, n_contexts),
               "n_documents": np.minimum(counts, n_contexts // 4), "density": counts / n_tokens,
               "nearest_feature": rng.integers(0, n, n)}  # fmt: skip
    columns = {c.name: pa.array(values[c.name]).cast(c.type) for c in FEATURES.columns if c.name not in TEXTS}
    words = _words(5000)
    tops = [json.dumps([words[w] for w in rng.integers(0, 5000, 8)]) for _ in range(n)]
    _write(folder, FEATURES, columns | {"flag": [""] * n, "top_tokens": tops})
    labels = [" ".join(words[w].strip() for w in rng.integers(0, 5000, 6)) for _ in range(n)]
    _write(folder, LABELS, {"feature": np.arange(n, dtype=np.int32), "label": labels, "source": ["bench"] * n,
                            "added_at": ["2026-01-01T00:00:00Z"] * n})  # fmt: skip
    two, ten = np.repeat(np.arange(n, dtype=np.int32), 2), np.repeat(np.arange(n, dtype=np.int32), 10)
    _write(folder, HISTOGRAMS, {"feature": two, "scale": ["linear", "log"] * n, "lo": np.full(2 * n, 0.05, np.float32),
                                "hi": np.full(2 * n, 12, np.float32),
                                "counts": list(rng.integers(0, 500, (2 * n, 40), dtype=np.int32))})  # fmt: skip
    _write(folder, NEIGHBOURS, {"feature": ten, "rank": np.tile(np.arange(10, dtype=np.int8), n),
                                "neighbour": rng.integers(0, n, 10 * n, dtype=np.int32),
                                "cosine": rng.random(10 * n, np.float32)})  # fmt: skip
    many = np.repeat(np.arange(n, dtype=np.int32), 20)
    _write(folder, NEAR_MISSES, {"feature": many, "rank": np.tile(np.arange(20, dtype=np.int8), n),
                                 "context": rng.integers(0, n_contexts, 20 * n, dtype=np.int32),
                                 "pos": rng.integers(1, N_POS, 20 * n, dtype=np.int16),
                                 "hidden_pre": -rng.random(20 * n, np.float32)})  # fmt: skip


TEXTS = ("flag", "top_tokens")
ROWS = ("empty page", "empty page, our settings", "Feature: next", "Home: order of all rows")


def _manifest(n_features: int, n_contexts: int, n_firings: int, tables: dict) -> dict:
    n_tokens = n_contexts * (N_POS - 1)
    return {
        "format": 1, "name": "big", "recipe": {"sae": {"path": "synthetic"}}, "digest": "0" * 64,
        "created_at": "2026-01-01T00:00:00Z", "provenance": {},
        "sae": {"d_sae": n_features, "architecture": "standard", "hook_name": "blocks.8.hook_resid_pre"},
        "model": {"name": "synthetic"}, "fidelity": {"verdict": "ok"},
        "corpus": {"n_tokens": n_tokens, "n_contexts": n_contexts, "name": "synthetic", "licence": "none"},
        "counts": {"n_features": n_features, "n_firings": n_firings}, "tables": tables,
    }  # fmt: skip


def measure(cache_dir: Path, n_clicks: int) -> dict[str, list[float]]:
    """Milliseconds of each click, the pages taking turns."""
    script = cache_dir / "empty_page.py"
    script.write_text(EMPTY_PAGE, encoding="utf-8")
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    with (
        serve(cache_dir) as url,
        serve(cache_dir, script, cwd=cache_dir, STREAMLIT_BROWSER_GATHER_USAGE_STATS="false") as empty_url,
        serve(cache_dir, script) as tuned_url,
        browser() as chromium,
    ):
        addresses = (empty_url, tuned_url, f"{url}/feature?run=big&feature=100", f"{url}/?run=big&home_sort=density")
        pages = [chromium.new_page(viewport={"width": 1280, "height": 900}) for _ in addresses]
        for page, address in zip(pages, addresses, strict=True):
            page.goto(address)
            page.wait_for_selector(".p-h")
        pages[2].wait_for_selector(".p-groups")
        pages[3].wait_for_selector("[data-testid=stDataFrame]")
        pages[3].wait_for_timeout(2000)
        for i in range(n_clicks):
            order = ("down", "up")[i % 2]
            calls = [(CLICK, ["Next", f"Feature {i + 1}"])] * 2
            calls += [(CLICK, ["Next", f"Feature {101 + i}"]), (SORT, [order, f"home_order={order}"])]
            for name, page, call in zip(ROWS, pages, calls, strict=True):
                page.bring_to_front()
                times[name].append(page.evaluate(*call))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("features", 24_576), ("contexts", 8_192), ("per-token", 63), ("clicks", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--keep", type=Path, help="write the run here, or use the one that is there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        if not (folder / "big").exists():
            write_big_run(folder, args.features, args.contexts, args.per_token)
        times = measure(folder, args.clicks)
    floor = statistics.median(times["empty page"][2:])
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, values in times.items():
        median, p95 = statistics.median(values[2:]), float(np.percentile(values[2:], 95))
        print(f"{name:26} median {median:6.0f} ms   p95 {p95:6.0f} ms   {median / floor:.2f} x the empty page")


if __name__ == "__main__":
    main()
