"""`execute`: a plan becomes a finished run, or one that the same command resumes."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lmms.config.locations import cache_folder
from lmms.config.plan import RunPlan
from lmms.errors import LmmsError, ModelError, PlanError, RunInterruptedError
from lmms.media.hashing import keep_digests_in
from lmms.models.base import MODELS, Model
from lmms.responses.journal import Journal
from lmms.runner.adaptive_task import AdaptiveTask, open_adaptive
from lmms.runner.controls import Controls
from lmms.runner.engine import Engine, StoppedError
from lmms.runner.episodes import EpisodeRunner
from lmms.runner.finish import write_results
from lmms.runner.folder import RunFolder, choose_folder, link_latest, write_plan
from lmms.runner.media_stage import MediaStage, frame_store_of
from lmms.runner.meters import Meters, add_up
from lmms.runner.observer import RunObserver, RunProgress, Silent, TaskProgress
from lmms.runner.signals import Interruption, handled
from lmms.runner.task_run import TaskRun, check_supported, open_tasks
from lmms.scheduler import InOrder, Limits, RetryPolicy, Scheduler, TaskQueue
from lmms.types import RunResult

T = TypeVar("T")

# A compute back end needs no more documents in work than keep its next batches full; each holds
# its rendered prompt and the pictures of its row.
_BATCHES_AHEAD = 4
_LEAST_DOCUMENTS = 64


def execute(plan: RunPlan, *, observer: RunObserver | None = None) -> RunResult:
    """Runs a plan to its end, resuming an unfinished run of it where there is one.

    Every answer is on disk as soon as it is there, so that however this ends, running the same
    plan again goes on where it stopped.

    Args:
        plan: What to run.
        observer: Is told of progress.

    Returns:
        The result; its `status` is "incomplete" if more samples failed than
        `run.max_failed_share` allows, or a task's metrics could not be computed.

    Raises:
        RunInterruptedError: Ctrl-C or SIGTERM; `exit_code` is 130 or 143. Its attribute
            `immediate` is true where threads may still be at work: after a second signal, or
            where media were being decoded.
        LmmsError: What ends a run early: the journal cannot be written, the model cannot be
            loaded or refuses everything, a task's data is not there.
    """
    return _run(_Sitting(plan, observer or Silent()).run())


def exit_code(result: RunResult) -> int:
    """Returns the exit code of a run that came to its end: 0 complete, 3 incomplete."""
    return 0 if result.status == "complete" else 3


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, also where an event loop is running already (notebooks)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            raised.append(error)

    thread = threading.Thread(target=work, name="lmms-run")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return outcome[0]


@dataclass
class _Sitting:
    """One call of `execute`."""

    plan: RunPlan
    observer: RunObserver
    warnings: list[str] = field(default_factory=list)
    meters: Meters = field(default_factory=Meters)
    kept: bool = True
    """Whether the journal holds anything worth resuming."""
    decoders_left: bool = False
    """Whether media that nobody wants any more are still being decoded."""

    async def run(self) -> RunResult:
        from lmms.config.environment import export_variables

        export_variables(self.plan.config.env)
        model = _make_model(self.plan)
        tasks = open_tasks(self.plan)
        check_supported(model, tasks)
        adaptive = open_adaptive(self.plan, tasks)
        store = frame_store_of(self.plan.config.media, self.plan.config.env.cache_dir)
        if store is not None:
            store.prepare()
        folder = choose_folder(self.plan)
        try:
            journal = Journal.open(
                folder.path,
                plan_fingerprint=folder.fingerprint,
                create=not folder.resumed,
                notice=self._notice,
            )
        except LmmsError:
            _discard(folder, keep=folder.resumed)
            raise
        try:
            return await self._with_journal(model, tasks, adaptive, folder, journal)
        except RunInterruptedError:
            raise
        except BaseException:
            # A run that never got anywhere leaves no folder: there is nothing to resume.
            _discard(folder, keep=folder.resumed or self.kept)
            raise

    async def _with_journal(
        self,
        model: Model,
        tasks: dict[str, TaskRun],
        adaptive: dict[str, AdaptiveTask],
        folder: RunFolder,
        journal: Journal,
    ) -> RunResult:
        self._prepare(folder, journal)
        progress = RunProgress(
            folder=folder.path,
            model=self.plan.model.shown_as,
            tasks={
                label: TaskProgress(
                    label,
                    task.planned.shown_as,
                    adaptive[label].expected if label in adaptive else task.limit,
                )
                for label, task in tasks.items()
            },
            resumed=folder.resumed,
        )
        self.observer.started(progress)
        status = "interrupted"
        try:
            interruption, scheduler = await self._work(model, tasks, adaptive, journal, progress)
            figures = self._figures(journal)
            if scheduler.fatal is not None:
                status = "incomplete"
                raise ModelError(
                    f"the run was stopped: {scheduler.fatal.message}",
                    origin=f"model {self.plan.model.shown_as}",
                    hint=f"answers so far are kept; resume with: {self._command(folder)}",
                )
            if interruption.count:
                left = self.decoders_left
                raise self._interrupted(interruption, folder, progress, immediate=left)
            result = write_results(
                folder.path, self.plan, tasks, journal, figures, self.warnings, adaptive=adaptive
            )
            status = result.status
            return result
        except RunInterruptedError:
            raise
        except LmmsError:
            # It failed; nobody interrupted it.
            status = "incomplete"
            raise
        finally:
            if status in ("interrupted", "incomplete"):
                with contextlib.suppress(LmmsError):
                    journal.set_meta("status", status)
                    self.kept = not journal.empty
            journal.close()
            self.observer.finished(progress, status)

    def _prepare(self, folder: RunFolder, journal: Journal) -> None:
        """Brings folder and journal to the state of a run that is going on."""
        write_plan(folder.path, self.plan)
        keep_digests_in(cache_folder(self.plan.config.env.cache_dir))
        if folder.fingerprint != self.plan.fingerprint:
            # The tasks' definitions have changed: answers stay, scores are made anew.
            journal.clear_samples()
            journal.set_meta("fingerprint", self.plan.fingerprint)
        sittings = journal.meta("sittings", 0)
        journal.set_meta("sittings", (sittings if isinstance(sittings, int) else 0) + 1)
        journal.set_meta("sequence", folder.sequence)
        journal.set_meta("status", "running")
        if journal.meta("start_time") is None:
            journal.set_meta("start_time", time.time())
        problem = link_latest(folder.path)
        if problem:
            self._notice(problem)

    async def _work(
        self,
        model: Model,
        tasks: dict[str, TaskRun],
        adaptive: dict[str, AdaptiveTask],
        journal: Journal,
        progress: RunProgress,
    ) -> tuple[Interruption, Scheduler]:
        """Runs everything that is not in the journal yet."""
        config = self.plan.config

        def keep_steps() -> None:
            for label, task in adaptive.items():
                task.keep(journal, progress.tasks[label])

        scheduler = Scheduler(
            [
                TaskQueue(
                    label, adaptive[label].selector if label in adaptive else InOrder(task.limit)
                )
                for label, task in tasks.items()
            ],
            limits=_limits(self.plan, model),
            retry=RetryPolicy(max_retries=config.model.max_retries),
            seed=config.seed,
        )
        engine = Engine(
            tasks,
            model,
            journal,
            scheduler,
            EpisodeRunner(model, journal, Controls(config.seed)),
            media=lambda post: MediaStage(
                config.media, model, post, cache_dir=config.env.cache_dir
            ),
            progress=progress,
            meters=self.meters,
            observer=self.observer,
            scoring_limit_seconds=config.executor.scoring_timeout_seconds,
            after_step=keep_steps,
        )
        with handled(engine.halt, engine.stop) as interruption:
            try:
                await engine.run()
                self.decoders_left = engine.decoders_left
                await _close(model, engine, loading=progress.model_state == "starting")
            except StoppedError:
                self._figures(journal)
                folder = RunFolder(progress.folder, self.plan.fingerprint)
                raise self._interrupted(interruption, folder, progress, immediate=True) from None
            except BaseException:
                with contextlib.suppress(Exception):
                    await model.close()
                raise
        return interruption, scheduler

    def _figures(self, journal: Journal) -> dict[str, Any]:
        """Adds this sitting's times to the earlier ones and keeps the sum."""
        earlier: Any = journal.meta("figures") or {}
        figures = add_up(earlier, self.meters.to_json())
        journal.set_meta("figures", figures)
        return figures

    def _notice(self, text: str) -> None:
        self.warnings.append(text)
        self.observer.notice(text)

    def _command(self, folder: RunFolder) -> str:
        words = list(self.plan.command)
        if not words:
            return "lmms.run(plan) with the same plan"
        if self.plan.config.run.resume == "never":
            words = [w for w in words if not w.startswith("run.resume=")]
            words.append(f"run.resume={folder.path}")
        return shlex.join(words if words[0] == "lmms" else ["lmms", *words])

    def _interrupted(
        self,
        interruption: Interruption,
        folder: RunFolder,
        progress: RunProgress,
        *,
        immediate: bool,
    ) -> RunInterruptedError:
        error = RunInterruptedError(
            f"stopped after {progress.done} of {progress.total} documents; every finished answer "
            "is kept",
            origin=str(folder.path),
            hint=f"resume with: {self._command(folder)}",
        )
        error.exit_code = interruption.exit_code
        error.immediate = immediate
        return error


