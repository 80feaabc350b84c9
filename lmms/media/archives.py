"""Members of zip and tar archives as media, without unpacking anything to disk.

Members that are stored as they are become byte ranges of the archive; packed ones (deflate, or
anything in a compressed tar) are unpacked into memory within a limit. Archives come from
strangers: names that lead out of the archive, links, encryption and archives that unpack to a
multiple of their size are refused.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from lmms.errors import MediaError, nearest
from lmms.media.errors import (
    MediaDecodeError,
    MediaNotFoundError,
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
)
from lmms.media.hashing import FileIdentity, plain_identity
from lmms.media.remembered import Remembered
from lmms.media.source import MAX_MEMORY_BYTES, MediaSource, NativeSource, file_chunks, join_locator

#: Archives whose members are looked up by name; compressed tars are read when a locator names one.
SEARCHED_SUFFIXES = (".zip", ".tar")
PACKED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

_REMEMBERED_ARCHIVES = 256
_REMEMBERED_FOLDERS = 1024
_SETTLED_NS = 2 * 10**9
#: Enough for the clip that is asked about again; every worker process holds as much.
_REMEMBERED_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 0x1
#: A compressed tar that unpacks to more than this is no archive of media, which hardly shrink.
_MAX_RATIO = 200
_RATIO_FLOOR = 64 * 2**20
#: A single read while a compressed tar is indexed: headers are far smaller.
_MAX_HEADER_BYTES = 16 * 2**20
_MAGICS = ((b"\x1f\x8b", gzip.GzipFile), (b"BZh", bz2.BZ2File), (b"\xfd7zXZ\x00", lzma.LZMAFile))
_PACKED_ERRORS = (
    *(OSError, EOFError, ValueError, NotImplementedError, RuntimeError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, struct.error),
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive."""

    name: str
    """Relative path with `/`."""
    size: int
    """Bytes once unpacked."""
    offset: int
    """Of the content; for zip, of the member's header."""
    stored: bool
    """Whether its bytes lie in the archive as they are."""
    refused: str | None = None
    """Why it is not read; None if it may be."""
    packed_size: int = 0
    """Bytes in the zip."""
    method: int = zipfile.ZIP_STORED
    """How the zip packed it."""
    crc: int = 0
    """The zip's checksum of the unpacked bytes."""


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What lies in one archive."""

    scheme: str
    path: str
    identity: FileIdentity
    members: dict[str, Member]
    by_name: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Base name to the members that have it."""

    def locator(self, member: str) -> str:
        """Returns the string that names a member."""
        return join_locator(self.scheme, member, self.path)


_indices: Remembered[tuple[str, FileIdentity], ArchiveIndex] = Remembered(_REMEMBERED_ARCHIVES)
_unpacked: Remembered[FileIdentity, bytes] = Remembered(_REMEMBERED_BYTES, len)
_unreadable: Remembered[FileIdentity, str] = Remembered(_REMEMBERED_ARCHIVES)
_listings: Remembered[tuple[str, int], tuple[str, ...]] = Remembered(_REMEMBERED_FOLDERS)


def index_statistics() -> tuple[int, int]:
    """Returns how often an archive's index was remembered, and how often it was read."""
    return _indices.hits, _indices.misses


def scheme_of(path: str) -> str:
    """Returns the locator scheme of an archive by its suffix."""
    return "zip" if path.lower().endswith(".zip") else "tar"


def open_archive(path: str, scheme: str | None = None) -> ArchiveIndex:
    """Returns the index of an archive, remembered for as long as the file does not change.

    Args:
        path: The archive.
        scheme: `zip` or `tar` (plain, gz, bz2 or xz); None: by the suffix.

    Raises:
        MediaNotFoundError: There is no such file.
        MediaDecodeError: It is no such archive, or damaged.
        MediaTooLargeError: A compressed tar unpacks to an implausible multiple of its size.
    """
    kind = scheme or scheme_of(path)
    identity = plain_identity(path)
    known = _indices.get((kind, identity))
    if known is not None:
        return known
    try:
        members = _zip_members(path) if kind == "zip" else _tar_members(path, identity[1])
    except MediaTooLargeError:
        raise
    except _PACKED_ERRORS as error:
        raise MediaDecodeError(f"{path}: cannot be read as a {kind} archive: {error}") from None
    names: dict[str, list[str]] = {}
    for name in members:
        names.setdefault(PurePosixPath(name).name, []).append(name)
    by_name = {base: tuple(sorted(found)) for base, found in names.items()}
    return _indices.put((kind, identity), ArchiveIndex(kind, path, identity, members, by_name))


def open_member(scheme: str, member: str, archive: str) -> MediaSource:
    """Returns a member of an archive as a source.

    Raises:
        MediaNotFoundError: No such archive or member; the message names the nearest ones.
        MediaUnsupportedError: The member is encrypted, a link, or its name leads out.
        MediaError: As `open_archive`.
    """
    _entry(open_archive(archive, scheme), member)
    return ArchiveMember(scheme, member, archive)


