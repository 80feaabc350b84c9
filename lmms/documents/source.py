"""`DocumentSource`: the evaluated split and the pool of examples, streamed as documents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from lmms.config.schema import EnvConfig
from lmms.documents.counts import EMBEDDED_DATA, is_local, local_path, remember_count
from lmms.documents.files import split_files
from lmms.documents.places import media_places
from lmms.documents.readers import SUFFIXES, LateReader, Row, RowReader, open_files, rows_with
from lmms.errors import DataError
from lmms.media.references import MediaPlaces
from lmms.tasks.spec import DatasetSpec
from lmms.types import Document, digest_of


class DocumentSource:
    """Documents of one split, in order, with bounded memory.

    Args:
        reader: Rows of the evaluated split.
        dataset: What was asked for.
        reference: What is read, for people and results (`gsm8k@embedded`, hub id and revision).
        media_roots: Folders in which relative media paths of the rows are looked for, in order.
        pool: Opens the rows from which few-shot examples are drawn.
    """

    def __init__(
        self,
        reader: RowReader,
        dataset: DatasetSpec,
        *,
        reference: str,
        media_roots: tuple[str, ...] = (),
        pool: RowReader | None = None,
        pool_is_split: bool = True,
    ) -> None:
        self._reader = reader
        self._dataset = dataset
        self._pool = pool
        self.reference = reference
        self.media_roots = media_roots
        self.media_places = MediaPlaces(roots=media_roots)
        """Everywhere that media of the rows are looked for; begins with `media_roots`."""
        self.pool_is_split = pool_is_split
        """Whether examples are drawn from the evaluated split itself."""

    def __len__(self) -> int:
        return self._reader.count()

    def iterate(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Yields documents start..stop-1 (to the end where `stop` is None), streaming."""
        end = len(self) if stop is None else min(stop, len(self))
        for index, row in enumerate(self._reader.rows(start, end), start):
            yield self._document(index, row)

    def ids(self, stop: int | None = None) -> Iterator[str]:
        """Yields the ids of the first `stop` documents, as `Document.id`; reads no more than that.

        Raises:
            DataError: The rows have no column that identifies them.
        """
        end = len(self) if stop is None else min(stop, len(self))
        field = self._dataset.id_field
        if field is None:
            yield from map(str, range(end))
            return
        for row in rows_with(self._reader, field, end):
            yield self._name(row, field)

    def get(self, index: int) -> Document:
        """Returns the document at a position of the split.

        Raises:
            IndexError: There is no such position.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return self._document(index, self._reader.row(index))

    def fewshot_pool(self) -> Sequence[Document]:
        """Returns the documents that examples are drawn from; rows are read when asked for."""
        return _Pool(self if self._pool is None else self._opened_pool(self._pool))

    def _opened_pool(self, reader: RowReader) -> DocumentSource:
        return DocumentSource(reader, self._dataset, reference=self.reference)

    def _document(self, index: int, row: Row) -> Document:
        field = self._dataset.id_field
        name = str(index) if field is None else self._name(row, field)
        return Document(id=name, index=index, fields=row, digest=digest_of(row))

    def _name(self, row: Row, field: str) -> str:
        if field not in row:
            raise DataError(
                f"the rows have no column {field!r}, which should identify them",
                origin=self.reference,
                allowed=sorted(row),
            )
        return str(row[field])


class _Pool(Sequence[Document]):
    def __init__(self, source: DocumentSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        if isinstance(index, slice):
            return [self._source.get(i) for i in range(*index.indices(len(self)))]
        return self._source.get(index if index >= 0 else index + len(self))


def open_source(dataset: DatasetSpec, env: EnvConfig) -> DocumentSource:
    """Finds the data of a task and opens it.

    Local files are read where they are; otherwise `env.data` says whether the embedded stand-in
    or the hub's data is read.

    Raises:
        DataError: There is no such split, configuration or file, or no embedded data.
        HubError: The hub cannot be reached, or refuses, or is not allowed to be asked.
    """
    if is_local(dataset):
        source = _open_local(dataset, env)
    elif env.data == "embedded":
        source = _open_embedded(dataset)
    else:
        from lmms.documents.hub import open_hub

        source = open_hub(dataset, env)
    source.media_places = media_places(dataset, env, source.media_roots)
    remember_count(dataset, env, len(source))
    return source


def _open_embedded(dataset: DatasetSpec) -> DocumentSource:
    if dataset.embedded is None:
        raise DataError(
            f"no data of {dataset.path!r} is embedded",
            hint="read the hub's data instead: env=hub",
        )
    folder = EMBEDDED_DATA / dataset.embedded
    return open_folder(
        folder,
        dataset,
        # The stand-ins have one configuration, and the split names of the data set.
        config=None,
        reference=f"{dataset.embedded}@embedded",
        media_roots=(str(folder),),
    )


def _open_local(dataset: DatasetSpec, env: EnvConfig) -> DocumentSource:
    path = local_path(dataset)
    roots = [path if path.is_dir() else path.parent]
    roots += [Path(root).expanduser() for root in env.data_roots]
    media_roots = tuple(str(root) for root in roots)
    if path.is_dir():
        return open_folder(
            path, dataset, config=dataset.name, reference=str(path), media_roots=media_roots
        )
    return DocumentSource(open_files([path]), dataset, reference=str(path), media_roots=media_roots)


def open_folder(
    folder: Path,
    dataset: DatasetSpec,
    *,
    config: str | None,
    reference: str,
    media_roots: tuple[str, ...],
    card: str | None = None,
) -> DocumentSource:
    """Opens the split of a data set that lies unpacked in a folder.

    Raises:
        DataError: The folder does not exist or does not hold the split.
    """
    names = _data_files(folder, reference)

    def reader(split: str) -> RowReader:
        chosen = split_files(
            names, split, config=config, patterns=dataset.data_files, card=card, origin=reference
        )
        return open_files([folder / name for name in chosen])

    pool = dataset.fewshot_split
    has_pool = pool is not None and pool != dataset.split
    return DocumentSource(
        reader(dataset.split),
        dataset,
        reference=reference,
        media_roots=media_roots,
        pool=LateReader(lambda: reader(pool)) if has_pool and pool is not None else None,
        pool_is_split=not has_pool,
    )


def _data_files(folder: Path, reference: str) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"there is no data folder {str(folder)!r}", origin=reference)
    found = []
    for root, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES:
                found.append((Path(root) / name).relative_to(folder).as_posix())
    return sorted(found)
