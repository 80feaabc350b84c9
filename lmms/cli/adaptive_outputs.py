"""Where `lmms adaptive fit` may write: never over its answers, nor over files of another kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lmms.cli.arguments import Arguments
from lmms.errors import ConfigError

_PAGE_START = "<!doctype html"


def check_outputs(arguments: Arguments) -> None:
    """Refuses files that cannot or should not be written, before anything is.

    An existing bank or page is replaced; any other file is left alone.

    Raises:
        ConfigError: A file is an input, part of a run, of another kind, given twice, or cannot be
            written.
    """
    given = {flag: arguments.value(flag) for flag in ("--output", "--report")}
    paths = {flag: Path(text) for flag, text in given.items() if text is not None}
    if len({path.resolve() for path in paths.values()}) < len(paths):
        raise ConfigError("the bank and the report have the same file", origin="--report")
    for flag, path in paths.items():
        _check_input(flag, path, arguments.words)
        _check_kind(flag, path)
        _check_writable(flag, path)


def _check_input(flag: str, path: Path, words: Sequence[str]) -> None:
    target = path.resolve()
    for word in words:
        source = Path(word)
        if source.exists() and target == source.resolve():
            raise ConfigError(
                f"{str(path)!r} holds the answers that are fitted",
                origin=flag,
                allowed="a new file",
            )


def _check_kind(flag: str, path: Path) -> None:
    if not path.exists():
        return
    if path.is_dir():
        raise ConfigError(f"{str(path)!r} is a folder", origin=flag, allowed="a file")
    if path.stat().st_size and not (_is_page(path) if flag == "--report" else _is_bank(path)):
        kind = "page" if flag == "--report" else "item bank"
        raise ConfigError(
            f"{str(path)!r} is there already and is no {kind}",
            origin=flag,
            allowed=f"a new file, or an earlier {kind}, which is replaced",
        )


def _is_page(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(len(_PAGE_START)).decode("utf-8", "replace")
    return start.lower() == _PAGE_START


def _is_bank(path: Path) -> bool:
    from lmms.adaptive.bank import read_bank
    from lmms.adaptive.errors import BankError

    try:
        read_bank(path)
    except BankError:
        return False
    return True


def _check_writable(flag: str, path: Path) -> None:
    """The nearest folder that is there must be one, and one to write to."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"cannot write {path.name}: {str(folder)!r} is no folder to write to", origin=flag
        )
