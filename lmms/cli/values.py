"""Reads the values of flags: numbers, names, and lists of names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from lmms.cli.arguments import Arguments
from lmms.errors import ConfigError, UnknownNameError

_Name = TypeVar("_Name", bound=str)


def one_of(arguments: Arguments, flag: str, choices: Sequence[_Name], *, kind: str) -> _Name | None:
    """Returns the name after a flag, None if it was not given.

    Args:
        arguments: The command's words.
        flag: The flag.
        choices: The names that there are.
        kind: What they name, for the message.

    Raises:
        UnknownNameError: It is none of them.
    """
    text = arguments.value(flag)
    if text is None:
        return None
    for choice in choices:
        if choice == text:
            return choice
    raise UnknownNameError(kind, text, choices, origin=flag, list_all=True)


def real_number(arguments: Arguments, flag: str, *, allowed: str = "a number") -> float | None:
    """Returns the finite number after a flag, None if it was not given.

    Raises:
        ConfigError: It is none.
    """
    text = arguments.value(flag)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{flag} {text!r} is no number", origin=flag, allowed=allowed)
    return value


def whole_number(
    arguments: Arguments, flag: str, *, least: int = 0, allowed: str | None = None
) -> int | None:
    """Returns the whole number after a flag, None if it was not given.

    Raises:
        ConfigError: It is none, or less than `least`.
    """
    text = arguments.value(flag)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(
            f"{flag} {text!r} is no number",
            origin=flag,
            allowed=allowed or f"{least}, {least + 1}, …",
        )
    return int(text)


def whole_numbers(arguments: Arguments, flag: str, *, allowed: str) -> tuple[int, ...] | None:
    """Returns the whole numbers from 1 in a flag's lists, None if it was not given.

    Raises:
        ConfigError: One of them is none, or there are none.
    """
    found = names(arguments, flag, allowed=allowed)
    if wrong := [name for name in found if not name.isdecimal() or int(name) < 1]:
        raise ConfigError(f"{flag} {wrong[0]!r} is no number", origin=flag, allowed=allowed)
    return tuple(map(int, found)) or None


def names(
    arguments: Arguments, flag: str, *, allowed: str = "NAME, or NAME,NAME"
) -> tuple[str, ...]:
    """Returns the names that a flag was given, again and again or with commas; each once.

    Raises:
        ConfigError: The flag was given without a name.
    """
    found: dict[str, None] = {}
    for text in arguments.values.get(flag, ()):
        given = [name.strip() for name in text.split(",") if name.strip()]
        if not given:
            raise ConfigError(f"{flag} {text!r} has no name", origin=flag, allowed=allowed)
        found.update(dict.fromkeys(given))
    return tuple(found)
