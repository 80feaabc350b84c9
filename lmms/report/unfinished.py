"""Runs that are under way, or were broken off: read from their plan and their journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.errors import LmmsError, PlanError, UnknownNameError
from lmms.report.facts import RunFacts
from lmms.report.problems import Problems
from lmms.report.results import build_results, read_results
from lmms.responses.lock import live_owner
from lmms.responses.reader import JournalReader
from lmms.scoring.groups import GroupScores
from lmms.types import MetricResult, RunResult, Sample, TaskResult

if TYPE_CHECKING:
    from lmms.config.plan import PlannedTask, RunPlan


def read_plan(folder: Path) -> RunPlan:
    """Returns the plan of a run.

    Raises:
        PlanError: There is none, or it is not one that this version of lmms can read.
    """
    from pydantic import ValidationError

    from lmms.config.plan import RunPlan

    try:
        return RunPlan.model_validate_json((folder / "plan.json").read_bytes())
    except OSError as error:
        raise PlanError(f"cannot read plan.json: {error.strerror}", origin=str(folder)) from error
    except ValidationError as error:
        raise PlanError(
            f"plan.json cannot be read: {error.error_count()} fields do not fit, the first: "
            f"{'.'.join(map(str, error.errors()[0]['loc'])) or 'the file'}: "
            f"{error.errors()[0]['msg']}",
            origin=str(folder),
            hint="a run is read with the version of lmms that wrote it",
        ) from error


def load_unfinished(folder: Path) -> RunResult:
    """Returns a run as far as it has come.

    Its numbers are over the samples that are in the journal now. `status` is "running" while a
    process works in the folder, else "interrupted".

    Raises:
        PlanError: The plan cannot be read.
        JournalError: The journal cannot be read.
    """
    plan = read_plan(folder)
    with JournalReader(folder) as journal:
        scores = GroupScores(plan)
        results = {t.label: _result_so_far(plan, t, journal, scores) for t in plan.tasks}
        warnings = [str(damage) for damage in journal.damage]
    facts = RunFacts(status="running" if live_owner(folder) else "interrupted", warnings=warnings)
    content = build_results(folder, plan, results, facts, scores.results(results))
    return read_results(content, path=str(folder))


def unfinished_samples(folder: Path, label: str) -> Iterator[Sample]:
    """Gives the samples of a task that an unfinished run has so far, in document order.

    Raises:
        UnknownNameError: The plan has no such task.
    """
    tasks = read_plan(folder).tasks
    task = next((t for t in tasks if label in (t.label, t.shown_as)), None)
    if task is None:
        known = [t.label for t in tasks]
        raise UnknownNameError("task of this run", label, known, origin=str(folder))
    with JournalReader(folder) as journal:
        yield from journal.samples(task.label)


@dataclass(slots=True)
class _Tally:
    """Counts samples by status and failure while they stream by."""

    statuses: Counter[str]
    failures: Counter[str]
    problems: Problems

    def over(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            self.statuses[sample.status] += 1
            if sample.failure is not None:
                self.failures[sample.failure.kind] += 1
            self.problems.add(sample)
            yield sample

    def result(
        self,
        task: PlannedTask,
        metrics: tuple[MetricResult, ...],
        warnings: Sequence[str] = (),
        adaptive: dict[str, Any] | None = None,
    ) -> TaskResult:
        """Returns what is known of a task once its samples have gone by."""
        return TaskResult(
            task=task.name,
            label=task.shown_as,
            version=task.version,
            num_fewshot=task.num_fewshot,
            metrics=metrics,
            n_original=task.documents.value or self.statuses.total(),
            n_effective=self.statuses.total(),
            status_counts=dict(self.statuses),
            failures=dict(self.failures),
            failure_reasons=self.problems.reasons(),
            warnings=(*warnings, *self.problems.warnings()),
            adaptive=adaptive,
        )


def _result_so_far(
    plan: RunPlan, task: PlannedTask, journal: JournalReader, scores: GroupScores
) -> TaskResult:
    if plan.selector is not None:
        return _course_so_far(plan, task, journal)
    tally = _Tally(Counter(), Counter(), Problems())
    samples = tally.over(scores.over(task.label, journal.samples(task.label)))
    warnings: list[str] = []
    metrics: tuple[MetricResult, ...] = ()
    try:
        metrics = _metrics_so_far(plan, task, samples)
    except LmmsError as error:
        # The task's own code decides what its numbers are; without it there are only counts.
        warnings.append(f"no numbers yet: {error.message}")
    for _ in samples:
        pass
    return tally.result(task, metrics, warnings)


def _course_so_far(plan: RunPlan, task: PlannedTask, journal: JournalReader) -> TaskResult:
    """What a task whose documents are chosen by ability has told so far: the ability."""
    tally = _Tally(Counter(), Counter(), Problems())
    for _ in tally.over(journal.samples(task.label)):
        pass
    steps = journal.steps(task.label)
    metrics: tuple[MetricResult, ...] = ()
    ability = stderr = None
    if steps:
        ability, stderr = steps[-1].ability, steps[-1].stderr
        n_failed = tally.statuses["failed"]
        metrics = (
            MetricResult(
                name="ability", value=ability, stderr=stderr, n=len(steps), n_failed=n_failed
            ),
        )
    return tally.result(
        task,
        metrics,
        adaptive={
            "ability": ability,
            "stderr": stderr,
            "n_asked": tally.statuses.total(),
            "n_answered": len(steps),
            "right_if": {"metric": plan.selector.banks[task.label].metric} if plan.selector else {},
        },
    )


def _metrics_so_far(
    plan: RunPlan, task: PlannedTask, samples: Iterator[Sample]
) -> tuple[MetricResult, ...]:
    from lmms.scoring import make_scorer
    from lmms.tasks import load_spec

    env, statistics = plan.config.env, plan.config.statistics
    spec = load_spec(
        task.name,
        task_paths=env.task_paths,
        cache_dir=env.cache_dir,
        trust_code=env.trust_task_code,
    )
    scorer = make_scorer(spec, plan.config.tasks[task.label].reasoning, seed=plan.config.seed)
    return scorer.aggregate(
        samples,
        confidence=statistics.confidence,
        bootstrap_samples=statistics.bootstrap_samples,
    )
