"""Where the bytes of a medium are: files, byte ranges of files, archive members, Lance rows.

Everywhere else a medium is named by one string, a path or a locator `SCHEME://INNER::OUTER`
(chained as in fsspec): `zip://MEMBER::ARCHIVE`, `tar://MEMBER::ARCHIVE`,
`bytes://OFFSET-LENGTH::FILE`, `lance://VIDEO_ID::URI`. The last `::` separates, so members and
ids may contain it; archives, files and URIs may not.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from lmms.media.errors import (
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
    native,
)
from lmms.media.hashing import FileIdentity, hash_bytes, plain_identity, remembered_digest

if TYPE_CHECKING:
    from lmms._media import Source

#: Content that is read into memory at once may not be larger, unless told otherwise.
MAX_MEMORY_BYTES = 2**30

_SCHEMES = ("zip", "tar", "bytes", "lance")
_LOCATOR = re.compile(rf"({'|'.join(_SCHEMES)})://(.*)::(.*)", re.DOTALL)
_URL = re.compile(r"https?://", re.IGNORECASE)
_RANGE = re.compile(r"(\d{1,19})-(\d{1,19})")
_CHUNK_BYTES = 2**20


class RandomAccess(Protocol):
    """Content that the decoder reads piece by piece.

    One call reads it from several threads, but asks for one piece at a time. An exception that it
    raises becomes the cause of a `MediaUnreadableError`.
    """

    name: str
    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes from `offset` on; fewer may come, none only at the end."""
        ...


#: What the extension's functions take: a file, bytes, (file, offset, length), or an object.
NativeSource: TypeAlias = (
    "str | bytes | tuple[str | os.PathLike[str], int, int] | RandomAccess | Source"
)
#: What the functions of `lmms.media` take: a path, a locator, or the content itself.
MediaInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview"
    " | tuple[str | os.PathLike[str], int, int] | RandomAccess | Source"
)


