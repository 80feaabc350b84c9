"""Comparing two runs: pairs, tests, correction, gates, and the samples that flipped."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmms.comparison.effects import (
    CORRECTIONS,
    MAX_LOST,
    Correction,
    Flips,
    MetricComparison,
    adjusted,
    compare_metric,
)
from lmms.comparison.gates import (
    Gate,
    GateRule,
    GateVerdict,
    check_gate,
    gate_targets,
    matches,
    metric_key,
    parse_gate,
)
from lmms.comparison.outcomes import Outcomes, PairBy
from lmms.comparison.pairing import Pairing, pair
from lmms.comparison.settings import SettingDifference, setting_differences
from lmms.comparison.sides import MetricFacts, Side, open_side
from lmms.errors import ConfigError, DataError, UnknownNameError
from lmms.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """What is compared, and how."""

    tasks: tuple[str, ...] = ()
    """Labels, shown names or patterns; none: all that both runs have."""
    metrics: tuple[str, ...] = ()
    """Metrics instead of each task's first."""
    all_metrics: bool = False
    cluster: str | None = None
    """Field that samples of one cluster share; None: what the task declares; "none": none."""
    correction: Correction = "holm"
    confidence: float = 0.95
    common: bool = False
    """Leave out documents that only one run has, instead of refusing."""
    pair_by: PairBy = "digest"
    gates: tuple[str, ...] = ()
    max_lost: float = MAX_LOST
    """Share of a row's pairs, 0 to 1, that may be lost (a sample failed, or has a score on one side
    only); above it gates close and the row has a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskComparison:
    """The pairs of one task."""

    label: str
    shown: str
    samples_a: int
    samples_b: int
    pairing: Pairing
    flips: Mapping[str, Flips]
    """Per metric key."""
    places: tuple[Sequence[int], Sequence[int]]
    """Where each side's samples are, by row."""

    @property
    def pairs(self) -> int:
        """Pairs that are compared."""
        return len(self.pairing.a)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs beside each other; differences are candidate (B) minus baseline (A)."""

    a: Side
    b: Side
    options: ComparisonOptions
    tasks: Mapping[str, TaskComparison]
    rows: tuple[MetricComparison, ...]
    """Per task and metric, p-values adjusted over all rows."""
    settings: tuple[SettingDifference, ...]
    notes: tuple[str, ...]
    gates: tuple[GateVerdict, ...]

    @property
    def closed(self) -> bool:
        """Whether a gate closed."""
        return any(gate.closed for gate in self.gates)

    def flipped(
        self, row: MetricComparison, *, better: bool, limit: int | None = None
    ) -> Iterator[tuple[Sample, Sample]]:
        """Gives the samples on which a metric differs, of both runs; the largest changes first.

        Args:
            row: One of `rows`.
            better: Those where B scores better; False: where it scores worse.
            limit: At most so many.

        Raises:
            DataError: The samples cannot be read any more.
        """
        task = self.tasks[row.task]
        flips = task.flips[row.metric]
        chosen = (flips.better if better else flips.worse)[:limit]
        places_a = [task.places[0][i] for i in task.pairing.a[chosen]]
        places_b = [task.places[1][i] for i in task.pairing.b[chosen]]
        in_a, in_b = self.a.tasks[row.task], self.b.tasks[row.task]
        yield from zip(in_a.samples(places_a), in_b.samples(places_b), strict=True)


def compare_runs(
    a: str | Path,
    b: str | Path,
    options: ComparisonOptions | None = None,
    *,
    output_dir: str | Path = "outputs",
) -> Comparison:
    """Compares two runs on the documents that both answered.

    Args:
        a: The baseline: what `load_run` takes, or samples files of another harness.
        b: The candidate.
        options: What is compared, and how.
        output_dir: Where names of runs are looked for.

    Raises:
        PlanError: There is no such run.
        DataError: The runs have no task or document in common, or (without `common`) a document
            is in one of them only.
        ConfigError: An unknown task, metric or cluster field, or a malformed gate.
    """
    options = options or ComparisonOptions()
    _check(options)
    gates = [parse_gate(text) for text in options.gates]
    side_a, side_b = open_side(a, output_dir=output_dir), open_side(b, output_dir=output_dir)
    labels = _tasks(side_a, side_b, options.tasks)
    metrics = {label: _shared_metrics(side_a, side_b, label) for label in labels}
    absent = _absent(side_a, side_b, options)
    asked = _asked_metrics(metrics, options, gates, absent)
    rows: list[MetricComparison] = []
    tasks: dict[str, TaskComparison] = {}
    for label in labels:
        tasks[label], found = _compare_task(side_a, side_b, label, asked[label], options)
        rows += found
    final = adjusted(rows, options.correction)
    return Comparison(
        a=side_a,
        b=side_b,
        options=options,
        tasks=tasks,
        rows=final,
        settings=tuple(setting_differences(side_a, side_b, labels)),
        notes=tuple(_notes(side_a, side_b, labels, options)),
        gates=tuple(_verdicts(gates, metrics, absent, final, options)),
    )


def _check(options: ComparisonOptions) -> None:
    if not 0 < options.confidence < 1:
        raise ConfigError(
            f"a confidence of {options.confidence:g}",
            origin="--confidence",
            allowed="above 0, below 1, e.g. 0.95",
        )
    if not 0 <= options.max_lost <= 1:
        raise ConfigError(
            f"a share of {options.max_lost:g}",
            origin="--max-lost",
            allowed="0 to 1, e.g. 0.05: one pair of twenty",
        )
    if options.correction not in CORRECTIONS:
        raise UnknownNameError(
            "correction", options.correction, CORRECTIONS, origin="--correct", list_all=True
        )


def _tasks(a: Side, b: Side, wanted: Sequence[str]) -> list[str]:
    """Returns the labels to compare, in the baseline's order."""
    shared = [label for label in a.tasks if label in b.tasks]
    if not shared:
        raise DataError(
            "the runs have no task in common",
            origin=f"A {a.name}: {_listed(a)}; B {b.name}: {_listed(b)}",
        )
    adaptive = [label for label in shared if _adaptive(a, b, label)]
    common = [label for label in shared if label not in adaptive]
    if not common or set(adaptive) & set(wanted):
        raise DataError(
            f"the documents of {', '.join(adaptive)} were chosen by the model's ability, "
            "so there is nothing to pair",
            origin=f"A {a.name}; B {b.name}",
            hint="the reports have each model's ability with its standard error",
        )
    if not wanted:
        return common
    chosen: list[str] = []
    for name in wanted:
        found = [
            label
            for label in common
            if fnmatch.fnmatchcase(label, name) or fnmatch.fnmatchcase(a.tasks[label].shown, name)
        ]
        if not found:
            kind = "task of only one of the runs" if name in {*a.tasks, *b.tasks} else "task"
            raise UnknownNameError(kind, name, common, origin="--task")
        chosen += [label for label in found if label not in chosen]
    return [label for label in common if label in chosen]


