"""From words to a validated `RunConfig`: compose with Hydra, validate once, then plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.config import early, secrets
from lmms.config.catalogue import TASK_CATALOGUE, TaskCatalogue, open_catalogue
from lmms.config.composition import Composition
from lmms.config.groups import settle_groups
from lmms.config.keys import GROUPS
from lmms.config.locations import config_dirs, group_options, shipped_conf
from lmms.config.quick import compose_quickly
from lmms.config.words import Word, prepare, read_word
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lmms.config.schema import RunConfig

_SECRET_REFERENCE = re.compile(r"\$\{oc\.env:\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:,[^{}]*)?\}")
_LATEST = "latest"
RUN_FILE_WORD = "+run_file=body"
"""The override that puts the values of a run file into the composition."""
_PATH_KEYS = (
    "env.cache_dir",
    "env.data_roots",
    "env.lance_uri",
    "env.task_paths",
    "output.dir",
    "model.pretrained",
    "selector.irt",
)


@dataclass(frozen=True, slots=True)
class CompiledRun:
    """A validated run, and what the compiler did that nobody asked for."""

    config: RunConfig
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """The command line that led here, secrets masked."""
    overlay: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables that a run file sets. Holds secrets: it is never written or shown."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """Everything that one run is compiled from."""

    words: tuple[Word, ...]
    folders: tuple[Path, ...]
    task_paths: tuple[str, ...]
    cache_dir: str | None = None
    catalogue: str = TASK_CATALOGUE
    body: Mapping[str, Any] | None = None
    """Values of a run file, below the command line and above everything else."""
    file: str | None = None
    """Name of the run file, for messages."""
    tasks_replaced: bool = False
    """Whether the command line chose other tasks than the run file."""

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command line, as they may be shown."""
        return tuple(w.shown for w in self.words if w.file is None)

    def open_catalogue(self) -> TaskCatalogue:
        """Returns the task catalogue of this run."""
        return open_catalogue(self.catalogue, self.task_paths, self.cache_dir)


def compile_run(
    overrides: Sequence[str],
    *,
    config_dir: Sequence[str] = (),
    catalogue: str = TASK_CATALOGUE,
) -> CompiledRun:
    """Compiles one run from command line words.

    Args:
        overrides: Words in Hydra's override grammar, e.g. `["+experiment=longvideo"]`.
        config_dir: Folders with further group options.
        catalogue: `module:function` that opens the task catalogue.

    Raises:
        ConfigError: A word, key or value is wrong.
        UnknownNameError: A group option or task does not exist.
    """
    words = [read_word(o) for o in overrides]
    return compile_source(read_source(words, config_dir=config_dir, catalogue=catalogue))


def read_source(
    words: Sequence[Word],
    *,
    body: Mapping[str, Any] | None = None,
    file: str | None = None,
    tasks_replaced: bool = False,
    config_dir: Sequence[str] = (),
    catalogue: str = TASK_CATALOGUE,
) -> RunSource:
    """Checks the words and finds the folders that the run reads from."""
    folders = config_dirs(config_dir)
    options = {g: list(group_options(g, folders)) for g in GROUPS if g != "task"}
    ready = prepare(words, options)
    return RunSource(
        words=tuple(ready),
        folders=folders,
        task_paths=early.task_paths(ready, folders, body),
        cache_dir=early.cache_dir(ready, folders, body),
        catalogue=catalogue,
        body=body,
        file=file,
        tasks_replaced=tasks_replaced,
    )


def compile_source(source: RunSource) -> CompiledRun:
    """Composes and validates one run."""
    return _finish(source, _compose(source))


def compile_composed(
    config: DictConfig,
    *,
    overrides: Sequence[str],
    choices: Mapping[str, Any],
    catalogue: str = TASK_CATALOGUE,
) -> CompiledRun:
    """Validates what Hydra's own runner composed: one point of a sweep.

    Args:
        config: The composed values, without Hydra's own.
        overrides: The words of the point.
        choices: Group to the chosen option.
        catalogue: `module:function` that opens the task catalogue.

    Raises:
        ConfigError: As `compile_run`.
    """
    from omegaconf import OmegaConf

    words = tuple(read_word(w) for w in overrides if w != RUN_FILE_WORD)
    values: Any = OmegaConf.to_container(config, resolve=False)
    composition = Composition(values=values, choices=dict(choices))
    source = RunSource(words=words, folders=config_dirs(), task_paths=(), catalogue=catalogue)
    return _finish(source, composition)


