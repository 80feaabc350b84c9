"""What results say of groups of tasks, as data; `lmms.scoring.groups` computes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan

FEWEST = 2
"""Tasks of a group; the mean over one task is that of the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMean:
    """The mean of one metric over the tasks of a group, with its own standard error."""

    value: float | None = None
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    interval_method: str | None = None
    reason: str | None = None
    """Why something above is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetric:
    """A metric that all tasks of a group have, with the same direction and scale."""

    name: str
    filter: str
    n: int
    """Samples of all tasks."""
    micro: GroupMean
    """Every sample counts the same."""
    macro: GroupMean
    """Every task counts the same."""
    shared: tuple[tuple[str, str], ...] = ()
    """Pairs of tasks that ask about the same documents or clusters; their covariance is in the
    standard errors."""
    confidence: float = 0.95
    higher_is_better: bool = True
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """What can be said of several tasks together."""

    group: str
    label: str
    """Name as shown: `video`, or `video@embedded`."""
    tasks: tuple[str, ...]
    """Tasks, as shown."""
    metrics: tuple[GroupMetric, ...] = ()
    reason: str | None = None
    """Why there is no metric."""


def group_subtasks(plan: RunPlan) -> dict[str, list[str]]:
    """Returns the shown names of the tasks of every group, by the group's shown name."""
    shown = {task.label: task.shown_as for task in plan.tasks}
    return {
        shown_group(group, [shown[label].removeprefix(label) for label in labels]): [
            shown[label] for label in labels
        ]
        for group, labels in plan.config.groups.items()
        if len(labels) >= FEWEST
    }


def shown_group(group: str, endings: Iterable[str]) -> str:
    """Returns a group's name with what its tasks' names say: `video@embedded`."""
    marks = dict.fromkeys(mark for text in endings for mark in re.findall(r"[@+][^@+]+", text))
    return group + "".join(marks)


def read_group(block: Mapping[str, Any]) -> GroupResult:
    """Returns the group that `dataclasses.asdict` described."""
    metrics = tuple(
        GroupMetric(
            **{
                **metric,
                "micro": GroupMean(**metric["micro"]),
                "macro": GroupMean(**metric["macro"]),
                "shared": tuple((pair[0], pair[1]) for pair in metric["shared"]),
            }
        )
        for metric in block["metrics"]
    )
    return GroupResult(**{**block, "tasks": tuple(block["tasks"]), "metrics": metrics})