def _adaptive(a: Side, b: Side, label: str) -> bool:
    """Whether a side asked only documents that it chose by the answers so far."""
    results = (side.tasks[label].result for side in (a, b))
    return any(result is not None and result.adaptive is not None for result in results)


def _listed(side: Side) -> str:
    return ", ".join(side.tasks) or "no task"


def _shared_metrics(a: Side, b: Side, label: str) -> dict[str, tuple[MetricFacts, float | None]]:
    """Returns, by key, the metrics that both sides have: A's facts and B's reported number."""
    others = {metric.key: metric for metric in b.tasks[label].metrics}
    shared = {
        metric.key: (metric, others[metric.key].reported)
        for metric in a.tasks[label].metrics
        if metric.key in others
    }
    if not shared:
        keys = [", ".join(m.key for m in side.tasks[label].metrics) for side in (a, b)]
        raise DataError(
            f"the runs have no metric of {label!r} in common",
            origin=f"A {a.name}: {keys[0] or 'none'}; B {b.name}: {keys[1] or 'none'}",
        )
    return shared


def _asked_metrics(
    metrics: Mapping[str, Mapping[str, object]],
    options: ComparisonOptions,
    gates: Sequence[Gate],
    absent: Mapping[str, str],
) -> dict[str, list[str]]:
    """Returns the metric keys to compare per task: those asked for, and those of the gates."""
    asked: dict[str, list[str]] = {}
    for label, known in metrics.items():
        if options.all_metrics:
            asked[label] = list(known)
        elif options.metrics:
            keys = [metric_key(name, known) for name in options.metrics]
            asked[label] = list(dict.fromkeys(key for key in keys if key is not None))
        else:
            asked[label] = list(known)[:1]
    for name in options.metrics:
        if not any(metric_key(name, known) for known in metrics.values()):
            every = {key for known in metrics.values() for key in known}
            raise UnknownNameError("metric", name, every, origin="--metric")
    for gate in gates:
        known_keys = {task: list(known) for task, known in metrics.items()}
        for label, key in gate_targets(gate, known_keys, absent):
            if key not in asked[label]:
                asked[label].append(key)
    return asked


