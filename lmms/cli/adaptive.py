"""`lmms adaptive`: item response models and experiments; the subcommand is imported alone."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Final

from lmms.errors import ConfigError, UnknownNameError

SUBCOMMANDS: Final[Mapping[str, str]] = {
    "analyse": "adaptive_analyse",
    "experiment": "adaptive_experiment",
    "fit": "adaptive_fit",
    "replay": "adaptive_replay",
}
"""Subcommand to its module in `lmms.cli`."""


def main(words: Sequence[str]) -> int:
    """Runs a subcommand.

    Raises:
        ConfigError: There is none, or no such one.
    """
    if not words or words[0].startswith("-"):
        raise ConfigError(
            "lmms adaptive needs to know what to do",
            origin="command line",
            allowed=list(SUBCOMMANDS),
            hint="lmms adaptive --help",
        )
    name, *rest = words
    if name not in SUBCOMMANDS:
        raise UnknownNameError(
            "adaptive command", name, SUBCOMMANDS, origin="lmms adaptive", list_all=True
        )
    return int(importlib.import_module(f"lmms.cli.{SUBCOMMANDS[name]}").main(rest))
