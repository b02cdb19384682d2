"""One worker thread and a bounded first-in-first-out queue of visitors' jobs. No streamlit.

Whatever loads or runs a model goes through it: two visitors never compute at once, so memory stays what one job needs
and nobody's answer is slowed by more than the jobs before it. A visitor is a session: nothing else tells visitors apart
without cookies or logins, so the limits keep one page from taking the model, not somebody who opens many.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

from core.errors import InputError, MachineError
from dashboard.job import Job, Work

MAX_WAITING = 32
HOUR_S = 3600.0


class WorkQueue:
    """Jobs of all visitors, one at a time, in the order in which they came.

    ``is_here(session)`` says whether a visitor is still there: the jobs of those who left are dropped. A session has
    at most one waiting job, the one it asked for last. One job has ``job_s`` seconds, all jobs of a session ``hour_s``
    seconds within an hour (None: no limit).
    """

    def __init__(
        self,
        is_here: Callable[[str], bool] = lambda session: True,
        max_waiting: int = MAX_WAITING,
        job_s: float | None = None,
        hour_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_here, self._max_waiting, self._clock = is_here, max_waiting, clock
        self._job_s, self._hour_s = job_s or math.inf, hour_s or math.inf
        self._taken: deque[tuple[float, str, float]] = deque()  # when, session, seconds: of the last hour
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, session: str, identity: Hashable, work: Work) -> Job:
        """Queue a job, or return the session's job of the same identity that has not ended.

        Raises MachineError when ``max_waiting`` visitors are waiting already, InputError when the session has used up
        its seconds of this hour.
        """
        with self._changed:
            self._drop_the_departed()
            for job in (*self._waiting, *([self._running] if self._running else [])):
                if (job.session, job.identity) == (session, identity) and not job.ended:
                    return job
            self._require_time(session)
            for job in [job for job in self._waiting if job.session == session]:
                self._drop(job)
            if len(self._waiting) >= self._max_waiting:
                raise MachineError(
                    "too many visitors are waiting for the model",
                    f"{len(self._waiting)} wait already, and that is the limit here",
                    "try again in a minute, or run the dashboard on your own machine: `prism dashboard`",
                )
            job = Job(session, identity, work, self._is_here, self._clock)
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

    def seconds_left(self, session: str) -> float:
        """Seconds of the worker that a session may still use in this hour; infinite without a limit."""
        with self._changed:
            return self._left(session)

    def _left(self, session: str) -> float:
        while self._taken and self._taken[0][0] < self._clock() - HOUR_S:
            self._taken.popleft()
        return max(0.0, self._hour_s - sum(seconds for _, who, seconds in self._taken if who == session))

    def _require_time(self, session: str) -> None:
        if self._left(session) > 0:
            return
        first = next(at for at, who, _ in self._taken if who == session)
        minutes = max(1, math.ceil((first + HOUR_S - self._clock()) / 60))
        raise InputError(
            "your time on the model is used up for now",
            f"one visitor has {self._hour_s:g} seconds of it within an hour here",
            f"try again in {minutes} min, or run the dashboard on your own machine: `prism dashboard`",
        )

    def _limit(self, job: Job) -> None:
        """The seconds of a job that begins: those of one job, or what its visitor has left."""
        seconds, left = self._job_s, self._left(job.session)
        most = f"one question may take {seconds:g} seconds here"
        if left < seconds:
            seconds, most = left, f"{left:.0f} of your {self._hour_s:g} seconds in an hour were left"
        if seconds < math.inf:
            remedy = "send less at a time, or run the dashboard on your own machine: `prism dashboard`"
            job.limit(seconds, InputError("this took too long and was stopped", most, remedy))

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
                self._limit(job)
                began = self._clock()
            job.run()
            with self._changed:
                self._taken.append((self._clock(), job.session, self._clock() - began))
                self._running = None
                self._changed.notify_all()