async def _close(model: Model, engine: Engine, *, loading: bool) -> None:
    """Closes a model; a second signal, or a model that is still being loaded, is not waited for.

    Raises:
        StoppedError: It was left as it is.
    """
    if loading and engine.halted:
        raise StoppedError
    closing = asyncio.ensure_future(model.close())
    stopped = asyncio.ensure_future(engine.stopped.wait())
    await asyncio.wait({closing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not closing.done():
        closing.cancel()
        raise StoppedError
    closing.result()


def _make_model(plan: RunPlan) -> Model:
    config = plan.config
    model = MODELS.get(config.model.backend, origin="model.backend")(config.model, env=config.env)
    if plan.model.identity and _plain(model.identity.to_json()) != plan.model.identity:
        raise PlanError(
            f"model {plan.model.shown_as!r} has changed since the plan was made",
            origin=model.identity.reference,
            hint="make the plan again",
        )
    return model


def _plain(value: Any) -> Any:
    from lmms.responses.codec import decode, encode

    return decode(encode(value))


def _limits(plan: RunPlan, model: Model) -> Limits:
    config = plan.config
    ahead = max(_LEAST_DOCUMENTS, _BATCHES_AHEAD * model.batch_size * model.concurrency)
    return Limits(
        open_documents=min(config.executor.max_open_documents, ahead),
        media_bytes=config.media.prefetch_bytes,
        batch_size=model.batch_size,
        concurrency=model.concurrency,
    )


def _discard(folder: RunFolder, *, keep: bool) -> None:
    """Removes a run's folder, and the link to it."""
    if not keep:
        shutil.rmtree(folder.path, ignore_errors=True)
        latest = folder.path.parent / "latest"
        with contextlib.suppress(OSError):
            if latest.is_symlink() and not latest.exists():
                latest.unlink()