def _finish(source: RunSource, composition: Composition) -> CompiledRun:
    values = _resolve(composition)
    notes = _drop_stubs(values, source) + settle_groups(values, source)
    config = validate(values, source, composition.choices)
    return CompiledRun(config=config, notes=notes, words=source.command)


def _compose(source: RunSource) -> Composition:
    quick = compose_quickly(source)
    return quick if quick is not None else _compose_with_hydra(source)


def _compose_with_hydra(source: RunSource) -> Composition:
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from lmms.config import diagnose
    from lmms.config.loader import RunLoader, parse_override, search_path

    parsed = []
    for word in source.words:
        if word.is_hydra:
            raise ConfigError(
                f"{word.key!r} configures sweeps only",
                origin=word.origin,
                hint="add -m to start a sweep",
            )
        try:
            override = parse_override(word.text)
        except HydraException as error:
            raise diagnose.parse_error(word, error) from error
        if override.is_sweep_override():
            raise diagnose.sweep_error(word)
        parsed.append(override)
    body = dict(source.body) if source.body is not None else None
    if body is not None:
        parsed.append(parse_override(RUN_FILE_WORD))
    path = search_path(source.folders, source.catalogue, source.task_paths, source.cache_dir, body)
    loader = RunLoader(path)
    try:
        return loader.compose(parsed)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"not YAML: {reason}", origin="configuration files") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        catalogue = source.open_catalogue()
        raise diagnose.composition_error(error, source.words, catalogue) from error


def _resolve(composition: Composition) -> dict[str, Any]:
    """Resolves interpolations; what comes from a secret variable stays a reference to it."""
    values = composition.values
    if _needs_resolving(values):
        values = _interpolate(values)
    variables = values.get("env", {}).get("variables")
    if isinstance(variables, dict):
        values["env"]["variables"] = {k: _as_text(v) for k, v in variables.items()}
    return _expand_paths(values)


def _needs_resolving(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_needs_resolving(v) for v in value.values())
    if isinstance(value, list):
        return any(_needs_resolving(v) for v in value)
    return isinstance(value, str) and ("${" in value or value == "???")


