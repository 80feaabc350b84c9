"""The answers of one run: right or wrong by a metric of one of its tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.adaptive.joining import DIGEST_DIGITS
from lmms.adaptive.responses import MISSING
from lmms.adaptive.thresholds import check_majority
from lmms.errors import DataError, nearest

if TYPE_CHECKING:
    from lmms.types import RunResult, TaskResult


@dataclass(frozen=True, slots=True)
class RunAnswers:
    """What one run answered.

    Attributes:
        subject: The run, by its model and its id.
        task: Name of the task.
        answers: Item, digest of its document, and 1 right, 0 wrong or -1 missing.
        notes: What a reader should know of them, in words.
        extremes: The lowest and the highest score; none if no score is known.
        less_is_better: What the metric says.
    """

    subject: str
    task: str
    answers: tuple[tuple[str, str, int], ...]
    notes: tuple[str, ...]
    extremes: tuple[float, ...]
    less_is_better: bool


def read_run(
    run: str | Path,
    task: str | None,
    metric: str | None,
    threshold: float | None,
    output_dir: str | Path,
) -> RunAnswers:
    """Reads the answers of a run.

    Args:
        run: Folder or name of the run.
        task: Label or name of the task; None: the only one.
        metric: `NAME` or `NAME,FILTER`; None: the task's first.
        threshold: Scores from here on are right; None: they are 0 or 1.
        output_dir: Where names of runs are looked for.

    Raises:
        PlanError: There is no such run.
        DataError: It has no such task or metric, a score is neither 0 nor 1, or the threshold
            counts a draw of repeated answers as right.
    """
    from lmms.report.runs import load_run, show_samples

    result = load_run(run, output_dir=output_dir)
    label = _label(result.tasks, task, str(run))
    found = result.tasks[label]
    if chosen := _chosen_by(found, metric):
        key, less_is_better, given = chosen[0], False, chosen[1]
        threshold = given if threshold is None else threshold
    else:
        key, less_is_better = _metric_key(found.metrics, metric, str(run))
    items: list[tuple[str, str]] = []
    scores: list[float | None] = []
    for sample in show_samples(run, label, output_dir=output_dir):
        items.append((f"{found.task}/{sample.document_id}", sample.doc_hash[:DIGEST_DIGITS]))
        score = sample.scores.get(key)
        scores.append(None if score is None or sample.status == "failed" else score.value)
    known = [value for value in scores if value is not None]
    repeats = _repeats(result, label, found)
    if threshold is not None and known:
        check_majority(threshold, known, repeats, less_is_better=less_is_better, origin=str(run))
    subject = f"{result.model}/{result.raw.get('run_id') or Path(result.path).name}"
    return RunAnswers(
        subject,
        found.task,
        tuple(
            (item, digest, _answer(value, threshold, less_is_better, f"{item} in {run}", repeats))
            for (item, digest), value in zip(items, scores, strict=True)
        ),
        tuple(_notes(subject, result, found, len(known), repeats, threshold)),
        (min(known), max(known)) if known else (),
        less_is_better,
    )


def _notes(
    subject: str,
    result: RunResult,
    found: TaskResult,
    answers: int,
    repeats: int,
    threshold: float | None,
) -> list[str]:
    notes = []
    if found.adaptive:
        notes.append(
            f"{subject} is an adaptive run: {answers} answers, to documents chosen by its ability"
        )
    elif result.status != "complete":
        notes.append(
            f"{subject} is {result.status}: {answers} answers to {found.n_original:,} documents"
        )
    if repeats > 1 and threshold is not None:
        notes.append(
            f"scores are means of {repeats} answers, right from {threshold:g} on: abilities are "
            "those of such votes, not of one answer"
        )
    return notes


def _repeats(result: RunResult, label: str, found: TaskResult) -> int:
    configs = result.raw.get("configs") or {}
    config = configs.get(label) or configs.get(found.label) or configs.get(found.task) or {}
    return int(config.get("repeats") or 1)


def _answer(
    value: float | None, threshold: float | None, less_is_better: bool, where: str, repeats: int
) -> int:
    if value is None:
        return MISSING
    if math.isnan(value) or (threshold is None and value not in (0, 1)):
        raise DataError(
            f"the score {value:g} is neither right nor wrong",
            origin=where,
            allowed="0 and 1",
            hint="scores between 0 and 1 need a threshold: --threshold 0.5"
            if repeats == 1
            else f"it is a mean of {repeats} answers: --threshold 0.51 takes what most got right",
        )
    if threshold is None:
        return 1 - int(value) if less_is_better else int(value)
    return int(value <= threshold) if less_is_better else int(value >= threshold)


def _label(tasks: Mapping[str, Any], task: str | None, origin: str) -> str:
    if task is None and len(tasks) == 1:
        return next(iter(tasks))
    for label, result in tasks.items():
        if task is not None and task in (label, result.label, result.task):
            return label
    raise DataError(
        f"the run has {len(tasks)} tasks" if task is None else f"the run has no task {task!r}",
        origin=origin,
        allowed=list(tasks),
        suggestions=() if task is None else nearest(task, tasks),
        hint="choose one with --task" if task is None else None,
    )


def _chosen_by(found: Any, metric: str | None) -> tuple[str, float | None] | None:
    """Returns the score by which an adaptive run chose its documents, and from where it is right.

    The metrics of such a run are abilities and predictions, which no single document has.
    """
    right_if = (found.adaptive or {}).get("right_if") or {}
    key = right_if.get("metric")
    if key is None or metric not in (None, key, key.partition(",")[0], f"{key},none"):
        return None
    return key, right_if.get("from")


def _metric_key(metrics: Sequence[Any], metric: str | None, origin: str) -> tuple[str, bool]:
    for known in metrics:
        key = known.name if known.filter == "none" else f"{known.name},{known.filter}"
        if metric is None or metric in (key, known.name, f"{known.name},{known.filter}"):
            return key, not known.higher_is_better
    names = [m.name for m in metrics]
    raise DataError(
        f"the task has no metric {metric!r}" if metric else "the task has no metric",
        origin=origin,
        allowed=names,
        suggestions=nearest(metric or "", names),
    )
