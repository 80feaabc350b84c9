"""Builds a Lance table of videos from a folder or a list, so that a run reads them by id.

Rows are written in batches, each batch a version of the table, so that an interrupted build goes
on where it stopped. Every video is probed before it is written, and every video that was written
is read back and compared in the end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmms.errors import MediaError, nearest
from lmms.media.diagnosis import explained
from lmms.media.errors import (
    MediaDecodeError,
    MediaNotFoundError,
    MediaRequestError,
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
)
from lmms.media.hashing import hash_bytes, hash_file, plain_identity
from lmms.media.lance_source import (
    BLOB_COLUMN,
    ID_COLUMN,
    SIZE_COLUMN,
    LanceVideoSource,
    import_lance,
)
from lmms.media.suffixes import VIDEO_SUFFIXES
from lmms.media.video import probe

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
DEFAULT_BATCH_BYTES = 256 * 2**20

#: The newest file format that keeps the blob mark in the schema, as the usual tables have it.
_FILE_FORMAT = "2.1"
_BLOB_MARK = {"lance-encoding:blob": "true"}
_URL_COLUMN, _EXT_COLUMN = "youtube_url", "video_ext"
_PATH_COLUMNS = ("video_path", "path", "file", "video")
_ID_COLUMNS = (ID_COLUMN, "id", "key", "name")
_URL_COLUMNS = (_URL_COLUMN, "url")
#: A blob is one value in memory while it is written.
_MAX_VIDEO_BYTES = 8 * 2**30


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A video that shall be in the table."""

    video_id: str
    path: str
    youtube_url: str = ""


@dataclass(frozen=True, slots=True)
class RefusedVideo:
    """A video that was left out."""

    video_id: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LanceBuildReport:
    """What a build did."""

    uri: str
    written: int = 0
    """Videos that this build added."""
    present: int = 0
    """Videos that were in the table already, with the same size, and were skipped."""
    bytes_written: int = 0
    verified: int = 0
    """Videos that were read back and are byte for byte the files."""
    refused: tuple[RefusedVideo, ...] = ()
    """Videos that cannot be read, and were left out."""
    skipped: int = 0
    """Files of the folder that were not looked at, since their names are not those of videos."""

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        return asdict(self)


#: Told after each video: (videos done, videos in all, id of the last one).
Progress = Callable[[int, int, str], None]


def build_lance(
    source: str | os.PathLike[str],
    uri: str | os.PathLike[str],
    *,
    id_column: str | None = None,
    path_column: str | None = None,
    url_column: str | None = None,
    resume: bool = True,
    strict: bool = False,
    verify: bool = True,
    batch_bytes: int = DEFAULT_BATCH_BYTES,
    progress: Progress | None = None,
) -> LanceBuildReport:
    """Writes videos to a Lance table, with which a run finds them by id.

    Its columns: `video_id, youtube_url, video_ext, video_size_bytes, video_blob`.

    Args:
        source: A folder (every video below it; the id is the path without suffix), or a list as
            csv, tsv, jsonl, json or Parquet with a column of paths (relative ones start at the
            list's folder) and one of ids (without it, the file's name without suffix).
        uri: Folder of the table.
        id_column: The list's column of ids; None: the first of `video_id, id, key, name`.
        path_column: The list's column of paths; None: the first of `video_path, path, file, video`.
        url_column: The list's column of YouTube addresses; None: `youtube_url` or `url`, if any.
        resume: Goes on with a table that is there: ids that have the same size are skipped.
            False refuses a table that is there.
        strict: Makes a video that cannot be read an error; otherwise it is reported and left out.
        verify: Reads every video back in the end and compares digests.
        batch_bytes: Bytes of videos that are held and written at once, at least one video.
        progress: Is told after each video.

    Returns:
        What was done; `refused` names what was left out.

    Raises:
        MediaNotFoundError: The source does not exist, or (`strict`) a video of it.
        MediaRequestError: No such columns, ids that are not unique, or a file where the table
            shall be.
        MediaUnsupportedError: Ids that have changed their size, a table that is there without
            `resume`, or no pylance.
        MediaDecodeError: (`strict`) A video cannot be read; or what was read back differs.
        MediaError: Lance cannot write the table.
    """
    import_lance()
    rows, skipped = _listed(Path(source).expanduser(), (id_column, path_column, url_column))
    builder = _Builder(os.fspath(uri), strict, max(1, batch_bytes))
    builder.open(resume)
    for number, row in enumerate(rows, 1):
        builder.add(row)
        if progress is not None:
            progress(number, len(rows), row.video_id)
    builder.flush()
    verified = builder.verify() if verify else 0
    return LanceBuildReport(
        uri=builder.uri,
        written=len(builder.digests),
        present=builder.present,
        bytes_written=builder.bytes_written,
        verified=verified,
        refused=tuple(builder.refused),
        skipped=skipped,
    )


