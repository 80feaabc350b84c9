"""Errors of Hydra, OmegaConf and pydantic, worded as ours: received, origin, allowed, nearest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lmms.config import secrets
from lmms.config.catalogue import TaskCatalogue
from lmms.config.keys import unknown_key
from lmms.config.words import Word
from lmms.errors import ConfigError, LmmsError, UnknownNameError, nearest

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Origin = Callable[[str], str]
"""From a dotted key to where its value was written."""


def parse_error(word: Word, error: Exception) -> ConfigError:
    """Words an override that is not in Hydra's grammar."""
    lines = str(error).splitlines()
    reason = lines[1] if lines[0].startswith("Error parsing") and len(lines) > 1 else lines[0]
    known = "" if "xception" in reason or "++" in reason else f": {secrets.mask(reason)}"
    return ConfigError(
        f"cannot read {word.shown!r}{known}",
        origin=word.origin,
        hint="quote text with blanks, brackets or commas: \"key='a, b'\"; lists: 'key=[a,b]'",
    )


def sweep_error(word: Word) -> ConfigError:
    """Words a list of values that only a sweep takes."""
    value = word.value or ""
    together = f"; one run with all of them: '{word.key}=[{value}]'" if word.group == "task" else ""
    return ConfigError(
        f"{word.shown!r} asks for several runs",
        origin=word.origin,
        hint=f"several runs: lmms -m {word.key}={value} …{together}",
    )


def composition_error(
    error: Exception, words: Sequence[Word], catalogue: TaskCatalogue
) -> LmmsError:
    """Words what Hydra could not compose."""
    from hydra.errors import MissingConfigException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(str(error.missing_cfg_file), words, catalogue)
    root: BaseException = error
    while root.__cause__ is not None or root.__context__ is not None:
        root = root.__cause__ or root.__context__ or root
    texts = [str(e).strip() for e in (error, root) if str(e).strip()]
    message = texts[0].splitlines()[0] if texts else type(error).__name__
    if len(texts) > 1 and texts[1].splitlines()[0] not in message:
        message += f": {texts[1].splitlines()[0]}"
    if message.startswith("Could not delete"):
        message = "there is nothing to remove at that key"
    guilty = [w for w in words if w.text in str(error) or f"'{w.key}'" in str(error)]
    return ConfigError(
        f"cannot compose the configuration: {secrets.mask(message)}",
        origin=guilty[-1].origin if guilty else "configuration files",
    )


def interpolation_error(error: Exception) -> ConfigError:
    """Words a `${…}` that cannot be resolved."""
    reason = str(error).splitlines()[0]
    key = getattr(error, "full_key", None)
    variable = re.search(r"Environment variable '(\w+)' not found", reason)
    if variable:
        return ConfigError(
            f"environment variable {variable[1]} is not set",
            origin=f"key {key}" if key else None,
            hint="set it, or give a default: '${oc.env:" + variable[1] + ",default}'",
        )
    return ConfigError(secrets.mask(reason), origin=f"key {key}" if key else "configuration")


def _missing_option(path: str, words: Sequence[Word], catalogue: TaskCatalogue) -> LmmsError:
    group, _, option = path.removesuffix(".yaml").partition("/")
    origin = next((w.origin for w in reversed(words) if w.group == group), None)
    if origin is None or option not in (next(w for w in words if w.group == group).value or ""):
        origin = _origin_in_choices(words) or origin or "configuration files"
    if group == "task":
        known = {*catalogue.names(), *catalogue.groups()}
        hint = f"list them: lmms ls tasks --match {option[:2]}"
        return UnknownNameError("task", option, known, origin=origin, hint=hint)
    return ConfigError(f"group {group!r} has no option {option!r}", origin=origin)


def _origin_in_choices(words: Sequence[Word]) -> str | None:
    chosen = [w for w in words if w.group == "experiment"]
    return f"conf/experiment/{chosen[-1].value}.yaml" if chosen else None


def schema_error(error: ValidationError, origin: Origin) -> ConfigError:
    """Words what the schema refused; the first problem leads, the others are listed."""
    problems = [_problem(p, origin) for p in error.errors(include_url=False)]
    first, *others = problems
    if others:
        rest = "\n".join(f"  and: {o.message} (from: {o.origin})" for o in others[:8])
        first.hint = "\n".join(t for t in (first.hint, rest.strip()) if t)
    return first


def _problem(problem: ErrorDetails, origin: Origin) -> ConfigError:
    location = [part for part in problem["loc"] if not _is_union_tag(part)]
    key = ".".join(str(part) for part in location)
    kind = problem["type"]
    where = origin(key)
    if kind == "extra_forbidden":
        return unknown_key(key, origin=where)
    if kind == "missing":
        return ConfigError(f"{key} is missing", origin=where)
    if kind == "value_error":
        return ConfigError(str(problem.get("ctx", {}).get("error", problem["msg"])), origin=where)
    allowed = _allowed(problem)
    return ConfigError(
        f"{key} cannot be {_shown(key, problem['input'])}",
        origin=where,
        allowed=allowed,
        suggestions=_nearest(problem, allowed),
    )


def _nearest(problem: ErrorDetails, allowed: str) -> list[str]:
    """Returns the options that look most like the one received."""
    if problem["type"] != "literal_error" or not isinstance(problem["input"], str):
        return []
    return nearest(problem["input"], re.findall(r"'([^']*)'", allowed))


def _is_union_tag(part: Any) -> bool:
    return isinstance(part, str) and (
        "[" in part or part in ("function-after", "is-instance", "str")
    )


def _shown(key: str, value: Any) -> str:
    text = secrets.mask(json.dumps(value, ensure_ascii=False, default=repr))
    if secrets.names_secret(key, text):
        return secrets.MASK
    return text if len(text) <= 120 else text[:117] + "…"


_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (quote it if it looks like a number: \"key='1'\")",
    "list_type": "a list: 'key=[a,b]'",
    "tuple_type": "a list: 'key=[a,b]'",
    "dict_type": "a mapping: key.name=value",
    "model_type": "a mapping: key.name=value",
    "model_attributes_type": "a mapping: key.name=value",
}


def _allowed(problem: ErrorDetails) -> str:
    if problem["type"] == "literal_error":
        return str(problem.get("ctx", {}).get("expected", problem["msg"]))
    text = problem["msg"].removeprefix("Input should be ")
    return _KINDS.get(problem["type"], text)
