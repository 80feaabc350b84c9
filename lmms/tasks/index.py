"""Which tasks exist, without reading their bodies: a small index, cached as JSON.

The cache is keyed by path, size and modification time of every task file below the roots, so an
edited, added or removed file is seen at once, and an unchanged tree costs one `stat` per file.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmms.config.locations import cache_folder
from lmms.errors import ConfigError, UnknownNameError

_FORMAT = "lmms-task-index/2"
_HINT = "list tasks: lmms ls tasks"
SHIPPED_TASKS = Path(__file__).resolve().parent.parent / "_data" / "tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry:
    """What is known of a task without reading its body."""

    name: str
    file: str
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ("text",)
    metrics: tuple[str, ...] = ()
    output_type: str = "generate_until"
    description: str = ""
    embedded: bool = False
    """Whether documents for it are shipped."""
    version: str = ""


@dataclass(frozen=True, slots=True)
class TaskIndex:
    """All tasks of the shipped folder and of the user's folders."""

    entries: Mapping[str, TaskEntry]
    broken: Mapping[str, str] = field(default_factory=dict)
    """Task files that cannot be read: path -> what is wrong with them."""

    def names(self) -> list[str]:
        """Returns all task names, sorted."""
        return sorted(self.entries)

    def groups(self) -> dict[str, list[str]]:
        """Returns each group with its tasks, both sorted."""
        found: dict[str, list[str]] = {}
        for name in self.names():
            for group in self.entries[name].groups:
                found.setdefault(group, []).append(name)
        return dict(sorted(found.items()))

    def get(self, name: str, origin: str | None = None) -> TaskEntry:
        """Returns the entry called `name`.

        Raises:
            UnknownNameError: There is no such task; the nearest names are in the message.
            ConfigError: A file of that name exists but cannot be read.
        """
        if name in self.entries:
            return self.entries[name]
        for path, problem in self.broken.items():
            if Path(path).stem == name:
                raise _unreadable(name, path, problem)
        known = [*self.entries, *self.groups()]
        hint = _HINT
        if self.broken:
            hint += f"; task files that cannot be read: {', '.join(self.broken)}"
        raise UnknownNameError("task", name, known, origin=origin, hint=hint)

    def expand(self, patterns: Sequence[str], origin: str | None = None) -> list[str]:
        """Returns the tasks that names, globs (`mm*`) and groups stand for.

        The order of `patterns` is kept, tasks within a glob or group are sorted, and a task that
        is named twice appears once.

        Raises:
            UnknownNameError: A name is neither task nor group, or a glob matches nothing.
        """
        groups = self.groups()
        chosen: dict[str, None] = {}
        for pattern in patterns:
            if pattern in self.entries:
                found = [pattern]
            elif pattern in groups:
                found = groups[pattern]
            elif any(c in pattern for c in "*?["):
                found = fnmatch.filter(self.names(), pattern)
                if not found:
                    known = [*self.entries, *groups]
                    raise UnknownNameError(
                        "task pattern", pattern, known, origin=origin, hint=_HINT
                    )
            else:
                found = [self.get(pattern, origin).name]
            chosen.update(dict.fromkeys(found))
        return list(chosen)


def task_index(
    task_paths: Sequence[str] = (), *, cache_dir: str | os.PathLike[str] | None = None
) -> TaskIndex:
    """Returns the index over the shipped tasks and the folders in `task_paths`.

    Args:
        task_paths: Further folders with task files (`env.task_paths`).
        cache_dir: Where the index is remembered; None: `lmms.config.locations.cache_folder`. A
            folder that cannot be written is not an error: the index is then built each time.

    Raises:
        ConfigError: A folder does not exist, or two files define one name.
    """
    roots = [SHIPPED_TASKS, *(Path(p).expanduser().resolve() for p in task_paths)]
    for root in roots[1:]:
        if not root.is_dir():
            raise ConfigError(f"there is no task folder {str(root)!r}", origin="env.task_paths")
    files = [path for root in roots for path in _task_files(root)]
    stamp = _stamp(files)
    cache = _cache_file(roots, cache_dir)
    known = _read_cache(cache, stamp)
    if known is None:
        known = _build(files)
        _write_cache(cache, stamp, known)
    return known


