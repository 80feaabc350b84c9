"""What the scheduler remembers: bounds, tasks, documents in work (slots) and their requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from lmms.scheduler.batching import Candidate
from lmms.scheduler.messages import Ask
from lmms.scheduler.selector import WAIT, SelectionState, Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that the scheduler keeps."""

    open_documents: int
    """Documents between opening and record."""
    media_bytes: int
    """Decoded pixels that may wait for the model. One request alone may exceed it."""
    batch_size: int
    concurrency: int = 1
    """Batches in flight."""
    active_tasks: int = 2
    """Tasks whose documents are opened in turn, so that the end of one overlaps the next."""


@dataclass(slots=True)
class TaskQueue:
    """A task and who chooses its documents."""

    name: str
    selector: Selector
    opened: int = 0
    ended: int = 0
    failed: int = 0
    exhausted: bool = False
    """Whether the selector wants no more documents."""

    @property
    def state(self) -> SelectionState:
        """What the selector may look at."""
        return SelectionState(self.opened, self.ended, self.failed)

    @property
    def over(self) -> bool:
        """Whether every document that was wanted has ended."""
        return self.exhausted and self.ended == self.opened


class TaskTable:
    """Which tasks are being worked on, and from which the next document comes.

    Args:
        tasks: In the order in which they start.
        active: How many are worked on at a time.
    """

    def __init__(self, tasks: Sequence[TaskQueue], *, active: int) -> None:
        self._waiting = deque(tasks)
        self._active: list[TaskQueue] = []
        self._limit = active

    @property
    def over(self) -> bool:
        """Whether all documents of all tasks have ended."""
        return not self._active and not self._waiting

    def choose(self) -> tuple[TaskQueue, int] | None:
        """Returns the next document to open, counted as opened; None if there is none now.

        The active task with the fewest documents in work comes first: one that is stuck behind
        slow media or retries cannot take all places.
        """
        while True:
            open_tasks = [t for t in self._active if not t.exhausted]
            while len(open_tasks) < self._limit and self._waiting:
                task = self._waiting.popleft()
                self._active.append(task)
                open_tasks.append(task)
            for task in sorted(open_tasks, key=lambda t: t.opened - t.ended):
                choice = task.selector.next(task.state)
                if choice is None:
                    task.exhausted = True
                elif choice != WAIT:
                    task.opened += 1
                    return task, int(choice)
            # A task that has just run dry makes room for one that has not started.
            if not self._waiting or all(not t.exhausted for t in open_tasks):
                return None

    def take_over(self) -> list[TaskQueue]:
        """Removes and returns the tasks that are over."""
        over = [task for task in self._active if task.over]
        if over:
            self._active = [task for task in self._active if not task.over]
        return over


class Stage(IntEnum):
    """Where a request is."""

    WAITING = 0
    """For its media to be loaded."""
    LOADING = 1
    READY = 2
    FLYING = 3
    BACKOFF = 4
    FOLLOWING = 5
    """The same question is being asked by another document; its answer will do."""


class Phase(IntEnum):
    """Where a document is."""

    OPENING = 0
    ASKING = 1
    """Some requests of the round have no answer yet."""
    ADVANCING = 2
    """The round is complete, the episode goes on or is scored."""
    RECORDING = 3
    """It failed, and the failed sample is being written."""


class SlotState:
    """A document in work."""

    __slots__ = ("held", "index", "number", "phase", "requests", "task")

    def __init__(self, number: int, task: TaskQueue, index: int) -> None:
        self.number = number
        self.task = task
        self.index = index
        self.phase = Phase.OPENING
        self.requests: dict[int, RequestState] = {}
        """Requests of the round that have no answer yet."""
        self.held = 0
        """Bytes that the document itself holds."""


class RequestState:
    """A request without an answer."""

    __slots__ = (
        "ask",
        "attempts",
        "candidate",
        "failed_at",
        "followers",
        "number",
        "reserved",
        "slot",
        "stage",
        "tries",
    )

    def __init__(self, slot: SlotState, ask: Ask) -> None:
        self.number = ask.request
        self.slot: SlotState | None = slot
        """None: its document ended while it was in flight."""
        self.ask = ask
        self.candidate = Candidate(slot.number, ask.request, ask.cost)
        self.stage = Stage.WAITING
        self.attempts = 0
        """Failed attempts that count against the limit of retries."""
        self.tries = 0
        """All failed attempts; the wait grows with them."""
        self.failed_at = -1.0
        self.reserved = 0
        """Bytes of pixels counted against the budget."""
        self.followers: list[RequestState] = []
