"""A world for the scheduler: it performs actions when told to, on a clock of its own."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping

from lmms.scheduler import InOrder, Limits, RetryPolicy, Scheduler, Selector, TaskQueue
from lmms.scheduler.messages import (
    Abandon,
    Action,
    Advance,
    Ask,
    Broken,
    Deliver,
    Event,
    Fail,
    Halt,
    Load,
    Loaded,
    LoadFailed,
    ModelReady,
    Open,
    Opening,
    Recorded,
    Release,
    Returned,
    Stepped,
    Submit,
    TaskEnded,
)
from lmms.types import Failure

BROKEN = Failure(kind="model", message="broken")
FLAKY = Failure(kind="timeout", message="slow", retryable=True)


class World:
    """Holds what is in work; `finish_*` completes one piece and tells the scheduler.

    Args:
        tasks: Documents per task.
        rounds: Rounds per document.
        asks: Requests per round.
        key_pool: Number of distinct request keys; None: every request is its own.
        media_bytes: Bytes of every request's media; 0: text.
        selectors: Tasks whose documents are chosen otherwise than in their order.
        values: Scores of a document (task, index).
    """

    def __init__(
        self,
        tasks: dict[str, int],
        limits: Limits,
        *,
        rounds: int = 1,
        asks: int = 1,
        key_pool: int | None = None,
        media_bytes: int = 0,
        retry: RetryPolicy | None = None,
        seed: int = 0,
        ready: bool = True,
        selectors: Mapping[str, Selector] | None = None,
        values: Callable[[tuple[str, int]], Mapping[str, float | None]] = lambda _: {"acc": 1.0},
    ) -> None:
        self.limits = limits
        self.values = values
        self.queues = {name: TaskQueue(name, InOrder(count)) for name, count in tasks.items()}
        self.queues |= {name: TaskQueue(name, s) for name, s in (selectors or {}).items()}
        self.scheduler = Scheduler(
            list(self.queues.values()), limits=limits, retry=retry, seed=seed
        )
        self.rounds, self.asks, self.key_pool = rounds, asks, key_pool
        self.media_bytes = media_bytes
        self.now = 0.0
        self.rng = random.Random(seed)
        self.numbers = itertools.count()
        self.opening: list[Opening] = []
        self.advancing: list[int] = []
        self.recording: list[int] = []
        self.loads: list[int] = []
        self.batches: dict[int, tuple[int, ...]] = {}
        self.documents: dict[int, Opening] = {}
        self.round_of: Counter[int] = Counter()
        self.slot_of: dict[int, int] = {}
        self.key_of: dict[int, str] = {}
        self.unanswered: dict[int, set[int]] = {}
        self.answered: set[int] = set()
        self.ended: Counter[tuple[str, int]] = Counter()
        self.failed: set[tuple[str, int]] = set()
        self.abandoned: set[tuple[str, int]] = set()
        self.gone: set[int] = set()
        self.tasks_ended: list[str] = []
        self.asked_keys: Counter[str] = Counter()
        self.opened_order: list[tuple[str, int]] = []
        self.batch_sizes: list[int] = []
        self.halted = False
        self.send(*([ModelReady()] if ready else []))

    # ------------------------------------------------------------------------- the scheduler's side

    def send(self, *events: Event) -> list[Action]:
        actions = self.scheduler.step(events, self.now)
        for action in actions:
            self._perform(action)
        self.check()
        return actions

    def _perform(self, action: Action) -> None:
        match action:
            case Open(openings):
                assert not self.halted
                for opening in openings:
                    self.documents[opening.slot] = opening
                    self.opened_order.append((opening.task, opening.document))
                self.opening.extend(openings)
            case Load(request):
                assert not self.halted
                self.loads.append(request)
            case Submit(batch, requests):
                assert not self.halted
                assert len(requests) <= self.limits.batch_size
                assert len(set(requests)) == len(requests)
                self.batches[batch] = requests
                self.batch_sizes.append(len(requests))
                self.asked_keys.update(self.key_of[r] for r in requests)
            case Deliver(request, source):
                assert self.key_of[request] == self.key_of[source]
                self._answer(request)
            case Advance(slot):
                assert not self.unanswered[slot], "advanced before its round was answered"
                self.advancing.append(slot)
            case Fail(slot, _, _):
                self.recording.append(slot)
            case Abandon(slot):
                assert self.halted or self.scheduler.fatal is not None
                self.abandoned.add(self._document(slot))
                del self.documents[slot]
                self.gone.add(slot)
            case Release(requests):
                for request in requests:
                    assert request in self.slot_of, "released twice"
                    del self.slot_of[request]
            case TaskEnded(task):
                self.tasks_ended.append(task)

    def _document(self, slot: int) -> tuple[str, int]:
        opening = self.documents[slot]
        return opening.task, opening.document

    def _answer(self, request: int) -> None:
        self.answered.add(request)
        slot = self.slot_of[request]
        if slot in self.unanswered:
            self.unanswered[slot].discard(request)

    def check(self) -> None:
        """Holds after every step."""
        scheduler = self.scheduler
        assert scheduler.open_documents <= self.limits.open_documents
        assert scheduler.in_flight <= self.limits.concurrency
        assert scheduler.in_flight == len(self.batches)
        if scheduler.media_bytes > self.limits.media_bytes:
            # Only what is too large for any budget, or came back to be asked again, exceeds it.
            assert self.media_bytes > self.limits.media_bytes or self.retried

    retried = False

    # -------------------------------------------------------------------------- the world's side

    def _asks(self, slot: int) -> tuple[Ask, ...]:
        asks = []
        for _ in range(self.asks):
            number = next(self.numbers)
            key = f"{number:x}" if self.key_pool is None else str(self.rng.randrange(self.key_pool))
            self.slot_of[number] = slot
            self.key_of[number] = key
            asks.append(Ask(number, key, "group", self.rng.randrange(100), self.media_bytes))
        self.unanswered[slot] = {ask.request for ask in asks}
        return tuple(asks)

    def step_episode(self, slot: int) -> Event:
        self.round_of[slot] += 1
        if self.round_of[slot] > self.rounds:
            return Stepped(slot, ())
        return Stepped(slot, self._asks(slot))

    def finish_open(self, *, broken: bool = False) -> None:
        slot = self.opening.pop(0).slot
        self.send(Broken(slot, BROKEN) if broken else self.step_episode(slot))

    def finish_advance(self, place: int = 0, *, broken: bool = False) -> None:
        slot = self.advancing.pop(place)
        if broken:
            self.send(Broken(slot, BROKEN))
        elif self.round_of[slot] >= self.rounds:
            self._record(slot, failed=False)
        else:
            self.send(self.step_episode(slot))

    def finish_record(self, place: int = 0) -> None:
        self._record(self.recording.pop(place), failed=True)

    def _record(self, slot: int, *, failed: bool) -> None:
        document = self._document(slot)
        self.ended[document] += 1
        if failed:
            self.failed.add(document)
        del self.documents[slot]
        self.send(Recorded(slot, None if failed else self.values(document)))

    def finish_load(self, place: int = 0, *, broken: bool = False) -> None:
        request = self.loads.pop(place)
        failure = Failure(kind="media", message="broken clip")
        self.send(LoadFailed(request, failure) if broken else Loaded(request, self.media_bytes, 1))

    def finish_batch(self, batch: int, failures: dict[int, Failure] | None = None) -> None:
        requests = self.batches.pop(batch)
        failures = failures or {}
        if failures:
            self.retried = True
        outcome = tuple(failures.get(place) for place in range(len(requests)))
        for place, request in enumerate(requests):
            if place not in failures:
                self._answer(request)
        self.send(Returned(batch, outcome))

    def halt(self) -> None:
        self.halted = True
        self.send(Halt())

    @property
    def unreleased(self) -> list[int]:
        """Requests that the scheduler took and never let go."""
        return [request for request, slot in self.slot_of.items() if slot not in self.gone]

    def finish_all(self, *, limit: int = 100_000) -> None:
        """Completes everything, without failures, passing time where that is waited for."""
        for _ in range(limit):
            if self.scheduler.finished:
                return
            if self.opening:
                self.finish_open()
            elif self.loads:
                self.finish_load()
            elif self.advancing:
                self.finish_advance()
            elif self.recording:
                self.finish_record()
            elif self.batches:
                self.finish_batch(next(iter(self.batches)))
            else:
                wake = self.scheduler.next_wake()
                assert wake is not None, "nothing is in work, and nothing is waited for"
                self.now = max(self.now, wake)
                self.send()
        raise AssertionError("it never ends")