def find_member(folder: str, names: tuple[str, ...], *, by_base_name: bool) -> str | None:
    """Returns the locator of a member of an archive that lies in a folder; None if there is none.

    The folder is listed again when it has changed, an archive is read again when it has. What
    cannot be read as an archive is passed over.

    Args:
        folder: Only archives directly in it are looked into.
        names: Spellings of the name, best first.
        by_base_name: Compares base names instead of whole relative paths.

    Raises:
        MediaUnsupportedError: Several members with different content have the name.
    """
    indices = [index for index in map(_searchable, _archives_in(folder)) if index is not None]
    for name in names if indices else ():
        found: dict[object, str] = {}
        for index in indices:
            members = index.by_name.get(name, ()) if by_base_name else (name,)
            for member in filter(None, map(index.members.get, members)):
                # The checksum of a zip tells copies from namesakes; a tar has none.
                content = (member.size, member.crc) if member.crc else index.locator(member.name)
                found.setdefault(content, index.locator(member.name))
        if len(found) > 1:
            first, second = list(found.values())[:2]
            raise MediaUnsupportedError(
                f"{name!r} could be {first} or {second}",
                hint="name it by its path inside the archive, or move one of them away",
            )
        if found:
            return next(iter(found.values()))
    return None


def _archives_in(folder: str) -> tuple[str, ...]:
    try:
        modified = Path(folder).stat().st_mtime_ns
        known = _listings.get((folder, modified))
        if known is not None:
            return known
        names = sorted(
            str(path)
            for path in Path(folder).iterdir()
            if path.suffix.lower() in SEARCHED_SUFFIXES and "::" not in str(path)
        )
    except (OSError, ValueError):
        return ()
    # Two changes within one tick of the clock leave the same time behind.
    if time.time_ns() - modified > _SETTLED_NS:
        _listings.put((folder, modified), tuple(names))
    return tuple(names)


def _searchable(path: str) -> ArchiveIndex | None:
    """Returns an archive's index; None if it is none, which is remembered too."""
    try:
        identity = plain_identity(path)
        if _unreadable.get(identity) is not None:
            return None
        return open_archive(path)
    except (MediaNotFoundError, MediaUnreadableError):
        return None
    except MediaError as error:
        _unreadable.put(identity, str(error))
        return None


class ArchiveMember(MediaSource):
    """A member of an archive.

    Args:
        scheme: `zip` or `tar`.
        member: Relative path inside.
        archive: Path of the archive.
    """

    def __init__(self, scheme: str, member: str, archive: str) -> None:
        super().__init__(join_locator(scheme, member, archive))
        self.scheme = scheme
        self.member = member
        self.archive = archive

    def identity(self) -> FileIdentity:
        """Returns the archive's identity, under the member's locator."""
        path, size, modified, inode = plain_identity(self.archive)
        return (join_locator(self.scheme, self.member, path), size, modified, inode)

    def native(self) -> NativeSource:
        """Returns a byte range of the archive, or the unpacked bytes."""
        index, member = self._found()
        if member.stored:
            return (self.archive, _content_offset(index, member), member.size)
        if member.size > MAX_MEMORY_BYTES:
            raise MediaTooLargeError(
                f"{self.name}: unpacks to {member.size} bytes",
                allowed=f"packed members up to {MAX_MEMORY_BYTES} bytes",
                hint="unpack the archive below a media root, or store the member uncompressed",
            )
        key = self.identity()
        data = _unpacked.get(key)
        if data is None:
            data = _unpacked.put(key, b"".join(_unpack(index, member)))
        return data

    def chunks(self) -> Iterator[bytes]:
        """Yields the content, unpacked."""
        index, member = self._found()
        if member.stored:
            yield from file_chunks(self.archive, _content_offset(index, member), member.size)
        else:
            yield from _unpack(index, member)

    def _found(self) -> tuple[ArchiveIndex, Member]:
        index = open_archive(self.archive, self.scheme)
        return index, _entry(index, self.member)


def _content_offset(index: ArchiveIndex, member: Member) -> int:
    """Returns where a member's bytes begin in the archive.

    Raises:
        MediaDecodeError: The archive is damaged or ends before the member does.
    """
    if index.scheme == "tar":
        return member.offset
    name = index.locator(member.name)
    header = b"".join(file_chunks(index.path, member.offset, _LOCAL_HEADER.size))
    if not header.startswith(_LOCAL_MAGIC):
        raise MediaDecodeError(f"{name}: the archive is damaged here")
    _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    offset = member.offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
    if offset + member.packed_size > index.identity[1]:
        raise MediaDecodeError(f"{name}: the archive ends before the member does")
    return offset


def _entry(index: ArchiveIndex, name: str) -> Member:
    member = index.members.get(name)
    if member is None:
        base = index.by_name.get(PurePosixPath(name).name, ())
        raise MediaNotFoundError(
            f"{index.path}: holds no member {name!r}",
            suggestions=base[:3] or nearest(name, index.members),
        )
    if member.refused is not None:
        raise MediaUnsupportedError(f"{index.locator(name)}: {member.refused}")
    return member