def list_videos(
    source: str | os.PathLike[str],
    *,
    id_column: str | None = None,
    path_column: str | None = None,
    url_column: str | None = None,
) -> list[VideoRow]:
    """Returns the videos that a folder or a list names, in order; arguments as `build_lance`.

    Raises:
        MediaNotFoundError: There is no such folder or file.
        MediaRequestError: It has no such columns, or ids are not unique.
        MediaUnsupportedError: It holds no videos, or is neither a folder nor a list.
        MediaDecodeError: The list cannot be read.
    """
    return _listed(Path(source).expanduser(), (id_column, path_column, url_column))[0]


_Columns = tuple[str | None, str | None, str | None]


def _listed(path: Path, columns: _Columns) -> tuple[list[VideoRow], int]:
    """Returns the videos that a source names, and how many files of a folder are none."""
    rows, skipped = _of_folder(path) if path.is_dir() else (list(_of_list(path, columns)), 0)
    if not rows:
        raise MediaUnsupportedError(
            f"{path}: names no videos", allowed=f"files that end in {' '.join(VIDEO_SUFFIXES)}"
        )
    known: dict[str, VideoRow] = {}
    for row in rows:
        # A list of questions names a video as often as it is asked about.
        first = known.setdefault(row.video_id, row)
        if first.path != row.path:
            raise MediaRequestError(
                f"{path}: the id {row.video_id!r} stands for {first.path} and for {row.path}",
                hint="give every video an id of its own, in a list with a column of ids",
            )
    return list(known.values()), skipped


