"""How many requests at once: one more while all goes well, half as many when the endpoint says 429."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class AdaptiveLimit:
    """A bound on concurrency that finds the endpoint's limit, which nobody knows in advance.

    Additive increase, multiplicative decrease: after as many successes as are allowed at once the bound grows by
    one, up to ``most``; an answer 429 halves it. Answers that were on their way when it was halved do not halve it
    again. Thread-safe.
    """

    def __init__(self, start: int = 2, most: int = 16) -> None:
        if not 1 <= start <= most:
            raise ValueError(f"expected 1 <= start <= most, found {start} and {most}")
        self.most = most
        self.allowed = start
        self.n_limited = 0
        self._running = 0
        self._successes = 0
        self._halvings = 0
        self._condition = threading.Condition()
        self._mine = threading.local()  # how many halvings this thread's request knows of

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a place and hold it for the duration of one request."""
        with self._condition:
            self._condition.wait_for(lambda: self._running < self.allowed)
            self._running += 1
            self._mine.halvings = self._halvings
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._condition.notify_all()

    def succeeded(self) -> None:
        """Say that a request was answered."""
        with self._condition:
            self._successes += 1
            if self._successes >= self.allowed:
                self.allowed, self._successes = min(self.allowed + 1, self.most), 0

    def limited(self) -> None:
        """Say, from within a slot, that the endpoint answered 429."""
        with self._condition:
            self.n_limited += 1
            self._successes = 0
            if getattr(self._mine, "halvings", self._halvings) == self._halvings:
                self.allowed = max(1, self.allowed // 2)
                self._halvings += 1
            self._mine.halvings = self._halvings
