"""What the compiler needs to know of tasks: their names. The task room provides it.

The compiler stands below the task room and so does not import it; it is handed the name of a
function that opens the catalogue, which also lets a sweep's worker process open its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Protocol

TASK_CATALOGUE = "lmms.tasks:task_index"
"""`module:function`; called with the folders of further tasks and `cache_dir=` (the folder of our
own cache, or None), returns a `TaskCatalogue`."""


class TaskCatalogue(Protocol):
    """Names and groups of tasks."""

    def names(self) -> list[str]:
        """All task names, sorted."""
        ...

    def groups(self) -> Mapping[str, Sequence[str]]:
        """Group name to the names of its tasks."""
        ...

    def expand(self, patterns: Sequence[str], origin: str | None = None) -> list[str]:
        """Names, globs and groups to task names, in order, without duplicates.

        Raises:
            UnknownNameError: A pattern matches nothing.
        """
        ...


def open_catalogue(
    target: str, task_paths: tuple[str, ...], cache_dir: str | None = None
) -> TaskCatalogue:
    """Returns the catalogue that `target` opens for these folders."""
    module, _, attribute = target.partition(":")
    opener = getattr(importlib.import_module(module), attribute)
    catalogue: TaskCatalogue = opener(task_paths, cache_dir=cache_dir)
    return catalogue


def group_members(catalogue: TaskCatalogue, option: str) -> list[str] | None:
    """Returns the tasks of a group; None if `option` is a task, a glob, or a group of one task."""
    if any(c in option for c in "*?["):
        return None
    members = list(catalogue.groups().get(option, ()))
    return members if len(members) > 1 and option not in catalogue.names() else None


def label_of(name: str) -> str:
    """Returns the key below `tasks` for a task: its name, with what a key cannot hold replaced."""
    return name.replace("/", "_").replace(".", "_")
