"""What of `env` must be known before composition, which needs the names of the tasks.

Read from the words, else the run file, else the user's own file of the chosen `env` option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmms.config.locations import group_options, shipped_conf
from lmms.config.words import Word


def task_paths(
    words: Sequence[Word], folders: Sequence[Path], body: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Returns the folders of `env.task_paths`, absolute.

    Args:
        words: The prepared words of the run.
        folders: Where the options are.
        body: Values of a run file.
    """
    given = _value("task_paths", words, folders, body)
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return tuple(_absolute(path) for path in listed)


def cache_dir(
    words: Sequence[Word], folders: Sequence[Path], body: Mapping[str, Any] | None
) -> str | None:
    """Returns the folder of `env.cache_dir`, absolute; None where there is none.

    Args:
        words: The prepared words of the run.
        folders: Where the options are.
        body: Values of a run file.
    """
    given = _value("cache_dir", words, folders, body)
    if isinstance(given, str) and "${" in given:
        given = _interpolated(given)
    return _absolute(given) if isinstance(given, str) and given else None


def holds(body: Mapping[str, Any], key: str) -> bool:
    """Whether nested mappings hold a value at a dotted key."""
    node: Any = body
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return bool(key)


def _value(
    name: str, words: Sequence[Word], folders: Sequence[Path], body: Mapping[str, Any] | None
) -> Any:
    for word in reversed(words):
        if word.key == f"env.{name}" and word.value:
            from lmms.config.loader import parse_override

            return parse_override(word.text).value()
    if body is not None and holds(body, f"env.{name}"):
        return body["env"][name]
    chosen = next((w.value for w in reversed(words) if w.key == "env"), None)
    file = group_options("env", tuple(folders)).get(chosen or "embedded")
    if chosen is None or file is None or file.is_relative_to(shipped_conf()):
        return None
    import yaml

    return (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get(name)


def _interpolated(text: str) -> str | None:
    """Returns `text` resolved; None where that needs the composed run, whose error it then is."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return str(OmegaConf.create({"value": text}).value)
    except OmegaConfBaseException:
        return None


def _absolute(path: Any) -> str:
    return str(Path(path).expanduser().absolute())
