"""A table of what repeated answers say: how steady a model is, and what a vote or a retry gains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lmms.report.digits import decimals_for, fixed
from lmms.report.tables import Column, Table
from lmms.types import MetricResult, RunResult

REPEATS = "repeats"
"""Key of a metric's breakdown that holds this, beside its categories."""


def repeats_table(run: RunResult) -> Table | None:
    """Returns a row per metric of questions that were asked several times; None without any.

    pass@k and pass^k are of the largest k, which is the number of answers; `results.json` has the
    others. The last columns are the standard deviations of answers and of questions.
    """
    columns = (
        Column("Tasks"),
        Column("Metric"),
        Column("answers", right=True, keep=True),
        Column("Value", right=True, keep=True),
        Column("majority", right=True, keep=True),
        Column("pass@k", right=True, keep=True),
        Column("pass^k", right=True, keep=True),
        Column("consistent", right=True, keep=True),
        Column("sd of answers", right=True, keep=True),
        Column("sd of questions", right=True, keep=True),
    )
    cells, records = [], []
    for task in run.tasks.values():
        for metric in task.metrics:
            found = metric.breakdown.get(REPEATS)
            if not isinstance(found, Mapping):
                continue
            name = metric.name if metric.filter == "none" else f"{metric.name},{metric.filter}"
            cells.append((task.label, name, *_cells(metric, found)))
            records.append({"task": task.label, "metric": name, **found})
    return Table(columns, tuple(cells), tuple(records)) if cells else None


def _cells(metric: MetricResult, found: Mapping[str, Any]) -> Iterator[str]:
    fewest, most = found["fewest"], found["most"]
    yield str(most) if fewest == most else f"{fewest}-{most}"
    yield fixed(metric.value, decimals_for(metric.value, metric.stderr, n=metric.n))
    yield _mean(found.get("majority"))
    for name in ("pass_at", "pass_hat"):
        by_k = found.get(name) or {}
        yield _mean(by_k.get(max(by_k, key=int))) if by_k else "–"
    steady = found["stability"]["consistency_rate"]
    yield fixed(steady, decimals_for(steady, None, n=found["questions"]))
    split = found["variance"]
    for variance in (split["answers"], split["questions"]):
        # A spread estimated below 0 is one that cannot be told from none.
        yield "–" if variance is None else fixed(max(0.0, variance) ** 0.5, 3)


def _mean(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    decimals = decimals_for(
        found["value"], found["stderr"], found["ci_low"], found["ci_high"], n=found["n"]
    )
    return fixed(found["value"], decimals)
