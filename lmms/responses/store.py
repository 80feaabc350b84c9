"""The journal's file: schema, connection settings, row checksums, errors in words.

Shared by the writer (`lmms.responses.journal`) and by readers of a running or finished run
(`lmms.responses.reader`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

from lmms.errors import JournalError

JOURNAL_NAME = "journal.sqlite"
SCHEMA_VERSION = 1

# Written into the file's header, so that `file` and we know what it is.
APPLICATION_ID = 0x6C6D6D73  # "lmms"

# A page cache of 4 MiB (negative: KiB) keeps the inner pages of the key index in memory.
_CACHE_KIB = 4096

SCHEMA = """
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    task TEXT NOT NULL,
    doc_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    response TEXT NOT NULL,
    media TEXT,
    crc INTEGER NOT NULL
);
CREATE TABLE failures (
    id INTEGER PRIMARY KEY,
    key BLOB,
    task TEXT NOT NULL,
    doc_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    failure TEXT NOT NULL,
    crc INTEGER NOT NULL
);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    doc_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    sample TEXT NOT NULL,
    crc INTEGER NOT NULL,
    UNIQUE (task, doc_id)
);
CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    number INTEGER NOT NULL,
    doc_id INTEGER NOT NULL,
    item TEXT NOT NULL,
    response INTEGER NOT NULL,
    ability REAL NOT NULL,
    stderr REAL,
    crc INTEGER NOT NULL,
    UNIQUE (task, number)
);
CREATE TABLE media_digests (
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    crc INTEGER NOT NULL
);
"""


ADD_STEPS = next(
    s.replace("TABLE", "TABLE IF NOT EXISTS", 1) for s in SCHEMA.split(";") if "TABLE steps" in s
)
"""Gives an older file the table of adaptive steps."""


def checksum(*values: object) -> int:
    """Returns the CRC-32 over a row's values; every single bit flip changes it."""
    text = "\x1f".join(v.hex() if isinstance(v, bytes) else str(v) for v in values)
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Opens a connection in autocommit mode, usable from any thread that holds the owner's lock.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    if read_only:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
        )
    else:
        connection = sqlite3.connect(
            path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
    # A damaged byte must not raise in the middle of a scan: the checksum tells, row by row.
    connection.text_factory = _lenient_text
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    return connection


def _lenient_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def enable_wal(connection: sqlite3.Connection) -> bool:
    """Switches to write-ahead logging; False where shared-memory locks do not work."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except sqlite3.OperationalError:
        return False
    return bool(mode == "wal")


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether a file has no table: its writer was killed while it made it, or it was emptied."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(tables == 0)


def has_steps(connection: sqlite3.Connection) -> bool:
    """Whether a file has the table of adaptive steps; the first journals had none."""
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'steps'"
    (tables,) = connection.execute(query).fetchone()
    return bool(tables)


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Compares the schema version of a file with ours.

    Raises:
        JournalError: It is another one (nothing is converted silently), or there is no table.
        sqlite3.Error: The file cannot be read.
    """
    if is_blank(connection):
        raise JournalError("the journal is empty", origin=str(path))
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"the journal has schema version {version}, this lmms reads version {SCHEMA_VERSION}",
            origin=str(path),
            hint="use the lmms that wrote it, or start a run of its own with run.resume=never",
        )


@contextlib.contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turns SQLite's errors inside the block into one `JournalError` in plain words.

    Raises:
        JournalError: The disk is full, the folder read-only, gone or locked, or the file damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path, doing) from error


def explain(error: sqlite3.Error, path: Path, doing: str) -> JournalError:
    """Returns the `JournalError` for what SQLite said."""
    code = getattr(error, "sqlite_errorname", "") or ""
    if not path.parent.is_dir():
        cause, hint = "the run folder is gone", "was it removed while the run was going on?"
    elif code.startswith("SQLITE_FULL"):
        cause = "no space is left on the disk"
        hint = "free some space, then run the same command again: nothing finished was lost"
    elif code.startswith("SQLITE_READONLY") or code.startswith("SQLITE_CANTOPEN"):
        cause = "the file or its folder cannot be written to"
        hint = "check the permissions, or choose another place with output.dir=PATH"
    elif code.startswith("SQLITE_IOERR"):
        cause = "the disk refused to read or write (full, over quota, or failing)"
        hint = "free some space, then run the same command again: nothing finished was lost"
    elif code.startswith("SQLITE_BUSY") or code.startswith("SQLITE_LOCKED"):
        cause, hint = "another program holds the file", "close it, then run the same command again"
    elif code.startswith("SQLITE_NOTADB") or code.startswith("SQLITE_CORRUPT"):
        cause = "the file is damaged"
        hint = "start a run of its own with run.resume=never; the damaged file is left as it is"
    else:
        cause, hint = str(error), "the same command resumes the run"
    return JournalError(f"cannot {doing} the journal: {cause}", origin=str(path), hint=hint)


def copy_journal(source: Path, target: Path) -> None:
    """Copies the journal of one run folder into another, whatever is still in its log included.

    The copy belongs to a run of its own: what is remembered of the earlier run's course (status,
    times, limits, steps) is left out; answers, samples and media digests are kept.

    Raises:
        OSError: It cannot be read or written.
    """
    name = target / JOURNAL_NAME
    try:
        with (
            contextlib.closing(sqlite3.connect(source / JOURNAL_NAME)) as old,
            contextlib.closing(sqlite3.connect(name)) as new,
        ):
            old.backup(new)
            new.execute("DELETE FROM meta WHERE name NOT IN ('fingerprint', 'schema_version')")
            new.execute("DELETE FROM failures")
            if has_steps(new):
                new.execute("DELETE FROM steps")
            new.commit()
    except sqlite3.Error as error:
        name.unlink(missing_ok=True)
        raise OSError(str(error)) from error
