"""Tasks: an index that is fast to read, and the loader that turns a task file into a `TaskSpec`.

Nothing here imports yaml, jinja2 or pydantic until a task body is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.tasks.index import TaskEntry, TaskIndex, task_index
    from lmms.tasks.loader import load_spec
    from lmms.tasks.spec import TaskSpec

__all__ = ["TaskEntry", "TaskIndex", "TaskSpec", "load_spec", "task_index"]

_HOMES = {
    "TaskEntry": "lmms.tasks.index",
    "TaskIndex": "lmms.tasks.index",
    "task_index": "lmms.tasks.index",
    "load_spec": "lmms.tasks.loader",
    "TaskSpec": "lmms.tasks.spec",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lmms.tasks' has no attribute {name!r}")
