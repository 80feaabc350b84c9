"""Which settings tell the runs of one table apart, and how their values are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lmms.config.keys import GROUPS
from lmms.report.jsonable import dumps
from lmms.types import RunResult

_NAMED: Final = ("model.", "env.", "executor.", "selector.")
"""Groups whose option is known by its `name`, which stands for what the option sets."""
_ONLY_IF_ASKED: Final = ("output.", "run.")
"""Where and how a run was written: of interest only where the words set it."""

_Settings = Mapping[str, Any]


def setting_text(value: Any) -> str:
    """Returns a setting's value in one line; a dash where it has none."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else dumps(value)


def varying_settings(results: Sequence[RunResult]) -> tuple[str, ...]:
    """Returns the dotted names of the resolved settings that differ between runs.

    Left out is what another column says already: what is the same in all runs of one model as
    shown, what follows from the name of the option that is chosen of a group, and the choice of
    tasks. Keys that the words of a run set are never left out.
    """
    runs = [flat_settings(result) for result in results]
    names = [n for n in {name: None for run in runs for name in run} if _differs(n, runs)]
    asked = {key for result in results for key in _keys_of_words(result)}
    shown = []
    for name in names:
        wanted = any(name == key or name.startswith(f"{key}.") for key in asked)
        if name.startswith("groups."):
            continue  # part of the choice of tasks, in whatever words
        said = name.startswith(_ONLY_IF_ASKED) or _said_elsewhere(name, runs, results)
        if wanted or not said:
            shown.append(name)
    return tuple(shown)


def setting(result: RunResult, name: str) -> Any:
    """Returns the resolved setting with that dotted name; None where the run has none."""
    return flat_settings(result).get(name)


def flat_settings(result: RunResult) -> Mapping[str, Any]:
    """Returns all resolved settings of a run by dotted name."""
    return dict(_flattened(result.raw.get("config", {}).get("resolved_cli_args", {}), ""))


def _flattened(value: Any, name: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _differs(name: str, runs: Sequence[_Settings]) -> bool:
    section, _, rest = name.partition(".")
    if section == "tasks":
        # A run without the task has no other setting of it.
        prefix = f"tasks.{rest.partition('.')[0]}."
        runs = [run for run in runs if any(key.startswith(prefix) for key in run)]
    return len({dumps(run.get(name)) for run in runs}) > 1


def _keys_of_words(result: RunResult) -> Iterable[str]:
    """Gives the keys that the words of a run set; choices of options are no keys."""
    for word in result.raw.get("execution", {}).get("command", ()):
        key, sign, _ = str(word).lstrip("+").partition("=")
        if sign and key not in GROUPS:
            yield key


def _said_elsewhere(name: str, runs: Sequence[_Settings], results: Sequence[RunResult]) -> bool:
    section = name.partition(".")[0] + "."
    if section not in _NAMED:
        return False
    if section == "model." and _follows(name, runs, [result.model for result in results]):
        return True
    option = f"{section}name"
    return name != option and _follows(name, runs, [dumps(run.get(option)) for run in runs])


def _follows(name: str, runs: Sequence[_Settings], labels: Sequence[str]) -> bool:
    """Whether runs with equal labels have equal values of a setting."""
    values: dict[str, set[str]] = {}
    for run, label in zip(runs, labels, strict=True):
        values.setdefault(label, set()).add(dumps(run.get(name)))
    return all(len(found) == 1 for found in values.values())
