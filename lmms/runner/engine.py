"""Performs what the scheduler asks for: documents, media, model, journal, scoring, together.

One event loop, a thread that opens documents, threads that continue episodes and score, the media
loader's threads, and whatever the back end has. Everything that happens anywhere becomes an event
for the scheduler; everything it answers is an action here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lmms.errors import ConfigError, JournalError, LmmsError, ModelError, PlanError
from lmms.models.base import Model
from lmms.responses.journal import Answer, Journal
from lmms.runner.episodes import Asked, EpisodeRunner, OpenDocument
from lmms.runner.media_stage import MediaStage
from lmms.runner.meters import Meters
from lmms.runner.observer import RunObserver, RunProgress
from lmms.runner.outcomes import checked
from lmms.runner.records import (
    failed_sample,
    failure_of,
    kept_sample,
    scored_sample,
    values_of,
)
from lmms.runner.task_run import TaskRun
from lmms.runner.workers import WorkerPool
from lmms.scheduler.machine import Scheduler
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
from lmms.types import Failure, Outcome, Response, Sample

# How often the display is told and hanging task code is looked for.
_TICK_SECONDS: Final = 0.2

_SCORING_THREADS: Final = 2


class StoppedError(Exception):
    """The run was told twice to stop: in-flight work is left behind. Private to the runner."""


@dataclass(slots=True)
class _Step:
    """What a worker did with a document: exactly one of asks, sample, failure, or `ended`."""

    opened: OpenDocument
    asks: tuple[Ask, ...] = ()
    ended: bool = False
    """The episode asks nothing more; it is scored next."""
    sample: Sample | None = None
    kept: bool = False
    """The sample is in the journal already, from an earlier sitting."""
    failure: Failure | None = None


def _close(opened: OpenDocument) -> None:
    """Ends an episode; one that a hanging worker is still in cannot be closed."""
    if opened.episode is not None:
        with contextlib.suppress(Exception):
            opened.episode.close()


class Engine:
    """One sitting of a run.

    Args:
        tasks: Tasks by label.
        model: The back end, not started.
        journal: The open journal.
        scheduler: Decides.
        episodes: Runs episodes.
        media: Loads media.
        progress: Numbers for the display, updated here.
        meters: Times per task, updated here.
        observer: Is told of progress.
        scoring_limit_seconds: Time for one document's task code.
        after_step: Called after each decision of the scheduler; what it raises ends the run.
    """

    def __init__(
        self,
        tasks: dict[str, TaskRun],
        model: Model,
        journal: Journal,
        scheduler: Scheduler,
        episodes: EpisodeRunner,
        *,
        media: Callable[[Callable[[Event], None]], MediaStage],
        progress: RunProgress,
        meters: Meters,
        observer: RunObserver,
        scoring_limit_seconds: float,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        self._tasks = tasks
        self._model = model
        self._journal = journal
        self._scheduler = scheduler
        self._episodes = episodes
        self._progress = progress
        self._meters = meters
        self._observer = observer
        self._after_step = after_step
        self._media = media(self._post)
        self._documents: dict[int, OpenDocument] = {}
        self._asked: dict[int, Asked] = {}
        self._answers: dict[int, tuple[Response, Sequence[dict[str, Any]]]] = {}
        self._inbox: deque[Event] = deque()
        self._error: BaseException | None = None
        self._flights: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Event = asyncio.Event()
        self.stopped = asyncio.Event()
        """Set by `stop`, also when `run` has returned already."""
        self.decoders_left = False
        """Whether `run` has left media behind that are still being decoded."""
        self._opener: WorkerPool[OpenDocument, _Step] = WorkerPool(
            self._open_one, self._deliver, name="lmms-documents"
        )
        self._scorer: WorkerPool[OpenDocument, _Step] = WorkerPool(
            self._advance_one,
            self._deliver,
            threads=_SCORING_THREADS,
            limit_seconds=scoring_limit_seconds,
            name="lmms-scoring",
        )
        self._handlers: dict[type, Callable[[Any], None]] = {
            Open: self._do_open,
            Load: self._do_load,
            Submit: self._do_submit,
            Deliver: self._do_deliver,
            Advance: self._do_advance,
            Fail: self._do_fail,
            Abandon: self._do_abandon,
            Release: self._do_release,
            Retry: self._do_retry,
            TaskEnded: self._do_task_ended,
        }
        self._to_open: list[OpenDocument] = []
        self._to_advance: list[OpenDocument] = []

    # ------------------------------------------------------------------------------------- run

    async def run(self) -> None:
        """Works until everything that was asked for has ended, or the run is halted.

        Raises:
            LmmsError: The journal cannot be written, the model cannot start, or the task's
                definition is wrong.
            StoppedError: `stop` was called.
        """
        self._loop = asyncio.get_running_loop()
        starting = asyncio.create_task(self._start_model())
        ticking = asyncio.create_task(self._tick())
        try:
            while not self._scheduler.finished:
                self._woken.clear()
                events = list(self._inbox)
                self._inbox.clear()
                actions = self._scheduler.step(events, time.monotonic())
                self._after_step()
                self._perform(actions)
                if self._error is not None:
                    raise self._error
                self._meters.clock(self._scheduler.waits_for_media, busy=bool(self._flights))
                if not self._inbox and not self._scheduler.finished:
                    await self._wait()
        finally:
            self._progress.in_flight = 0
            await self._wind_up(starting, ticking)

    def halt(self) -> None:
        """Starts nothing new; `run` returns when what is with the model has come back."""
        self._progress.stopping = True
        self._post(Halt())

    @property
    def halted(self) -> bool:
        """Whether `halt` was called."""
        return self._progress.stopping

    def stop(self) -> None:
        """Leaves everything where it is; `run` raises `StoppedError`."""
        self.stopped.set()
        self._abort(StoppedError())

    async def _wait(self) -> None:
        wake = self._scheduler.next_wake()
        if wake is None:
            await self._woken.wait()
            return
        handle = asyncio.get_running_loop().call_later(
            max(0.0, wake - time.monotonic()), self._woken.set
        )
        try:
            await self._woken.wait()
        finally:
            handle.cancel()

    async def _start_model(self) -> None:
        try:
            await self._model.start()
        except LmmsError as error:
            self._abort(error)
        except Exception as error:  # noqa: BLE001 - whatever a back end raises ends the run
            wrapped = ModelError(
                f"model {self._model.identity.name!r} cannot be started: "
                f"{type(error).__name__}: {error}"
            )
            wrapped.__cause__ = error
            self._abort(wrapped)
        else:
            self._progress.model_state = "ready"
            self._post(ModelReady())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for late in self._scorer.overdue():
                failure = Failure(
                    kind="scoring",
                    message=f"the code of task {late.task.spec.name!r} did not come back on "
                    f"document {late.index} within the limit (executor.scoring_timeout_seconds)",
                )
                self._post(Broken(late.slot, failure))
            self._meters.clock(self._scheduler.waits_for_media, busy=bool(self._flights))
            self._meters.show(self._progress)
            self._observer.updated(self._progress)

    async def _wind_up(self, *helpers: asyncio.Task[None]) -> None:
        pending = [task for task in (*helpers, *self._flights) if not task.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        self._opener.close()
        self._scorer.close()
        for opened in self._documents.values():
            _close(opened)
        if not isinstance(self._error, StoppedError):
            # On a halt nobody wants the media of requests that are not with the model.
            self.decoders_left = self._media.close(wait=not self.halted)
        self._meters.scoring_seconds += self._scorer.busy_seconds
        self._meters.loaded(self._media.statistics)
        self._meters.show(self._progress)

    # ---------------------------------------------------------------------------------- events

    def _post(self, event: Event) -> None:
        """Takes an event from any thread."""
        self._inbox.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._woken.is_set():
            try:
                self._loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:
                # The loop is closed: the sitting is over and nobody waits for this any more.
                return

    def _abort(self, error: BaseException) -> None:
        self._error = self._error or error
        self._wake()

    # --------------------------------------------------------------------------------- actions

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._handlers[type(action)](action)
        if self._to_open:
            self._opener.submit(self._to_open)
            self._to_open = []
        if self._to_advance:
            self._scorer.submit(self._to_advance)
            self._to_advance = []

    def _do_open(self, action: Open) -> None:
        for opening in action.openings:
            self._to_open.append(self._new_document(opening))

    def _new_document(self, opening: Opening) -> OpenDocument:
        task = self._tasks[opening.task]
        shown = self._progress.tasks[opening.task]
        if shown.state == "waiting":
            shown.state = "running"
            self._meters.task(opening.task).begin()
        opened = OpenDocument(opening.slot, task, opening.document)
        self._documents[opening.slot] = opened
        return opened

    def _do_load(self, action: Load) -> None:
        self._media.load(self._asked[action.request])

    def _do_submit(self, action: Submit) -> None:
        batch = [self._asked[number] for number in action.requests]
        self._progress.in_flight += len(batch)
        flight = asyncio.create_task(self._ask(action.batch, batch))
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    def _do_deliver(self, action: Deliver) -> None:
        asked = self._asked[action.request]
        response, media = self._answers[action.source]
        asked.document.answer(asked.position, response, media)

    def _do_advance(self, action: Advance) -> None:
        self._to_advance.append(self._documents[action.slot])

    def _do_fail(self, action: Fail) -> None:
        opened = self._documents[action.slot]
        asked = None if action.request is None else self._asked.get(action.request)
        self._progress.last_failure = action.failure.message
        try:
            self._journal.record_failure(
                action.failure,
                task=opened.task.label,
                doc_id=opened.index,
                position=asked.position if asked else 0,
                key=asked.key if asked else None,
            )
            self._journal.record_sample(failed_sample(opened, action.failure))
        except LmmsError as error:
            self._abort(error)
            return
        self._ended(opened, None)
        self._inbox.append(Recorded(action.slot))

    def _do_abandon(self, action: Abandon) -> None:
        opened = self._documents.pop(action.slot)
        for asked in opened.pending:
            self._asked.pop(asked.number, None)
        _close(opened)

    def _do_release(self, action: Release) -> None:
        for number in action.requests:
            self._asked.pop(number, None)
            self._answers.pop(number, None)

    def _do_retry(self, action: Retry) -> None:
        asked = self._asked.get(action.request)
        self._progress.last_failure = action.failure.message
        if asked is not None:
            self._progress.tasks[asked.document.task.label].retries += 1

    def _do_task_ended(self, action: TaskEnded) -> None:
        shown = self._progress.tasks[action.task]
        shown.state = "scored"
        self._meters.task(action.task).end()

    def _ended(self, opened: OpenDocument, sample: Sample | None) -> None:
        """Forgets a document that is recorded."""
        shown = self._progress.tasks[opened.task.label]
        shown.observe(None if sample is None else values_of(sample))
        shown.reused += opened.replayed
        del self._documents[opened.slot]
        _close(opened)

    # ----------------------------------------------------------------------------------- model

    async def _ask(self, number: int, batch: list[Asked]) -> None:
        started = time.perf_counter()
        prepared = [asked.prepared() for asked in batch]
        outcomes: Sequence[Outcome]
        try:
            outcomes = checked(await self._model.respond(prepared), prepared)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a back end's mistake costs one batch
            message = f"the back end raised {type(error).__name__}: {error}"
            outcomes = [Failure(kind="model", message=message)] * len(batch)
        self._meters.batch(batch, outcomes, time.perf_counter() - started)
        self._progress.in_flight -= len(batch)
        failures = tuple(o if isinstance(o, Failure) else None for o in outcomes)
        answers = []
        for asked, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Failure):
                continue
            media = tuple(medium.to_json() for medium in asked.loaded)
            opened = asked.document
            opened.answer(asked.position, outcome, media)
            self._answers[asked.number] = (outcome, media)
            label = opened.task.label
            answers.append(Answer(asked.key, outcome, label, opened.index, asked.position, media))
            self._progress.tasks[label].asked += 1
            self._progress.tokens_out += outcome.tokens.output or 0
        try:
            self._journal.record_many(answers)
        except LmmsError as error:
            self._abort(error)
            return
        self._post(Returned(number, failures))

    # ------------------------------------------------------------------- in the workers' threads

    def _open_one(self, opened: OpenDocument) -> _Step:
        try:
            self._episodes.open(opened)
        except Exception as error:  # noqa: BLE001 - one row is at fault
            return _Step(opened, failure=failure_of(error, doing="reading the document"))
        return self._step(opened, "rendering the prompt")

    def _advance_one(self, opened: OpenDocument) -> _Step:
        step = (
            self._step(opened, "continuing the episode")
            if opened.pending
            else _Step(opened, ended=True)
        )
        if not step.ended:
            return step
        try:
            kept = kept_sample(opened, self._journal) if self._progress.resumed else None
            if kept is not None:
                return _Step(opened, sample=kept, kept=True)
            return _Step(opened, sample=scored_sample(opened))
        except Exception as error:  # noqa: BLE001 - task code may raise anything
            return _Step(opened, failure=failure_of(error, doing="scoring"))

    def _step(self, opened: OpenDocument, doing: str) -> _Step:
        try:
            asks = self._episodes.step(opened)
        except (ConfigError, PlanError, JournalError) as error:
            # Not about this document: no other one could be asked either.
            self._abort(error)
            return _Step(opened, failure=failure_of(error, doing=doing))
        except Exception as error:  # noqa: BLE001 - task code may raise anything
            return _Step(opened, failure=failure_of(error, doing=doing))
        return _Step(opened, asks=asks, ended=not asks)

    def _deliver(self, steps: Sequence[_Step]) -> None:
        """Records samples in one commit, then hands everything to the loop."""
        try:
            self._journal.record_samples(
                [step.sample for step in steps if step.sample is not None and not step.kept]
            )
        except LmmsError as error:
            self._abort(error)
            return
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._take, steps)
            except RuntimeError:
                return

    def _take(self, steps: Sequence[_Step]) -> None:
        for step in steps:
            opened = step.opened
            if opened.slot not in self._documents:
                continue
            if step.failure is not None:
                self._inbox.append(Broken(opened.slot, step.failure))
            elif step.sample is not None:
                values = values_of(step.sample)
                self._ended(opened, step.sample)
                self._inbox.append(Recorded(opened.slot, values))
            else:
                for asked in opened.pending:
                    self._asked[asked.number] = asked
                self._inbox.append(Stepped(opened.slot, step.asks, opened.held_bytes))
        self._woken.set()
