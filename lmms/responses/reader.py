"""Reads the journal of a run, also while another process writes it. Takes no lock."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms.errors import JournalError
from lmms.responses.codec import decode, failure_from_json, sample_from_json
from lmms.responses.steps import Step, read_steps
from lmms.responses.store import JOURNAL_NAME, check_schema, checksum, connect, explained
from lmms.types import Failure, JSONValue, Sample

# Rows fetched at once: a long read transaction would keep the writer's log from being reset.
_PAGE_ROWS = 256


@dataclass(frozen=True, slots=True)
class Damage:
    """A row whose content is not what was written."""

    table: str
    rowid: int
    task: str = ""
    doc_id: int = -1

    def __str__(self) -> str:
        where = f" (task {self.task}, document {self.doc_id})" if self.task else ""
        return f"journal: row {self.rowid} of {self.table}{where} is damaged and was left out"


def read_samples(
    connection: sqlite3.Connection,
    task: str,
    *,
    start: int = 0,
    stop: int | None,
    report: Callable[[Damage], None],
    guard: AbstractContextManager[Any] | None = None,
) -> Iterator[Sample]:
    """Yields the samples of `task` in document order, a page at a time.

    Args:
        connection: An open journal.
        task: Label of the task.
        start: First document index that is wanted.
        stop: First document index that is not wanted.
        report: Called with each row whose checksum does not fit; the row is left out.
        guard: Held while rows are fetched, where the connection is shared between threads.
    """
    held = contextlib.nullcontext() if guard is None else guard
    page = _PAGE_ROWS if stop is None else max(1, min(_PAGE_ROWS, stop - start))
    last = start - 1
    while True:
        query = (
            "SELECT id, doc_id, status, sample, crc FROM samples "
            "WHERE task = ? AND doc_id > ? ORDER BY doc_id LIMIT ?"
        )
        with held:
            rows = connection.execute(query, (task, last, page)).fetchall()
        for rowid, doc_id, status, text, crc in rows:
            if stop is not None and doc_id >= stop:
                return
            if checksum(task, doc_id, status, text) != crc:
                report(Damage("samples", rowid, task, doc_id))
            else:
                yield sample_from_json(task, doc_id, decode(text))
        if len(rows) < page:
            return
        last = rows[-1][1]


class JournalReader:
    """What a run has written so far.

    Args:
        folder: The run's folder.

    Raises:
        JournalError: There is no journal, it is damaged, or of another schema version.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL_NAME
        self.damage: list[Damage] = []
        if not self.path.is_file():
            raise JournalError(f"no {JOURNAL_NAME} in this folder", origin=str(folder))
        with explained(self.path, "open"):
            self._connection = connect(self.path, read_only=True)
            try:
                check_schema(self._connection, self.path)
            except BaseException:
                self._connection.close()
                raise

    def meta(self, name: str, default: JSONValue = None) -> JSONValue:
        """Returns a fact about the run (`status`, `fingerprint`, `limits` …)."""
        with explained(self.path, "read"):
            row = self._connection.execute(
                "SELECT value FROM meta WHERE name = ?", (name,)
            ).fetchone()
        return default if row is None else decode(row[0])

    def samples(self, task: str, *, stop: int | None = None) -> Iterator[Sample]:
        """Yields the samples of `task` in document order; damaged rows go to `damage`."""
        with explained(self.path, "read"):
            yield from read_samples(self._connection, task, stop=stop, report=self.damage.append)

    def failures(self, task: str) -> Iterator[tuple[int, Failure]]:
        """Yields (document index, failure) of every request of `task` that was given up."""
        with explained(self.path, "read"):
            rows = self._connection.execute(
                "SELECT doc_id, failure FROM failures WHERE task = ? ORDER BY id", (task,)
            )
            for doc_id, text in rows:
                yield doc_id, failure_from_json(decode(text))

    def steps(self, task: str) -> list[Step]:
        """Returns the steps of an adaptive task so far."""
        with explained(self.path, "read"):
            return list(read_steps(self._connection, task))

    def tasks(self) -> list[str]:
        """Returns the labels that have at least one finished sample."""
        with explained(self.path, "read"):
            rows = self._connection.execute("SELECT DISTINCT task FROM samples ORDER BY task")
            return [row[0] for row in rows]

    def counts(self, task: str) -> dict[str, int]:
        """Returns the number of samples per status."""
        with explained(self.path, "read"):
            return dict(
                self._connection.execute(
                    "SELECT status, count(*) FROM samples WHERE task = ? GROUP BY status", (task,)
                ).fetchall()
            )

    def answer_count(self) -> int:
        """Returns the number of answered requests."""
        with explained(self.path, "read"):
            (count,) = self._connection.execute("SELECT count(*) FROM answers").fetchone()
        return int(count)

    def response_json(self, key: str) -> dict[str, Any] | None:
        """Returns the response to a request; None if there is none or its row is damaged."""
        with explained(self.path, "read"):
            row = self._connection.execute(
                "SELECT id, task, doc_id, position, response, media, crc FROM answers "
                "WHERE key = ?",
                (bytes.fromhex(key),),
            ).fetchone()
        if row is None:
            return None
        rowid, task, doc_id, position, response, media, crc = row
        if checksum(bytes.fromhex(key), task, doc_id, position, response, media) != crc:
            self.damage.append(Damage("answers", rowid, task, doc_id))
            return None
        shown: dict[str, Any] = decode(response)
        return shown

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