def _interpolate(values: dict[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from lmms.config import diagnose

    try:
        config = OmegaConf.create(_escape_secrets(values))
        resolved: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise diagnose.interpolation_error(error) from error
    return dict(resolved)


def _escape_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _escape_secrets(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_escape_secrets(v) for v in value]
    if not isinstance(value, str) or "${" not in value:
        return value

    def keep_reference(match: re.Match[str]) -> str:
        name = match.group(1)
        return "\\" + secrets.reference(name) if secrets.is_secret_variable(name) else match.group()

    return _SECRET_REFERENCE.sub(keep_reference, value)


def _as_text(value: Any) -> Any:
    """Returns what an environment variable holds for a YAML scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _expand_paths(values: dict[str, Any]) -> dict[str, Any]:
    for key in _PATH_KEYS:
        section, _, name = key.partition(".")
        holder = values.get(section)
        if not isinstance(holder, dict) or not holder.get(name):
            continue
        value = holder[name]
        if isinstance(value, str):
            holder[name] = _expand_user(value)
        elif isinstance(value, list):
            holder[name] = [_expand_user(v) if isinstance(v, str) else v for v in value]
        elif isinstance(value, dict):
            holder[name] = {
                k: _expand_user(v) if isinstance(v, str) else v for k, v in value.items()
            }
    _expand_latest(values)
    return values


def _expand_latest(values: dict[str, Any]) -> None:
    """Makes `run.resume=latest` the run that the link below the output folder points at."""
    from lmms.config.schema import OutputConfig

    run, output = values.get("run"), values.get("output")
    if isinstance(run, dict) and run.get("resume") == _LATEST:
        folder = output.get("dir") if isinstance(output, dict) else None
        if not isinstance(folder, str):
            folder = OutputConfig.model_fields["dir"].default
        run["resume"] = str(Path(folder) / _LATEST)


def _expand_user(text: str) -> str:
    # Only where it says so: a hub id is no path, and `./x` is to stay as it was written.
    return str(Path(text).expanduser()) if text.startswith("~") else text


def _drop_stubs(values: dict[str, Any], source: RunSource) -> tuple[str, ...]:
    """Removes settings of tasks that are not part of the run.

    An experiment may set `tasks.mme.limit` while the command line replaces its tasks; what is left
    has no name. Settings that the user wrote for such a task are an error instead.
    """
    tasks = values.get("tasks") or {}
    stubs = [k for k, v in tasks.items() if not (isinstance(v, dict) and "name" in v)]
    chosen = [k for k in tasks if k not in stubs]
    for word in source.words:
        label = word.key.split(".")[1] if word.key.startswith("tasks.") else ""
        if label in stubs and word.prefix != "~":
            raise _absent_task(label, chosen, word.origin)
    in_file = (source.body or {}).get("tasks") or {}
    for label in stubs:
        if label in in_file and not source.tasks_replaced:
            raise _absent_task(label, chosen, f"file {source.file} key tasks.{label}")
        del tasks[label]
    return tuple(
        f"settings of task {label!r} were dropped: it is not part of this run" for label in stubs
    )


def _absent_task(label: str, chosen: Sequence[str], origin: str) -> ConfigError:
    from lmms.errors import nearest

    listed = ", ".join(chosen) or "none"
    return ConfigError(
        f"task {label!r} is not part of this run",
        origin=origin,
        suggestions=nearest(label, chosen),
        hint=f"add it: 'task=[{','.join([*chosen, label])}]' (chosen: {listed})",
    )


def validate(values: Mapping[str, Any], source: RunSource, choices: Mapping[str, Any]) -> RunConfig:
    """Validates plain values against the schema.

    Strict, through JSON: `true` is no number and `"3"` is no count, as the user wrote them.
    """
    import json

    from pydantic import ValidationError

    from lmms.config import diagnose
    from lmms.config.schema import RunConfig

    # Sections are given, if empty, so that no section needs a validator of its own.
    sections = {
        name: values.get(name) or {}
        for name, field in RunConfig.model_fields.items()
        if field.default_factory is not None
    }
    try:
        return RunConfig.model_validate_json(json.dumps({**values, **sections}), strict=True)
    except ValidationError as error:
        raise diagnose.schema_error(error, lambda k: origin_of(k, source, choices)) from error


def origin_of(key: str, source: RunSource, choices: Mapping[str, Any]) -> str:
    """Returns where the value of a dotted key was written."""
    for word in reversed(source.words):
        if word.group is None and (key == word.key or key.startswith(word.key + ".")):
            return word.origin
    # What is wrong with a section as a whole is more likely a word about a part of it.
    parts = [w for w in source.words if key and w.group is None and w.key.startswith(f"{key}.")]
    if parts:
        return parts[-1].origin
    if source.body is not None and early.holds(source.body, key):
        return f"file {source.file} key {key}"
    for group, option in reversed(list(choices.items())):
        base = group.partition("@")[0]
        for name in option if isinstance(option, list) else [option]:
            file = group_options(base, source.folders).get(str(name)) if base in GROUPS else None
            if file is not None and _in_file(file, key, base):
                return f"{_relative(file)} key {key}"
    return f"key {key}" if key else "the run as a whole"


def _relative(file: Path) -> str:
    conf = shipped_conf()
    return f"conf/{file.relative_to(conf)}" if file.is_relative_to(conf) else str(file)


def _in_file(file: Path, key: str, group: str) -> bool:
    import yaml

    text = file.read_text(encoding="utf-8")
    body = yaml.safe_load(text)
    if "@package _global_" not in text:
        body = {group: body}
    return isinstance(body, dict) and early.holds(body, key)
