"""Videos in a Lance table: found by id, read as blobs straight into the decoder.

The usual table has the columns `video_id, youtube_url, video_ext, video_size_bytes, video_blob`,
the last with blob encoding, so that reading the ids does not touch the videos. How many threads
Lance reads with is its own matter: `LANCE_IO_THREADS` and `LANCE_CPU_THREADS`.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms.errors import nearest
from lmms.media.errors import (
    MediaNotFoundError,
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
)
from lmms.media.hashing import FileIdentity
from lmms.media.remembered import Remembered
from lmms.media.source import MediaSource, NativeSource, join_locator

ID_COLUMN = "video_id"
BLOB_COLUMN = "video_blob"
SIZE_COLUMN = "video_size_bytes"

#: Videos up to this size are read at once; larger ones piece by piece as the decoder asks.
WHOLE_BYTES = 32 * 2**20

_REMEMBERED_TABLES = 16
#: Enough for the clip that is asked about again; every worker process holds as much.
_REMEMBERED_BYTES = 64 * 2**20
_CHUNK_BYTES = 4 * 2**20
_HUB_SCHEME = "hf://"
#: Every sample asks for its table; one that cannot be fetched must not cost its time-out each time.
_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LanceVideo:
    """Where a video lies in its table."""

    video_id: str
    row_id: int
    """Lance's own id of the row."""
    size: int
    """Bytes by the table's size column; -1 if the table does not say."""


