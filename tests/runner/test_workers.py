"""Worker threads: every job once, in order, and none that hangs is in the way of others."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from lmms.runner.workers import WorkerPool


class Results:
    def __init__(self) -> None:
        self.values: list[int] = []
        self.changed = threading.Condition()

    def add(self, values: Sequence[int]) -> None:
        with self.changed:
            self.values.extend(values)
            self.changed.notify_all()

    def wait_for(self, count: int) -> list[int]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.values) >= count, 10)
        return self.values


def test_one_worker_keeps_the_order() -> None:
    results = Results()
    pool: WorkerPool[int, int] = WorkerPool(lambda n: n * n, results.add, name="test")
    pool.submit(range(100))
    pool.submit(range(100, 150))
    assert results.wait_for(150) == [n * n for n in range(150)]
    pool.close()


def test_many_workers_do_every_job_once() -> None:
    results = Results()
    pool: WorkerPool[int, int] = WorkerPool(lambda n: n, results.add, threads=4, name="test")
    for start in range(0, 1000, 10):
        pool.submit(range(start, start + 10))
    assert sorted(results.wait_for(1000)) == list(range(1000))
    pool.close()


def test_a_hanging_job_is_given_up_and_its_late_result_ignored() -> None:
    results, release = Results(), threading.Event()

    def work(number: int) -> int:
        if number == 3:
            release.wait(10)
        return number

    pool = WorkerPool(work, results.add, limit_seconds=0.1, name="test")
    pool.submit(range(10))
    late: list[int] = []
    deadline = time.monotonic() + 10
    while not late and time.monotonic() < deadline:
        time.sleep(0.02)
        late = pool.overdue()
    assert late == [3]
    expected = [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert results.wait_for(9) == expected
    release.set()
    time.sleep(0.1)
    assert results.values == expected
    assert pool.overdue() == []
    pool.close()


def test_closing_drops_what_has_not_started() -> None:
    results, release, begun = Results(), threading.Event(), threading.Event()

    def work(number: int) -> int:
        begun.set()
        release.wait(10)
        return number

    pool = WorkerPool(work, results.add, name="test")
    pool.submit(range(10))
    begun.wait(10)
    pool.close()
    release.set()
    assert results.wait_for(1) == [0]
    time.sleep(0.05)
    assert results.values == [0]