class MediaSource(ABC):
    """One medium's content, opened when it is read."""

    def __init__(self, name: str) -> None:
        self.name = name
        """The path or locator, as messages show it."""

    @abstractmethod
    def identity(self) -> FileIdentity:
        """Returns a cheap tuple that changes when the content does.

        Raises:
            MediaNotFoundError: There is no such medium.
            MediaError: It cannot be reached.
        """

    @abstractmethod
    def native(self) -> NativeSource:
        """Returns what the extension's functions read it from.

        Raises:
            MediaError: As `identity`, or the content has to be held in memory and is too large.
        """

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """Yields the content in order, in pieces of bounded size.

        Raises:
            MediaError: As `identity`.
        """

    def read(self, max_bytes: int = MAX_MEMORY_BYTES) -> bytes:
        """Returns the whole content.

        Raises:
            MediaTooLargeError: It is larger than `max_bytes`.
            MediaError: As `identity`.
        """
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > max_bytes:
                raise MediaTooLargeError(f"{self.name}: more than {max_bytes} bytes")
            parts.append(chunk)
        return b"".join(parts)

    def digest(self) -> str:
        """Returns the SHA-256 of the content as 64 hex digits, remembered by identity.

        Raises:
            MediaError: As `identity`.
        """
        return remembered_digest(self.identity, self.chunks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class FileSource(MediaSource):
    """A file of this machine."""

    def identity(self) -> FileIdentity:
        """Returns (absolute path, size, modification time in ns, inode)."""
        return plain_identity(self.name)

    def native(self) -> NativeSource:
        """Returns the path."""
        return self.name

    def chunks(self) -> Iterator[bytes]:
        """Yields the file's bytes."""
        plain_identity(self.name)
        yield from file_chunks(self.name, 0, None)


class RangeSource(MediaSource):
    """A byte range of a file.

    Args:
        name: The locator that messages show.
        path: The file.
        offset: First byte.
        length: Number of bytes.
    """

    def __init__(self, name: str, path: str, offset: int, length: int) -> None:
        super().__init__(name)
        self.path = path
        self.offset = offset
        self.length = length

    def identity(self) -> FileIdentity:
        """Returns the identity of the file, under the range's name."""
        path, size, modified, inode = plain_identity(self.path)
        if self.offset + self.length > size:
            raise MediaUnreadableError(
                f"{self.name}: bytes {self.offset} to {self.offset + self.length} do not lie in "
                f"the file of {size} bytes"
            )
        return (f"bytes://{self.offset}-{self.length}::{path}", size, modified, inode)

    def native(self) -> NativeSource:
        """Returns (path, offset, length): nothing is copied."""
        self.identity()
        return (self.path, self.offset, self.length)

    def chunks(self) -> Iterator[bytes]:
        """Yields the bytes of the range."""
        self.identity()
        yield from file_chunks(self.path, self.offset, self.length)


class MemorySource(MediaSource):
    """Content that is held already."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        super().__init__(f"{len(data)} bytes in memory")
        self._data = bytes(data)
        self._digest: str | None = None

    def identity(self) -> FileIdentity:
        """Returns the content's digest and size."""
        return (f"sha256:{self.digest()}", len(self._data), 0, 0)

    def native(self) -> NativeSource:
        """Returns the bytes."""
        return self._data

    def chunks(self) -> Iterator[bytes]:
        """Yields the content in one piece."""
        yield self._data

    def digest(self) -> str:
        """Returns the SHA-256 of the content as 64 hex digits."""
        if self._digest is None:
            self._digest = hash_bytes(self._data)
        return self._digest


def open_source(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> MediaSource:
    """Returns the source that a path, a locator or bytes stand for.

    Only the text is looked at: whether there is such a medium is told by the source's methods.

    Raises:
        MediaUnsupportedError: A URL, or a locator that is not well formed.
        MediaError: An archive or table that a locator names cannot be opened.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return MemorySource(source)
    name = os.fspath(source)
    if is_url(name):
        raise MediaUnsupportedError(
            f"{name}: URLs are not decoded",
            allowed="files, archive members and Lance rows of this machine",
            hint="fetch it below a media root, use a back end that takes URLs, or for YouTube "
            "pip install 'lmms[youtube]' and set env.offline=false",
        )
    parts = split_locator(name)
    if parts is None:
        return FileSource(name)
    scheme, inner, outer = parts
    if scheme == "lance":
        from lmms.media.lance_source import LanceRow

        return LanceRow(name, inner, outer)
    outer = _path_of(name, outer)
    if scheme == "bytes":
        return _byte_range(name, inner, outer)
    from lmms.media.archives import open_member

    return open_member(scheme, inner, outer)


def native_source(source: MediaInput) -> NativeSource:
    """Returns what the extension reads a medium from; paths and content as they are.

    Call it once for several calls on one medium: a packed archive member is unpacked here.

    Raises:
        MediaError: As `open_source` and `MediaSource.native`.
        TypeError: It is nothing that `MediaInput` names.
    """
    if isinstance(source, str | os.PathLike):
        return open_source(source).native()
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    _check_type(source)
    return source


def _check_type(source: object) -> None:
    if isinstance(source, tuple):
        known = len(source) == 3
    else:
        # Objects with read_at, and what `shared_source` gave.
        known = isinstance(source, bytes) or hasattr(source, "read_at") or hasattr(source, "name")
    if not known:
        what = f"a tuple of {len(source)}" if isinstance(source, tuple) else type(source).__name__
        raise TypeError(
            f"{what} is not one medium; a medium is a path, a locator, bytes, "
            "(path, offset, length), or an object with read_at, size and name"
        )


def shared_source(source: MediaInput) -> NativeSource:
    """Returns a form of the medium whose index several calls share, under its own name.

    Files are recognised by themselves. What a locator names is recognised by its identity; bytes
    and objects by the returned form, for as long as it is kept.

    Raises:
        MediaError: As `native_source`.
    """
    key = None
    if isinstance(source, str | os.PathLike):
        opened = open_source(source)
        if isinstance(opened, FileSource):
            return opened.native()
        key = repr(opened.identity())
        content = opened.native()
    else:
        content = native_source(source)
    with native() as media:
        is_shared: bool = isinstance(content, media.Source)
        if is_shared:
            return content
        shared: Source = media.Source(content, source_name(source), key)
        return shared


def source_name(source: MediaInput) -> str:
    """Returns how messages and results name a medium."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{len(source)} bytes in memory"
    if isinstance(source, tuple):
        path, offset, length = source
        return f"bytes://{offset}-{length}::{os.fspath(path)}"
    return source.name


def is_url(text: str) -> bool:
    """Whether a reference is a web address."""
    return _URL.match(text) is not None


def split_locator(text: str) -> tuple[str, str, str] | None:
    """Returns (scheme, inner, outer) of a locator; None for a plain path.

    Raises:
        MediaUnsupportedError: It begins as a locator and is none.
    """
    if not _begins_locator(text):
        return None
    found = _LOCATOR.fullmatch(text)
    if found is None or not found[2] or not found[3]:
        raise MediaUnsupportedError(
            f"{text!r} is no complete locator",
            allowed="zip://MEMBER::ARCHIVE, tar://MEMBER::ARCHIVE, bytes://OFFSET-LENGTH::FILE, "
            "lance://VIDEO_ID::URI",
        )
    return found[1], found[2], found[3]


def join_locator(scheme: str, inner: str, outer: str) -> str:
    """Returns the locator that `split_locator` takes apart.

    Raises:
        MediaUnsupportedError: The outer name contains `::`.
    """
    if "::" in outer:
        raise MediaUnsupportedError(f"{outer!r} cannot stand in a locator: its name contains '::'")
    return f"{scheme}://{inner}::{outer}"


def file_chunks(path: str, offset: int, length: int | None) -> Iterator[bytes]:
    """Yields a file's bytes from `offset` on; `length` None: to its end.

    Raises:
        MediaUnreadableError: The operating system refuses, or the file ends early.
    """
    left = length
    try:
        with Path(path).open("rb") as file:
            file.seek(offset)
            while left is None or left > 0:
                chunk = file.read(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left))
                if not chunk:
                    break
                left = None if left is None else left - len(chunk)
                yield chunk
    except OSError as error:
        raise MediaUnreadableError(f"{path}: cannot be read: {error}") from None
    if left:
        raise MediaUnreadableError(f"{path}: ends {left} bytes too early")


def _begins_locator(text: str) -> bool:
    return text.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def _path_of(name: str, outer: str) -> str:
    if _begins_locator(outer):
        raise MediaUnsupportedError(
            f"{name!r}: locators inside locators are not followed", allowed="a file after '::'"
        )
    try:
        return str(Path(outer).expanduser())
    except RuntimeError:  # No such user: a name that happens to start with "~".
        return outer


def _byte_range(name: str, inner: str, path: str) -> RangeSource:
    found = _RANGE.fullmatch(inner)
    if found is None:
        raise MediaUnsupportedError(
            f"{name!r}: {inner!r} is no byte range", allowed="OFFSET-LENGTH, e.g. 512-70000"
        )
    return RangeSource(name, path, int(found[1]), int(found[2]))