def _safe(name: str) -> str | None:
    """Returns a member's name in plain form; None if it leads out of the archive."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        return None
    return str(path)


def _zip_members(path: str) -> dict[str, Member]:
    members: dict[str, Member] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = _safe(entry.filename)
            if name is None or entry.is_dir():
                continue
            refused = None
            if stat.S_ISLNK(entry.external_attr >> 16):
                refused = "is a link, and links in archives are not followed"
            elif entry.flag_bits & _ENCRYPTED:
                refused = "is encrypted, and there is no password for it"
            stored = entry.compress_type == zipfile.ZIP_STORED
            if stored and entry.compress_size != entry.file_size:
                refused = "has two different sizes: the archive is damaged"
            members[name] = Member(
                name=name,
                size=entry.file_size,
                offset=entry.header_offset,
                stored=stored,
                refused=refused,
                packed_size=entry.compress_size,
                method=entry.compress_type,
                crc=entry.CRC,
            )
    return members


def _tar_members(path: str, size: int) -> dict[str, Member]:
    members: dict[str, Member] = {}
    compressed = _decompressed(path)
    stored = compressed is None
    with closing(_Bounded(compressed or Path(path).open("rb"), path, size, stored)) as file:
        for entry in _entries(file, members):
            name = _safe(entry.name)
            if name is None or entry.isdir():
                continue
            refused = None
            if not entry.isreg():
                refused = "is a link or a device, and only plain files are read"
            elif entry.issparse():
                refused = "is a sparse file"
            elif stored and entry.offset_data + entry.size > size:
                refused = "is cut off: the archive ends before it does"
            members[name] = Member(name, entry.size, entry.offset_data, stored, refused)
    return members


def _entries(file: Any, seen: dict[str, Member]) -> Iterator[tarfile.TarInfo]:
    """Yields the entries of a tar up to its end, or to where it is cut off."""
    with tarfile.TarFile(fileobj=file) as archive:
        while True:
            try:
                entry = archive.next()
            except tarfile.ReadError:
                if not seen:
                    raise
                return
            if entry is None:
                return
            yield entry


def _decompressed(path: str) -> IO[bytes] | None:
    """Opens a gzip, bzip2 or xz file for reading what it holds; None: it is none of them."""
    with Path(path).open("rb") as file:
        magic = file.read(8)
    for start, opener in _MAGICS:
        if magic.startswith(start):
            return cast("IO[bytes]", opener(path))
    return None


class _Bounded:
    """A file for indexing a tar: refuses what would fill memory or never end."""

    def __init__(self, file: IO[bytes], path: str, size: int, stored: bool) -> None:
        self._file = file
        self._path = path
        self._most = None if stored else max(_RATIO_FLOOR, _MAX_RATIO * size)
        self.name = path
        self.mode = "rb"
        self.tell = file.tell
        self.close = file.close

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise MediaTooLargeError(f"{self._path}: a header of {size} bytes in a tar archive")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        if self._most is not None and position > self._most:
            raise MediaTooLargeError(
                f"{self._path}: unpacks to more than {_MAX_RATIO} times its own size",
                hint="unpack it below a media root if you trust it",
            )
        return self._file.seek(position)


def _unpack(index: ArchiveIndex, member: Member) -> Iterator[bytes]:
    """Yields the bytes of a packed member: never more than its index says."""
    name = index.locator(member.name)
    left, crc = member.size, 0
    try:
        for chunk in _packed_chunks(index, member):
            left -= len(chunk)
            crc = zlib.crc32(chunk, crc)
            if left < 0:
                break
            yield chunk
    except MediaError:
        raise
    except NotImplementedError as error:
        raise MediaUnsupportedError(f"{name}: {error}") from None
    except _PACKED_ERRORS as error:
        raise MediaDecodeError(f"{name}: cannot be unpacked: {error}") from None
    if left or (index.scheme == "zip" and crc != member.crc):
        raise MediaDecodeError(f"{name}: what it unpacks to is not what the archive says")


def _packed_chunks(index: ArchiveIndex, member: Member) -> Iterator[bytes]:
    if index.scheme == "zip" and member.method == zipfile.ZIP_DEFLATED:
        # Not through ZipFile, which reads the whole directory of the archive again.
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        for packed in file_chunks(index.path, _content_offset(index, member), member.packed_size):
            while packed:
                yield inflater.decompress(packed, _CHUNK_BYTES)
                packed = inflater.unconsumed_tail
        yield inflater.flush()
        return
    file: IO[bytes] | None
    if index.scheme == "zip":
        with zipfile.ZipFile(index.path) as archive:
            entry = next(e for e in archive.infolist() if e.header_offset == member.offset)
            with archive.open(entry) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        return
    file = _decompressed(index.path)
    if file is None:
        raise MediaUnreadableError(f"{index.path}: changed while it was read")
    with file:
        file.seek(member.offset)
        left = member.size
        while left > 0 and (chunk := file.read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
