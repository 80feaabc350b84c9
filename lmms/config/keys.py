"""The keys of the schema: which exist, which are open mappings, and the nearest ones to a typo."""

from __future__ import annotations

import types
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from lmms.config.schema import RunConfig, TaskRef
from lmms.errors import ConfigError, nearest

GROUPS = ("model", "task", "generation", "media", "env", "executor", "experiment")
"""The Hydra groups, in the order in which help lists them."""

_TASKS = "tasks"


@lru_cache(maxsize=1)
def schema_keys() -> dict[str, Any]:
    """Returns every dotted key of a run and its type; `tasks.*` stands for each task."""
    keys: dict[str, Any] = {}
    _collect(RunConfig, "", keys)
    keys.pop(_TASKS)
    _collect(TaskRef, f"{_TASKS}.*.", keys)
    return keys


def _collect(section: type[BaseModel], prefix: str, keys: dict[str, Any]) -> None:
    for name, field in section.model_fields.items():
        kind = _bare(field.annotation)
        keys[prefix + name] = kind
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            _collect(kind, f"{prefix}{name}.", keys)


def _bare(annotation: Any) -> Any:
    """Strips `Annotated` and `None` from a type."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in get_args(annotation) if a is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def type_of(key: str) -> Any:
    """Returns the type of a dotted key; for keys inside an open mapping the type `object`.

    Raises:
        KeyError: The schema has no such key.
    """
    keys = schema_keys()
    if key == _TASKS:
        return dict
    parts = key.split(".")
    if parts[0] == _TASKS:
        if len(parts) == 2:
            return TaskRef
        parts[1] = "*"
    for length in range(len(parts), 0, -1):
        kind = keys.get(".".join(parts[:length]))
        if kind is None:
            continue
        if length == len(parts):
            return kind
        if get_origin(kind) is dict:
            arguments = get_args(kind)
            return object if arguments[1] is Any else arguments[1]
        break
    raise KeyError(key)


def is_open(key: str) -> bool:
    """Whether `key` lies inside an open mapping such as `model.kwargs`."""
    try:
        type_of(key)
    except KeyError:
        return False
    parts = key.split(".")
    return any(get_origin(_kind(".".join(parts[:n]))) is dict for n in range(1, len(parts)))


def _kind(key: str) -> Any:
    try:
        return type_of(key)
    except KeyError:
        return None


def check_key(key: str, *, origin: str) -> Any:
    """Returns the type of `key`.

    Raises:
        ConfigError: The schema has no such key; with the nearest keys, and what the section allows.
    """
    try:
        return type_of(key)
    except KeyError:
        raise unknown_key(key, origin=origin) from None


def unknown_key(key: str, *, origin: str) -> ConfigError:
    """Returns the error for a key that the schema does not have."""
    parts = key.split(".")
    in_task = parts[0] == _TASKS and len(parts) > 2
    shown = ".".join([parts[0], "*", *parts[2:]]) if in_task else key
    known = [k for k in schema_keys() if in_task == k.startswith(f"{_TASKS}.")]
    if not in_task:
        known += [*GROUPS, _TASKS]
    close = _close_keys(shown, known)
    if in_task:
        close = [c.replace("*", parts[1], 1) for c in close]
    section = _section_of(shown)
    members = sorted({k[len(section) :].split(".")[0] for k in known if k.startswith(section)})
    return ConfigError(
        f"unknown configuration key {key!r}",
        origin=origin,
        suggestions=close,
        allowed=(f"{section.rstrip('.')}: " if section else "") + ", ".join(members),
    )


def _close_keys(key: str, known: Sequence[str]) -> list[str]:
    """Returns what was probably meant: a neighbour's name, or the same name in another section."""
    section = _section_of(key)
    last = key[len(section) :].split(".")[-1]
    elsewhere = {k.split(".")[-1]: k for k in reversed(known)}
    siblings = {
        k[len(section) :]: k
        for k in known
        if k.startswith(section) and "." not in k[len(section) :]
    }
    names = elsewhere | siblings
    if last in elsewhere:
        return [elsewhere[last]]
    return [names[n] for n in nearest(last, names)[:2]]


def _section_of(key: str) -> str:
    """Returns the longest existing section that `key` lies in, with its dot; "" for the root."""
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        prefix = ".".join(parts[:length]) + "."
        if any(k.startswith(prefix) for k in schema_keys()):
            return prefix
    return ""