class _Builder:
    """A table that is being written: what it holds, and the batch that waits."""

    def __init__(self, uri: str, strict: bool, batch_bytes: int) -> None:
        self.uri = uri if "://" in uri else str(Path(uri).expanduser().absolute())
        self.present = 0
        self.bytes_written = 0
        self.refused: list[RefusedVideo] = []
        self.digests: dict[str, str] = {}
        """SHA-256 of the bytes that were written, by id."""
        self._kept: list[VideoRow] = []
        """Rows that were in the table already."""
        self._strict = strict
        self._batch_bytes = batch_bytes
        self._table: LanceVideoSource | None = None
        self._batch: list[tuple[VideoRow, int]] = []
        self._exists = False

    def open(self, resume: bool) -> None:
        """Opens the table if it is there.

        Raises:
            MediaUnsupportedError: It is there and must not be, or has other columns.
            MediaRequestError: A file is where it, or its folder, shall be.
        """
        path = Path(self.uri)
        for place in () if "://" in self.uri else (path, *path.parents):
            if place.exists() and not place.is_dir():
                raise MediaRequestError(
                    f"{place}: is a file, and a Lance table is a folder",
                    allowed="a folder that is not there yet, or a Lance table to go on with",
                )
        try:
            self._table = LanceVideoSource(self.uri)
        except MediaNotFoundError:
            return
        except MediaUnreadableError:
            if "://" not in self.uri and any(Path(self.uri).iterdir()):
                raise MediaUnsupportedError(
                    f"{self.uri}: is a folder with something else in it, and no Lance table"
                ) from None
            return
        self._exists = True
        if not resume:
            raise MediaUnsupportedError(
                f"{self.uri}: the table is there already",
                hint="go on with it (resume), or remove it first",
            )
        missing = [name for name in _schema().names if name not in self._table.columns]
        if missing:
            raise MediaUnsupportedError(
                f"{self.uri}: the table has no column {', '.join(missing)}",
                allowed=", ".join(_schema().names),
            )

    def add(self, row: VideoRow) -> None:
        """Takes a video up, unless it is in the table or cannot be read.

        Raises:
            MediaUnsupportedError: The table has the id with another size.
            MediaError: The video cannot be read, where that is an error.
        """
        try:
            size = plain_identity(row.path)[1]
            if self._table is not None and row.video_id in self._table:
                self._keep(row, size, self._table)
                return
            if size > _MAX_VIDEO_BYTES:
                raise MediaTooLargeError(f"{row.path}: {size} bytes", allowed=str(_MAX_VIDEO_BYTES))
            probe(row.path)
        except _OtherVideoError:
            raise
        except MediaError as error:
            self._refuse(row, error)
            return
        if self._batch and size + sum(held for _, held in self._batch) > self._batch_bytes:
            self.flush()
        self._batch.append((row, size))

    def flush(self) -> None:
        """Writes the batch that waits.

        Raises:
            MediaUnreadableError: Lance cannot write.
            MediaError: A video changed or went away, where that is an error.
        """
        import pyarrow as pa

        content = pa.allocate_buffer(sum(size for _, size in self._batch))
        view, written, ends = memoryview(content), [], [0]
        for row, size in self._batch:
            start = ends[-1]
            try:
                _read_into(row.path, view[start : start + size])
            except MediaError as error:
                self._refuse(row, error)
                continue
            ends.append(start + size)
            written.append(row)
            self.digests[row.video_id] = hash_bytes(view[start : start + size])
        self._batch.clear()
        if not written:
            return
        offsets = pa.array(ends, pa.int64()).buffers()[1]
        blobs = pa.Array.from_buffers(
            pa.large_binary(), len(written), [None, offsets, content.slice(0, ends[-1])]
        )
        sizes = [end - start for start, end in itertools.pairwise(ends)]
        columns = [
            pa.array([row.video_id for row in written], pa.string()),
            pa.array([row.youtube_url or None for row in written], pa.string()),
            pa.array([Path(row.path).suffix.lstrip(".").lower() for row in written], pa.string()),
            pa.array(sizes, pa.int64()),
            blobs,
        ]
        self._write(pa.Table.from_arrays(columns, schema=_schema()))
        self.bytes_written += ends[-1]

    def verify(self) -> int:
        """Reads every video of the source back and returns how many there are.

        Raises:
            MediaDecodeError: One differs from its file.
        """
        if not self.digests and not self._kept:
            return 0
        table = LanceVideoSource(self.uri)
        expected = self.digests | {row.video_id: hash_file(row.path) for row in self._kept}
        for video_id, digest in expected.items():
            hasher = hashlib.sha256()
            for chunk in table.chunks(video_id):
                hasher.update(chunk)
            if hasher.hexdigest() != digest:
                raise MediaDecodeError(
                    f"{table.locator(video_id)}: differs from the file that it was built from",
                    hint="remove the table and build it again",
                )
        return len(expected)

    def _keep(self, row: VideoRow, size: int, table: LanceVideoSource) -> None:
        held = table.video(row.video_id).size
        if held != size:
            raise _OtherVideoError(
                f"{self.uri}: has {row.video_id!r} with {held} bytes, and {row.path} has {size}",
                hint="remove the table, or give the video another id",
            )
        self.present += 1
        self._kept.append(row)

    def _refuse(self, row: VideoRow, error: MediaError) -> None:
        error = explained(error, row.path)
        if self._strict:
            raise error
        self.refused.append(RefusedVideo(row.video_id, row.path, error.message))

    def _write(self, table: Any) -> None:
        lance = import_lance()
        try:
            if not self._exists:
                Path(self.uri).parent.mkdir(parents=True, exist_ok=True)
                lance.write_dataset(
                    table, self.uri, mode="create", data_storage_version=_FILE_FORMAT
                )
                self._exists = True
            else:
                lance.write_dataset(table, self.uri, mode="append")
        except (OSError, ValueError, RuntimeError) as error:
            raise MediaUnreadableError(f"{self.uri}: Lance cannot write it: {error}") from None


