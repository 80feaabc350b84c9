"""The journal of a run: every finished answer is on disk before anything else happens to it.

One SQLite file per run folder. WAL with `synchronous=NORMAL`: a commit per finished batch survives
the death of the process (nothing finished is lost), an fsynced checkpoint at most every second
survives a power loss (that second is lost). Every row has a checksum; a damaged row is reported
with its row id and asked again. Where WAL does not work (network disks without shared-memory locks)
the file is in TRUNCATE mode, slower and as safe, with a warning.

Methods may be called from any thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lmms.errors import JournalError
from lmms.responses.codec import (
    decode,
    encode,
    failure_to_json,
    response_to_json,
    sample_to_json,
)
from lmms.responses.lock import FolderLock
from lmms.responses.opening import open_file
from lmms.responses.reader import Damage, read_samples
from lmms.responses.steps import Step, cut_steps, read_steps, write_steps
from lmms.responses.store import (
    JOURNAL_NAME,
    checksum,
    connect,
    explain,
    explained,
)
from lmms.types import Failure, JSONValue, Response, Sample

CHECKPOINT_SECONDS = 1.0

# The write-ahead log is folded into the file in the background; where writers are faster than
# that, they wait for one fold when it has grown to this size.
MAX_WAL_BYTES = 32 * 2**20

_INSERT_ANSWER = (
    "INSERT INTO answers (key, task, doc_id, position, response, media, crc) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_INSERT_SAMPLE = (
    "INSERT INTO samples (task, doc_id, status, sample, crc) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (task, doc_id) DO UPDATE SET status=excluded.status, sample=excluded.sample, "
    "crc=excluded.crc"
)


class Answer(NamedTuple):
    """An answered request, as it is written."""

    key: str
    response: Response
    task: str
    doc_id: int
    position: int
    """Which of the document's requests this is, all rounds counted."""
    media: Sequence[dict[str, Any]] = ()
    """`LoadedMedia.to_json()` of what the model was given."""


class Stored(NamedTuple):
    """An answered request, as it is read."""

    response: Response
    media: tuple[dict[str, Any], ...]


