"""The native task format: a YAML file, read strictly, to one `TaskSpec`.

Bodies are read with `yaml.safe_load` alone: LaTeX's `${…}` and Jinja's `{{…}}` are just text here.
`include: _part.yaml` (or a list) takes another file as the base; `variants:` holds further tasks
that differ from the file's own by a few keys. In both, mappings are merged key by key, everything
else is replaced, and `null` takes a key away.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, get_args

from lmms.errors import ConfigError, UnknownNameError
from lmms.tasks.index import SHIPPED_TASKS, task_index
from lmms.tasks.spec import (
    DatasetSpec,
    FilterSpec,
    MetricSpec,
    OutputType,
    ReasoningSpec,
    TaskSpec,
)
from lmms.types import FramePolicy, GenerationArgs

_TASK_KEYS = {f.name for f in dataclass_fields(TaskSpec)} - {
    "name",
    "dialect",
    "origin",
    "code_digest",
}
_FILE_KEYS = _TASK_KEYS | {"task", "include", "variants"}
_DATASET_KEYS = {f.name for f in dataclass_fields(DatasetSpec)} - {"base"}
_GENERATION_KEYS = {f.name for f in dataclass_fields(GenerationArgs)}
_MEDIA_KEYS = {f.name for f in dataclass_fields(FramePolicy)}
_METRIC_KEYS = {
    *("name", "aggregation", "higher_is_better", "maximum", "kwargs"),
    *("breakdown", "decimals"),
}
_FEWSHOT_KEYS = {"sampler", "exclude_document", "delimiter", "target_delimiter"}
PROMPT_KEYS = ("text", "image", "video", "audio", "marks", "prepare")
"""Keys of `prompt` with a meaning of their own; all others are constants for the templates."""
_MODALITIES = ("text", "image", "video", "audio")
_DEFAULT_SCORER = {
    "generate_until": "exact_match",
    "multiple_choice": "multiple_choice",
    "loglikelihood": "loglikelihood",
}
_MAX_INCLUDE_DEPTH = 8


def load_spec(
    name: str,
    *,
    task_paths: Sequence[str] = (),
    cache_dir: str | None = None,
    trust_code: bool = False,
    origin: str | None = None,
) -> TaskSpec:
    """Reads the task called `name`. No code of the task runs here.

    Args:
        name: Name of a task (not of a group).
        task_paths: Further task folders (`env.task_paths`).
        cache_dir: Where the index of tasks is remembered (`env.cache_dir`).
        trust_code: Whether Python files of tasks outside the shipped folder may run later.
        origin: Where the name came from, for the message.

    Raises:
        UnknownNameError: There is no such task, or its file holds an unknown key.
        ConfigError: The file is not what the format asks for, or its code is not trusted.
    """
    entry = task_index(task_paths, cache_dir=cache_dir).get(name, origin)
    path = Path(entry.file)
    body = read_bodies(path)[name]
    spec = parse_body(name, body, path)
    code = code_files(spec)
    shipped = path.resolve().is_relative_to(SHIPPED_TASKS.resolve())
    if code and not (shipped or trust_code):
        raise ConfigError(
            f"task {name!r} needs its own Python code: {', '.join(f.name for f in code)}",
            origin=str(path),
            hint="if you trust that code, allow it with env.trust_task_code=true",
        )
    return spec


def read_bodies(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the tasks of a file: name -> merged body, the file's own task first.

    Raises:
        ConfigError: The file is not YAML, not a mapping, has no `task`, or an unknown key.
    """
    body = _read(path)
    variants = body.pop("variants", {})
    if not isinstance(body.get("task"), str):
        raise ConfigError("a task file needs `task: NAME`", origin=str(path))
    if not isinstance(variants, dict):
        raise ConfigError("`variants` must map task names to keys", origin=str(path))
    name = body.pop("task")
    bodies = {name: body}
    for variant, changes in variants.items():
        if not isinstance(changes, dict):
            raise ConfigError(f"variant {variant!r} must be a mapping", origin=str(path))
        bodies[str(variant)] = _merge(body, changes)
    for variant, merged in bodies.items():
        _known(merged, _TASK_KEYS, "task key", f"{path}: {variant}")
    return bodies


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    import yaml

    if depth > _MAX_INCLUDE_DEPTH:
        raise ConfigError("`include` goes round in a circle", origin=str(path))
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the task file cannot be read: {error}", origin=str(path)) from error
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise ConfigError(f"the task file is not YAML: {message}", origin=str(path)) from error
    if not isinstance(body, dict):
        raise ConfigError("a task file must be a mapping", origin=str(path))
    _known(body, _FILE_KEYS, "task key", str(path))
    includes = body.pop("include", [])
    base: dict[str, Any] = {}
    for part in [includes] if isinstance(includes, str) else includes:
        base = _merge(base, _read((path.parent / part).resolve(), depth + 1))
    return _merge(base, body)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(old, value)
        elif value is None and key in merged:
            del merged[key]
        else:
            merged[key] = value
    return merged