class BlobReader:
    """A large video, read piece by piece; several threads may read at once."""

    def __init__(self, blob: Any, name: str) -> None:
        self.name = name
        self.size = int(blob.size())
        self._blob = blob
        self._lock = threading.Lock()
        self._read_range = getattr(blob, "read_range", None)

    def read_at(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes from `offset` on; fewer only at the end."""
        size = max(0, min(size, self.size - offset))
        if size == 0:
            return b""
        with _explained(self.name):
            if self._read_range is not None:
                return bytes(self._read_range(offset, size))
            with self._lock:  # Older versions read at one cursor only.
                self._blob.seek(offset)
                return bytes(self._blob.read(size))


class LanceVideoSource:
    """The videos of one Lance table, at the version that it had when it was opened.

    Args:
        uri: Folder of the table, or an address that Lance opens (`s3://…`); for `hf://` see
            `fetch_table`.
        id_column: Column that names the videos.
        blob_column: Column with their bytes; plain binary columns are read too.
        storage_options: Passed to Lance (credentials, endpoints).

    Raises:
        MediaUnsupportedError: pylance is not installed, or there are no such columns.
        MediaNotFoundError: There is no such table.
        MediaUnreadableError: Lance cannot open it.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        id_column: str = ID_COLUMN,
        blob_column: str = BLOB_COLUMN,
        *,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        self.uri = os.fspath(uri)
        self.id_column = id_column
        self.blob_column = blob_column
        lance = import_lance()
        if "://" not in self.uri and not Path(self.uri).is_dir():
            raise MediaNotFoundError(f"{self.uri}: there is no such Lance table")
        self._modified = _modified_ns(self.uri)
        with _explained(self.uri):
            self._dataset = lance.dataset(
                self.uri, storage_options=dict(storage_options) if storage_options else None
            )
            columns = list(self._dataset.schema.names)
        self.columns = tuple(columns)
        """All columns of the table."""
        for column in (id_column, blob_column):
            if column not in columns:
                raise MediaUnsupportedError(
                    f"{self.uri}: the table has no column {column!r}",
                    allowed=columns,
                    suggestions=nearest(column, columns),
                )
        self._rows, self._repeated = self._read_ids(SIZE_COLUMN in columns)
        self._blobs_encoded = _is_blob(self._dataset.schema.field(blob_column))
        self._whole: Remembered[str, bytes] = Remembered(_REMEMBERED_BYTES, len)

    @property
    def version(self) -> int:
        """Version of the table that is read."""
        return int(self._dataset.version)

    @property
    def video_ids(self) -> tuple[str, ...]:
        """Ids of all videos, in the order of the rows."""
        return tuple(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._rows

    def video(self, video_id: str) -> LanceVideo:
        """Returns where a video lies.

        Raises:
            MediaNotFoundError: The table has no such id; the message names the nearest ones.
            MediaUnsupportedError: Several rows have it.
        """
        found = self._rows.get(video_id)
        if found is None:
            raise MediaNotFoundError(
                f"{self.uri}: no row with {self.id_column} {video_id!r}",
                suggestions=nearest(video_id, self._rows) if len(self._rows) < 10_000 else (),
            )
        if video_id in self._repeated:
            raise MediaUnsupportedError(
                f"{self.uri}: several rows have {self.id_column} {video_id!r}"
            )
        return found

    def locator(self, video_id: str) -> str:
        """Returns the string that names a video everywhere else."""
        outer = self.uri
        if (self.id_column, self.blob_column) != (ID_COLUMN, BLOB_COLUMN):
            outer = f"{outer}#{self.id_column},{self.blob_column}"
        return join_locator("lance", video_id, outer)

    def identity(self, video_id: str) -> FileIdentity:
        """Returns what changes when the video may have changed."""
        video = self.video(video_id)
        name = f"{self.locator(video_id)}@{self.version}"
        return (name, video.size, self._modified, video.row_id)

    def open(self, video_ids: Sequence[str]) -> list[NativeSource]:
        """Opens videos for the decoder, with one request to Lance for all of them.

        Returns:
            In the order asked: bytes for small videos, objects with `read_at` for large ones.

        Raises:
            MediaNotFoundError: An id that the table does not have, or a row without a video.
            MediaUnreadableError: Lance cannot read them.
        """
        opened: dict[str, NativeSource] = {}
        for video_id in video_ids:
            known = self._whole.get(video_id)
            if known is not None:
                opened[video_id] = known
        wanted = [video_id for video_id in dict.fromkeys(video_ids) if video_id not in opened]
        for video_id, blob in zip(wanted, self._take(wanted), strict=True):
            opened[video_id] = self._content(video_id, blob)
        return [opened[video_id] for video_id in video_ids]

    def chunks(self, video_id: str) -> Iterator[bytes]:
        """Yields the bytes of a video in pieces; arguments and errors as `open`."""
        content = self._content(video_id, self._take([video_id])[0], keep=False)
        if isinstance(content, bytes):
            yield content
            return
        for offset in range(0, content.size, _CHUNK_BYTES):
            yield content.read_at(offset, _CHUNK_BYTES)

    def _content(self, video_id: str, blob: Any, *, keep: bool = True) -> bytes | BlobReader:
        name = self.locator(video_id)
        if blob is None or (isinstance(blob, bytes) and not blob):
            raise MediaNotFoundError(f"{name}: the row holds no video")
        if isinstance(blob, bytes):
            return blob
        reader = BlobReader(blob, name)
        if reader.size == 0:  # What some versions give for a row without a value.
            raise MediaNotFoundError(f"{name}: the row holds no video")
        if reader.size > WHOLE_BYTES:
            return reader
        data = reader.read_at(0, reader.size)
        return self._whole.put(video_id, data) if keep else data

    def _take(self, video_ids: Sequence[str]) -> list[Any]:
        """Returns a blob per id: a file of Lance's, bytes of a plain column, or None."""
        if not video_ids:
            return []
        rows = [self.video(video_id).row_id for video_id in video_ids]
        with _explained(self.uri):
            if not self._blobs_encoded:
                return [self._plain(row) for row in rows]
            blobs = list(self._dataset.take_blobs(self.blob_column, ids=rows))
        if len(blobs) != len(rows):
            raise MediaUnreadableError(
                f"{self.uri}: Lance gave {len(blobs)} videos for {len(rows)} rows"
            )
        return blobs

    def _plain(self, row_id: int) -> bytes | None:
        # Row ids of tables without stable ids are addresses, which the scanner can look up.
        table = self._dataset.scanner(
            columns=[self.blob_column], filter=f"_rowid = {row_id}", with_row_id=True
        ).to_table()
        value = table.column(self.blob_column)[0].as_py() if table.num_rows else None
        if value is not None and len(value) > 2**31:
            raise MediaTooLargeError(f"{self.uri}: a plain column holds {len(value)} bytes")
        return value

    def _read_ids(self, has_sizes: bool) -> tuple[dict[str, LanceVideo], frozenset[str]]:
        columns = [self.id_column, *([SIZE_COLUMN] if has_sizes else [])]
        rows: dict[str, LanceVideo] = {}
        repeated: set[str] = set()
        with _explained(self.uri):
            scanner = self._dataset.scanner(columns=columns, with_row_id=True)
            for batch in scanner.to_batches():
                ids = batch.column(self.id_column).to_pylist()
                row_ids = batch.column("_rowid").to_pylist()
                sizes = batch.column(SIZE_COLUMN).to_pylist() if has_sizes else [None] * len(ids)
                for video_id, row_id, size in zip(ids, row_ids, sizes, strict=True):
                    if video_id is None:
                        continue
                    name = str(video_id)
                    if name in rows:
                        repeated.add(name)
                    rows[name] = LanceVideo(name, row_id, -1 if size is None else int(size))
        return rows, frozenset(repeated)


class LanceRow(MediaSource):
    """One video of a table, by its locator.

    Args:
        name: The locator.
        video_id: The video's id.
        table: URI of the table, with `#ID_COLUMN,BLOB_COLUMN` where they are not the usual ones.
    """

    def __init__(self, name: str, video_id: str, table: str) -> None:
        super().__init__(name)
        self.video_id = video_id
        self._table = table

    def identity(self) -> FileIdentity:
        """Returns the row's id under the table's version."""
        return self._source().identity(self.video_id)

    def native(self) -> NativeSource:
        """Returns the bytes of a small video, an object with `read_at` for a large one."""
        return self._source().open([self.video_id])[0]

    def chunks(self) -> Iterator[bytes]:
        """Yields the bytes of the video."""
        yield from self._source().chunks(self.video_id)

    def _source(self) -> LanceVideoSource:
        uri, mark, columns = self._table.rpartition("#")
        if not mark:
            return open_table(self._table)
        id_column, comma, blob_column = columns.partition(",")
        if not comma:
            raise MediaUnsupportedError(
                f"{self.name}: {columns!r} names no two columns", allowed="#ID_COLUMN,BLOB_COLUMN"
            )
        return open_table(uri, id_column, blob_column)


_TableKey = tuple[str, str, str, int]
_tables: Remembered[_TableKey, LanceVideoSource] = Remembered(_REMEMBERED_TABLES)
_failures: Remembered[str, tuple[float, str]] = Remembered(_REMEMBERED_TABLES)


def open_table(
    uri: str, id_column: str = ID_COLUMN, blob_column: str = BLOB_COLUMN
) -> LanceVideoSource:
    """Returns a table, opened once per process; a local one is opened again when it has changed.

    Raises:
        MediaError: As `LanceVideoSource`.
    """
    if "://" not in uri:
        try:
            uri = str(Path(uri).expanduser().absolute())
        except RuntimeError:
            uri = str(Path(uri).absolute())
    key = (uri, id_column, blob_column, _modified_ns(uri))
    return _tables.get(key) or _tables.put(key, LanceVideoSource(uri, id_column, blob_column))


def fetch_table(uri: str, *, cache_dir: str | os.PathLike[str], offline: bool) -> str:
    """Returns where a table can be opened; one of the hub's is fetched into a local cache.

    Args:
        uri: `hf://datasets/OWNER/NAME[@REVISION]/PATH` is fetched whole, once, and can be
            continued after an interruption; anything else is returned as it is.
        cache_dir: Folder that keeps fetched tables.
        offline: Refuses to fetch; what is in the cache is used.

    Raises:
        MediaUnsupportedError: The `hf://` address is not of that form.
        MediaNotFoundError: The table is not in the cache, and cannot or must not be fetched.
    """
    if not uri.startswith(_HUB_SCHEME):
        return uri
    words = uri.removeprefix(_HUB_SCHEME).strip("/").split("/")
    if len(words) < 4 or words[0] != "datasets" or ".." in words:
        raise MediaUnsupportedError(
            f"{uri!r} names no table of the hub",
            allowed="hf://datasets/OWNER/NAME/PATH.lance, with @REVISION after NAME if wanted",
        )
    name, _, revision = words[2].partition("@")
    repository, inner = f"{words[1]}/{name}", "/".join(words[3:])
    folder = Path(cache_dir).expanduser() / f"{words[1]}--{name}" / (revision or "main")
    done = folder / f".{inner.replace('/', '--')}.complete"
    if not done.is_file():
        if offline:
            raise MediaNotFoundError(
                f"{uri}: the table is not in the cache, and env.offline forbids to fetch it",
                origin=str(folder),
                hint="set env.offline=false, or copy the table there or name a local one",
            )
        _fetch(repository, revision or None, inner, folder, uri)
        done.touch()
    return str(folder / inner)


def _fetch(repository: str, revision: str | None, inner: str, folder: Path, uri: str) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    failed = _failures.get(uri)
    if failed is not None and time.monotonic() < failed[0]:
        raise MediaNotFoundError(failed[1])
    try:
        snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[f"{inner}/**"],
            local_dir=folder,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        message = f"{uri}: cannot be fetched: {error}"
        _failures.put(uri, (time.monotonic() + _RETRY_SECONDS, message))
        raise MediaNotFoundError(message) from None


def import_lance() -> Any:
    """Returns the lance module.

    Raises:
        MediaUnsupportedError: It is not installed.
    """
    try:
        return importlib.import_module("lance")
    except ImportError as error:
        raise MediaUnsupportedError(
            f"reading Lance tables needs pylance: {error}", hint="pip install 'lmms[lance]'"
        ) from None


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (MediaNotFoundError, MediaTooLargeError, MediaUnsupportedError, MediaUnreadableError):
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise MediaUnreadableError(f"{name}: Lance cannot read it: {error}") from None


def _modified_ns(uri: str) -> int:
    """Returns when a local table last got a version; 0 for a remote one, which stays as opened."""
    if "://" in uri:
        return 0
    try:
        return (Path(uri) / "_versions").stat().st_mtime_ns
    except OSError:
        return 0


def _is_blob(field: Any) -> bool:
    metadata = {bytes(k): bytes(v) for k, v in (field.metadata or {}).items()}
    # Newer file formats show blobs as an extension type instead.
    return metadata.get(b"lance-encoding:blob") == b"true" or "lance.blob" in str(field.type)
