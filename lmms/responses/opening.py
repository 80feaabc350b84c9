"""Opening the journal's file for writing: new, as it was left, or rebuilt after damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from lmms.errors import JournalError
from lmms.responses.atomic import fsync_folder
from lmms.responses.codec import decode, encode
from lmms.responses.salvage import salvage
from lmms.responses.store import (
    ADD_STEPS,
    APPLICATION_ID,
    SCHEMA,
    SCHEMA_VERSION,
    check_schema,
    connect,
    enable_wal,
    explained,
    is_blank,
)


def open_file(
    path: Path, fingerprint: str, notice: Callable[[str], None]
) -> tuple[sqlite3.Connection, bool]:
    """Opens a journal for writing, making, checking or rebuilding it as needed.

    Args:
        path: The file; its folder is locked by the caller.
        fingerprint: Of the plan that is going to run.
        notice: Told of everything that is not as it should be but can be lived with.

    Returns:
        The connection, and whether write-ahead logging works.

    Raises:
        JournalError: It belongs to another plan or schema version, or cannot be opened.
    """
    with explained(path, "open"):
        existed = path.exists()
        if existed and _is_intact(path, notice):
            _check_existing(path, notice)
        connection = connect(path)
        try:
            wal = enable_wal(connection)
            if not wal:
                connection.execute("PRAGMA journal_mode=TRUNCATE").fetchone()
                notice(
                    f"journal: write-ahead logging does not work in {path.parent} (a network "
                    "disk?); using the slower TRUNCATE mode, which is as safe"
                )
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            if is_blank(connection):
                _create(connection, fingerprint)
                if wal:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                fsync_folder(path.parent)
            else:
                check_schema(connection, path)
                _check_fingerprint(connection, path, fingerprint)
                connection.execute(ADD_STEPS)
        except BaseException:
            connection.close()
            raise
    return connection, wal


def _is_intact(path: Path, notice: Callable[[str], None]) -> bool:
    """Whether a file has tables; one without is filled anew, and said so."""
    connection = connect(path)
    try:
        blank = is_blank(connection)
    finally:
        connection.close()
    if blank:
        notice(f"journal: {path} was empty (truncated?); everything is asked again")
    return not blank


def _create(connection: sqlite3.Connection, fingerprint: str) -> None:
    # One transaction: a journal has its whole schema and its plan, or is blank.
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute("INSERT INTO meta VALUES ('fingerprint', ?)", (encode(fingerprint),))
    connection.execute("COMMIT")


def _check_fingerprint(connection: sqlite3.Connection, path: Path, fingerprint: str) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'fingerprint'").fetchone()
    held = None if row is None else decode(row[0])
    if held is None:
        connection.execute("INSERT INTO meta VALUES ('fingerprint', ?)", (encode(fingerprint),))
    elif held != fingerprint:
        raise JournalError(
            f"the journal belongs to plan {str(held)[:12]}, this plan is {fingerprint[:12]}",
            origin=str(path),
            hint="run.resume=never starts a run of its own",
        )


def _check_existing(path: Path, notice: Callable[[str], None]) -> None:
    """Refuses another schema; rebuilds a file whose pages are damaged from its readable rows."""
    connection = connect(path)
    try:
        check_schema(connection, path)
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
    finally:
        connection.close()
    if verdict != "ok":
        salvage(path, str(verdict).splitlines()[0], notice)
