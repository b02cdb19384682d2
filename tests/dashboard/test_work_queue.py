"""The queue behind the live model: order, bounds, who is dropped, what an error becomes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from core.analyses.base import Progress
from core.errors import InputError, MachineError
from dashboard.job import Job
from dashboard.work_queue import WorkQueue

PATIENCE = 10.0


class Gate:
    """A work that notes who ran and waits until it is let through, reporting progress all the time."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.open, self.begun = threading.Event(), threading.Event()

    def work(self, name: str) -> Callable[[Progress], str]:
        def run(progress: Progress) -> str:
            self.ran.append(name)
            progress.stage("measure", 1000, "texts")
            self.begun.set()
            while not self.open.wait(0.005):
                progress.advance(1)
            return f"answer {name}"

        return run


def ended(job: Job) -> Job:
    assert job.wait(PATIENCE)
    return job


def test_jobs_run_one_at_a_time_in_the_order_in_which_they_came() -> None:
    gate, queue = Gate(), WorkQueue()
    jobs = [queue.submit(name, 0, gate.work(name)) for name in "abcd"]
    assert gate.begun.wait(PATIENCE)
    assert [queue.place(job) for job in jobs] == [0, 1, 2, 3]
    assert [job.state for job in jobs] == ["running", "waiting", "waiting", "waiting"]
    gate.open.set()
    assert [ended(job).result for job in jobs] == [f"answer {name}" for name in "abcd"]
    assert gate.ran == list("abcd")
    assert [queue.place(job) for job in jobs] == [0, 0, 0, 0]


def test_progress_is_a_share_of_its_stage_and_unknown_without_a_total() -> None:
    job = Job("a", 0, lambda progress: None, lambda session: True)
    job.stage("load the model")
    assert (job.doing, job.share) == ("load the model", None)
    job.stage("measure", 8, "texts")
    job.advance(2)
    assert (job.doing, job.share) == ("measure", 0.25)


def test_the_same_question_of_a_session_is_asked_once() -> None:
    gate, queue = Gate(), WorkQueue()
    first = queue.submit("a", "question", gate.work("a"))
    assert queue.submit("a", "question", gate.work("again")) is first
    other = queue.submit("b", "question", gate.work("b"))
    assert other is not first
    gate.open.set()
    ended(other)
    assert gate.ran == ["a", "b"]


def test_a_session_has_one_waiting_job_the_one_asked_for_last() -> None:
    gate, queue = Gate(), WorkQueue()
    queue.submit("a", 0, gate.work("a"))
    assert gate.begun.wait(PATIENCE)
    old, others = queue.submit("b", 1, gate.work("b1")), queue.submit("c", 1, gate.work("c"))
    new = queue.submit("b", 2, gate.work("b2"))
    assert old.state == "cancelled"
    assert (queue.place(others), queue.place(new)) == (1, 2)
    gate.open.set()
    ended(new)
    assert gate.ran == ["a", "c", "b2"]


def test_cancel_ends_a_waiting_job_at_once_and_a_running_one_at_its_next_sign_of_progress() -> None:
    gate, queue = Gate(), WorkQueue()
    running, waiting, last = (queue.submit(name, 0, gate.work(name)) for name in "abc")
    assert gate.begun.wait(PATIENCE)
    queue.cancel(waiting)
    assert waiting.state == "cancelled"
    queue.cancel(running)
    assert ended(running).state == "cancelled"
    assert running.result is None
    gate.open.set()
    assert ended(last).state == "done"
    assert gate.ran == ["a", "c"]


def test_visitors_who_left_are_dropped_whether_they_wait_or_run() -> None:
    here = {"a", "b", "c"}
    gate, queue = Gate(), WorkQueue(lambda session: session in here)
    running, waiting, last = (queue.submit(name, 0, gate.work(name)) for name in "abc")
    assert gate.begun.wait(PATIENCE)
    assert queue.place(last) == 2
    here.discard("b")
    assert queue.place(last) == 1
    assert waiting.state == "cancelled"
    here.discard("a")
    assert ended(running).state == "cancelled"
    gate.open.set()
    assert ended(last).result == "answer c"
    assert gate.ran == ["a", "c"]