class Journal:
    """The writer of a run's journal. Make one with `Journal.open`."""

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        lock: FolderLock,
        *,
        wal: bool,
        notice: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.path = folder / JOURNAL_NAME
        self.wal = wal
        self.damage: list[Damage] = []
        self._connection = connection
        self._lock = lock
        self._notice = notice
        self._guard = threading.RLock()
        self._inode = self.path.stat().st_ino
        self._dirty = False
        self._problem: JournalError | None = None
        self._stop = threading.Event()
        self._closed = False
        self._keeper = threading.Thread(target=self._keep, name="lmms-journal", daemon=True)
        self._keeper.start()

    # ------------------------------------------------------------------------------- open, close

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        plan_fingerprint: str,
        create: bool = True,
        notice: Callable[[str], None] = lambda text: None,
    ) -> Journal:
        """Opens the journal of a run folder for writing, creating it where there is none.

        Args:
            folder: The run's folder; it must exist.
            plan_fingerprint: Fingerprint of the plan that is going to run.
            create: False: a missing journal is an error.
            notice: Told of everything that is not as it should be but can be lived with.

        Raises:
            JournalError: The folder is read-only, full, in use by another process, or the journal
                belongs to another plan or schema version.
        """
        folder = Path(folder)
        path = folder / JOURNAL_NAME
        if not folder.is_dir():
            raise JournalError("the run folder does not exist", origin=str(folder))
        if not create and not path.exists():
            raise JournalError(f"no {JOURNAL_NAME} in this folder", origin=str(folder))
        lock = FolderLock(folder)
        lock.acquire()
        try:
            connection, wal = open_file(path, plan_fingerprint, notice)
            return cls(folder, connection, lock, wal=wal, notice=notice)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Brings everything to disk and frees the folder. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        self._keeper.join()
        try:
            with self._guard, contextlib.suppress(sqlite3.Error):
                if self.wal:
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            with self._guard:
                self._connection.close()
            self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -------------------------------------------------------------------------------------- meta

    def meta(self, name: str, default: JSONValue = None) -> JSONValue:
        """Returns a fact about the run."""
        with self._reading():
            row = self._connection.execute(
                "SELECT value FROM meta WHERE name = ?", (name,)
            ).fetchone()
        return default if row is None else decode(row[0])

    def set_meta(self, name: str, value: Any) -> None:
        """Writes a fact about the run: status, limits, seconds spent so far."""
        with self._writing():
            self._connection.execute(
                "INSERT INTO meta VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value=excluded.value",
                (name, encode(value)),
            )

    # ----------------------------------------------------------------------------------- answers

    def stored(self, key: str) -> Stored | None:
        """Returns the answer to a request and what media it was given, or None.

        A row whose checksum does not fit is reported in `damage`, dropped, and asked again.
        """
        with self._reading():
            row = self._connection.execute(
                "SELECT id, task, doc_id, position, response, media, crc FROM answers "
                "WHERE key = ?",
                (bytes.fromhex(key),),
            ).fetchone()
        if row is None:
            return None
        rowid, task, doc_id, position, response, media, crc = row
        if checksum(bytes.fromhex(key), task, doc_id, position, response, media) != crc:
            self._drop(Damage("answers", rowid, task, doc_id))
            return None
        shown = () if media is None else tuple(decode(media))
        return Stored(Response.from_json(decode(response)), shown)

    def answer(self, key: str) -> Response | None:
        """Returns the answer to a request, or None if it must be asked."""
        stored = self.stored(key)
        return None if stored is None else stored.response

    def record(
        self,
        key: str,
        response: Response,
        *,
        task: str,
        doc_id: int,
        position: int = 0,
        media: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Writes one finished answer; on return it survives the death of the process.

        Raises:
            JournalError: It could not be written; nothing earlier is lost.
        """
        self.record_many([Answer(key, response, task, doc_id, position, media)])

    def record_many(self, answers: Iterable[Answer]) -> None:
        """Writes answers that came back together, in one commit. A second answer to a key is
        ignored: what was used once stays.

        Raises:
            JournalError: They could not be written; nothing earlier is lost.
        """
        rows = []
        for answer in answers:
            key = bytes.fromhex(answer.key)
            response = encode(response_to_json(answer.response))
            media = encode(list(answer.media)) if answer.media else None
            attributes = (answer.task, answer.doc_id, answer.position)
            crc = checksum(key, *attributes, response, media)
            rows.append((key, *attributes, response, media, crc))
        self._insert(_INSERT_ANSWER, rows)

    def record_failure(
        self,
        failure: Failure,
        *,
        task: str,
        doc_id: int,
        position: int = 0,
        key: str | None = None,
    ) -> None:
        """Writes that a request was given up. It is not an answer and is asked again on resume."""
        text = encode(failure_to_json(failure))
        raw = None if key is None else bytes.fromhex(key)
        crc = checksum(raw, task, doc_id, position, text)
        with self._writing():
            self._connection.execute(
                "INSERT INTO failures (key, task, doc_id, position, failure, crc) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (raw, task, doc_id, position, text, crc),
            )

    # ----------------------------------------------------------------------------------- samples

    def record_sample(self, sample: Sample) -> None:
        """Writes or replaces a finished sample."""
        self.record_samples([sample])

    def record_samples(self, samples: Iterable[Sample]) -> None:
        """Writes or replaces finished samples, in one commit."""
        rows = []
        for sample in samples:
            text = encode(sample_to_json(sample))
            crc = checksum(sample.task, sample.doc_id, sample.status, text)
            rows.append((sample.task, sample.doc_id, sample.status, text, crc))
        self._insert(_INSERT_SAMPLE, rows)

    def samples(self, task: str, *, stop: int | None = None) -> Iterator[Sample]:
        """Yields the samples of `task` in document order, without holding them."""
        with explained(self.path, "read"):
            yield from read_samples(
                self._connection, task, stop=stop, report=self._drop, guard=self._guard
            )

    def sample(self, task: str, doc_id: int) -> Sample | None:
        """Returns the sample of one document, or None."""
        with explained(self.path, "read"):
            return next(
                read_samples(
                    self._connection,
                    task,
                    start=doc_id,
                    stop=doc_id + 1,
                    report=self._drop,
                    guard=self._guard,
                ),
                None,
            )

    @property
    def empty(self) -> bool:
        """Whether there is neither an answer nor a sample."""
        with self._reading():
            (filled,) = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM answers) OR EXISTS (SELECT 1 FROM samples)"
            ).fetchone()
        return not filled

    def clear_samples(self) -> None:
        """Forgets all samples and steps; answers stay. Used when a task's scoring has changed."""
        with self._writing():
            self._connection.execute("DELETE FROM samples")
            self._connection.execute("DELETE FROM steps")

    # ------------------------------------------------------------------------------------ steps

    def steps(self, task: str) -> list[Step]:
        """Returns the steps of an adaptive task so far."""
        with self._reading():
            return list(read_steps(self._connection, task))

    def record_steps(self, task: str, steps: Sequence[Step], *, total: int | None = None) -> None:
        """Writes the next steps of an adaptive task, in one commit.

        Args:
            task: Label of the task.
            steps: Steps that are equal to those of an earlier sitting are left as they are; from
                the first one that differs, the earlier ones are dropped.
            total: The number of steps when none follows: what an earlier sitting had after them
                is dropped.
        """
        with self._writing(), self._transaction():
            write_steps(self._connection, task, steps)
            if total is not None:
                cut_steps(self._connection, task, total)

    # ------------------------------------------------------------------------------------- media

    def media_digest(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
        """Returns the remembered SHA-256 of an unchanged file, or None."""
        with self._reading():
            row = self._connection.execute(
                "SELECT size, mtime_ns, inode, sha256, crc FROM media_digests WHERE path = ?",
                (path,),
            ).fetchone()
        if row is None or row[:3] != (size, mtime_ns, inode):
            return None
        return str(row[3]) if checksum(path, *row[:4]) == row[4] else None

    def record_media_digest(
        self, path: str, size: int, mtime_ns: int, inode: int, sha256: str
    ) -> None:
        """Remembers the SHA-256 of a file for as long as size, time and inode stay."""
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO media_digests VALUES (?, ?, ?, ?, ?, ?)",
                (
                    path,
                    size,
                    mtime_ns,
                    inode,
                    sha256,
                    checksum(path, size, mtime_ns, inode, sha256),
                ),
            )

    # ---------------------------------------------------------------------------------- internal

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with self._writing():
            if len(rows) == 1:
                self._connection.execute(statement, rows[0])
                return
            with self._transaction():
                self._connection.executemany(statement, rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._guard:
            if self._problem is not None:
                raise self._problem
            try:
                yield
            except sqlite3.Error as error:
                self._problem = explain(error, self.path, "write")
                raise self._problem from error
            self._dirty = True

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._guard:
            try:
                yield
            except sqlite3.Error as error:
                raise explain(error, self.path, "read") from error

    def _drop(self, damage: Damage) -> None:
        self.damage.append(damage)
        self._notice(str(damage))
        with self._writing():
            # The table's name is one of ours; only values come from the file.
            self._connection.execute(
                f"DELETE FROM {damage.table} WHERE id = ?",
                (damage.rowid,),
            )

    def _keep(self) -> None:
        """Runs beside the writers: checks that the file is still there, brings it to disk."""
        try:
            connection = connect(self.path) if self.wal else None
        except sqlite3.Error:
            connection = None
        try:
            while not self._stop.wait(CHECKPOINT_SECONDS):
                self._check_place()
                if connection is not None and self._dirty:
                    self._dirty = False
                    self._checkpoint(connection)
        finally:
            if connection is not None:
                connection.close()

    def _check_place(self) -> None:
        # SQLite would go on writing happily into a file that has been deleted.
        try:
            same = self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same and self._problem is None:
            self._problem = JournalError(
                "cannot write the journal: the run folder was removed or replaced during the run",
                origin=str(self.path),
                hint="answers up to now are lost with it; the same command starts a run of its own",
            )

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with contextlib.suppress(FileNotFoundError):
                if Path(f"{self.path}-wal").stat().st_size > MAX_WAL_BYTES:
                    with self._guard:
                        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            # Commits still reach the log; only the protection against power loss is late.
            reason = explain(error, self.path, "checkpoint").message
            self._notice(f"{reason}; answers are kept, a power loss could cost more than a second")