class _OtherVideoError(MediaUnsupportedError):
    """The table has another video under an id; never a reason to leave one out."""


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(ID_COLUMN, pa.string()),
            pa.field(_URL_COLUMN, pa.string()),
            pa.field(_EXT_COLUMN, pa.string()),
            pa.field(SIZE_COLUMN, pa.int64()),
            pa.field(BLOB_COLUMN, pa.large_binary(), metadata=_BLOB_MARK),
        ]
    )


def _read_into(path: str, view: memoryview) -> None:
    try:
        with Path(path).open("rb") as file:
            filled = 0
            while filled < len(view):
                count = file.readinto(view[filled:])
                if not count:
                    break
                filled += count
            whole = filled == len(view) and not file.read(1)
    except OSError as error:
        raise MediaUnreadableError(f"{path}: cannot be read: {error}") from None
    if not whole:
        raise MediaUnreadableError(f"{path}: changed its size while the table was built")


def _of_folder(folder: Path) -> tuple[list[VideoRow], int]:
    rows, skipped = [], 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if path.suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                video_id = path.relative_to(folder).with_suffix("").as_posix()
                rows.append(VideoRow(video_id, str(path)))
            else:
                skipped += 1
    return sorted(rows, key=lambda row: row.video_id), skipped


def _of_list(path: Path, columns: _Columns) -> Iterator[VideoRow]:
    wanted_id, wanted_path, wanted_url = columns
    names, entries = _entries(path)
    paths = _column(path, names, wanted_path, _PATH_COLUMNS)
    ids = _column(path, names, wanted_id, _ID_COLUMNS)
    urls = _column(path, names, wanted_url, _URL_COLUMNS)
    if paths is None:
        raise MediaRequestError(
            f"{path}: no column holds the videos' paths",
            allowed=names,
            hint=f"name it, or call it {' or '.join(_PATH_COLUMNS)}",
        )
    for number, entry in enumerate(entries, 1):
        named = str(entry.get(paths) or "").strip()
        video_id = Path(named).stem if ids is None else str(entry.get(ids) or "").strip()
        if not named or not video_id:
            raise MediaRequestError(f"{path}: row {number} names no video or no id")
        video = Path(named).expanduser()
        url = str(entry.get(urls) or "") if urls else ""
        yield VideoRow(video_id, str(video if video.is_absolute() else path.parent / video), url)


def _column(
    path: Path, names: Sequence[str], wanted: str | None, usual: Sequence[str]
) -> str | None:
    if wanted is None:
        return next((name for name in usual if name in names), None)
    if wanted not in names:
        raise MediaRequestError(
            f"{path}: no column {wanted!r}", allowed=names, suggestions=nearest(wanted, names)
        )
    return wanted


def _entries(path: Path) -> tuple[list[str], Iterable[Mapping[str, Any]]]:
    """Returns the columns of a list and its rows."""
    plain_identity(path)
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise MediaUnsupportedError(
            f"{path}: is neither a folder nor a list", allowed=", ".join(TABLE_SUFFIXES)
        )
    try:
        if suffix == ".parquet":
            return _parquet(path)
        text = path.read_text(encoding="utf-8-sig")
        if suffix in (".csv", ".tsv"):
            reader = csv.DictReader(
                io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ","
            )
            return list(reader.fieldnames or ()), list(reader)
        if suffix == ".json":
            entries = json.loads(text)
        else:
            entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise MediaDecodeError(f"{path}: cannot be read as a list: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MediaDecodeError(f"{path}: is no list of objects")
    return list(dict.fromkeys(name for entry in entries for name in entry)), entries


def _parquet(path: Path) -> tuple[list[str], Iterable[Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    # Pictures and blobs of a data set are not read for the sake of the names beside them.
    names = [
        field.name
        for field in file.schema_arrow
        if pa.types.is_string(field.type)
        or pa.types.is_large_string(field.type)
        or pa.types.is_integer(field.type)
    ]
    return names, file.read(columns=names).to_pylist()
