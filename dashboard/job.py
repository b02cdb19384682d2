"""One visitor's question to the model, and in time its answer. No streamlit."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Literal

from core.analyses.base import Progress
from core.errors import InputError, MachineError, PrismError

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = Callable[[Progress], Any]
log = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised inside a job at its next sign of progress once nobody wants its answer."""


class Job:
    """One visitor's question and, in time, its answer. It is the Progress that its own work reports to.

    ``result`` is there once ``state`` is "done", ``error`` once it is "failed".
    """

    def __init__(
        self,
        session: str,
        identity: Hashable,
        work: Work,
        wanted: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session, self.identity = session, identity
        self.state: State = "waiting"
        self.result: Any = None
        self.error: PrismError | None = None
        self.doing = ""
        self._work, self._wanted, self._clock = work, wanted, clock
        self._deadline, self._too_long = math.inf, InputError("this took too long")
        self._done, self._unit, self._since = 0.0, "", 0.0
        self._total: float | None = None
        self._stop, self._ended = threading.Event(), threading.Event()

    @property
    def share(self) -> float | None:
        """How much of the present stage is done, 0..1; None where its length is unknown."""
        return min(1.0, self._done / self._total) if self._total else None

    @property
    def said(self) -> str:
        """What is being done, how far and how fast it goes, how long it still takes; as much of it as is known."""
        doing, done, total, seconds = self.doing or "starting", self._done, self._total, self._clock() - self._since
        if not total:
            return f"{doing} …"
        far = f"{doing}: {done:,.0f} of {total:,.0f} {self._unit}".rstrip()
        if not done or seconds < 1:
            return far
        return f"{far}, {done / seconds:,.3g} a second, {max(0, total - done) / done * seconds:,.0f} s left"

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        return self._ended.wait(seconds)

    # --- what the work reports ------------------------------------------------------------------------------

    def stage(self, name: str, total: float | None = None, unit: str = "") -> None:
        self.doing, self._done, self._total = name, 0.0, total
        self._unit, self._since = unit, self._clock()
        self._require_wanted()

    def advance(self, n: float) -> None:
        self._done += n
        self._require_wanted()

    def note(self, text: str) -> None:
        self._require_wanted()

    def _require_wanted(self) -> None:
        if self._stop.is_set() or not self._wanted(self.session):
            raise Stopped
        if self._clock() > self._deadline:
            raise self._too_long

    # --- what the queue does with it ------------------------------------------------------------------------

    def limit(self, seconds: float, too_long: InputError) -> None:
        """From now it has so many seconds; the first sign of progress after them ends it with this error."""
        self._deadline, self._too_long = self._clock() + seconds, too_long

    def stop(self) -> None:
        """Nobody wants the answer: a waiting job ends here, a running one when it next reports."""
        self._stop.set()
        if self.state == "waiting":
            self._end("cancelled")

    def run(self) -> None:
        """Do the work. Every way it can go wrong becomes a PrismError for the page; the log keeps what a bug was."""
        self.state = "running"
        try:
            self._require_wanted()
            self.result = self._work(self)
            self._end("cancelled" if self._stop.is_set() else "done")
        except Stopped:
            self._end("cancelled")
        except PrismError as error:
            self.error = error
            self._end("failed")
        except Exception as error:  # a visitor's job must not end the one worker that everybody waits for
            log.exception("a live job failed")
            self.error = _failure(error)
            self._end("failed")

    def _end(self, state: State) -> None:
        self.state = state
        self._ended.set()


def _failure(error: Exception) -> MachineError:
    """A failure nobody foresaw; running out of memory is the one that its reader can do something about."""
    name, memory = type(error).__name__, isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    if memory:
        return MachineError("the model does not fit into this machine's memory", name, "use a machine with more of it")
    return MachineError("the model could not finish this", name, "what happened is in the dashboard's log")
