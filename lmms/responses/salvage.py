"""Rebuilds a journal whose pages are damaged from the rows that can still be read."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from lmms.responses.store import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, connect

_TABLES = ("meta", "answers", "failures", "samples", "media_digests")


def salvage(path: Path, verdict: str, notice: Callable[[str], None]) -> None:
    """Replaces the journal at `path` by one that holds every row that can be read.

    The damaged file is kept beside it. What could not be read is asked again; the checksums of
    the copied rows are copied too, so that damage inside a row is still found.

    Args:
        path: The damaged journal; no connection may be open.
        verdict: What SQLite's check said first.
        notice: Told what was found and how much was recovered.

    Raises:
        sqlite3.Error: The new file cannot be written.
    """
    kept = _free_name(path)
    fresh = path.with_name(f".{path.name}.salvaged")
    fresh.unlink(missing_ok=True)
    old = connect(path)
    new = connect(fresh)
    try:
        new.executescript(SCHEMA)
        counts = {table: _copy(old, new, table) for table in _TABLES}
        new.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        new.execute(f"PRAGMA application_id={APPLICATION_ID}")
    finally:
        new.close()
        with contextlib.suppress(sqlite3.Error):
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        old.close()
    path.rename(kept)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    fresh.rename(path)
    notice(
        f"journal: {path} was damaged ({verdict}); {counts['answers']} answers and "
        f"{counts['samples']} samples were recovered, the rest is asked again; "
        f"the damaged file is kept as {kept.name}"
    )


def _free_name(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return kept


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    copied = 0
    new.execute("BEGIN")
    # From the front up to the damage, then from the back down to it.
    for order in ("ASC", "DESC"):
        for row in _readable(old, table, order):
            marks = ",".join("?" * len(row))
            # A row whose text is no UTF-8 any more is damaged, and cannot be written either.
            with contextlib.suppress(UnicodeEncodeError):
                cursor = new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
                copied += cursor.rowcount
    new.execute("COMMIT")
    return copied


def _readable(old: sqlite3.Connection, table: str, order: str) -> Iterator[tuple[object, ...]]:
    with contextlib.suppress(sqlite3.DatabaseError):
        yield from old.execute(f"SELECT * FROM {table} ORDER BY rowid {order}")
