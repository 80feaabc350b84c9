"""Composition of plain words without Hydra, whose import costs more than all the rest of a plan.

Covers what nearly every command line is made of: options by name, tasks, `key=scalar`, shipped
experiments. Anything else (interpolations, lists and mappings as values, packages, own option
folders, sweeps, whatever could be an error) is left to Hydra. For what is covered the result is
the same; a test composes both ways and compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.config.catalogue import group_members, label_of
from lmms.config.composition import Composition
from lmms.errors import UnknownNameError

if TYPE_CHECKING:
    from lmms.config.compose import RunSource
    from lmms.config.words import Word

_OPTION = re.compile(r"[A-Za-z_][\w-]*")
_TASKS = re.compile(r"\[?[\w./*?-]+(?:,[\w./*?-]+)*\]?|\[\]")
_KEY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_INT = re.compile(r"[+-]?(?:0|[1-9]\d*)")
_FLOAT = re.compile(r"[+-]?(?:0|[1-9]\d*)\.\d+")
_TEXT = re.compile(r"(?:[A-Za-z_]|\.{0,2}/)[\w./-]*")
_RESERVED = frozenset({"inf", "nan"})
_WORDS: Mapping[str, Any] = {"null": None, "true": True, "false": False}
_EXPONENT = re.compile(r"[-+]?\d[\d_]*\.?\d*[eE][-+]?\d+")


class _NotPlainError(Exception):
    """Hydra has to do it."""


def compose_quickly(source: RunSource) -> Composition | None:
    """Composes a run; None if Hydra has to do it.

    Args:
        source: What the run is compiled from.
    """
    if len(source.folders) > 1:
        return None
    try:
        return _compose(source)
    except _NotPlainError:
        return None


def _compose(source: RunSource) -> Composition:
    conf = source.folders[-1]
    root = _read(conf / "config.yaml")
    choices, experiments, settings = _choices(_defaults(root), source.words)
    values: dict[str, Any] = {k: v for k, v in root.items() if k not in ("defaults", "hydra")}
    bodies = [_experiment(conf / "experiment" / f"{name}.yaml") for name in experiments]
    for defaults, _ in bodies:
        for group, option in defaults.items():
            if group not in choices:
                raise _NotPlainError
            if not choices[group][1]:
                choices[group] = (option, False)
    shown = {group: option for group, (option, _) in choices.items()}
    for group, option in shown.items():
        if group == "task":
            _merge(values, _references(option, source))
        else:
            _merge(values, {group: _option(conf / group / f"{option}.yaml")})
    for _, body in bodies:
        _merge(values, body)
    if experiments:
        shown["experiment"] = experiments if len(experiments) > 1 else experiments[0]
    if source.body is not None:
        _merge(values, _plain_body(source.body))
    for key, value in settings:
        _put(values, key, value)
    return Composition(values=values, choices=shown)


def _choices(
    defaults: Mapping[str, Any], words: Sequence[Word]
) -> tuple[dict[str, tuple[Any, bool]], list[str], list[tuple[str, Any]]]:
    """Sorts the words: options (with whether the words chose them), experiments, values."""
    choices = {group: (option, False) for group, option in defaults.items()}
    experiments: list[str] = []
    settings: list[tuple[str, Any]] = []
    for word in words:
        value = word.value or ""
        if word.key == "task" and word.prefix == "" and _TASKS.fullmatch(value):
            _choose(choices, "task", [n for n in value.strip("[]").split(",") if n], value)
        elif word.key == "experiment" and word.prefix == "+" and _OPTION.fullmatch(value):
            experiments.append(value)
        elif word.group == word.key and word.prefix == "" and _OPTION.fullmatch(value):
            _choose(choices, word.key, value, value)
        elif word.prefix == "++" and _KEY.fullmatch(word.key):
            settings.append((word.key, _scalar(value)))
        else:
            raise _NotPlainError
    if len(experiments) > 1:
        raise _NotPlainError
    return choices, experiments, settings


def _choose(choices: dict[str, tuple[Any, bool]], group: str, option: Any, text: str) -> None:
    listed = text.startswith("[") == text.endswith("]") and (
        text.startswith("[") or "," not in text
    )
    if group not in choices or choices[group][1] or not listed:
        raise _NotPlainError  # given twice, or a sweep: an error that Hydra finds
    choices[group] = (option, True)


def _scalar(text: str) -> Any:
    """Reads what Hydra's grammar reads as one number, truth value, null or bare text."""
    lowered = text.lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _TEXT.fullmatch(text) and lowered not in _RESERVED:
        return text
    raise _NotPlainError


def _read(path: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = path.read_text(encoding="utf-8")
        body = yaml.load(text, Loader=loader)  # noqa: TID251 - a safe loader, in C
    except (OSError, yaml.YAMLError):
        raise _NotPlainError from None
    if not isinstance(body, dict):
        raise _NotPlainError
    _require_plain(body)
    if "@package" in text:
        body["@package"] = text
    return body


def _require_plain(value: Any) -> None:
    """Leaves to Hydra what its YAML reader and resolver treat in their own way."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _require_plain(key)
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
    elif isinstance(value, str):
        if "${" in value or value == "???" or _EXPONENT.fullmatch(value):
            raise _NotPlainError
    elif value is not None and not isinstance(value, bool | int | float):
        raise _NotPlainError


def _defaults(root: Mapping[str, Any]) -> dict[str, Any]:
    entries = root.get("defaults")
    if not isinstance(entries, list) or entries[:1] != ["_self_"]:
        raise _NotPlainError
    defaults: dict[str, Any] = {}
    for entry in entries[1:]:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise _NotPlainError
        defaults.update(entry)
    return defaults


def _option(path: Path) -> dict[str, Any]:
    body = _read(path)
    if "@package" in body or "defaults" in body:
        raise _NotPlainError
    return body


def _experiment(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    body = _read(path)
    text = body.pop("@package", "")
    if text.splitlines()[:1] != ["# @package _global_"]:
        raise _NotPlainError
    defaults: dict[str, Any] = {}
    for entry in body.pop("defaults", None) or []:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise _NotPlainError
        name, option = next(iter(entry.items()))
        if not name.startswith("override /") or "@" in name:
            raise _NotPlainError
        defaults[name.removeprefix("override /")] = option
    return defaults, body


def _references(option: Any, source: RunSource) -> dict[str, Any]:
    names = option if isinstance(option, list) else [option]
    if not names:
        return {}
    catalogue = source.open_catalogue()
    try:
        expanded = catalogue.expand(names)
    except UnknownNameError:
        raise _NotPlainError from None
    body: dict[str, Any] = {"tasks": {label_of(name): {"name": name} for name in expanded}}
    for name in names:
        members = group_members(catalogue, name)
        if members is not None:
            body.setdefault("groups", {})[name] = [label_of(m) for m in members]
    return body


def _plain_body(body: Mapping[str, Any]) -> dict[str, Any]:
    _require_plain(dict(body))
    return dict(body)


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    """Merges mappings key by key; anything else replaces what was there."""
    for key, value in source.items():
        old = target.get(key)
        if isinstance(value, Mapping):
            holder: dict[str, Any] = dict(old) if isinstance(old, Mapping) else {}
            _merge(holder, value)
            target[key] = holder
        else:
            target[key] = value


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    holder = values
    for section in sections:
        inner = holder.setdefault(section, {})
        if not isinstance(inner, dict):
            raise _NotPlainError
        holder = inner
    holder[last] = value
