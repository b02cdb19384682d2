"""What the command line prints: progress and messages on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from core.errors import PrismError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class RateColumn(ProgressColumn):
    """Work done per second in the stage's own unit."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")


class ConsoleProgress:
    """Progress of a long job as one bar per stage with rate and time left; quiet lines when not a terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            RateColumn(),
            TimeRemainingColumn(),
            console=err,
        )
        self._task: Any = None

    def __enter__(self) -> ConsoleProgress:
        if err.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if err.is_terminal:
            self._bars.stop()

    def stage(self, name: str, total: float | None = None, unit: str = "") -> None:
        """Begin the next stage; ``total`` None means that its length is not known."""
        if not err.is_terminal:
            err.print(name)
        self._finish()
        self._task = self._bars.add_task(name, total=total, unit=unit)

    def _finish(self) -> None:
        """A stage whose length was unknown is done when the next begins."""
        if self._task is not None and self._bars.tasks[self._task].total is None:
            self._bars.update(self._task, total=1, completed=1)

    def advance(self, n: float) -> None:
        """``n`` more units of the current stage are done."""
        self._bars.advance(self._task, n)

    def note(self, text: str) -> None:
        """A line worth keeping above the bars."""
        err.print(Text(text))


def print_json(value: Any) -> None:
    """One JSON object on one line of standard output; numpy's numbers are numbers, what JSON lacks is text."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def print_error(error: PrismError) -> None:
    """Title, detail and remedy, as plain text: they may quote what a file or a person wrote."""
    err.print(Text(error.title, style="bold red"))
    for part in (error.detail, error.remedy):
        if part:
            err.print(Text(part))


SHORT = 12
"""Characters of a table's value that are never broken into lines."""


def print_table(title: str, rows: Sequence[Mapping[Any, Any]]) -> None:
    """A small table on standard output; every value is plain text."""
    names = list(rows[0]) if rows else []
    short = {name for name in names if all(len(str(row[name])) <= SHORT for row in rows)}
    widths = {
        name: max([len(name), *(len(str(row[name])) for row in rows)]) if name in short else SHORT for name in names
    }
    fits = sum(widths.values()) + 3 * len(names) + 1 <= out.width
    table = Table(title=Text(title), title_justify="left")
    for name in names:  # where there is room numbers stay whole and long text gives way
        table.add_column(
            name, overflow="fold", no_wrap=fits and name in short, min_width=widths[name] if fits else None
        )
    for row in rows:
        table.add_row(*(Text(str(v)) for v in row.values()))
    out.print(table)


def print_pairs(title: str, pairs: dict[str, Any]) -> None:
    """Names and values, one a line."""
    out.print(Text(title, style="bold"))
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        out.print(Text(f"  {name:<{width}}  {value}"))
