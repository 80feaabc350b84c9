"""The steps of adaptive runs in the journal: what was asked in which order, and the ability then.

They repeat what the samples tell, so that a running run can be looked at; a run that is taken up
again finds its steps anew and only writes those that differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lmms.responses.store import checksum, has_steps

_COLUMNS = "number, doc_id, item, response, ability, stderr, crc"


class Step(NamedTuple):
    """The state of an adaptive task after one answer."""

    number: int
    """From 0."""
    doc_id: int
    """Index of the document."""
    item: str
    """The document's own id."""
    response: int
    """1 right, 0 wrong."""
    ability: float
    stderr: float | None
    """None: there is none yet (all right or all wrong, without a prior)."""


def read_steps(connection: sqlite3.Connection, task: str) -> Iterator[Step]:
    """Yields the steps of a task in order, up to the first one that is damaged."""
    if not has_steps(connection):
        return
    query = f"SELECT {_COLUMNS} FROM steps WHERE task = ? ORDER BY number"
    for expected, (*values, crc) in enumerate(connection.execute(query, (task,)).fetchall()):
        step = Step(*values)
        if step.number != expected or checksum(task, *step) != crc:
            return
        yield step


def write_steps(connection: sqlite3.Connection, task: str, steps: Iterable[Step]) -> None:
    """Writes steps; a step that differs from the one that was there ends what followed it."""
    query = f"SELECT {_COLUMNS} FROM steps WHERE task = ? AND number = ?"
    for step in steps:
        crc = checksum(task, *step)
        if connection.execute(query, (task, step.number)).fetchone() == (*step, crc):
            continue
        cut_steps(connection, task, step.number)
        connection.execute(
            f"INSERT INTO steps (task, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (task, *step, crc),
        )


def cut_steps(connection: sqlite3.Connection, task: str, count: int) -> None:
    """Keeps only the first `count` steps of a task."""
    connection.execute("DELETE FROM steps WHERE task = ? AND number >= ?", (task, count))
