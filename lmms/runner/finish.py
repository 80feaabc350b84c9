"""From the journal to results: aggregation, counts, files. Streams; holds no samples."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lmms.config.plan import RunPlan
from lmms.errors import LmmsError
from lmms.report.problems import Problems
from lmms.responses.journal import Journal
from lmms.runner.adaptive_task import AdaptiveTask
from lmms.runner.task_run import TaskRun
from lmms.scoring import metric_warnings
from lmms.scoring.groups import GroupScores
from lmms.types import MetricResult, RunResult, Sample, TaskResult

# Buckets of the histogram from which medians are read: each is 1 % wide, from 1 µs to 3 hours.
_BUCKET_RATIO = 1.01
_SMALLEST_SECONDS = 1e-6


class MedianSketch:
    """The median of positive numbers in constant memory, to within half a per cent."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._n = 0

    def add(self, seconds: float) -> None:
        """Takes one number."""
        bucket = -1
        if seconds > _SMALLEST_SECONDS:
            bucket = int(math.log(seconds / _SMALLEST_SECONDS) / math.log(_BUCKET_RATIO))
        self._counts[bucket] += 1
        self._n += 1

    @property
    def median(self) -> float | None:
        """The lower median; None without numbers."""
        below = 0
        for bucket in sorted(self._counts):
            below += self._counts[bucket]
            if 2 * below >= self._n:
                if bucket < 0:
                    return 0.0
                return float(_SMALLEST_SECONDS * _BUCKET_RATIO ** (bucket + 0.5))
        return None


class Tally:
    """Counts what streams by on its way to the aggregation."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.problems = Problems()
        self.tokens: Counter[str] = Counter()
        self.frames = 0
        self.requests = 0
        self._ttft = MedianSketch()
        self._tpot = MedianSketch()
        self._keys = hashlib.sha256()

    def over(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Passes samples through."""
        for sample in samples:
            self._count(sample)
            yield sample

    def _count(self, sample: Sample) -> None:
        self.statuses[sample.status] += 1
        if sample.failure is not None:
            self.failures[sample.failure.kind] += 1
        self.problems.add(sample)
        for medium in sample.media:
            self.frames += len(medium.get("indices", ())) or 1
        for response in sample.responses:
            self.requests += 1
            self.tokens.update(response.get("tokens", {}))
            if response.get("ttft_seconds") is not None:
                self._ttft.add(response["ttft_seconds"])
            if response.get("tpot_seconds") is not None:
                self._tpot.add(response["tpot_seconds"])
        for key in sample.request_keys:
            self._keys.update(bytes.fromhex(key))

    @property
    def manifest(self) -> str:
        """Digest over all request keys in document order."""
        return self._keys.hexdigest()

    def efficiency(self) -> dict[str, Any]:
        """Returns what the answers themselves say; the same however often the run was stopped."""
        return {
            "requests": self.requests,
            "tokens_in": self.tokens["input"],
            "tokens_out": self.tokens["output"],
            "tokens_reasoning": self.tokens["reasoning"],
            "ttft_seconds_median": self._ttft.median,
            "tpot_seconds_median": self._tpot.median,
            "frames_seen": self.frames,
        }


def task_result(
    task: TaskRun,
    plan: RunPlan,
    samples: Iterable[Sample],
    meter: Mapping[str, Any],
    adaptive: AdaptiveTask | None = None,
) -> tuple[TaskResult, str]:
    """Aggregates one task over its samples.

    Args:
        task: The task.
        plan: What ran.
        samples: In document order.
        meter: Times of all sittings.
        adaptive: The course of a task whose documents were chosen by ability.

    Returns:
        The result, and the digest over its request keys. If the task's own code fails there are
        counts and a warning but no metrics; the other tasks are not touched by it.
    """
    tally = Tally()
    stream = tally.over(samples)
    block: Mapping[str, Any] | None = None
    if adaptive is None:
        metrics, warnings = _aggregated(task, plan, stream)
    for _ in stream:
        pass
    if adaptive is not None:
        confidence = plan.config.statistics.confidence
        metrics, block, warnings = adaptive.report(confidence, tally.statuses)
    warnings += tally.problems.warnings()
    wall = float(meter.get("wall_seconds", 0.0))
    efficiency = {**meter, **tally.efficiency()}
    efficiency["requests_reused"] = max(0, tally.requests - int(meter.get("requests_asked", 0)))
    if wall > 0:
        efficiency["samples_per_second"] = tally.statuses.total() / wall
    result = TaskResult(
        task=task.spec.name,
        label=task.planned.shown_as,
        version=task.spec.version,
        num_fewshot=task.planned.num_fewshot,
        metrics=metrics,
        n_original=len(task.source),
        n_effective=tally.statuses.total(),
        status_counts=dict(tally.statuses),
        failures=dict(tally.failures),
        failure_reasons=tally.problems.reasons(),
        efficiency=efficiency,
        warnings=tuple(warnings),
        adaptive=block,
    )
    return result, tally.manifest


