"""Run files: one run, or a list of runs, in a plain YAML file.

The keys are those of the command line; the keys of LMMs-Eval's run files are read too
(`lmms.config.peers`). What is written there lies above the groups and an experiment, and below the
command line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lmms.config import secrets
from lmms.config.catalogue import TASK_CATALOGUE
from lmms.config.compose import CompiledRun, RunSource, compile_source, read_source
from lmms.config.environment import environment
from lmms.config.keys import GROUPS, schema_keys, unknown_key
from lmms.config.locations import config_dirs, group_options
from lmms.config.peers import is_peer_style, translate
from lmms.config.words import Word, protect, quoted, read_word
from lmms.errors import ConfigError, nearest

_VARIABLE = re.compile(r"(?<!\\)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^{}]|\{[^{}]*\})*))?\}")
_DECIDES = {
    "model": "backend",
    "env": "weights",
    "executor": "max_open_documents",
    "selector": "kind",
}
"""Group to the key without which a section cannot stand for an option."""
_NEUTRAL_MODEL = "hf"
"""Option that sets least; a complete section lies above it."""
_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class FileRun:
    """One run of a file, ready to be compiled."""

    words: tuple[Word, ...]
    """Choices of group options."""
    body: dict[str, Any]
    """Values."""
    overlay: dict[str, str]
    """Environment variables that the entry sets, with their values; never written anywhere."""
    notes: tuple[str, ...]
    where: str
    """File, and position in it if it holds several runs."""


def compile_file(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    config_dir: Sequence[str] = (),
    catalogue: str = TASK_CATALOGUE,
) -> list[CompiledRun]:
    """Compiles every run of a file.

    Args:
        path: The file.
        overrides: Command line words; they win over the file.
        config_dir: Folders with further group options.
        catalogue: `module:function` that opens the task catalogue.

    Raises:
        ConfigError: The file cannot be read, or holds something that does not exist.
    """
    words = [read_word(o) for o in overrides]
    compiled = []
    for run in file_runs(path):
        with environment(run.overlay):
            source = entry_source(run, words, config_dir=config_dir, catalogue=catalogue)
            result = compile_source(source)
        notes = (*run.notes, *result.notes)
        command = ("--config", str(path), *result.words)
        compiled.append(replace(result, notes=notes, words=command, overlay=run.overlay))
    return compiled


def file_runs(path: str | Path) -> list[FileRun]:
    """Reads every run of a file, without compiling any.

    Raises:
        ConfigError: The file cannot be read, or holds a key that does not exist.
    """
    return [read_entry(entry, where) for entry, where in _entries(Path(path))]


def entry_source(
    run: FileRun,
    words: Sequence[Word],
    *,
    config_dir: Sequence[str] = (),
    catalogue: str = TASK_CATALOGUE,
) -> RunSource:
    """Returns what a run of a file is compiled from, below command line words."""
    chosen = {w.key.removeprefix("/") for w in words if w.group is not None}
    kept = [w for w in run.words if w.key not in chosen]
    replaced = "task" in chosen
    body = _without_choice_of_tasks(run.body) if replaced else run.body
    kept, body = _complete_sections(kept, body, config_dirs(config_dir))
    return read_source(
        [*kept, *words],
        body=body,
        file=run.where,
        tasks_replaced=replaced,
        config_dir=config_dir,
        catalogue=catalogue,
    )


def _complete_sections(
    words: Sequence[Word], body: dict[str, Any], folders: tuple[Path, ...]
) -> tuple[list[Word], dict[str, Any]]:
    """Takes a section that says everything by itself, where no option of its name exists here.

    So a run file made on another machine works without that machine's option files.
    """
    kept = []
    for word in words:
        section = body.get(word.key)
        known = word.key not in _DECIDES or word.value in group_options(word.key, folders)
        if known or not isinstance(section, Mapping) or _DECIDES[word.key] not in section:
            kept.append(word)
            continue
        body = body | {word.key: {**section, "name": word.value}}
        if word.key == "model":
            kept.append(read_word(f"model={_NEUTRAL_MODEL}", origin=word.origin, file=word.file))
    return kept, body


def _without_choice_of_tasks(body: dict[str, Any]) -> dict[str, Any]:
    body = {k: v for k, v in body.items() if k != "groups"}
    tasks = body.get("tasks")
    if not isinstance(tasks, Mapping):
        return body
    settings = {
        label: {k: v for k, v in entry.items() if k != "name"} if isinstance(entry, Mapping) else {}
        for label, entry in tasks.items()
    }
    return body | {"tasks": settings}


def _entries(path: Path) -> list[tuple[dict[str, Any], str]]:
    import yaml

    from lmms.config.runfile_yaml import read_yaml

    try:
        content, lines = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        close = nearest(path.name, [p.name for p in path.parent.glob("*.y*ml")])
        raise ConfigError(
            f"there is no run file {str(path)!r}", origin="--config", suggestions=close
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}", origin="--config") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{str(path)!r} is not YAML: {reason}", origin="--config") from error
    runs = content if isinstance(content, list) else [content]
    if not runs:
        raise ConfigError(f"{str(path)!r} holds no run", origin="--config")
    entries = []
    for number, run in enumerate(runs, 1):
        where = f"{path} run {number}" if isinstance(content, list) else str(path)
        if not isinstance(run, dict) or not all(isinstance(k, str) for k in run):
            raise ConfigError(
                f"a run must be a mapping of keys, not {type(run).__name__}", origin=f"file {where}"
            )
        _check_choice_of_tasks(run, lines[number - 1], where)
        entries.append((run, where))
    return entries


def _check_choice_of_tasks(entry: Mapping[str, Any], lines: Mapping[str, int], where: str) -> None:
    """Refuses `tasks: "a,b"` beside `task`: both choose, and only one could win."""
    if entry.get("task") and isinstance(entry.get("tasks"), str | list):
        raise ConfigError(
            f"both 'task' (line {lines.get('task', '?')}) and 'tasks' "
            f"(line {lines.get('tasks', '?')}) choose the tasks",
            origin=f"file {where} key task",
            hint="keep one of them; beside 'task', 'tasks' may only hold settings: "
            "tasks: {NAME: {limit: 3}}",
        )


def read_entry(entry: Mapping[str, Any], where: str) -> FileRun:
    """Turns one mapping of a run file into words and values.

    Environment variables come first: those that the entry sets, then `${VAR}` everywhere.

    Raises:
        ConfigError: A key does not exist, or a variable is not set.
    """
    native, variables = _split_env(entry.get("env"), where)
    overlay = _expand_variables(variables, where)
    with environment(overlay):
        rest = {k: expand(v, f"file {where} key {k}") for k, v in entry.items() if k != "env"}
        notes: tuple[str, ...] = ()
        if is_peer_style(rest):
            rest, notes = translate(rest | {"env": native}, where)
            native = rest.pop("env")
        _check_top_level(rest, where)
        body = {k: v for k, v in rest.items() if k not in GROUPS}
        words = _choices(rest, body, native, where)
        if variables:
            body.setdefault("env", {})["variables"] = _references(overlay)
        body = protect(body, overlay)
    return FileRun(words=tuple(words), body=body, overlay=overlay, notes=notes, where=where)


def _split_env(env: Any, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separates keys of our `env` from environment variables, which are written in capitals."""
    if env is None:
        return {}, {}
    if isinstance(env, str):
        return {"name": env}, {}
    if not isinstance(env, dict):
        raise ConfigError(
            f"env must be an option or a mapping, not {type(env).__name__}",
            origin=f"file {where} key env",
        )
    known = {k.split(".")[1] for k in schema_keys() if k.startswith("env.")}
    native = {k: v for k, v in env.items() if k in known}
    variables = dict(native.pop("variables", None) or {})
    for name, value in env.items():
        if name in known:
            continue
        if not _VARIABLE_NAME.fullmatch(str(name)):
            raise unknown_key(f"env.{name}", origin=f"file {where} key env.{name}")
        variables[name] = value
    return native, variables


