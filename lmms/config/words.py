"""The words of a command line, made ready for Hydra.

A word is checked against the groups and the schema before Hydra sees it, so that every typo gets
the nearest names, and written in the one form that Hydra takes without conditions: `experiment=x`
becomes `+experiment=x`, and a value becomes `++key=value`, so that group files need not list keys
only to make them known.
"""

from __future__ import annotations

import os
import re
import types
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Union, get_args, get_origin

from lmms.config import secrets
from lmms.config.keys import GROUPS, check_key, is_open
from lmms.errors import ConfigError, UnknownNameError

_WORD = re.compile(r"(?P<prefix>\+\+|\+|~)?(?P<key>[^=]*)(?P<value>=.*)?", re.DOTALL)
_SECRET_PREFIX = "LMMS_SECRET_"


@dataclass(frozen=True, slots=True)
class Word:
    """One override."""

    text: str
    """In Hydra's grammar."""
    origin: str
    """Where it was written, for messages; secrets masked."""
    prefix: str
    key: str
    """Group or dotted key; for `task@tasks.x` the whole left side."""
    value: str | None
    """Text after the equals sign; None if there is none."""
    file: str | None = None
    """Run file that the word comes from; None: the command line."""

    @property
    def group(self) -> str | None:
        """The group that the word chooses an option of, else None."""
        base = self.key.partition("@")[0].removeprefix("/")
        return base if base in GROUPS else None

    @property
    def shown(self) -> str:
        """The word as it may be printed."""
        if self.value and secrets.names_secret(self.key, self.value):
            return f"{self.key}={secrets.MASK}"
        text = self.text.removeprefix("++")
        return secrets.mask(text)

    @property
    def is_hydra(self) -> bool:
        """Whether the word configures Hydra itself (launcher, sweeper)."""
        return self.key.startswith(("hydra.", "hydra/"))

    def rewritten(self, prefix: str, value: str | None) -> Word:
        """Returns the word with another prefix and value."""
        text = f"{prefix}{self.key}" + ("" if value is None else f"={value}")
        return replace(self, text=text, prefix=prefix, value=value)


def read_word(text: str, *, origin: str | None = None, file: str | None = None) -> Word:
    """Splits an override.

    Args:
        text: The override.
        origin: Where it was written, for messages; None: the command line.
        file: Run file that it comes from.

    Raises:
        ConfigError: The text has no `=` and is not a deletion.
    """
    match = _WORD.fullmatch(text)
    prefix, key, value = match.group("prefix", "key", "value") if match else (None, "", None)
    key, value = key.strip(), value if value is None else value[1:]
    secret = bool(value) and secrets.names_secret(key, value or "")
    shown = f"{key}={secrets.MASK}" if secret else secrets.mask(text)
    if not key or (value is None and prefix != "~"):
        raise ConfigError(
            f"{shown!r} is not an override",
            origin=origin or "command line",
            allowed="GROUP=OPTION, key=value, +experiment=NAME, ~key",
            hint="commands and examples: lmms --help",
        )
    origin = origin or f"command line override {shown}"
    return Word(text=text, origin=origin, prefix=prefix or "", key=key, value=value, file=file)


def prepare(words: Sequence[Word], options: Mapping[str, Sequence[str]]) -> list[Word]:
    """Checks the words and writes them in the form that Hydra always takes.

    Args:
        words: What the user gave, in order.
        options: Group to the names of its options, without `task` (whose names the catalogue
            checks).

    Raises:
        ConfigError: A key does not exist.
        UnknownNameError: An option does not exist.
    """
    return [_prepare(word, options) for word in words]


def _prepare(word: Word, options: Mapping[str, Sequence[str]]) -> Word:
    if word.is_hydra:
        return word
    if word.group is not None:
        return _prepare_choice(word, options)
    kind = check_key(word.key, origin=word.origin)
    if word.prefix == "~":
        return word
    if word.key == "tasks":
        raise ConfigError(
            "'tasks' holds the settings of tasks already chosen",
            origin=word.origin,
            hint=f"choose tasks with: task={word.value}",
        )
    value = word.value or ""
    if _holds_secret(word.key, value) and not value.startswith("${"):
        value = _to_environment(word.key, value)
    elif value.startswith("${") and value.endswith("}"):
        value = quoted(value)  # the grammar reads no interpolation inside another one
    elif kind is str or (get_origin(kind) in (Union, types.UnionType) and str in get_args(kind)):
        value = _quoted_where_needed(value)
    elif kind == list[str]:
        value = _listed_where_needed(value)
    return word.rewritten("++", value)


