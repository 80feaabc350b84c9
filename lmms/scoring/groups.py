"""Means over the tasks of a group (`task=longvideobench`), where all of them have a metric.

Tasks of one group often ask about the same things: two prompts over the same clips, variants over
the same questions. Their means are then not independent, so the samples' scores are kept beside
what they are about, from which the covariance is estimated. What two tasks share are documents of
equal content, and clusters of one name in one data set. Things that nobody declared (a picture that
two data sets have) are not seen.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmms.scoring.group_results import (
    FEWEST,
    GroupMean,
    GroupMetric,
    GroupResult,
    shown_group,
)
from lmms.scoring.scorer import score_key
from lmms.statistics import Mean, group_mean, shared_covariance
from lmms.types import MetricResult, Sample, TaskResult

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan
    from lmms.statistics.groups import Average

_ROUNDED = 1e-4
"""A benchmark may publish a mean rounded to some places; further away it is no mean."""


@dataclass(slots=True)
class _Scores:
    """The scores of one metric of one task: 24 bytes per sample."""

    values: array[float] = field(default_factory=lambda: array("d"))
    documents: array[int] = field(default_factory=lambda: array("Q"))
    clusters: array[int] = field(default_factory=lambda: array("Q"))
    clustered: bool = False
    binary: bool = True

    def add(self, value: float, document: int, cluster: int) -> None:
        """Takes the score of one sample and the numbers of what it is about."""
        self.values.append(value)
        self.documents.append(document)
        self.clusters.append(cluster)
        self.binary &= value in (0.0, 1.0)

    def is_share(self, metric: MetricResult) -> bool:
        """Whether the task took its scores of 0 and 1 for wrong and right, not for points."""
        ends = (metric.ci_low or 0.0, metric.ci_high or 0.0)
        return self.binary and metric.maximum in (None, 1.0) and 0.0 <= min(ends) <= max(ends) <= 1

    def has_mean(self, metric: MetricResult) -> bool:
        """Whether a task's number is the mean of these scores; a median or a sum is not."""
        if not self.values or metric.value is None or metric.interval_method == "bootstrap":
            return False
        mean = math.fsum(self.values) / len(self.values)
        return abs(mean - metric.value) <= _ROUNDED * max(1.0, abs(mean))


class GroupScores:
    """Keeps the scores of the tasks that belong to a group while they stream by.

    Args:
        plan: What runs; its groups, and where its tasks read from.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._groups = {g: tuple(t) for g, t in plan.config.groups.items() if len(t) >= FEWEST}
        self._shown = {task.label: task.shown_as for task in plan.tasks}
        self._data = {task.label: task.dataset for task in plan.tasks}
        self._confidence = plan.config.statistics.confidence
        members = {label for labels in self._groups.values() for label in labels}
        self._scores: dict[str, dict[str, _Scores]] = {label: {} for label in members}

    def over(self, label: str, samples: Iterable[Sample]) -> Iterable[Sample]:
        """Passes the samples of a task through."""
        return self._watched(label, samples) if label in self._scores else samples

    def _watched(self, label: str, samples: Iterable[Sample]) -> Iterator[Sample]:
        kept = self._scores[label]
        for number, sample in enumerate(samples):
            if sample.failure is None and sample.status != "failed":
                document = _number(sample.doc_hash or f"{label} {number}")
                cluster = document
                if sample.cluster is not None:
                    cluster = _number(f"{self._data[label]}\0{sample.cluster}")
                for key, score in sample.scores.items():
                    if score.value is None or not math.isfinite(score.value):
                        continue
                    scores = kept.setdefault(key, _Scores())
                    scores.add(score.value, document, cluster)
                    scores.clustered |= sample.cluster is not None
            yield sample

    def results(self, results: Mapping[str, TaskResult]) -> tuple[GroupResult, ...]:
        """Returns what can be said of each group whose tasks have results.

        Args:
            results: By label. Their samples have passed through `over`; means without them have no
                standard error where they would need it.
        """
        found = (
            self._group(group, {label: results[label] for label in labels})
            for group, labels in self._groups.items()
            if all(label in results for label in labels)
        )
        return tuple(group for group in found if group.metrics or group.reason)

    def _group(self, group: str, tasks: Mapping[str, TaskResult]) -> GroupResult:
        label = shown_group(group, [t.label.removeprefix(key) for key, t in tasks.items()])
        shown = tuple(task.label for task in tasks.values())
        reason = _why_none(tasks.values())
        metrics: tuple[GroupMetric, ...] = ()
        if reason is None:
            metrics = tuple(
                self._metric(dict(zip(tasks, chosen, strict=True))) for chosen in _common(tasks)
            )
        return GroupResult(group=group, label=label, tasks=shown, metrics=metrics, reason=reason)

    def _metric(self, metrics: Mapping[str, MetricResult]) -> GroupMetric:
        names = [self._shown[label] for label in metrics]
        chosen = list(metrics.values())
        first = chosen[0]
        key = score_key(first.name, first.filter)
        scores = [self._scores[label].get(key, _Scores()) for label in metrics]
        given = _Given(
            means=dict(zip(names, map(_part, chosen), strict=True)),
            others=[n for n, m, k in zip(names, chosen, scores, strict=True) if not k.has_mean(m)],
            covariances=_covariances(scores),
            shares=all(kept.is_share(m) for m, kept in zip(chosen, scores, strict=True)),
            confidence=self._confidence,
        )
        return GroupMetric(
            name=first.name,
            filter=first.filter,
            n=sum(metric.n for metric in chosen),
            micro=_average(given, "micro"),
            macro=_average(given, "macro"),
            shared=tuple((names[s], names[t]) for s, t in given.covariances),
            confidence=self._confidence,
            higher_is_better=first.higher_is_better,
            maximum=first.maximum,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What is known of one metric in all tasks of a group."""

    means: Mapping[str, Mean]
    """By the task's shown name."""
    others: Sequence[str]
    """Tasks whose number is no mean of its samples' scores."""
    covariances: Mapping[tuple[int, int], float]
    shares: bool
    """Whether all scores are 0 or 1, right or wrong."""
    confidence: float


