"""Rows from files: Parquet, JSON lines, JSON, CSV and Arrow, in batches of bounded size.

A reader knows how many rows it has, streams a range of them, and fetches a single one. Only plain
`.json` (one array) has to be held whole, because it cannot be read in pieces.
"""

from __future__ import annotations

import json
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from lmms.errors import DataError

Row = dict[str, Any]

_BATCH_ROWS = 64
_GROUP_CACHE_BYTES = 64 * 2**20
_CHUNK_BYTES = 1 << 20
SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".arrow")


class RowReader(Protocol):
    """Rows of one split."""

    def count(self) -> int:
        """Returns the number of rows."""
        ...

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Yields rows start..stop-1 without holding more than a batch of them."""
        ...

    def row(self, index: int) -> Row:
        """Returns one row."""
        ...


def open_files(paths: Sequence[Path]) -> RowReader:
    """Returns a reader over files of one kind, read one after another.

    Raises:
        DataError: A file is missing or damaged, or its kind is unknown.
    """
    suffix = paths[0].suffix.lower()
    for path in paths:
        if not path.is_file():
            raise DataError(f"there is no data file {str(path)!r}")
    readers: dict[str, type[Any]] = {
        ".parquet": ParquetReader,
        ".jsonl": JsonLinesReader,
        ".json": JsonReader,
        ".csv": CsvReader,
        ".tsv": CsvReader,
        ".arrow": ArrowReader,
    }
    if suffix not in readers:
        raise DataError(
            f"data files of kind {suffix!r} cannot be read", origin=str(paths[0]), allowed=SUFFIXES
        )
    try:
        reader: RowReader = readers[suffix](paths)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueError or OSError
        raise DataError(f"the data file cannot be read: {error}", origin=str(paths[0])) from error
    return reader


def rows_with(reader: RowReader, column: str, stop: int) -> Iterator[Row]:
    """Yields the first `stop` rows for the sake of one column; others may be missing.

    Pictures inside rows are most of their bytes, and Parquet can be read without them.
    """
    if isinstance(reader, ParquetReader):
        return reader.rows(0, stop, column)
    return reader.rows(0, stop)


class ParquetReader:
    """Parquet files; row groups are decoded in small batches, fetched rows cache their group."""

    def __init__(self, paths: Sequence[Path]) -> None:
        import pyarrow.parquet as parquet

        # A buffered stream without pre-buffering keeps memory at one page per column even for a
        # file that is a single row group.
        self._files = [
            parquet.ParquetFile(path, pre_buffer=False, buffer_size=_CHUNK_BYTES) for path in paths
        ]
        self._groups: list[tuple[int, int, int, int]] = []  # first row, rows, file, group
        first = 0
        for number, file in enumerate(self._files):
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                self._groups.append((first, rows, number, group))
                first += rows
        self._count = first
        self._cached: OrderedDict[int, Any] = OrderedDict()

    def count(self) -> int:
        """Returns the number of rows."""
        return self._count

    def rows(self, start: int, stop: int, column: str | None = None) -> Iterator[Row]:
        """Yields rows start..stop-1, with all columns or, where every file has it, with one."""
        narrow = column is not None and all(column in f.schema_arrow.names for f in self._files)
        columns = [column] if narrow else None
        for first, length, number, group in self._groups:
            low, high = max(start, first) - first, min(stop, first + length) - first
            if low >= high:
                continue
            batches = self._files[number].iter_batches(
                batch_size=_BATCH_ROWS, row_groups=[group], columns=columns
            )
            position = 0
            for batch in batches:
                wanted = batch.slice(max(0, low - position), max(0, high - max(low, position)))
                yield from wanted.to_pylist()
                position += batch.num_rows
                if position >= high:
                    break

    def row(self, index: int) -> Row:
        """Returns one row."""
        for key, (first, length, number, group) in enumerate(self._groups):
            if first <= index < first + length:
                table = self._cached.get(key)
                if table is None:
                    table = self._files[number].read_row_group(group)
                    self._cached[key] = table
                    self._evict()
                return table.slice(index - first, 1).to_pylist()[0]  # type: ignore[no-any-return]
        raise IndexError(index)

    def _evict(self) -> None:
        while (
            len(self._cached) > 1
            and sum(table.nbytes for table in self._cached.values()) > _GROUP_CACHE_BYTES
        ):
            self._cached.popitem(last=False)


class JsonLinesReader:
    """JSON lines; the byte offset of every line is kept (8 bytes per row)."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._offsets = array("q")
        self._starts = [0]
        for path in self._paths:
            position = 0
            with path.open("rb") as lines:
                for line in lines:
                    if line.strip():
                        self._offsets.append(position)
                    position += len(line)
            self._starts.append(len(self._offsets))

    def count(self) -> int:
        """Returns the number of rows."""
        return len(self._offsets)

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Yields rows start..stop-1."""
        for number, path in enumerate(self._paths):
            low, high = max(start, self._starts[number]), min(stop, self._starts[number + 1])
            if low >= high:
                continue
            with path.open("rb") as lines:
                lines.seek(self._offsets[low])
                full = (line for line in lines if line.strip())
                for index, line in enumerate(islice(full, high - low), low):
                    yield self._parse(line, path, index)

    def row(self, index: int) -> Row:
        """Returns one row."""
        return next(self.rows(index, index + 1))

    def _parse(self, line: bytes, path: Path, index: int) -> Row:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"row {index} is not JSON: {error}", origin=str(path)) from error
        if not isinstance(row, dict):
            raise DataError(f"row {index} is not an object", origin=str(path))
        return row


class _TableRows:
    """Rows of what pyarrow can hand out batch by batch; counts by one pass over it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._count: int | None = None

    def _batches(self, path: Path) -> Iterator[Any]:
        raise NotImplementedError

    def count(self) -> int:
        """Returns the number of rows."""
        if self._count is None:
            self._count = sum(b.num_rows for p in self._paths for b in self._batches(p))
        return self._count

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Yields rows start..stop-1."""
        position = 0
        for path in self._paths:
            for batch in self._batches(path):
                low, high = max(start - position, 0), min(stop - position, batch.num_rows)
                for first in range(low, high, _BATCH_ROWS):
                    yield from batch.slice(first, min(_BATCH_ROWS, high - first)).to_pylist()
                position += batch.num_rows
                if position >= stop:
                    return

    def row(self, index: int) -> Row:
        """Returns one row."""
        return next(self.rows(index, index + 1))


class CsvReader(_TableRows):
    """Comma or tab separated values with a header line; column types as pyarrow infers them."""

    def _batches(self, path: Path) -> Iterator[Any]:
        import pyarrow.csv as csv

        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        with csv.open_csv(
            path,
            read_options=csv.ReadOptions(block_size=_CHUNK_BYTES),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        ) as reader:
            yield from reader


class ArrowReader(_TableRows):
    """Arrow IPC files and streams, memory-mapped."""

    def _batches(self, path: Path) -> Iterator[Any]:
        import pyarrow as pa

        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_file(source)
            except pa.ArrowInvalid:
                source.seek(0)
                yield from pa.ipc.open_stream(source)
                return
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)


class JsonReader:
    """One JSON array of objects (or an object with one such array), held whole."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._rows: list[Row] = []
        for path in paths:
            content = json.loads(path.read_bytes())
            if isinstance(content, dict):
                lists = [v for v in content.values() if isinstance(v, list)]
                content = lists[0] if len(lists) == 1 else content
            if not isinstance(content, list) or not all(isinstance(r, dict) for r in content):
                raise DataError("the JSON file does not hold one list of objects", origin=str(path))
            self._rows.extend(content)

    def count(self) -> int:
        """Returns the number of rows."""
        return len(self._rows)

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Yields rows start..stop-1."""
        yield from self._rows[start:stop]

    def row(self, index: int) -> Row:
        """Returns one row."""
        return self._rows[index]


class LateReader:
    """Opens its rows when the first one is asked for: most runs draw no examples."""

    def __init__(self, opener: Callable[[], RowReader]) -> None:
        self._opener = opener
        self._reader: RowReader | None = None

    def _opened(self) -> RowReader:
        if self._reader is None:
            self._reader = self._opener()
        return self._reader

    def count(self) -> int:
        """Returns the number of rows."""
        return self._opened().count()

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Yields rows start..stop-1."""
        return self._opened().rows(start, stop)

    def row(self, index: int) -> Row:
        """Returns one row."""
        return self._opened().row(index)