def _prepare_choice(word: Word, options: Mapping[str, Sequence[str]]) -> Word:
    group = word.group
    if group == "task":
        return word.rewritten("", "[]") if word.prefix == "~" and word.value is None else word
    assert group is not None
    if word.prefix == "~" or not (word.value or "").strip():
        raise ConfigError(
            f"{word.shown!r} chooses no option",
            origin=word.origin,
            allowed=", ".join(options[group]),
        )
    for option in _plain_options(word.value or ""):
        if option not in options[group]:
            raise UnknownNameError(
                group,
                option,
                options[group],
                origin=word.origin,
                hint=f"list them: lmms ls {group}s" if group in ("model", "experiment") else None,
                list_all=True,
            )
    if group == "experiment" and word.prefix == "":
        return word.rewritten("+", word.value)
    return word


def _plain_options(value: str) -> list[str]:
    """Returns the names in `a`, `a,b` or `[a,b]`; none where the value is a function or null."""
    inner = value.strip().removeprefix("[").removesuffix("]")
    names = [part.strip().strip("'\"") for part in inner.split(",")]
    if any("(" in n or "${" in n for n in names):
        return []
    return [n for n in names if n not in ("", "null")]


def _quoted_where_needed(value: str) -> str:
    """Quotes a path or text that Hydra's grammar cannot read as it is (`~/x`, `a;b`, `x&y`)."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if re.fullmatch(r"[\w./\-]*", value):
        return value
    try:
        OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return quoted(value)
    return value


def _listed_where_needed(value: str) -> str:
    """Makes a list of one text, and quotes the items that Hydra's grammar cannot read."""
    inner = value.strip()
    if inner.startswith("${") or inner == "null":
        return value
    if not (inner.startswith("[") and inner.endswith("]")):
        return f"[{_quoted_where_needed(value)}]"
    if any(c in inner[1:-1] for c in "[]{}'\""):
        return value
    items = [_quoted_where_needed(i.strip()) for i in inner[1:-1].split(",") if i.strip()]
    return f"[{','.join(items)}]"


def quoted(text: str) -> str:
    """Returns `text` as a quoted string of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return str(QuotedString(text=text, quote=Quote.single).with_quotes())


def _holds_secret(key: str, value: str) -> bool:
    """Whether the schema has an open place at `key`, and what stands there is a secret."""
    head, _, last = key.rpartition(".")
    if head == "env.variables":
        return secrets.is_secret_variable(last)
    return is_open(key) and secrets.names_secret(last, value)


def _to_environment(key: str, value: str) -> str:
    """Moves a secret that was written out into the environment; returns a reference to it."""
    return "${oc.env:" + keep_secret(key, value.strip().strip("'\""), os.environ) + "}"


def keep_secret(key: str, value: str, store: MutableMapping[str, str]) -> str:
    """Puts a secret value into `store`; returns the name of its environment variable.

    `env.variables.NAME` keeps its name; a key of an open mapping gets one of our own.
    """
    head, _, last = key.rpartition(".")
    name = last if head == "env.variables" else _SECRET_PREFIX + re.sub(r"\W", "_", key).upper()
    store[name] = value
    return name


def protect(body: Any, store: MutableMapping[str, str], prefix: str = "") -> Any:
    """Returns the values of a file with written-out secrets replaced by references.

    Args:
        body: A mapping of the file, or a value in it.
        store: Takes the secrets as environment variables.
        prefix: Dotted key of `body`.
    """
    if isinstance(body, Mapping):
        inner = f"{prefix}." if prefix else ""
        return {k: protect(v, store, f"{inner}{k}") for k, v in body.items()}
    if isinstance(body, str) and _holds_secret(prefix, body) and not body.startswith("${"):
        return "${oc.env:" + keep_secret(prefix, body, store) + "}"
    return body
