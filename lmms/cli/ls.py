"""`lmms ls`: tasks, models, groups, experiments. Imports neither Hydra nor pydantic."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from lmms.cli import console
from lmms.cli.arguments import Arguments, read_arguments
from lmms.config.locations import config_dirs, describe_option, group_options
from lmms.errors import ConfigError, UnknownNameError

WHATS = ("experiments", "groups", "models", "tasks")
_FLAGS = {"--match": "PATTERN", "--config-dir": "DIR", "--task-path": "DIR"}


def main(words: Sequence[str]) -> int:
    """Lists what can be chosen."""
    arguments = read_arguments(words, _FLAGS, command="ls")
    what = arguments.words[0] if arguments.words else "tasks"
    if len(arguments.words) > 1:
        raise ConfigError(f"lmms ls takes one word, not {len(arguments.words)}", origin="lmms ls")
    if what not in WHATS:
        raise UnknownNameError("list", what, WHATS, origin="lmms ls", list_all=True)
    rows = _rows(what, arguments)
    pattern = arguments.value("--match")
    if pattern is not None:
        rows = [r for r in rows if _matches(r, pattern)]
    if arguments.has("--json"):
        console.print_json(rows)
    elif rows:
        _print(rows)
    else:
        console.print_note(f"no {what} match {pattern!r}" if pattern else f"there are no {what}")
    return 0


def _rows(what: str, arguments: Arguments) -> list[dict[str, Any]]:
    if what == "tasks":
        return _tasks(arguments)
    if what == "groups":
        return _groups(arguments)
    return _options(what.removesuffix("s"), arguments)


def _tasks(arguments: Arguments) -> list[dict[str, Any]]:
    from lmms.tasks import task_index

    index = task_index(arguments.values.get("--task-path", ()))
    for path, problem in index.broken.items():
        console.print_note(f"task file {path} cannot be read: {problem}")
    entries = (index.get(name) for name in index.names())
    return [
        {
            "name": e.name,
            "type": e.output_type,
            "modalities": list(e.modalities),
            "embedded": e.embedded,
            "groups": list(e.groups),
            "tags": list(e.tags),
            "metrics": list(e.metrics),
            "version": e.version,
            "description": e.description,
            "file": e.file,
        }
        for e in entries
    ]


def _groups(arguments: Arguments) -> list[dict[str, Any]]:
    from lmms.tasks import task_index

    groups = task_index(arguments.values.get("--task-path", ())).groups()
    return [{"name": name, "tasks": list(tasks)} for name, tasks in groups.items()]


def _options(group: str, arguments: Arguments) -> list[dict[str, Any]]:
    folders = config_dirs(arguments.values.get("--config-dir", ()))
    return [
        {"name": name, "description": describe_option(file), "file": str(file)}
        for name, file in group_options(group, folders).items()
    ]


def _matches(row: Mapping[str, Any], pattern: str) -> bool:
    names = [row["name"], *row.get("groups", ()), *row.get("tags", ()), *row.get("tasks", ())]
    glob = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    return any(fnmatch.fnmatch(n.lower(), glob.lower()) for n in names)


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    header: Sequence[str]
    cells: list[Sequence[str]]
    if "modalities" in rows[0]:
        header = ("task", "type", "input", "shipped data", "groups", "description")
        cells = [
            (
                r["name"],
                r["type"],
                "+".join(r["modalities"]),
                "yes" if r["embedded"] else "-",
                ", ".join(r["groups"]) or "-",
                _short(r["description"]),
            )
            for r in rows
        ]
    elif "tasks" in rows[0]:
        header = ("group", "tasks")
        cells = [(r["name"], ", ".join(r["tasks"])) for r in rows]
    else:
        header = ("name", "description")
        cells = [(r["name"], r["description"]) for r in rows]
    print(console.table(header, cells))


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
