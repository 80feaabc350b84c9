"""Digests of large media on disk, so that the next run need not read them again.

A small SQLite file, shared by runs and processes. It is a cache: whatever goes wrong with it means
only that content is read again.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

#: Smaller content is read sooner than looked up.
MIN_BYTES = 2**20

#: (name, size, modification time in ns, inode), as `lmms.media.hashing.FileIdentity`.
_Identity = tuple[str, int, int, int]
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Content changed twice within one tick of the clock has one time; younger files are not kept.
_SETTLED_NS = 2 * 10**9
_WAIT_SECONDS = 2.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS digests (
    name TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) WITHOUT ROWID
"""


class DigestStore:
    """Digests by identity in one file. Safe between threads and processes.

    Args:
        path: The file; it and its folder are made when the first digest is kept.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._broken = False
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget_lock)

    def get(self, identity: _Identity) -> str | None:
        """Returns the digest of unchanged content, or None."""
        if self._broken or identity[1] < MIN_BYTES or not self.path.is_file():
            return None
        name, *figures = identity
        question = "SELECT size, mtime_ns, inode, sha256 FROM digests WHERE name = ?"
        row = self._ask(question, (name,))
        if row is None or list(row[:3]) != figures:
            return None
        digest = str(row[3])
        return digest if _DIGEST.fullmatch(digest) else None

    def put(self, identity: _Identity, digest: str) -> None:
        """Keeps a digest."""
        name, size, modified, inode = identity
        if self._broken or size < MIN_BYTES or time.time_ns() - modified < _SETTLED_NS:
            return
        statement = "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)"
        self._ask(statement, (name, size, modified, inode, digest))

    def _ask(self, statement: str, values: tuple[object, ...]) -> tuple[object, ...] | None:
        # A connection for each question: none is open while the process forks, and questions are
        # as rare as the reading of a whole file.
        try:
            with self._lock:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS)) as connection:
                    connection.execute("PRAGMA synchronous = NORMAL")
                    connection.execute(_SCHEMA)
                    row: tuple[object, ...] | None = connection.execute(
                        statement, values
                    ).fetchone()
                    connection.commit()
                    return row
        except (OSError, sqlite3.Error, OverflowError):
            self._broken = True
            return None

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()
