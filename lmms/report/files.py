"""Files that are written whole, or not at all, with one clear error if that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from lmms.errors import ConfigError, LmmsError
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
        ConfigError: No file can be there: the folder does not exist and cannot be made, it is a
            file, or the file is a folder.
        LmmsError: The file cannot be written, e.g. since the disk is full.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if folder.exists():
            told = f"{folder} is no folder"
        else:
            told = f"the folder {folder} does not exist and cannot be made ({error.strerror})"
        raise _no_place(path, told) from error
    if path.is_dir():
        raise _no_place(path, f"{path} is a folder")
    try:
        yield
    except PermissionError as error:
        raise _no_place(path, f"the folder {folder} is not writable") from error
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_page(path: Path, page: str) -> None:
    """Writes a page that somebody asked for, and its folder.

    Raises:
        LmmsError: As `output_file` raises; what was under `path` is untouched.
    """
    with output_file(path), atomic_text(path) as file:
        file.write(page)


def _no_place(path: Path, told: str) -> ConfigError:
    return ConfigError(
        f"cannot write {path.name}: {told}",
        origin=str(path),
        hint="give a file in a folder that can be written to",
    )


def _cannot_write(path: Path, error: OSError, hint: str | None = None) -> LmmsError:
    message = f"cannot write {path.name}: {error.strerror or error}"
    return LmmsError(message, origin=str(path.parent), hint=hint)