def parse_body(name: str, body: Mapping[str, Any], path: Path) -> TaskSpec:
    """Turns a merged body into a `TaskSpec`.

    Raises:
        ConfigError: A value has the wrong type; the message names file, task and key.
    """
    where = f"{path}: {name}"
    check = _Checker(where)
    output_type = check.one_of(body, "output_type", get_args(OutputType), "generate_until")
    values: dict[str, Any] = {
        "name": name,
        "version": check.text(body, "version"),
        "description": check.text(body, "description", ""),
        "origin": str(path),
        "tags": check.texts(body, "tags"),
        "groups": check.texts(body, "groups"),
        "modalities": check.texts(body, "modalities", ("text",), allowed=_MODALITIES),
        "dataset": _dataset(check.mapping(body, "dataset"), path, where),
        "output_type": output_type,
        "derived": check.mapping(body, "derived"),
        "prompt": check.mapping(body, "prompt"),
        "profiles": check.mapping(body, "profiles"),
        "target": check.text(body, "target", None),
        "choices": check.text(body, "choices", None),
        "generation": check.mapping(body, "generation", _GENERATION_KEYS),
        "num_fewshot": check.count(body, "num_fewshot", 0),
        "fewshot": check.mapping(body, "fewshot", _FEWSHOT_KEYS),
        "repeats": check.count(body, "repeats", 1),
        "media": check.mapping(body, "media", _MEDIA_KEYS),
        "scorer": check.text(body, "scorer", _DEFAULT_SCORER[output_type]),
        "scorer_kwargs": check.mapping(body, "scorer_kwargs"),
        "episode": check.text(body, "episode", None),
        "filters": _filters(check.mapping(body, "filters"), where),
        "metrics": _metrics(body.get("metrics"), where),
        "reasoning": _reasoning(body, where),
        "cluster": check.text(body, "cluster", None),
        "apply_chat_template": check.one_of(
            body, "apply_chat_template", ("auto", "always", "never"), "auto"
        ),
    }
    if "text" not in values["prompt"] and values["episode"] is None:
        raise ConfigError("a task needs `prompt.text` (or an `episode`)", origin=where)
    if output_type == "multiple_choice" and values["choices"] is None:
        raise ConfigError("multiple choice needs `choices`", origin=where)
    spec = TaskSpec(**values)
    _check_prompt(spec, where)
    return TaskSpec(**(values | {"code_digest": _code_digest(spec, where)}))


def _check_prompt(spec: TaskSpec, where: str) -> None:
    """Refuses prompt keys that mean nothing: neither known nor named by a template."""
    prompts = [spec.prompt, *spec.profiles.values()]
    if spec.episode is not None or any("prepare" in prompt for prompt in prompts):
        return  # the task's code may read any of them
    sources = [str(v) for prompt in prompts for v in prompt.values()]
    sources += [*spec.derived.values(), spec.target or "", spec.choices or ""]
    text = "\n".join(sources)
    for prompt in prompts:
        for key in prompt:
            if key not in PROMPT_KEYS and not re.search(rf"\b{re.escape(str(key))}\b", text):
                raise UnknownNameError(
                    "key of `prompt` (and no template names it)",
                    str(key),
                    PROMPT_KEYS,
                    origin=where,
                    list_all=True,
                )


def code_files(spec: TaskSpec) -> list[Path]:
    """Returns the Python files that the task names, each once."""
    named = [spec.scorer, spec.episode, spec.prompt.get("prepare")]
    named += [p.get("prepare") for p in spec.profiles.values()]
    named += [m.aggregation for m in spec.metrics]
    folder = Path(spec.origin).parent
    files = [folder / n.partition(":")[0] for n in named if isinstance(n, str) and ".py:" in n]
    return list(dict.fromkeys(files))


def _code_digest(spec: TaskSpec, where: str) -> str:
    files = code_files(spec)
    digest = hashlib.sha256()
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"the task's code cannot be read: {error}", origin=where) from error
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest() if files else ""


def _known(given: Mapping[Any, Any], allowed: set[str], kind: str, where: str) -> None:
    for key in given:
        if key not in allowed:
            raise UnknownNameError(kind, str(key), allowed, origin=where, list_all=True)


