"""Files that are written whole, or not at all, with one clear error if that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from lmms.errors import LmmsError
from lmms.responses.atomic import atomic_text


@contextlib.contextmanager
def run_file(path: Path) -> Iterator[TextIO]:
    """Opens a file of a run folder that appears whole, or not at all.

    Raises:
        LmmsError: The folder is gone, read-only or full; what was under `path` is untouched.
    """
    hint = (
        "make room or fix the permissions, then run the same command again: "
        "answers are kept, and the files are written anew"
    )
    try:
        with atomic_text(path) as file:
            yield file
    except OSError as error:
        raise _cannot_write(path, error, hint) from error


@contextlib.contextmanager
def output_file(path: Path) -> Iterator[None]:
    """Makes the folder of a file that somebody asked for; the block writes the file.

    Raises:
        LmmsError: The folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_page(path: Path, page: str) -> None:
    """Writes a page that somebody asked for, and its folder.

    Raises:
        LmmsError: As `output_file` raises; what was under `path` is untouched.
    """
    with output_file(path), atomic_text(path) as file:
        file.write(page)


def _cannot_write(path: Path, error: OSError, hint: str | None = None) -> LmmsError:
    message = f"cannot write {path.name}: {error.strerror or error}"
    return LmmsError(message, origin=str(path.parent), hint=hint)
