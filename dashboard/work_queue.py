"""One worker thread and a bounded first-in-first-out queue of visitors' jobs. No streamlit.

Whatever loads or runs a model goes through it: two visitors never compute at once, so memory stays what one job needs
and nobody's answer is slowed by more than the jobs before it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Literal

from core.analyses.base import Progress
from core.errors import MachineError, PrismError

MAX_WAITING = 32
State = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = Callable[[Progress], Any]
log = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised inside a job at its next sign of progress once nobody wants its answer."""


class Job:
    """One visitor's question and, in time, its answer. It is the Progress that its own work reports to.

    ``result`` is there once ``state`` is "done", ``error`` once it is "failed".
    """

    def __init__(self, session: str, identity: Hashable, work: Work, wanted: Callable[[str], bool]) -> None:
        self.session, self.identity = session, identity
        self.state: State = "waiting"
        self.result: Any = None
        self.error: PrismError | None = None
        self.doing = ""
        self._work, self._wanted = work, wanted
        self._done = 0.0
        self._total: float | None = None
        self._stop, self._ended = threading.Event(), threading.Event()

    @property
    def share(self) -> float | None:
        """How much of the present stage is done, 0..1; None where its length is unknown."""
        return min(1.0, self._done / self._total) if self._total else None

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        return self._ended.wait(seconds)

    # --- what the work reports ------------------------------------------------------------------------------

    def stage(self, name: str, total: float | None = None, unit: str = "") -> None:
        self.doing, self._done, self._total = name, 0.0, total
        self._require_wanted()

    def advance(self, n: float) -> None:
        self._done += n
        self._require_wanted()

    def note(self, text: str) -> None:
        self._require_wanted()

    def _require_wanted(self) -> None:
        if self._stop.is_set() or not self._wanted(self.session):
            raise Stopped

    # --- what the queue does with it ------------------------------------------------------------------------

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
            self._end("done")
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


class WorkQueue:
    """Jobs of all visitors, one at a time, in the order in which they came.

    ``is_here(session)`` says whether a visitor is still there: the jobs of those who left are dropped. A session has
    at most one waiting job, the one it asked for last.
    """

    def __init__(self, is_here: Callable[[str], bool] = lambda session: True, max_waiting: int = MAX_WAITING) -> None:
        self._is_here, self._max_waiting = is_here, max_waiting
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, session: str, identity: Hashable, work: Work) -> Job:
        """Queue a job, or return the session's job of the same identity that has not ended.

        Raises MachineError when ``max_waiting`` visitors are waiting already.
        """
        with self._changed:
            self._drop_the_departed()
            for job in (*self._waiting, *([self._running] if self._running else [])):
                if (job.session, job.identity) == (session, identity) and not job.ended:
                    return job
            for job in [job for job in self._waiting if job.session == session]:
                self._drop(job)
            if len(self._waiting) >= self._max_waiting:
                raise MachineError(
                    "too many visitors are waiting for the model",
                    f"{len(self._waiting)} wait already, and that is the limit here",
                    "try again in a minute, or run the dashboard on your own machine: `prism dashboard`",
                )
            job = Job(session, identity, work, self._is_here)
            self._waiting.append(job)
            self._start()
            self._changed.notify_all()
            return job

    def place(self, job: Job) -> int:
        """How many jobs are before this one, the running one counted; 0 once it runs or has ended."""
        with self._changed:
            self._drop_the_departed()
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def cancel(self, job: Job) -> None:
        with self._changed:
            self._drop(job)
            self._changed.notify_all()

    def _drop(self, job: Job) -> None:
        job.stop()
        if job in self._waiting:
            self._waiting.remove(job)

    def _drop_the_departed(self) -> None:
        for job in [job for job in self._waiting if not self._is_here(job.session)]:
            self._drop(job)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="prism-live", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                job = self._running = self._waiting.popleft()
            job.run()
            with self._changed:
                self._running = None
                self._changed.notify_all()
