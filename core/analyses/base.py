"""What an analysis is: one descriptor from which CLI verb, page title, help text and smoke tests follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from core.store import Run
from core.tables import TableSpec


class Progress(Protocol):
    """Where long work reports to; core.console draws it."""

    def stage(self, name: str, total: float | None = None, unit: str = "") -> None: ...

    def advance(self, n: float) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def stage(self, name: str, total: float | None = None, unit: str = "") -> None: ...

    def advance(self, n: float) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Analysis:
    """One analysis. ``compute`` is pure: a run and params in, tables out; the same input gives the same tables."""

    key: str  # CLI verb and folder name
    title: str
    question: str  # the one it answers, for people
    method: str  # where the method and its null are from
    null: str  # what every headline number stands beside
    version: int  # raised whenever the same input may give other numbers
    params: type  # frozen dataclass, every field with a default
    tables: tuple[TableSpec, ...]
    inputs: tuple[str, ...]  # tables of the run whose hashes the result depends on
    compute: Callable[[Run, Any, Progress], dict[TableSpec, pa.Table]]
    #: tables by name -> titled rows for the command line; None: it prints how many rows each table has
    summary: Callable[[Mapping[str, pd.DataFrame]], dict[str, list[dict[str, Any]]]] | None = None
