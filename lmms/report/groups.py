"""A table of what a run says of groups of tasks: the mean over samples and that over tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict

from lmms.report.digits import decimals_for, fixed
from lmms.report.tables import Column, Table, blank_repeats
from lmms.scoring.group_results import GroupMean, GroupMetric, GroupResult, read_group
from lmms.types import RunResult


def groups_of(run: RunResult) -> tuple[GroupResult, ...]:
    """Returns the groups of a run of which anything can be said."""
    return tuple(map(read_group, (run.raw.get("group_results") or {}).values()))


def groups_table(run: RunResult) -> Table | None:
    """Returns per group and metric the mean over samples and the one over tasks; None without any.

    Where tasks have equally many samples both are the same, and there is one row.
    """
    groups = [group for group in groups_of(run) if group.metrics]
    if not groups:
        return None
    levels = dict.fromkeys(f"{m.confidence * 100:g} %" for g in groups for m in g.metrics)
    columns = (
        Column("Groups"),
        Column("tasks", right=True),
        Column("Filter"),
        Column("Metric"),
        Column("Average", keep=True),
        Column("", keep=True),
        Column("Value", right=True, keep=True),
        Column("±", right=True, keep=True),
        Column(f"{'/'.join(levels)} CI", keep=True),
        Column("n", right=True, keep=True),
    )
    cells, records = [], []
    for group in groups:
        for metric in group.metrics:
            head = (group.label, str(len(group.tasks)), metric.filter, metric.name)
            for average, mean in _averages(metric):
                cells.append((*head, average, *_numbers(metric, mean)))
                records.append(
                    {
                        "group": group.label,
                        "tasks": list(group.tasks),
                        "filter": metric.filter,
                        "metric": metric.name,
                        "average": average,
                        "n": metric.n,
                        **asdict(mean),
                    }
                )
    return Table(columns, tuple(blank_repeats(columns, cells)), tuple(records))


def group_lines(run: RunResult) -> Iterator[str]:
    """Gives how the table is to be read, and why something is missing from it."""
    groups = groups_of(run)
    if any(group.metrics for group in groups):
        yield "micro: every sample counts the same; macro: every task does."
    for group in groups:
        if group.reason is not None:
            yield f"{group.label}: not available: {group.reason}"
        pairs = {pair for metric in group.metrics for pair in metric.shared}
        if pairs:
            shared = sorted({task for pair in pairs for task in pair})
            yield (
                f"{group.label}: {', '.join(shared)} ask about the same documents or clusters; the "
                "standard errors account for it"
            )
        reasons: dict[str, list[str]] = {}
        for metric in group.metrics:
            name = metric.name if metric.filter == "none" else f"{metric.name},{metric.filter}"
            for average, mean in (("micro", metric.micro), ("macro", metric.macro)):
                if mean.reason is not None:
                    reasons.setdefault(mean.reason, []).append(f"{name} {average}")
        for reason, names in reasons.items():
            yield f"{group.label}, {', '.join(names)}: not available: {reason}"


def _averages(metric: GroupMetric) -> tuple[tuple[str, GroupMean], ...]:
    micro, macro = metric.micro, metric.macro
    if micro.value is not None and all(
        _same(*pair) for pair in zip(_ends(micro), _ends(macro), strict=True)
    ):
        return (("micro = macro", micro),)
    return (("micro", micro), ("macro", macro))


def _ends(mean: GroupMean) -> tuple[float | None, ...]:
    return mean.value, mean.stderr, mean.ci_low, mean.ci_high


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _numbers(metric: GroupMetric, mean: GroupMean) -> tuple[str, ...]:
    decimals = decimals_for(mean.value, mean.stderr, mean.ci_low, mean.ci_high, n=metric.n)
    interval = "–"
    if mean.ci_low is not None and mean.ci_high is not None:
        interval = f"[{fixed(mean.ci_low, decimals)}, {fixed(mean.ci_high, decimals)}]"
    return (
        "↑" if metric.higher_is_better else "↓",
        fixed(mean.value, decimals),
        fixed(mean.stderr, decimals),
        interval,
        str(metric.n),
    )
