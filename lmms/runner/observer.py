"""What a run tells about itself while it goes on: plain numbers that a display reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

TaskState = Literal["waiting", "running", "scored"]
ModelState = Literal["starting", "ready"]


@dataclass(slots=True)
class RunningMean:
    """Mean and spread of a stream of numbers, in constant memory (Welford 1962)."""

    n: int = 0
    mean: float = 0.0
    _squares: float = 0.0

    def add(self, value: float) -> None:
        """Takes one more number."""
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        self._squares += delta * (value - self.mean)

    @property
    def stderr(self) -> float | None:
        """Standard error of the mean; None below two numbers."""
        if self.n < 2:
            return None
        return math.sqrt(self._squares / (self.n - 1) / self.n)


@dataclass(slots=True)
class TaskProgress:
    """One task so far. `done` counts recorded documents, whether scored or failed."""

    label: str
    shown_as: str
    total: int
    state: TaskState = "waiting"
    done: int = 0
    failed: int = 0
    reused: int = 0
    """Requests answered by the journal of an earlier sitting."""
    asked: int = 0
    """Requests answered by the model in this sitting."""
    retries: int = 0
    metrics: dict[str, RunningMean] = field(default_factory=dict)
    """Mean so far per score; in the order of the task's metrics."""
    ability: tuple[float, float | None] | None = None
    """Ability so far and its standard error, where documents are chosen by it."""

    def observe(self, values: Mapping[str, float | None] | None) -> None:
        """Counts one recorded document."""
        self.done += 1
        if values is None:
            self.failed += 1
            return
        for name, value in values.items():
            if value is not None:
                self.metrics.setdefault(name, RunningMean()).add(value)


@dataclass(slots=True)
class RunProgress:
    """The whole run so far; updated in place, on one thread."""

    folder: Path
    model: str
    tasks: dict[str, TaskProgress]
    resumed: bool = False
    model_state: ModelState = "starting"
    stopping: bool = False
    seconds: float = 0.0
    """Wall seconds of this sitting."""
    model_seconds: float = 0.0
    """Seconds in which the model had at least one batch."""
    media_wait_seconds: float = 0.0
    """Seconds in which the model had nothing to do because media were being loaded."""
    tokens_out: int = 0
    """Tokens generated in this sitting."""
    in_flight: int = 0
    """Requests that the model has."""
    last_failure: str | None = None

    @property
    def done(self) -> int:
        """Documents recorded."""
        return sum(task.done for task in self.tasks.values())

    @property
    def total(self) -> int:
        """Documents asked for."""
        return sum(task.total for task in self.tasks.values())

    @property
    def asked(self) -> int:
        """Requests answered by the model in this sitting."""
        return sum(task.asked for task in self.tasks.values())

    def eta_seconds(self) -> float | None:
        """Returns the expected seconds to the end at the pace so far; None if unknown."""
        left = self.total - self.done
        return self.seconds / self.done * left if self.done and self.asked else None


class RunObserver(Protocol):
    """Is told how a run goes. Called on the run's own thread; must return at once."""

    def started(self, progress: RunProgress) -> None:
        """The run folder is open; the model may still be loading."""
        ...

    def updated(self, progress: RunProgress) -> None:
        """Numbers have changed; called a few times per second."""
        ...

    def notice(self, text: str) -> None:
        """Something is worth a line: a warning, a task that ended, a resume command."""
        ...

    def finished(self, progress: RunProgress, status: str) -> None:
        """The run is over: complete, incomplete or interrupted."""
        ...


class Silent:
    """An observer that says nothing."""

    def started(self, progress: RunProgress) -> None:
        """Says nothing."""

    def updated(self, progress: RunProgress) -> None:
        """Says nothing."""

    def notice(self, text: str) -> None:
        """Says nothing."""

    def finished(self, progress: RunProgress, status: str) -> None:
        """Says nothing."""