def test_a_full_queue_refuses_and_one_who_left_makes_room() -> None:
    here = set("abcd")
    gate, queue = Gate(), WorkQueue(lambda session: session in here, max_waiting=2)
    queue.submit("a", 0, gate.work("a"))
    assert gate.begun.wait(PATIENCE)
    queue.submit("b", 0, gate.work("b"))
    queue.submit("c", 0, gate.work("c"))
    with pytest.raises(MachineError, match="too many visitors"):
        queue.submit("d", 0, gate.work("d"))
    assert queue.submit("c", 1, gate.work("c again")).state == "waiting"
    here.discard("b")
    assert queue.place(queue.submit("d", 0, gate.work("d"))) == 2
    gate.open.set()


@pytest.mark.parametrize(
    ("raised", "title"),
    [
        (InputError("the text is too long", "detail", "remedy"), "the text is too long"),
        (MemoryError(), "does not fit into this machine's memory"),
        (RuntimeError("/home/me/secret"), "could not finish"),
    ],
)
def test_an_error_in_a_job_becomes_a_prism_error_and_the_queue_goes_on(raised: Exception, title: str) -> None:
    def fails(progress: Progress) -> None:
        raise raised

    queue = WorkQueue()
    job = ended(queue.submit("a", 0, fails))
    assert (job.state, job.result) == ("failed", None)
    assert title in job.error.title
    assert "secret" not in str(job.error)
    assert ended(queue.submit("a", 1, lambda progress: 7)).result == 7


# --- time ----------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float, then: str = "done") -> Callable[[Progress], str]:
        def run(progress: Progress) -> str:
            for _ in range(10):
                self.now += seconds / 10
                progress.advance(1)
            return then

        return run


def test_a_job_is_stopped_at_its_first_sign_of_progress_after_its_seconds_and_says_so() -> None:
    clock = Clock()
    queue = WorkQueue(job_s=60, clock=clock)
    assert ended(queue.submit("a", 0, clock.work(59))).result == "done"
    began = clock.now
    job = ended(queue.submit("a", 1, clock.work(200)))
    assert (job.state, job.result) == ("failed", None)
    assert 60 < clock.now - began <= 80
    assert isinstance(job.error, InputError)
    assert "60 seconds" in job.error.detail
    assert job.error.remedy
    assert ended(queue.submit("b", 2, clock.work(1))).state == "done"


def test_a_job_that_waits_long_has_all_its_seconds_once_it_begins() -> None:
    clock, gate = Clock(), Gate()
    queue = WorkQueue(job_s=60, clock=clock)
    first = queue.submit("a", 0, gate.work("a"))
    assert gate.begun.wait(PATIENCE)
    second = queue.submit("b", 0, clock.work(50))
    clock.now += 1000
    gate.open.set()
    ended(first)
    assert ended(second).state == "done"


def test_a_visitor_has_seconds_per_hour_others_are_not_touched_and_they_come_back() -> None:
    clock = Clock()
    queue = WorkQueue(hour_s=100, clock=clock)
    for i in range(2):
        assert ended(queue.submit("a", i, clock.work(40))).state == "done"
        settle(queue, "a", 100 - 40 * (i + 1))
    cut = ended(queue.submit("a", 2, clock.work(40)))
    assert cut.state == "failed"
    assert "20 of your 100 seconds" in cut.error.detail
    settle(queue, "a", 0)
    with pytest.raises(InputError, match="used up") as refused:
        queue.submit("a", 3, clock.work(1))
    assert "in 59 min" in refused.value.remedy
    assert ended(queue.submit("b", 0, clock.work(50))).state == "done"
    clock.now += 3600
    assert queue.seconds_left("a") == 100
    assert ended(queue.submit("a", 4, clock.work(50))).state == "done"


def test_without_limits_nothing_is_stopped() -> None:
    clock = Clock()
    queue = WorkQueue(clock=clock)
    assert ended(queue.submit("a", 0, clock.work(100_000))).state == "done"
    assert queue.seconds_left("a") == float("inf")


def settle(queue: WorkQueue, session: str, left: float) -> None:
    """The seconds of a job are counted just after it has ended."""
    for _ in range(200):
        if abs(queue.seconds_left(session) - left) < 1e-6:
            return
        time.sleep(0.01)
    raise AssertionError(f"{queue.seconds_left(session)} seconds are left, expected {left}")
