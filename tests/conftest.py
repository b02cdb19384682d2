"""Fixtures for every test: no network, one thread pool size, the shared real data where present."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """AppTest leaves its script as the main module, and child processes that other tests start would run it anew."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models, SAEs and text that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data folder ../shared/data beside the checkout")
    return SHARED
