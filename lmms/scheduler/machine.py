"""The scheduler: events in, actions out.

A document is opened (it takes a *slot*), its episode asks rounds of requests, each request may
need media, waits for a place in a batch, is answered or fails, and when a round is complete the
episode goes on until it ends and is recorded. The machine decides the order of all this under four
bounds (open documents, bytes of pixels, batches in flight, size of a batch). It has no clock, does
no I/O, and gives the same actions for the same events.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from lmms.scheduler.batching import ReadyQueue
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
    Retry,
    Returned,
    Stepped,
    Submit,
    TaskEnded,
)
from lmms.scheduler.retry import Concurrency, RetryPolicy
from lmms.scheduler.state import (
    Limits,
    Phase,
    RequestState,
    SlotState,
    Stage,
    TaskQueue,
    TaskTable,
)
from lmms.types import Failure

# Documents opened by one action: one at first, so that the first answer comes soon, then more, so
# that handing work to another thread costs little per document.
_FIRST_CHUNK: Final = 1
_LARGEST_CHUNK: Final = 32

# How long a free model waits for a batch to fill while more requests are on their way.
_LINGER_SECONDS: Final = 0.02


class Scheduler:
    """Decides what happens next.

    Args:
        tasks: Tasks in the order in which they start.
        limits: Bounds to keep.
        retry: When failed requests are asked again.
        seed: Seeds the jitter of the back-off.
    """

    def __init__(
        self,
        tasks: Sequence[TaskQueue],
        *,
        limits: Limits,
        retry: RetryPolicy | None = None,
        seed: int = 0,
    ) -> None:
        self.limits = limits
        self.retry = retry or RetryPolicy()
        self.fatal: Failure | None = None
        """The failure that stopped the run, if one did."""
        self.halting = False
        self._rng = random.Random(seed)
        self._tasks = TaskTable(tasks, active=limits.active_tasks)
        self._slots: dict[int, SlotState] = {}
        self._requests: dict[int, RequestState] = {}
        self._leaders: dict[str, RequestState] = {}
        self._to_load: list[tuple[int, int]] = []
        self._ready = ReadyQueue()
        self._backoff: list[tuple[float, int]] = []
        self._batches: dict[int, tuple[RequestState, ...]] = {}
        self._concurrency = Concurrency(limits.concurrency)
        self._batch_cap = limits.batch_size
        self._model_ready = False
        self._slot_count = self._batch_count = 0
        self._opening = self._advancing = self._loading = 0
        self._chunk = _FIRST_CHUNK
        self._media_bytes = self._held_bytes = 0
        self._partial_since: float | None = None
        self._last_answer_at = -1.0
        self._silent_since: float | None = None
        self._actions: list[Action] = []
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            ModelReady: self._on_model_ready,
            Stepped: self._on_stepped,
            Broken: self._on_broken,
            Loaded: self._on_loaded,
            LoadFailed: self._on_load_failed,
            Returned: self._on_returned,
            Recorded: self._on_recorded,
            Halt: self._on_halt,
        }

    # ------------------------------------------------------------------------------------ public

    def step(self, events: Iterable[Event], now: float) -> list[Action]:
        """Takes what has happened and returns what to do, in order.

        Args:
            events: In the order in which they happened; empty when only time has passed.
            now: Seconds on a clock that never goes back.
        """
        for event in events:
            self._handlers[type(event)](event, now)
        while self._backoff and self._backoff[0][0] <= now:
            request = self._requests.get(heapq.heappop(self._backoff)[1])
            if request is not None:
                self._make_ready(request)
        if not self.halting:
            self._open()
            # First the batch: pixels that the model takes make room for others.
            if self._model_ready:
                self._submit(now)
            self._load()
        self._actions += [TaskEnded(task.name) for task in self._tasks.take_over()]
        actions, self._actions = self._actions, []
        return actions

    @property
    def finished(self) -> bool:
        """Whether nothing is in work and nothing more will be started.

        On a halt, media that are still being loaded are for nobody and not waited for.
        """
        if self._slots or self._batches:
            return False
        return self.halting or (not self._loading and self._tasks.over)

    def next_wake(self) -> float | None:
        """Returns the time at which `step` must be called even if nothing happens, or None."""
        times = [self._backoff[0][0]] if self._backoff else []
        if self._partial_since is not None and len(self._batches) < self._concurrency.width:
            times.append(self._partial_since + _LINGER_SECONDS)
        return min(times, default=None)

    @property
    def open_documents(self) -> int:
        """Documents in work."""
        return len(self._slots)

    @property
    def media_bytes(self) -> int:
        """Bytes of pixels that wait for the model, as far as is known."""
        return self._media_bytes

    @property
    def in_flight(self) -> int:
        """Batches that the model has."""
        return len(self._batches)

    @property
    def waits_for_media(self) -> bool:
        """Whether the model has nothing to do because frames are still being decoded."""
        return self._loading > 0 and not self._batches and not len(self._ready)

    # ------------------------------------------------------------------------------------ events

    def _on_model_ready(self, event: ModelReady, now: float) -> None:
        self._model_ready = True

    def _on_stepped(self, event: Stepped, now: float) -> None:
        slot = self._slots[event.slot]
        self._back(slot)
        self._held_bytes += event.held_bytes
        slot.held += event.held_bytes
        if self.halting and event.asks:
            self._abandon(slot)
            return
        slot.phase = Phase.ASKING
        for ask in event.asks:
            self._add_request(slot, ask)
        self._advance_if_complete(slot)

    def _on_broken(self, event: Broken, now: float) -> None:
        slot = self._slots[event.slot]
        self._back(slot)
        if event.failure.fatal:
            self._abandon(slot)
            self._stop_for(event.failure, now)
        else:
            self._fail(slot, event.failure)

    def _on_loaded(self, event: Loaded, now: float) -> None:
        self._loading -= 1
        request = self._requests.get(event.request)
        if request is not None:
            self._reserve(request, event.nbytes)
            if event.cost is not None:
                request.candidate = request.candidate._replace(cost=event.cost)
            self._make_ready(request)

    def _on_load_failed(self, event: LoadFailed, now: float) -> None:
        self._loading -= 1
        request = self._requests.get(event.request)
        if request is not None:
            self._give_up(request, event.failure)

    def _on_returned(self, event: Returned, now: float) -> None:
        batch = self._batches.pop(event.batch)
        outcomes = list(zip(batch, event.failures, strict=True))
        # Answers first: they tell whether the line is dead or only one request is.
        for request, failure in outcomes:
            if failure is None:
                self._last_answer_at = now
                self._silent_since = None
                self._answered(request)
        for request, failure in outcomes:
            if failure is not None:
                self._failed(request, failure, event.batch, len(batch), now)
        if all(failure is None for failure in event.failures):
            self._concurrency.answered()

    def _on_recorded(self, event: Recorded, now: float) -> None:
        slot = self._slots[event.slot]
        if slot.phase != Phase.RECORDING:
            self._back(slot)
        task = slot.task
        task.ended += 1
        task.failed += event.values is None
        task.selector.observe(slot.index, event.values)
        self._forget(slot)

    def _on_halt(self, event: Halt, now: float) -> None:
        if not self.halting:
            self.halting = True
            self._backoff.clear()
            self._partial_since = None
            for slot in [s for s in self._slots.values() if s.phase == Phase.ASKING]:
                self._drain(slot)

    # --------------------------------------------------------------------------- documents, slots

    def _open(self) -> None:
        # One chunk at a time: while it is being read, places for the next one become free.
        if self._opening:
            return
        openings: list[Opening] = []
        while len(openings) < self._chunk and self._has_room():
            choice = self._tasks.choose()
            if choice is None:
                break
            slot = SlotState(self._slot_count, *choice)
            self._slot_count += 1
            self._slots[slot.number] = slot
            openings.append(Opening(slot.number, slot.task.name, slot.index))
        if openings:
            self._chunk = min(_LARGEST_CHUNK, self._chunk * 2)
            self._opening = len(openings)
            self._actions.append(Open(tuple(openings)))

    def _has_room(self) -> bool:
        return not self._slots or (
            len(self._slots) < self.limits.open_documents
            and self._held_bytes < self.limits.media_bytes
        )

    def _back(self, slot: SlotState) -> None:
        """A slot comes back from a worker."""
        if slot.phase == Phase.OPENING:
            self._opening -= 1
        else:
            self._advancing -= 1

    def _advance_if_complete(self, slot: SlotState) -> None:
        if not slot.requests:
            slot.phase = Phase.ADVANCING
            self._advancing += 1
            self._actions.append(Advance(slot.number))

    def _fail(self, slot: SlotState, failure: Failure, request: int | None = None) -> None:
        slot.phase = Phase.RECORDING
        self._actions.append(Fail(slot.number, failure, request))
        self._drop_requests(slot)

    def _abandon(self, slot: SlotState) -> None:
        self._drop_requests(slot)
        self._forget(slot)
        self._actions.append(Abandon(slot.number))

    def _forget(self, slot: SlotState) -> None:
        self._held_bytes -= slot.held
        del self._slots[slot.number]

    def _drain(self, slot: SlotState) -> None:
        """On a halt: keeps a document only if all its open requests are with the model."""
        for request in slot.requests.values():
            leader = self._leaders[request.ask.key]
            if leader.stage != Stage.FLYING:
                self._abandon(slot)
                return

    def _stop_for(self, failure: Failure, now: float) -> None:
        self.fatal = self.fatal or failure
        self._on_halt(Halt(), now)

    # ---------------------------------------------------------------------------------- requests

    def _add_request(self, slot: SlotState, ask: Ask) -> None:
        request = RequestState(slot, ask)
        self._requests[request.number] = request
        slot.requests[request.number] = request
        leader = self._leaders.get(ask.key)
        if leader is not None:
            request.stage = Stage.FOLLOWING
            leader.followers.append(request)
        else:
            self._leaders[ask.key] = request
            self._start(request)

    def _start(self, request: RequestState) -> None:
        if request.ask.media_bytes:
            request.stage = Stage.WAITING
            heapq.heappush(self._to_load, (request.candidate.slot, request.number))
        else:
            self._make_ready(request)

    def _make_ready(self, request: RequestState) -> None:
        request.stage = Stage.READY
        self._ready.add(request.ask.group, request.candidate)

    def _reserve(self, request: RequestState, nbytes: int) -> None:
        self._media_bytes += nbytes - request.reserved
        request.reserved = nbytes

    def _load(self) -> None:
        while self._to_load:
            request = self._requests.get(self._to_load[0][1])
            if request is None or request.stage != Stage.WAITING:
                heapq.heappop(self._to_load)
                continue
            wanted = request.ask.media_bytes
            if self._media_bytes and self._media_bytes + wanted > self.limits.media_bytes:
                return
            heapq.heappop(self._to_load)
            request.stage = Stage.LOADING
            self._reserve(request, wanted)
            self._loading += 1
            self._actions.append(Load(request.number))

    def _submit(self, now: float) -> None:
        while len(self._batches) < self._concurrency.width:
            group = self._ready.oldest()
            if group is None:
                self._partial_since = None
                return
            if self._ready.waiting(group) < self._batch_cap and self._lingers(now):
                return
            self._partial_since = None
            chosen = self._ready.take(group, self._batch_cap)
            batch = tuple(self._requests[number] for number in chosen)
            for request in batch:
                request.stage = Stage.FLYING
                self._media_bytes -= request.reserved
            self._batches[self._batch_count] = batch
            self._actions.append(Submit(self._batch_count, tuple(chosen)))
            self._batch_count += 1

    def _lingers(self, now: float) -> bool:
        """Whether a batch that is not full waits a little: only while more is on its way."""
        if not (self._opening or self._advancing or self._loading):
            return False
        if self._partial_since is None:
            self._partial_since = now
        return now < self._partial_since + _LINGER_SECONDS

    def _answered(self, request: RequestState) -> None:
        del self._leaders[request.ask.key]
        for follower in request.followers:
            if follower.slot is not None:
                self._actions.append(Deliver(follower.number, request.number))
                self._close(follower)
        self._close(request)

    def _close(self, request: RequestState) -> None:
        """A request has its answer."""
        del self._requests[request.number]
        self._actions.append(Release((request.number,)))
        slot = request.slot
        if slot is not None:
            del slot.requests[request.number]
            self._advance_if_complete(slot)

    def _failed(
        self, request: RequestState, failure: Failure, batch: int, size: int, now: float
    ) -> None:
        # Its media are still in memory and wait again.
        self._media_bytes += request.reserved
        if failure.fatal:
            self._stop_for(failure, now)
        if self.halting:
            self._leave(request)
        elif failure.kind == "out_of_memory" and size > 1:
            self._batch_cap = max(1, min(self._batch_cap, size // 2))
            self._again(request, 0.0, failure, now)
        elif self._retries(request, failure, batch, now):
            delay = self.retry.delay(request.tries, failure.retry_after_seconds, self._rng)
            self._again(request, delay, failure, now)
        elif self.fatal is not None:
            self._leave(request)
        else:
            self._give_up(request, failure)

    def _retries(self, request: RequestState, failure: Failure, batch: int, now: float) -> bool:
        """Counts a failed attempt and says whether there is another; may find the line dead."""
        if failure.retry_after_seconds is not None:
            self._concurrency.rejected(batch, self._batch_count - 1)
        if not failure.retryable:
            return False
        if failure.kind == "network":
            if self._silent_since is None:
                self._silent_since = now
            if now - self._silent_since > self.retry.outage_seconds:
                self._stop_for(failure, now)
                return False
        alive = failure.kind != "network" or self._last_answer_at >= request.failed_at
        request.tries += 1
        request.attempts += alive
        request.failed_at = now
        # While nothing gets through, the wait still grows, but the request is not to blame.
        return request.attempts <= self.retry.max_retries

    def _again(self, request: RequestState, delay: float, failure: Failure, now: float) -> None:
        if request.slot is None and not request.followers:
            self._give_up(request, failure)
            return
        request.stage = Stage.BACKOFF
        if delay:
            heapq.heappush(self._backoff, (now + delay, request.number))
            self._actions.append(Retry(request.number, delay, failure))
        else:
            self._make_ready(request)

    def _give_up(self, request: RequestState, failure: Failure) -> None:
        """A request has no answer for good: every document that waits for it fails."""
        for slot, number in self._take_waiting(request):
            if slot.phase == Phase.ASKING:
                self._fail(slot, failure, number)

    def _leave(self, request: RequestState) -> None:
        """A request came back without an answer on a halt: its documents are left for later."""
        for slot, _ in self._take_waiting(request):
            if slot.number in self._slots:
                self._abandon(slot)

    def _take_waiting(self, request: RequestState) -> list[tuple[SlotState, int]]:
        """Removes a request and its followers; returns the documents that waited for them."""
        waiting = [request, *request.followers]
        request.followers = []
        self._remove(request)
        slots = []
        for each in waiting:
            self._release(each)
            if each.slot is not None:
                del each.slot.requests[each.number]
                slots.append((each.slot, each.number))
        return slots

    def _drop_requests(self, slot: SlotState) -> None:
        """The other requests of a document that has ended are not wanted any more."""
        for request in list(slot.requests.values()):
            request.slot = None
            if request.stage == Stage.FLYING:
                continue
            if request.stage == Stage.FOLLOWING:
                self._leaders[request.ask.key].followers.remove(request)
                self._release(request)
                continue
            heirs, request.followers = request.followers, []
            self._remove(request)
            if heirs:
                self._inherit(heirs)
        slot.requests.clear()

    def _inherit(self, heirs: list[RequestState]) -> None:
        """Another document that asked the same question asks it now itself."""
        first = heirs[0]
        first.followers = heirs[1:]
        self._leaders[first.ask.key] = first
        self._start(first)

    def _remove(self, request: RequestState) -> None:
        """Takes a request that leads, and is not with the model, out of all queues."""
        if self._leaders.get(request.ask.key) is request:
            del self._leaders[request.ask.key]
        if request.stage == Stage.READY:
            self._ready.discard(request.ask.group, request.candidate)
        self._media_bytes -= request.reserved
        self._release(request)

    def _release(self, request: RequestState) -> None:
        if self._requests.pop(request.number, None) is not None:
            self._actions.append(Release((request.number,)))
