"""`lmms media`: looks at files without a model. The subcommand is found before it is imported."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Final

from lmms.errors import ConfigError, UnknownNameError

SUBCOMMANDS: Final = ("build-lance", "doctor", "frames", "probe")


def main(words: Sequence[str]) -> int:
    """Runs a subcommand.

    Raises:
        ConfigError: There is none, or no such one.
    """
    if not words or words[0].startswith("-"):
        raise ConfigError(
            "lmms media needs to know what to do",
            origin="command line",
            allowed=SUBCOMMANDS,
            hint="lmms media --help",
        )
    name, *rest = words
    if name not in SUBCOMMANDS:
        raise UnknownNameError(
            "media command", name, SUBCOMMANDS, origin="lmms media", list_all=True
        )
    module = importlib.import_module(f"lmms.cli.media.{name.replace('-', '_')}")
    return int(module.main(rest))
