"""Files that exist completely or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

# Some network and FUSE file systems have no fsync; the rename still is all or nothing there.
_NO_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.ENOSYS})


@contextlib.contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Opens a UTF-8 text file that appears under `path` only when the block ends well.

    An older file of that name stays untouched until then, and stays for good if the block raises
    or the process dies.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    with (
        _replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        yield stream
        stream.flush()
        _fsync(stream.fileno())


@contextlib.contextmanager
def atomic_bytes(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that appears under `path` only when the block ends well.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    with _replacing(path) as temporary, temporary.open("wb") as stream:
        yield stream
        stream.flush()
        _fsync(stream.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, completely or not at all."""
    with atomic_text(path) as stream:
        stream.write(text)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    # The process id keeps two writers of one name apart; a file that a killed process left under
    # the same id is overwritten.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Makes a rename or a new file in `folder` survive a power loss, where that is possible."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def replace_link(link: Path, target: str) -> None:
    """Points the symbolic link `link` at `target` in one step.

    Raises:
        OSError: The file system has no symbolic links, or `link` is a folder or file of the user's.
    """
    if link.exists() and not link.is_symlink():
        raise FileExistsError(errno.EEXIST, "exists and is not a link", str(link))
    temporary = link.with_name(f".{link.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    try:
        temporary.replace(link)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
