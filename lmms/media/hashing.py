"""Content digests: SHA-256, remembered for as long as the content does not change."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.media.errors import MediaNotFoundError, MediaUnreadableError
from lmms.media.remembered import Remembered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmms.media.digest_store import DigestStore

#: (name, size, modification time in ns, inode): what tells that content is still the same. For
#: an archive member the figures are the archive's, for a Lance row its table's.
FileIdentity = tuple[str, int, int, int]

_REMEMBERED_FILES = 65_536


_STORE_NAME = "media-digests.sqlite"

_memory: Remembered[FileIdentity, str] = Remembered(_REMEMBERED_FILES)
_store: DigestStore | None = None


def keep_digests_in(folder: str | os.PathLike[str] | None) -> None:
    """Makes this process share the digests of large media with others through a folder.

    Args:
        folder: Where their file is; None: digests are remembered by this process alone.
    """
    from lmms.media.digest_store import DigestStore

    global _store
    _store = None if folder is None else DigestStore(Path(folder) / _STORE_NAME)


def plain_identity(path: str | os.PathLike[str]) -> FileIdentity:
    """Returns what identifies a file's content without reading it.

    Raises:
        MediaNotFoundError: The file does not exist.
        MediaUnreadableError: The operating system refuses, or it is no regular file.
    """
    name = os.fspath(path)
    try:
        status = Path(name).stat()
    except FileNotFoundError:
        raise MediaNotFoundError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise MediaUnreadableError(f"{name}: cannot be read: {error}") from None
    # Opening a pipe waits for a writer for ever, and nothing could end that wait.
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise MediaUnreadableError(f"{name}: cannot be read: it is {kind}")
    return (str(Path(name).absolute()), status.st_size, status.st_mtime_ns, status.st_ino)


def file_identity(source: str | os.PathLike[str]) -> FileIdentity:
    """Returns what identifies the content that a path or locator names, without reading it.

    Raises:
        MediaNotFoundError: There is no such medium.
        MediaError: It cannot be reached, or is no regular file.
    """
    from lmms.media.source import open_source

    return open_source(source).identity()


def hash_file(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> str:
    """Returns the SHA-256 of a medium's bytes as 64 hex digits.

    Remembered by path, size, modification time and inode (of the archive or table for what lies
    in one), so that everything is read once.

    Args:
        source: A path, a locator, or the content.

    Raises:
        MediaNotFoundError: There is no such medium.
        MediaError: It cannot be read, or is a folder.
    """
    from lmms.media.source import open_source

    return open_source(source).digest()


def remembered_digest(
    identity: Callable[[], FileIdentity], chunks: Callable[[], Iterator[bytes]]
) -> str:
    """Returns the SHA-256 of content, from memory where its identity is known.

    Args:
        identity: Gives the content's identity.
        chunks: Gives the content in pieces.
    """
    before = identity()
    remembered = _memory.get(before)
    if remembered is not None:
        return remembered
    stored = _store.get(before) if _store is not None else None
    if stored is not None:
        return _memory.put(before, stored)
    hasher = hashlib.sha256()
    for chunk in chunks():
        hasher.update(chunk)
    digest = hasher.hexdigest()
    # Content that changed while it was read must not be remembered under its new identity.
    if identity() == before:
        _memory.put(before, digest)
        if _store is not None:
            _store.put(before, digest)
    return digest


def hash_bytes(data: bytes | bytearray | memoryview) -> str:
    """Returns the SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def hash_frames(frames: NDArray[Any]) -> str:
    """Returns the SHA-256 of decoded frames as 64 hex digits.

    The element type and the shape count too: frames of another size have another digest even
    where their bytes agree. The layout in memory does not count.

    Args:
        frames: Array of any shape, usually (n, height, width, 3) uint8.
    """
    import numpy as np

    hasher = hashlib.sha256(f"{frames.dtype.str}{tuple(frames.shape)}".encode())
    hasher.update(np.ascontiguousarray(frames).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()