class _Checker:
    """Reads typed values from a mapping; every message names file and key."""

    def __init__(self, where: str) -> None:
        self._where = where

    def wrong(self, key: str, value: Any, expected: str) -> ConfigError:
        return ConfigError(
            f"`{key}` is {value!r}, which is not {expected}", origin=self._where, allowed=expected
        )

    def text(self, body: Mapping[str, Any], key: str, default: Any = ...) -> Any:
        value = body.get(key, default)
        if value is ...:
            raise ConfigError(f"a task needs `{key}`", origin=self._where)
        if value is not default and not isinstance(value, str):
            raise self.wrong(key, value, "text (put it in quotes)")
        return value

    def texts(
        self,
        body: Mapping[str, Any],
        key: str,
        default: tuple[str, ...] = (),
        allowed: Sequence[str] | None = None,
    ) -> tuple[str, ...]:
        value = body.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.wrong(key, value, "a list of texts")
        for item in value if allowed else ():
            if item not in (allowed or ()):
                raise UnknownNameError(key, item, allowed or (), origin=self._where, list_all=True)
        return tuple(value)

    def one_of(
        self, body: Mapping[str, Any], key: str, allowed: Sequence[str], default: str
    ) -> Any:
        value = body.get(key, default)
        if value not in allowed:
            raise UnknownNameError(key, str(value), allowed, origin=self._where, list_all=True)
        return value

    def count(self, body: Mapping[str, Any], key: str, default: int) -> int:
        value = body.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong(key, value, "a whole number, 0 or more")
        return value

    def mapping(
        self, body: Mapping[str, Any], key: str, allowed: set[str] | None = None
    ) -> dict[str, Any]:
        value = body.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, "a mapping")
        if allowed is not None:
            _known(value, allowed, f"key of `{key}`", self._where)
        return value


def _dataset(given: Mapping[str, Any], path: Path, where: str) -> DatasetSpec:
    _known(given, _DATASET_KEYS, "key of `dataset`", where)
    if not isinstance(given.get("path"), str):
        raise ConfigError("a task needs `dataset.path`: a hub id, a file or a folder", origin=where)
    return DatasetSpec(**given, base=str(path.parent))


def _metrics(given: Any, where: str) -> tuple[MetricSpec, ...]:
    if not isinstance(given, list) or not given:
        raise ConfigError("a task needs `metrics`: a list of names or mappings", origin=where)
    metrics = []
    for item in given:
        if not isinstance(item, str | dict):
            raise ConfigError(f"a metric is a name or a mapping, not {item!r}", origin=where)
        entry: dict[str, Any] = {"name": item} if isinstance(item, str) else dict(item)
        _known(entry, _METRIC_KEYS, "key of a metric", where)
        if not isinstance(entry.get("name"), str):
            raise ConfigError("a metric needs a `name`", origin=where)
        maximum = entry.get("maximum")
        if maximum is not None and not (isinstance(maximum, int | float) and maximum > 0):
            raise ConfigError(
                f"`maximum` of metric {entry['name']!r} is {maximum!r}",
                origin=where,
                allowed="a number above 0",
            )
        kwargs = dict(entry.pop("kwargs", {}))
        kwargs |= {k: entry.pop(k) for k in ("breakdown", "decimals") if k in entry}
        metrics.append(MetricSpec(**entry, kwargs=kwargs))
    return tuple(metrics)


def _filters(given: Mapping[str, Any], where: str) -> tuple[FilterSpec, ...]:
    chains = []
    for name, steps in given.items():
        ok = isinstance(steps, list) and all(isinstance(s, dict) and "function" in s for s in steps)
        if not ok:
            raise ConfigError(
                f"filter {name!r} must be a list of steps, each with `function`", origin=where
            )
        chains.append(FilterSpec(name=str(name), steps=tuple(steps)))
    return tuple(chains)


def _reasoning(body: Mapping[str, Any], where: str) -> ReasoningSpec:
    given = body.get("reasoning", {})
    if given in ("none", False):
        return ReasoningSpec(tags=None)
    if not isinstance(given, dict):
        raise ConfigError("`reasoning` is `none` or a mapping with `tags`", origin=where)
    _known(given, {"tags"}, "key of `reasoning`", where)
    if "tags" not in given:
        return ReasoningSpec()
    pairs = given["tags"]
    ok = isinstance(pairs, list) and all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) and t for t in p)
        for p in pairs
    )
    if not ok:
        raise ConfigError("`reasoning.tags` is a list of [start, end] pairs", origin=where)
    return ReasoningSpec(tags=tuple((p[0], p[1]) for p in pairs))