def _unreadable(name: str, path: str, problem: str) -> ConfigError:
    """Returns the error of a broken file, with what the file's reader suggests."""
    from lmms.tasks.loader import read_bodies

    message = f"the task file of {name!r} cannot be read: {problem}"
    try:
        read_bodies(Path(path))
    except ConfigError as error:
        return ConfigError(
            message,
            origin=error.origin or path,
            allowed=error.allowed,
            suggestions=error.suggestions,
            hint=error.hint,
        )
    return ConfigError(message, origin=path)


def _task_files(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "__")))
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")):
                yield Path(folder) / name


def _stamp(files: Sequence[Path]) -> list[list[Any]]:
    stamp: list[list[Any]] = []
    for path in files:
        status = path.stat()
        stamp.append([str(path), status.st_size, status.st_mtime_ns])
    return stamp


def _cache_file(roots: Sequence[Path], cache_dir: str | os.PathLike[str] | None) -> Path:
    key = hashlib.sha256("\n".join(map(str, roots)).encode()).hexdigest()[:16]
    return cache_folder(cache_dir) / f"tasks-{key}.json"


def _read_cache(cache: Path, stamp: list[list[Any]]) -> TaskIndex | None:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT or content["stamp"] != stamp:
            return None
        entries = {}
        for shown in content["entries"]:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in shown.items()
            }
            entries[values["name"]] = TaskEntry(**values)
        return TaskIndex(entries, content["broken"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, of another version, or damaged: it is only a cache


def _write_cache(cache: Path, stamp: list[list[Any]], index: TaskIndex) -> None:
    content = {
        "format": _FORMAT,
        "stamp": stamp,
        "entries": [asdict(entry) for entry in index.entries.values()],
        "broken": dict(index.broken),
    }
    temporary = cache.with_name(f"{cache.name}.{os.getpid()}.tmp")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _build(files: Sequence[Path]) -> TaskIndex:
    from lmms.tasks.loader import read_bodies

    entries: dict[str, TaskEntry] = {}
    broken: dict[str, str] = {}
    for path in files:
        if path.name.startswith("_"):
            continue  # a part that other files include
        try:
            bodies = read_bodies(path)
        except ConfigError as error:
            broken[str(path)] = error.message
            continue
        for name, body in bodies.items():
            if name in entries:
                raise ConfigError(
                    f"task {name!r} is defined twice: in {entries[name].file} and in {path}",
                    origin=str(path),
                )
            entries[name] = _entry(name, body, path)
    return TaskIndex(entries, broken)


def _entry(name: str, body: Mapping[str, Any], path: Path) -> TaskEntry:
    # Bodies are checked when they are loaded; here a wrong value is just not shown.
    metrics = body.get("metrics")
    named = [
        m["name"] if isinstance(m, dict) else m
        for m in (metrics if isinstance(metrics, list) else ())
        if not isinstance(m, dict) or "name" in m
    ]
    dataset = body.get("dataset")
    return TaskEntry(
        name=name,
        file=str(path),
        groups=_texts(body.get("groups")),
        tags=_texts(body.get("tags")),
        modalities=_texts(body.get("modalities")) or ("text",),
        metrics=_texts(named),
        output_type=str(body.get("output_type", "generate_until")),
        description=str(body.get("description", "")),
        embedded=isinstance(dataset, dict) and _is_shipped(dataset, path.parent),
        version=str(body.get("version", "")),
    )


def _is_shipped(dataset: Mapping[str, Any], folder: Path) -> bool:
    """Whether the documents come with the task: embedded ones, or a file beside its definition."""
    rows = dataset.get("path")
    return bool(dataset.get("embedded")) or (isinstance(rows, str) and (folder / rows).is_file())


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
