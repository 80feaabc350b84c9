"""Content digests: SHA-256, remembered per file for as long as the file does not change."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from pathlib import Path

from lmms.media.errors import MediaNotFoundError, MediaUnreadableError

#: (path, size, modification time in ns, inode): what tells that a file is still the same.
FileIdentity = tuple[str, int, int, int]

_REMEMBERED_FILES = 65_536


class _DigestMemory:
    """A bounded map from file identity to digest, shared by threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._digests: OrderedDict[FileIdentity, str] = OrderedDict()
        self._lock = threading.Lock()
        # A lock held by another thread of the parent at fork time would stay held in the child.
        os.register_at_fork(after_in_child=self._forget_lock)

    def get(self, identity: FileIdentity) -> str | None:
        with self._lock:
            digest = self._digests.get(identity)
            if digest is not None:
                self._digests.move_to_end(identity)
            return digest

    def put(self, identity: FileIdentity, digest: str) -> None:
        with self._lock:
            self._digests[identity] = digest
            while len(self._digests) > self._limit:
                self._digests.popitem(last=False)

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()


_memory = _DigestMemory(_REMEMBERED_FILES)


def file_identity(path: str | os.PathLike[str]) -> FileIdentity:
    """Returns what identifies a file's content without reading it.

    Raises:
        MediaNotFoundError: The file does not exist.
        MediaUnreadableError: The operating system refuses.
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


def hash_file(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hex digits.

    Remembered by path, size, modification time and inode, so that a file is read once.

    Raises:
        MediaNotFoundError: The file does not exist.
        MediaUnreadableError: It cannot be read, or is a folder.
    """
    identity = file_identity(path)
    remembered = _memory.get(identity)
    if remembered is not None:
        return remembered
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaUnreadableError(f"{os.fspath(path)}: cannot be read: {error}") from None
    # A file that changed while it was read must not be remembered under its new identity.
    if file_identity(path) == identity:
        _memory.put(identity, digest)
    return digest


def hash_bytes(data: bytes | bytearray | memoryview) -> str:
    """Returns the SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
