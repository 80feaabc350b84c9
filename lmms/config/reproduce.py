"""From a validated run back to the run file that makes it again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lmms.config import secrets
from lmms.config.catalogue import TASK_CATALOGUE
from lmms.config.compose import compile_run
from lmms.config.schema import RunConfig
from lmms.errors import LmmsError

_INTERPOLATION = re.compile(r"\$\{(?:([A-Za-z_]\w*)\})?")
_OPTION_GROUPS = ("model", "env", "executor", "selector")
"""Groups whose option is known by its `name`."""


def run_file(config: RunConfig, *, catalogue: str = TASK_CATALOGUE) -> dict[str, Any]:
    """Returns the content of a run file that compiles to `config`.

    Only what differs from the chosen options is listed. Where an option of that name does not
    exist here (the run comes from another machine), every value is.

    Args:
        config: The run.
        catalogue: `module:function` that opens the task catalogue.
    """
    values = config.model_dump(mode="json")
    base = _base(config, catalogue)
    content: dict[str, Any] = {}
    for section in values:
        shown = _difference(values[section], base.get(section))
        if section in _OPTION_GROUPS:
            shown = {"name": values[section]["name"], **(shown or {})}
            if shown != _UNSAID.get(section):
                content[section] = shown["name"] if len(shown) == 1 else shown
        elif section == "tasks":
            content[section] = {k: _task(v) for k, v in values[section].items()}
        elif shown not in ({}, _SAME):
            content[section] = shown
    escaped: dict[str, Any] = _escaped(content)
    return escaped


def _escaped(value: Any) -> Any:
    """Keeps text like `${x}` text: only references to secrets are to be put in again."""
    if isinstance(value, Mapping):
        return {k: _escaped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_escaped(v) for v in value]
    if not isinstance(value, str):
        return value
    return _INTERPOLATION.sub(
        lambda m: m[0] if m[1] and secrets.is_secret_variable(m[1]) else "\\" + m[0], value
    )


_UNSAID = {"selector": {"name": "all"}}
"""What is not listed: a run file from before the group was there says the same."""


class _Same:
    """Marks a value that need not be listed; None is a value."""


_SAME = _Same()


def _base(config: RunConfig, catalogue: str) -> dict[str, Any]:
    words = [f"{g}={getattr(config, g).name}" for g in _OPTION_GROUPS]
    names = ",".join(ref.name for ref in config.tasks.values())
    paths = ",".join(f"'{p}'" for p in config.env.task_paths)
    words += [f"task=[{names}]", *([f"env.task_paths=[{paths}]"] if paths else [])]
    try:
        return compile_run(words, catalogue=catalogue).config.model_dump(mode="json") | (
            {"env": _without_paths(config)} if paths else {}
        )
    except LmmsError:
        return {}


def _without_paths(config: RunConfig) -> dict[str, Any]:
    return config.env.model_dump(mode="json") | {"task_paths": []}


def _difference(value: Any, base: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(base, Mapping):
        shown = {}
        for key, inner in value.items():
            changed = _difference(inner, base[key]) if key in base else inner
            if changed is not _SAME and not (changed == {} and key in base):
                shown[key] = changed
        return shown
    return _SAME if value == base else value


def _task(entry: Mapping[str, Any]) -> dict[str, Any]:
    from lmms.config.schema import TaskRef

    default = TaskRef(name=entry["name"]).model_dump(mode="json")
    return {"name": entry["name"], **_difference(entry, default)}


def run_file_text(configs: Sequence[RunConfig], *, catalogue: str = TASK_CATALOGUE) -> str:
    """Returns the text of a run file: one run, or a list of runs."""
    import yaml

    contents = [run_file(c, catalogue=catalogue) for c in configs]
    shown = contents[0] if len(contents) == 1 else contents
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, default_flow_style=False)
