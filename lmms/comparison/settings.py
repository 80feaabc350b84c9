"""What two runs did differently besides their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lmms.comparison.sides import Side
from lmms.report.settings import flat_settings

Kind: TypeAlias = Literal["definition", "task", "model", "run", "version"]

_TASK_FACTS = (
    ("dataset", "dataset_path"),
    ("split", "test_split"),
    ("output type", "output_type"),
    ("num_fewshot", "num_fewshot"),
    ("repeats", "repeats"),
    ("generation", "generation_kwargs"),
    ("media", "media"),
)
# Where and how fast a run was made, and what is told per task or by the model's identity.
_LEFT_OUT = ("output.", "run.", "executor.", "generation.", "media.", "model.", "tasks.")
_TASK_SETTINGS = ("limit", "reasoning", "apply_chat_template", "profile")
_VERSIONS = ("lmms", "python", "ffmpeg", "gpu")


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting with different values."""

    kind: Kind
    """`definition`: the task itself differs, so its scores are made by different rules."""
    task: str | None
    name: str
    a: Any
    b: Any


def setting_differences(a: Side, b: Side, tasks: Sequence[str]) -> list[SettingDifference]:
    """Returns what differs between two runs of ours; nothing is known of others' samples.

    Args:
        a: The baseline.
        b: The candidate.
        tasks: Labels of the tasks that are compared.
    """
    if a.run is None or b.run is None:
        return []
    raw_a, raw_b = a.run.raw, b.run.raw
    found: list[SettingDifference] = []
    for label in tasks:
        found += _of_task(a, b, label)
    found += [
        SettingDifference("model", None, name, x, y)
        for name, x, y in _differing(_model(raw_a), _model(raw_b))
    ]
    found += [
        SettingDifference("run", None, name, x, y)
        for name, x, y in _differing(flat_settings(a.run), flat_settings(b.run))
        if not name.startswith(_LEFT_OUT)
    ]
    found += [
        SettingDifference("version", None, name, x, y)
        for name, x, y in _differing(_versions(raw_a), _versions(raw_b))
    ]
    return found


def _of_task(a: Side, b: Side, label: str) -> Iterator[SettingDifference]:
    for name, x, y in _differing(_definition(a, label), _definition(b, label)):
        yield SettingDifference("definition", label, name, x, y)
    for name, x, y in _differing(_task_facts(a, label), _task_facts(b, label)):
        yield SettingDifference("task", label, name, x, y)


def _definition(side: Side, label: str) -> dict[str, Any]:
    assert side.run is not None
    raw, shown = side.run.raw, side.tasks[label].shown
    digest = raw.get("task_hashes", {}).get(shown)
    return {
        "version": raw.get("versions", {}).get(shown),
        "digest": None if digest is None else str(digest)[:12],
    }


def _task_facts(side: Side, label: str) -> dict[str, Any]:
    assert side.run is not None
    config = side.run.raw.get("configs", {}).get(side.tasks[label].shown, {})
    facts: dict[str, Any] = {}
    for name, key in _TASK_FACTS:
        value = config.get(key)
        if isinstance(value, Mapping):
            facts |= {f"{name}.{inner}": known for inner, known in value.items()}
        else:
            facts[name] = value
    return facts | _task_settings(flat_settings(side.run), label)


def _task_settings(settings: Mapping[str, Any], label: str) -> dict[str, Any]:
    prefix = f"tasks.{label}."
    return {
        name.removeprefix(prefix): value
        for name, value in settings.items()
        if name.startswith(tuple(prefix + s for s in _TASK_SETTINGS))
    }


def _model(raw: Mapping[str, Any]) -> dict[str, Any]:
    model = dict(raw.get("model") or {})
    identity = dict(model.pop("identity", None) or {})
    kwargs = identity.pop("kwargs", None) or {}
    shown = {k: v for k, v in identity.items() if k not in model}
    named = {"name" if k == "shown_as" else k: v for k, v in model.items()}
    settings = raw.get("config", {}).get("resolved_cli_args", {}).get("model", {})
    asked = {k: settings.get(k) for k in ("batch_size", "system_prompt", "quantization", "adapter")}
    return named | shown | asked | {f"kwargs.{k}": v for k, v in kwargs.items()}


def _versions(raw: Mapping[str, Any]) -> dict[str, Any]:
    environment = raw.get("environment") or {}
    packages = environment.get("packages") or {}
    return {k: environment.get(k) for k in _VERSIONS} | dict(packages)


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*a, *b)):
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)