def _compare_task(
    a: Side, b: Side, label: str, keys: Sequence[str], options: ComparisonOptions
) -> tuple[TaskComparison, list[MetricComparison]]:
    columns = _columns(a, label, options), _columns(b, label, options)
    pairing = pair(*columns, task=label, common=options.common)
    shown = a.tasks[label].shown
    metrics = _shared_metrics(a, b, label)
    rows, flips = [], {}
    for key in keys:
        facts, reported = metrics[key]
        row, flips[key] = compare_metric(
            (label, shown),
            facts,
            reported,
            columns,
            pairing,
            confidence=options.confidence,
            max_lost=options.max_lost,
        )
        rows.append(row)
    task = TaskComparison(
        label=label,
        shown=shown,
        samples_a=len(columns[0]),
        samples_b=len(columns[1]),
        pairing=pairing,
        flips=flips,
        places=(columns[0].places, columns[1].places),
    )
    return task, rows


def _columns(side: Side, label: str, options: ComparisonOptions) -> Outcomes:
    return side.tasks[label].outcomes(pair_by=options.pair_by, cluster=options.cluster)


def _verdicts(
    gates: Sequence[Gate],
    metrics: Mapping[str, Mapping[str, object]],
    absent: Mapping[str, str],
    rows: Sequence[MetricComparison],
    options: ComparisonOptions,
) -> Iterator[GateVerdict]:
    """Checks all gates. Their p is adjusted over the rows that gates ask about, no others: what
    else a table shows must not make a gate milder.
    """
    keys = {task: list(known) for task, known in metrics.items()}
    targets = [(gate, target) for gate in gates for target in gate_targets(gate, keys, absent)]
    wanted = {target for _, target in targets}
    asked = [row for row in rows if (row.task, row.metric) in wanted]
    by_name = {(r.task, r.metric): r for r in adjusted(asked, options.correction)}
    rule = GateRule(
        correction=options.correction,
        confidence=options.confidence,
        tests=sum(row.p_value is not None for row in asked),
        max_lost=options.max_lost,
    )
    for gate, target in targets:
        yield check_gate(gate, by_name[target], rule)
    for gate in gates:
        for task, reason in absent.items():
            if matches(gate, task):
                yield GateVerdict(gate.text, task, gate.metric, True, reason)


def _absent(a: Side, b: Side, options: ComparisonOptions) -> dict[str, str]:
    """Returns the baseline's tasks that cannot be compared, and why: gates on them close."""
    found = {}
    for label, task in a.tasks.items():
        names = (label, task.shown)
        wanted = [n for n in options.tasks for name in names if fnmatch.fnmatchcase(name, n)]
        if options.tasks and not wanted:
            continue
        if label not in b.tasks:
            found[label] = "B did not run this task"
        elif _adaptive(a, b, label):
            found[label] = "its documents were chosen by ability, so there is nothing to pair"
    return found


def _notes(a: Side, b: Side, labels: Sequence[str], options: ComparisonOptions) -> Iterator[str]:
    for letter, side, other in (("A", a, b), ("B", b, a)):
        yield from (f"{letter}: {note}" for note in side.notes)
        if side.status != "complete":
            yield f"{letter} is {side.status}: compared as far as it has come"
        if not options.tasks and (lone := [t for t in side.tasks if t not in other.tasks]):
            yield f"only in {letter}: {', '.join(lone)}"
        for label in labels:
            known = {metric.key for metric in other.tasks[label].metrics}
            if lone := [m.key for m in side.tasks[label].metrics if m.key not in known]:
                yield f"only in {letter}: {', '.join(lone)} of {label}"
    if a.path == b.path:
        yield "A and B are the same run"
    if left := [t for t in a.tasks if t in b.tasks and _adaptive(a, b, t)]:
        yield f"left out: {', '.join(left)}: the documents were chosen by ability, not all asked"
    for label in labels:
        directions = [
            {m.key: m.higher_is_better for m in side.tasks[label].metrics} for side in (a, b)
        ]
        for key, up in directions[0].items():
            if directions[1].get(key, up) != up:
                yield f"{label}: the runs disagree on which way {key} is better; A's is taken"
