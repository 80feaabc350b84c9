"""The groups of tasks of one run: which of their tasks are part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmms.errors import ConfigError, nearest

if TYPE_CHECKING:
    from lmms.config.compose import RunSource

_FEWEST = 2
"""Tasks of a group; the mean over one task is that of the task."""


def settle_groups(values: dict[str, Any], source: RunSource) -> tuple[str, ...]:
    """Takes tasks that are not part of the run out of the groups.

    A task may have been deleted (`~tasks.mme`), or the tasks of an experiment replaced. A group
    that the user wrote with a task that the run does not have is an error instead.

    Args:
        values: The composed run; its groups are changed in place.
        source: What it was composed from.

    Returns:
        A note for each group that has changed.

    Raises:
        ConfigError: A group names a task that was never chosen, or is called like a task.
    """
    groups, tasks = values.get("groups"), values.get("tasks")
    if not isinstance(groups, dict) or not isinstance(tasks, dict):
        return ()
    deleted = {w.key.removeprefix("tasks.") for w in source.words if w.prefix == "~"}
    notes = []
    for group, labels in list(groups.items()):
        if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
            continue  # the schema says what is wrong
        origin = _written_at(group, source)
        if group in tasks:
            raise ConfigError(f"group {group!r} is called like a task", origin=origin)
        groups[group] = kept = [name for name in dict.fromkeys(labels) if name in tasks]
        absent = [name for name in labels if name not in tasks]
        strangers = [name for name in absent if name not in deleted]
        if strangers and origin is not None:
            raise ConfigError(
                f"group {group!r} names a task that is not part of this run: {strangers[0]!r}",
                origin=origin,
                suggestions=nearest(strangers[0], tasks),
                allowed=", ".join(tasks),
            )
        if not absent:
            continue
        if len(kept) < _FEWEST:
            del groups[group]
            notes.append(f"group {group!r} was dropped: fewer than two of its tasks are left")
        else:
            notes.append(f"group {group!r} is without {', '.join(absent)}")
    return tuple(notes)


def _written_at(group: str, source: RunSource) -> str | None:
    """Returns where the user wrote the group; None if it came with a choice of tasks."""
    for word in reversed(source.words):
        if word.key in ("groups", f"groups.{group}"):
            return word.origin
    in_file = (source.body or {}).get("groups") or {}
    if group in in_file and not source.tasks_replaced:
        return f"file {source.file} key groups.{group}"
    return None
