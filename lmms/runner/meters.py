"""Where the time of a sitting went; kept over the sittings of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmms.runner.observer import RunProgress
from lmms.types import Failure, Outcome

if TYPE_CHECKING:
    from lmms.media.prefetch import LoaderStatistics
    from lmms.runner.episodes import Asked


@dataclass(slots=True)
class TaskMeter:
    """Times and counts of one task."""

    wall_seconds: float = 0.0
    """From the first document to the last; tasks overlap a little."""
    model_seconds: float = 0.0
    """Seconds of batches, shared by the number of requests."""
    media_wait_seconds: float = 0.0
    """Seconds in which the model waited for media of this task."""
    requests_asked: int = 0
    requests_failed: int = 0
    """Attempts without an answer."""
    began: float | None = None

    def begin(self) -> None:
        """The first document of the task is opened."""
        self.began = time.perf_counter()

    def end(self) -> None:
        """The last document of the task is recorded."""
        if self.began is not None:
            self.wall_seconds += time.perf_counter() - self.began
            self.began = None

    def to_json(self) -> dict[str, float | int]:
        """Returns the figures, with the time that is running now."""
        running = 0.0 if self.began is None else time.perf_counter() - self.began
        return {
            "wall_seconds": self.wall_seconds + running,
            "model_seconds": self.model_seconds,
            "media_wait_seconds": self.media_wait_seconds,
            "requests_asked": self.requests_asked,
            "requests_failed": self.requests_failed,
        }


@dataclass(slots=True)
class Meters:
    """All clocks of a sitting."""

    tasks: dict[str, TaskMeter] = field(default_factory=dict)
    model_seconds: float = 0.0
    """Seconds in which the model had at least one batch."""
    media_wait_seconds: float = 0.0
    scoring_seconds: float = 0.0
    """Seconds in scoring workers, summed over threads."""
    decode_seconds: float = 0.0
    """Seconds in media threads, summed over threads."""
    media_cache_hits: int = 0
    media_loads: int = 0
    frames_decoded: int = 0
    decoded_bytes: int = 0
    media_failures: int = 0
    media_isolated: int = 0
    media_store_hits: int = 0
    media_store_misses: int = 0
    media_store_bytes: int = 0
    media_workers_lost: int = 0
    started: float = field(default_factory=time.perf_counter)
    _last: float = field(default_factory=time.perf_counter)
    _waiting: bool = False
    _busy: bool = False

    def task(self, label: str) -> TaskMeter:
        """Returns the meter of a task."""
        return self.tasks.setdefault(label, TaskMeter())

    @property
    def seconds(self) -> float:
        """Wall seconds of this sitting."""
        return time.perf_counter() - self.started

    def clock(self, waiting: bool, *, busy: bool) -> None:
        """Adds the time since the last call to what was going on until now.

        Args:
            waiting: Whether from now on the model waits for media.
            busy: Whether from now on it has a batch.
        """
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        if self._busy:
            self.model_seconds += elapsed
        elif self._waiting:
            self.media_wait_seconds += elapsed
            running = [meter for meter in self.tasks.values() if meter.began is not None]
            for meter in running:
                meter.media_wait_seconds += elapsed / len(running)
        self._waiting, self._busy = waiting, busy

    def batch(self, batch: Sequence[Asked], outcomes: Sequence[Outcome], seconds: float) -> None:
        """Takes a batch that came back."""
        share = seconds / len(batch)
        for asked, outcome in zip(batch, outcomes, strict=True):
            meter = self.tasks[asked.document.task.label]
            meter.model_seconds += share
            if isinstance(outcome, Failure):
                meter.requests_failed += 1
            else:
                meter.requests_asked += 1

    def loaded(self, statistics: LoaderStatistics | None) -> None:
        """Takes what the media loader counted."""
        if statistics is not None:
            self.decode_seconds += statistics.decode_seconds
            self.media_cache_hits += statistics.hits
            self.media_loads += statistics.misses
            self.frames_decoded += statistics.frames
            self.decoded_bytes += statistics.decoded_bytes
            self.media_failures += statistics.failures
            self.media_isolated += statistics.isolated
            self.media_store_hits += statistics.store_hits
            self.media_store_misses += statistics.store_misses
            self.media_store_bytes += statistics.store_bytes
            self.media_workers_lost += statistics.workers_lost

    def show(self, progress: RunProgress) -> None:
        """Writes the clocks where a display reads them."""
        progress.seconds = self.seconds
        progress.model_seconds = self.model_seconds
        progress.media_wait_seconds = self.media_wait_seconds

    def to_json(self) -> dict[str, Any]:
        """Returns all figures of this sitting."""
        return {
            "wall_seconds": self.seconds,
            "model_seconds": self.model_seconds,
            "media_wait_seconds": self.media_wait_seconds,
            "scoring_seconds": self.scoring_seconds,
            "decode_seconds": self.decode_seconds,
            "media_cache_hits": self.media_cache_hits,
            "media_loads": self.media_loads,
            "frames_decoded": self.frames_decoded,
            "decoded_bytes": self.decoded_bytes,
            "media_failures": self.media_failures,
            "media_isolated": self.media_isolated,
            "media_store_hits": self.media_store_hits,
            "media_store_misses": self.media_store_misses,
            "media_store_bytes": self.media_store_bytes,
            "media_workers_lost": self.media_workers_lost,
            "tasks": {label: meter.to_json() for label, meter in self.tasks.items()},
        }


def add_up(earlier: Mapping[str, Any], latest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the sums of two sittings' figures, key by key, however deep."""
    total = dict(earlier)
    for name, value in latest.items():
        if isinstance(value, Mapping):
            total[name] = add_up(total.get(name) or {}, value)
        else:
            total[name] = total.get(name, 0) + value
    return total