def _aggregated(
    task: TaskRun, plan: RunPlan, samples: Iterable[Sample]
) -> tuple[tuple[MetricResult, ...], list[str]]:
    statistics = plan.config.statistics
    try:
        metrics = task.scorer.aggregate(
            samples,
            confidence=statistics.confidence,
            bootstrap_samples=statistics.bootstrap_samples,
        )
    except Exception as error:  # noqa: BLE001 - a task's aggregation may raise anything
        text = str(error) if isinstance(error, LmmsError) else f"{type(error).__name__}: {error}"
        return (), [f"no metrics: aggregation of task {task.spec.name!r} failed: {text}"]
    return metrics, metric_warnings(metrics)


def status_of(
    plan: RunPlan,
    tasks: Mapping[str, TaskRun],
    results: Mapping[str, TaskResult],
    adaptive: Mapping[str, AdaptiveTask],
) -> str:
    """Returns "complete" if all documents ran, few enough failed, and all metrics are there.

    A task whose documents are chosen by ability has run when its stopping rule was met.
    """
    samples = sum(result.n_effective for result in results.values())
    failed = sum(result.status_counts.get("failed", 0) for result in results.values())
    missing = any(
        not adaptive[label].complete
        if label in adaptive
        else results[label].n_effective < task.limit
        for label, task in tasks.items()
    )
    unscored = any(
        task.spec.metrics and not results[label].metrics for label, task in tasks.items()
    )
    too_many = failed > plan.config.run.max_failed_share * samples
    return "incomplete" if missing or unscored or too_many else "complete"


def write_results(
    folder: Path,
    plan: RunPlan,
    tasks: Mapping[str, TaskRun],
    journal: Journal,
    figures: Mapping[str, Any],
    warnings: Iterable[str],
    *,
    adaptive: Mapping[str, AdaptiveTask],
) -> RunResult:
    """Aggregates everything, writes the files of the run and marks it as what it is.

    Args:
        folder: The run's folder.
        plan: What ran.
        tasks: Tasks by label.
        journal: The open journal.
        figures: Times of all sittings (`Meters.to_json`, added up).
        warnings: About the run as a whole.
        adaptive: By label, the courses of tasks whose documents were chosen by ability.

    Raises:
        LmmsError: A file cannot be written; the journal still has everything.
    """
    from lmms.report import load_run, write_run
    from lmms.report.facts import RunFacts

    results: dict[str, TaskResult] = {}
    scores = GroupScores(plan)
    manifest = hashlib.sha256()
    per_task = figures.get("tasks", {})

    def samples(label: str) -> Iterator[Sample]:
        stored = journal.samples(label, stop=tasks[label].limit)
        return adaptive[label].samples(stored) if label in adaptive else stored

    for label, task in tasks.items():
        meter = per_task.get(label, {})
        stream = scores.over(label, samples(label))
        results[label], keys = task_result(task, plan, stream, meter, adaptive.get(label))
        manifest.update(f"{label}={keys}\n".encode())
    status = status_of(plan, tasks, results, adaptive)
    start: Any = journal.meta("start_time")
    sittings: Any = journal.meta("sittings", 1)
    overall = {name: value for name, value in figures.items() if name != "tasks"}
    facts: RunFacts = {
        "status": "complete" if status == "complete" else "incomplete",
        "manifest": manifest.hexdigest(),
        "start_time": start,
        "end_time": time.time(),
        "seconds": float(figures.get("wall_seconds", 0.0)),
        "efficiency": overall,
        "warnings": [*warnings, *(str(damage) for damage in journal.damage)],
        "resumed": max(0, sittings - 1),
    }
    write_run(folder, plan, results, samples, facts, groups=scores.results(results))
    journal.set_meta("status", status)
    return load_run(folder)