def _expand_variables(variables: Mapping[str, Any], where: str) -> dict[str, str]:
    overlay: dict[str, str] = {}
    for name, value in variables.items():
        origin = f"file {where} key env.{name}"
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, str | int | float):
            text = str(value)
        else:
            raise ConfigError("an environment variable holds text", origin=origin)
        with environment(overlay):
            overlay[name] = os.path.expandvars(_expand_text(text, origin, hide=False))
    return overlay


def _references(overlay: Mapping[str, str]) -> dict[str, str]:
    return {
        name: "${oc.env:" + name + "}" if secrets.is_secret_variable(name) else _literal(value)
        for name, value in overlay.items()
    }


def _literal(text: str) -> str:
    """Returns text that the resolver of interpolations leaves as it is."""
    return text.replace("${", "\\${")


def expand(value: Any, origin: str) -> Any:
    """Returns `value` with `${VAR}` and `${VAR:-default}` expanded at any depth.

    A secret variable is not expanded but referred to, so that its value reaches no plan.

    Raises:
        ConfigError: A variable without default is not set.
    """
    if isinstance(value, Mapping):
        return {k: expand(v, f"{origin}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [expand(v, origin) for v in value]
    return _expand_text(value, origin, hide=True) if isinstance(value, str) else value


def _expand_text(text: str, origin: str, *, hide: bool) -> str:
    def put_in(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        value = os.environ.get(name)
        if not value and default is not None:
            return default
        if value is None:
            raise ConfigError(
                f"environment variable {name} is not set",
                origin=origin,
                hint="set it, or give a default: ${" + name + ":-default}",
            )
        if hide and secrets.is_secret_variable(name):
            return "${oc.env:" + name + "}"
        return value

    return _VARIABLE.sub(put_in, text)


def _check_top_level(entry: Mapping[str, Any], where: str) -> None:
    from lmms.config.schema import RunConfig

    known = {*RunConfig.model_fields, *GROUPS}
    for key in entry:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r}",
                origin=f"file {where}",
                suggestions=nearest(key, known),
                allowed=", ".join(sorted(known)),
                hint="keys of LMMs-Eval's run files (model_args, gen_kwargs, …) are read as well",
            )


def _choices(
    entry: Mapping[str, Any], body: dict[str, Any], env: Mapping[str, Any], where: str
) -> list[Word]:
    """Takes the choices of options out of an entry; what is left goes to `body`."""
    words = []

    def choose(group: str, option: str) -> None:
        words.append(read_word(f"{group}={option}", origin=f"file {where} key {group}", file=where))

    if env:
        body["env"] = {k: v for k, v in env.items() if k != "name"}
        if env.get("name"):
            choose("env", str(env["name"]))
    for group in ("model", "generation", "media", "executor", "selector"):
        value = entry.get(group)
        if isinstance(value, str):
            choose(group, value)
        elif isinstance(value, Mapping):
            name = value.get("name") if group in ("model", "executor", "selector") else None
            if name is not None:
                choose(group, str(name))
            body[group] = {k: v for k, v in value.items() if k != "name" or group == "generation"}
        elif value is not None:
            raise ConfigError(
                f"{group} must be an option or a mapping, not {type(value).__name__}",
                origin=f"file {where} key {group}",
            )
    for group in ("experiment", "task"):
        value = entry.get(group)
        if value is not None:
            names = value if isinstance(value, list) else [value]
            shown = [_name(n) for n in names]
            choose(group, shown[0] if len(shown) == 1 else f"[{','.join(shown)}]")
    _name_tasks(entry, body)
    return words


def _name(value: Any) -> str:
    text = str(value).strip()
    return text if re.fullmatch(r"[\w./*?-]+", text) else quoted(text)


def _name_tasks(entry: Mapping[str, Any], body: dict[str, Any]) -> None:
    """Lets `tasks: {mme: {limit: 3}}` choose its tasks where nothing else does."""
    tasks = entry.get("tasks")
    if not isinstance(tasks, Mapping) or entry.get("task") or entry.get("experiment"):
        return
    body["tasks"] = {
        label: {"name": label, **(settings or {})}
        if isinstance(settings or {}, Mapping)
        else settings
        for label, settings in tasks.items()
    }
