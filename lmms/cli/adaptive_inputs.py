"""Whose answers a command of item response models works on: a file of responses, or runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lmms.cli import console
from lmms.cli.arguments import Arguments
from lmms.cli.values import real_number
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.adaptive.responses import ResponseMatrix

_FARTHEST: Final = 4.0
"""Abilities are estimated between this and its negative."""
RESPONSE_FILES: Final = (".jsonl", ".csv")


def start_ability(arguments: Arguments, *flags: str) -> float | None:
    """Returns the ability that the first items are chosen for; None if no flag was given.

    Args:
        arguments: Of the command.
        flags: Names of the flag; default `--start-ability`.

    Raises:
        ConfigError: It is no number, or outside the abilities that are estimated.
    """
    for flag in flags or ("--start-ability",):
        value = real_number(arguments, flag)
        if value is None:
            continue
        if abs(value) > _FARTHEST:
            raise ConfigError(
                f"{flag} {value:g} is no ability that is estimated",
                origin=flag,
                allowed=f"-{_FARTHEST:g} to {_FARTHEST:g}",
            )
        return value
    return None


def read_subjects(arguments: Arguments, *, command: str, example: str) -> ResponseMatrix:
    """Reads the answers that a command's words name: one file of responses, or runs.

    Takes the flags `--task`, `--metric`, `--threshold` and `--output-dir`.

    Args:
        arguments: Of the command.
        command: For messages.
        example: A command line that is right.

    Raises:
        ConfigError: No words, or words and flags that do not belong together.
        DataError: As `read_responses` and `responses_from_runs` raise.
        PlanError: There is no such run.
    """
    from lmms.adaptive.responses import read_responses, responses_from_runs

    words = arguments.words
    threshold = real_number(arguments, "--threshold")
    if not words:
        raise ConfigError(
            f"lmms {command} needs responses",
            origin="command line",
            allowed="a file of responses (.jsonl, .csv), or runs",
            hint=example,
        )
    files = [w for w in words if Path(w).suffix.lower() in RESPONSE_FILES]
    if not files:
        found = responses_from_runs(
            words,
            arguments.value("--task"),
            arguments.value("--metric"),
            threshold,
            output_dir=arguments.value("--output-dir") or "outputs",
        )
        for note in found.notes:
            console.print_note(note)
        return found
    if len(words) > 1:
        raise ConfigError(
            f"{files[0]!r} is a file of responses, and there are {len(words) - 1} more words",
            origin="command line",
            allowed="one file of responses, or any number of runs",
        )
    for flag in ("--task", "--metric"):
        if arguments.value(flag) is not None:
            raise ConfigError(f"{flag} belongs to runs, not to a file", origin="command line")
    return read_responses(files[0], threshold=threshold)
