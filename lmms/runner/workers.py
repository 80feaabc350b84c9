"""Threads that read documents, continue episodes and score, beside the event loop.

Task code may hang. A worker that spends longer than the limit on one document is given up: its
document fails, what else it had goes to a new worker, and whatever it still does is ignored. The
thread itself cannot be killed; it is a daemon, so that it does not keep the process alive. (Code
that never lets go of the interpreter lock, such as one long match of a regular expression, stops
the process as a whole until it ends; no thread can interrupt that.)
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Results are handed over together, but none waits longer than this for the others.
_HAND_OVER_SECONDS = 0.01


class _Worker(Generic[T, R]):
    """What one thread is doing; read by the pool under its lock."""

    def __init__(self) -> None:
        self.job: T | None = None
        self.since = 0.0
        self.given_up = False
        self.unsent: list[R] = []


class WorkerPool(Generic[T, R]):
    """Runs jobs on daemon threads with a time limit per job.

    Args:
        work: Does one job; must not raise.
        deliver: Receives results, in the thread that made them; must not raise.
        threads: How many.
        limit_seconds: Time for one job; None: no limit.
        name: Of the threads.
    """

    def __init__(
        self,
        work: Callable[[T], R],
        deliver: Callable[[Sequence[R]], None],
        *,
        threads: int = 1,
        limit_seconds: float | None = None,
        name: str,
    ) -> None:
        self._work = work
        self._deliver = deliver
        self._limit = limit_seconds
        self._name = name
        self._jobs: deque[T] = deque()
        self._changed = threading.Condition()
        self._workers: list[_Worker[T, R]] = []
        self._closed = False
        self.busy_seconds = 0.0
        """Time spent on jobs, summed over threads."""
        for _ in range(threads):
            self._hire()

    def submit(self, jobs: Sequence[T]) -> None:
        """Adds jobs; they start in this order."""
        with self._changed:
            self._jobs.extend(jobs)
            self._changed.notify(len(jobs))

    def overdue(self) -> list[T]:
        """Gives up workers that are over the limit and returns the jobs that they were on."""
        if self._limit is None:
            return []
        latest = time.perf_counter() - self._limit
        late: list[T] = []
        with self._changed:
            for worker in [w for w in self._workers if w.job is not None and w.since < latest]:
                worker.given_up = True
                self._workers.remove(worker)
                if worker.job is not None:
                    late.append(worker.job)
                unsent, worker.unsent = worker.unsent, []
                if unsent:
                    self._deliver(unsent)
                self._hire()
        return late

    def close(self) -> None:
        """Ends idle threads and drops jobs that have not started. Waits for nobody."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()

    def _hire(self) -> None:
        worker: _Worker[T, R] = _Worker()
        self._workers.append(worker)
        threading.Thread(target=self._run, args=(worker,), name=self._name, daemon=True).start()

    def _run(self, worker: _Worker[T, R]) -> None:
        handed_over = time.perf_counter()
        while True:
            with self._changed:
                now = time.perf_counter()
                if worker.unsent and (not self._jobs or now > handed_over + _HAND_OVER_SECONDS):
                    results, worker.unsent = worker.unsent, []
                else:
                    results = []
                    while not self._jobs and not self._closed:
                        self._changed.wait()
                        now = handed_over = time.perf_counter()
                    if self._closed and not self._jobs:
                        return
                    worker.job, worker.since = self._jobs.popleft(), now
                    job = worker.job
            if results:
                self._deliver(results)
                handed_over = time.perf_counter()
                continue
            result = self._work(job)
            with self._changed:
                if worker.given_up:
                    return
                worker.job = None
                worker.unsent.append(result)
                self.busy_seconds += time.perf_counter() - worker.since
