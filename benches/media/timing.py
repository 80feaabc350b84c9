"""Timing readers against each other: shuffled rounds in one process, medians, wall and CPU."""

from __future__ import annotations

import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: What is timed, and what is made ready for it outside the clock.
Job = Callable[[], object]
Prepare = Callable[[], Job]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one contestant."""

    wall: float
    """Median over the rounds."""
    cpu: float
    """Median of user and system time of the whole process."""
    rounds: int
    best: float
    """Shortest wall time of a round."""

    def as_json(self) -> dict[str, float | int]:
        """For the record."""
        return {
            "wall_ms": round(self.wall, 2),
            "cpu_ms": round(self.cpu, 2),
            "best_ms": round(self.best, 2),
            "rounds": self.rounds,
        }


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that does the job of a case."""

    name: str
    prepare: Prepare
    """Called before every round outside the clock; gives the job that is timed."""
    rounds: int | None = None
    """Rounds of its own, for a contestant that takes minutes; it then gets no warm-up either."""


def once(job: Job) -> Prepare:
    """For jobs that need nothing made ready."""
    return lambda: job


def allowed(rounds: int) -> int:
    """Rounds to take: LMMS_BENCH_ROUNDS lowers them, for a first look or a busy machine."""
    return min(rounds, int(os.environ.get("LMMS_BENCH_ROUNDS", rounds)))


def race(contestants: list[Contestant], *, rounds: int = 5, seed: int = 0) -> dict[str, Timing]:
    """Times contestants in shuffled order after one warm-up each.

    The result of a job is dropped after the clock has stopped; the collector of garbage is off
    while it runs.
    """
    for contestant in contestants:
        if contestant.rounds is None:
            contestant.prepare()()
    order = [c for c in contestants for _ in range(allowed(c.rounds or rounds))]
    random.Random(seed).shuffle(order)
    taken: dict[str, list[tuple[float, float]]] = {c.name: [] for c in contestants}
    for contestant in order:
        taken[contestant.name].append(_timed(contestant.prepare()))
    return {name: summary(rows) for name, rows in taken.items()}


def summary(rows: list[tuple[float, float]]) -> Timing:
    """Medians of (wall, CPU) milliseconds."""
    walls, cpus = zip(*rows, strict=True)
    return Timing(statistics.median(walls), statistics.median(cpus), len(rows), min(walls))


def fastest(timings: Mapping[str, Timing]) -> str:
    """The name with the least median wall time."""
    return min(timings, key=lambda name: timings[name].wall)


def _timed(job: Job) -> tuple[float, float]:
    gc.collect()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        result = job()
        spent = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
    finally:
        gc.enable()
    del result
    return spent
