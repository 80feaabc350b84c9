"""Jinja templates and expressions over a document's fields, sandboxed, each compiled once.

Templates come from task files, which may be somebody else's: they can read the row and call the
filters below, and nothing else. An unknown name is an error, never an empty text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from lmms.errors import ConfigError, DataError
from lmms.tasks.spec import TaskSpec
from lmms.types import Document

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def render(source: str, fields: Mapping[str, Any], *, origin: str) -> str:
    """Returns the text that the template `source` gives for `fields`.

    Raises:
        ConfigError: The template is not valid Jinja.
        DataError: It names a field that the document does not have, or fails on its value.
    """
    text = _call(_compiled(_template, source, origin), source, fields, origin)
    return str(text)


def evaluate(source: str, fields: Mapping[str, Any], *, origin: str) -> Any:
    """Returns the Python value of the Jinja expression `source` (`options | list`, `label | int`).

    Raises:
        ConfigError: The expression is not valid Jinja.
        DataError: It names a field that the document does not have, or fails on its value.
    """
    return _call(_compiled(_expression, source, origin), source, fields, origin)


def fields_of(spec: TaskSpec, document: Document) -> dict[str, Any]:
    """Returns the document's columns and the task's derived fields, which may build on each other.

    Raises:
        DataError: A derived field cannot be computed.
    """
    fields = dict(document.fields)
    origin = f"task {spec.name}, document {document.id}"
    for name, source in spec.derived.items():
        fields[name] = evaluate(source, fields, origin=f"{origin}, derived field {name}")
    return fields


def _call(function: Callable[..., Any], source: str, fields: Mapping[str, Any], origin: str) -> Any:
    from jinja2 import TemplateError, Undefined

    try:
        value = function({"row": fields} | dict(fields))
    except (TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _failed(source, fields, origin, str(error)) from error
    if isinstance(value, Undefined):
        raise _failed(source, fields, origin, "it names something that does not exist")
    return value


def _failed(source: str, fields: Mapping[str, Any], origin: str, reason: str) -> DataError:
    shown = source if len(source) <= 80 else f"{source[:77]}..."
    return DataError(
        f"the template {shown!r} fails: {reason}", origin=origin, allowed=sorted(map(str, fields))
    )


def _compiled(
    compile_source: Callable[[str], Callable[..., Any]], source: str, origin: str
) -> Callable[..., Any]:
    from jinja2 import TemplateSyntaxError

    try:
        return compile_source(source)
    except TemplateSyntaxError as error:
        raise ConfigError(f"{source!r} is not valid Jinja: {error}", origin=origin) from error


@lru_cache(maxsize=1024)
def _template(source: str) -> Callable[..., Any]:
    return _environment().from_string(source).render  # type: ignore[no-any-return]


@lru_cache(maxsize=1024)
def _expression(source: str) -> Callable[..., Any]:
    return _environment().compile_expression(  # type: ignore[no-any-return]
        source, undefined_to_none=False
    )


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    environment.filters["lettered"] = lettered
    environment.filters["literal"] = literal
    environment.filters["findall"] = findall
    environment.filters["regex_replace"] = regex_replace
    environment.filters["columns"] = pass_context(_columns)
    return environment


def lettered(options: Iterable[Any], separator: str = ". ", joiner: str = "\n") -> str:
    """Returns options under capital letters: `A. first`, `B. second`, one per line."""
    return joiner.join(f"{LETTERS[i]}{separator}{o}" for i, o in enumerate(options))


def literal(text: Any) -> Any:
    """Returns the Python literal that a column holds as text (`"['4', '8']"`)."""
    return ast.literal_eval(text) if isinstance(text, str) else text


def findall(text: str, pattern: str) -> list[str]:
    """Returns all matches of a regular expression, or of its only group."""
    return re.findall(pattern, text)


def regex_replace(text: str, pattern: str, replacement: str) -> str:
    """Returns the text with all matches of a regular expression replaced."""
    return re.sub(pattern, replacement, text)


def _columns(context: Any, names: Iterable[Any], prefix: str = "") -> list[Any]:
    """Returns the columns called prefix + name, in the order of the names."""
    return [context["row"][f"{prefix}{name}"] for name in names]
