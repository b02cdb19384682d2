"""Caches to look at, and the app run without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core import parquet
from core.store import Run
from core.tables import LABELS
from tests.factories import write_run

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
HOSTILE = "<img src=x onerror=alert(1)> **bold** [a](javascript:alert(2)) \u202eevil\n🦊 naÃ¯ve"
NEURONPEDIA = "gemma-2-2b/20-gemmascope-res-16k"


def add_labels(run: Run, labels: dict[int, str]) -> None:
    """Labels of a run, as an import would write them."""
    rows = [
        {"feature": f, "label": text, "source": "a person", "added_at": "2026-01-01T00:00:00Z"}
        for f, text in sorted(labels.items())
    ]
    parquet.write_table(run.path / "labels.parquet", pa.Table.from_pylist(rows, schema=LABELS.schema), LABELS)


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one world: ``toy`` with labels and an id on Neuronpedia, and ``other``."""
    folder = tmp_path_factory.mktemp("cache")
    write_run(folder, "other")
    add_labels(write_run(folder, "toy", neuronpedia_id=NEURONPEDIA), {1: "cats", 2: HOSTILE, 5: "the word on"})
    return folder


@pytest.fixture
def own_cache(toy_cache: Path, tmp_path: Path) -> Path:
    """A copy of the run ``toy`` that the test may write to."""
    shutil.copytree(toy_cache / "toy", tmp_path / "toy")
    return tmp_path


Open = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """``open_page(cache, key, **query)`` runs a page as a first visit to that address."""

    def opened(cache: Path, key: str = "home", **query: str) -> AppTest:
        monkeypatch.setenv("PRISM_CACHE_DIR", str(cache))
        at = AppTest.from_file(str(APP), default_timeout=60)
        if key != "home":
            at._page_hash = calc_hash(key)  # as a browser that opens /key first; switch_page needs a run before
        at.query_params = dict(query)
        return at.run()

    return opened


def texts(at: AppTest) -> str:
    """All HTML of the page, the style sheet left out."""
    return "\n".join(h.value for h in at.html if "<style>" not in h.value)


def alerts(at: AppTest) -> list[str]:
    """The error boxes of the page."""
    return [h.value for h in at.html if 'role="alert"' in h.value]
