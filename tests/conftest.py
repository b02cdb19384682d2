"""Fixtures for every test: no network, one thread pool size, the shared real data where present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models, SAEs and text that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data folder ../shared/data beside the checkout")
    return SHARED
