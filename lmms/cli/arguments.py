"""Splits a command's words into flags and overrides. Small, so that `lmms --help` is instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lmms.errors import ConfigError, nearest

SWITCH = ""
"""In a flag table: the flag takes no value."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The words of a command."""

    switches: frozenset[str] = frozenset()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    """Everything that is no flag, in order."""

    def has(self, flag: str) -> bool:
        """Whether a switch was given."""
        return flag in self.switches

    def value(self, flag: str) -> str | None:
        """Returns the last value of a flag, None if it was not given."""
        given = self.values.get(flag)
        return given[-1] if given else None


COMMON: Mapping[str, str] = {"--json": SWITCH, "--debug": SWITCH, "--help": SWITCH}
"""Flags of every command, and what stands for their value in help."""
_SHORT = {
    "-h": "--help",
    "-m": "--multirun",
    "-c": "--config",
    "-q": "--quiet",
    "-o": "--output",
}


def read_arguments(words: Sequence[str], flags: Mapping[str, str], *, command: str) -> Arguments:
    """Separates flags from the other words.

    Args:
        words: The command line after the command.
        flags: Flag to the name of its value, `SWITCH` if it has none; `COMMON` is added.
        command: For messages.

    Raises:
        ConfigError: A flag does not exist, or its value is missing.
    """
    known = {**COMMON, **flags}
    switches: set[str] = set()
    values: dict[str, list[str]] = {}
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            others += rest
            break
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        name, sign, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name not in known:
            raise _unknown_flag(name, known, command)
        if known[name] == SWITCH:
            if sign:
                raise ConfigError(f"{name} takes no value", origin=f"command line {word}")
            switches.add(name)
            continue
        if not sign:
            if not rest:
                raise ConfigError(
                    f"{name} needs a value", origin="command line", allowed=known[name]
                )
            value = rest.pop(0)
        values.setdefault(name, []).append(value)
    return Arguments(frozenset(switches), {k: tuple(v) for k, v in values.items()}, tuple(others))


def _unknown_flag(name: str, known: Mapping[str, str], command: str) -> ConfigError:
    return ConfigError(
        f"unknown flag {name!r}",
        origin=f"command line of lmms {command}".rstrip(),
        suggestions=nearest(name, known),
        allowed=", ".join(sorted(known)),
    )


def refuse_words(arguments: Arguments, *, command: str) -> None:
    """Refuses words after a command that takes none.

    Raises:
        ConfigError: There are such words.
    """
    if arguments.words:
        raise ConfigError(
            f"lmms {command} takes no {arguments.words[0]!r}",
            origin="command line",
            hint=f"lmms {command} --help",
        )
