"""How many requests at once."""

from __future__ import annotations

import threading
import time

import pytest

from core.llm.limiter import AdaptiveLimit


def test_grows_by_one_per_round_of_successes_up_to_the_most() -> None:
    limit = AdaptiveLimit(start=2, most=4)
    seen = []
    for _ in range(12):
        with limit.slot():
            limit.succeeded()
        seen.append(limit.allowed)
    assert seen == [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]


def test_halves_once_for_all_answers_that_were_under_way() -> None:
    limit = AdaptiveLimit(start=8, most=8)
    inside, say = threading.Barrier(8), threading.Barrier(8)

    def ask() -> None:
        with limit.slot():
            inside.wait(5)
            limit.limited()
            say.wait(5)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (limit.allowed, limit.n_limited) == (4, 8)


def test_a_retry_that_is_limited_again_halves_again_down_to_one() -> None:
    limit = AdaptiveLimit(start=8, most=8)
    with limit.slot():
        for expected in (4, 2, 1, 1):
            limit.limited()
            assert limit.allowed == expected


def test_never_more_at_once_than_allowed() -> None:
    limit = AdaptiveLimit(start=3, most=3)
    now, most, lock = 0, 0, threading.Lock()

    def ask() -> None:
        nonlocal now, most
        with limit.slot():
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.005)
            with lock:
                now -= 1
            limit.succeeded()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most == 3


def test_an_exception_gives_the_slot_back() -> None:
    limit = AdaptiveLimit(start=1, most=1)
    for _ in range(3):
        with pytest.raises(KeyError), limit.slot():
            raise KeyError
    with limit.slot():
        pass


def test_impossible_bounds_are_refused() -> None:
    with pytest.raises(ValueError):
        AdaptiveLimit(start=3, most=2)