def _average(given: _Given, average: Average) -> GroupMean:
    parts = list(given.means.values())
    undefined = [n for n, p in given.means.items() if p.value is None or not math.isfinite(p.value)]
    if undefined:
        return GroupMean(reason=f"{', '.join(undefined)} without a value")
    no_mean = f"the number of {', '.join(given.others)} is no mean of its samples' scores"
    if given.others and average == "micro":
        return GroupMean(reason=no_mean)
    reason = None
    if given.others and given.covariances:
        # What scores have in common tells nothing of what medians have.
        reason = f"{no_mean}, and tasks share documents"
        parts = [Mean(value=part.value, n=part.n) for part in parts]
    elif vague := [n for n, p in given.means.items() if p.stderr is None]:
        reason = f"{', '.join(vague)} without a standard error"
    mean = group_mean(parts, average, covariances=given.covariances, confidence=given.confidence)
    if mean.low is None or mean.high is None:
        reason = reason or "no variance in any task"
        return GroupMean(value=mean.value, stderr=mean.stderr, reason=reason)
    return GroupMean(
        value=mean.value,
        stderr=mean.stderr,
        ci_low=max(0.0, mean.low) if given.shares else mean.low,
        ci_high=min(1.0, mean.high) if given.shares else mean.high,
        interval_method=mean.method,
    )


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _why_none(tasks: Iterable[TaskResult]) -> str | None:
    chosen = [task.label for task in tasks if task.adaptive is not None]
    if chosen:
        return f"documents of {', '.join(chosen)} were chosen by ability, so no mean stands for all"
    failed = [task.label for task in tasks if not task.metrics]
    return f"{', '.join(failed)} without metrics" if failed else None


def _common(tasks: Mapping[str, TaskResult]) -> Iterator[tuple[MetricResult, ...]]:
    """Gives each metric that all tasks have in the same sense, one result per task."""
    tables = [
        {(m.name, m.filter, m.higher_is_better, m.maximum): m for m in task.metrics}
        for task in tasks.values()
    ]
    for kind in tables[0]:
        if all(kind in table for table in tables):
            yield tuple(table[kind] for table in tables)


def _part(metric: MetricResult) -> Mean:
    return Mean(
        value=metric.value,
        n=metric.n,
        stderr=metric.stderr,
        low=metric.ci_low,
        high=metric.ci_high,
        method=metric.interval_method,
        clusters=metric.clusters,
    )


def _covariances(scores: Sequence[_Scores]) -> dict[tuple[int, int], float]:
    """Returns the covariance of every two tasks that share clusters, or else documents."""
    import numpy as np

    def read(kept: array[Any], kind: Any) -> Any:
        return np.frombuffer(kept, dtype=kind) if kept else np.zeros(0, kind)

    found = {}
    for t, b in enumerate(scores):
        for s, a in enumerate(scores[:t]):
            by_cluster = a.clustered and b.clustered
            units = [
                read(side.clusters if by_cluster else side.documents, np.uint64) for side in (a, b)
            ]
            values = [read(side.values, np.float64) for side in (a, b)]
            covariance = shared_covariance(values[0], units[0], values[1], units[1])
            if covariance is not None:
                found[s, t] = covariance
    return found
