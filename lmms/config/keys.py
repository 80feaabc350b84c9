"""The keys of the schema: which exist, which are open mappings, and the nearest ones to a typo."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from lmms.config.schema import RunConfig, TaskRef
from lmms.errors import ConfigError, nearest

GROUPS = ("model", "task", "generation", "media", "env", "executor", "selector", "experiment")
"""The Hydra groups, in the order in which help lists them."""

_TASKS = "tasks"
_ALMOST_ALIKE = 0.8
"""Likeness from which a key of another section is suggested."""
_MUCH_WORSE = 0.2
"""A neighbour that is so much less alike than the best one is not suggested beside it."""
_ALL_BUT_THE_SAME = 0.9


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
        values = _mapped(kind)
        if values is not None:
            return values
        break
    raise KeyError(key)


def _mapped(kind: Any) -> Any:
    """Returns what an open mapping of that type holds; None where it is none."""
    for choice in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        if get_origin(choice) is dict:
            held = get_args(choice)[1]
            return object if held is Any else held
    return None


def is_open(key: str) -> bool:
    """Whether `key` lies inside an open mapping such as `model.kwargs`."""
    try:
        type_of(key)
    except KeyError:
        return False
    parts = key.split(".")
    return any(_mapped(_kind(".".join(parts[:n]))) is not None for n in range(1, len(parts)))


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
    """Returns what was probably meant: a neighbour's name, or the same name in another section.

    Who names a section means it, so that keys of other sections have to be spelt almost alike.
    """
    section = _section_of(key)
    last = key[len(section) :].split(".")[-1]
    elsewhere = {k.split(".")[-1]: k for k in reversed(known)}
    siblings = {
        k[len(section) :]: k
        for k in known
        if k.startswith(section) and "." not in k[len(section) :]
    }
    if last in siblings | elsewhere:
        return [(elsewhere | siblings)[last]]
    near = [siblings[n] for n in nearest(last, siblings)]
    best = _likeness(last, near[0].removeprefix(section)) if near else 0.0
    near = [k for k in near if _likeness(last, k.removeprefix(section)) >= best - _MUCH_WORSE]
    others = [n for n in nearest(last, elsewhere) if _likeness(last, n) >= _ALMOST_ALIKE]
    if best < _ALMOST_ALIKE:
        near += [elsewhere[n] for n in others if elsewhere[n] not in near]
    return near[:2]


def is_almost_known(name: str) -> bool:
    """Whether a bare name is, but for a letter or so, that of a key of the schema."""
    names = {k.rpartition(".")[2] for k in schema_keys()}
    return any(_likeness(name, n) >= _ALL_BUT_THE_SAME for n in names)


def _likeness(one: str, other: str) -> float:
    """Returns how alike two names are, from 0 to 1."""
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _section_of(key: str) -> str:
    """Returns the longest existing section that `key` lies in, with its dot; "" for the root."""
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        prefix = ".".join(parts[:length]) + "."
        if any(k.startswith(prefix) for k in schema_keys()):
            return prefix
    return ""
