from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from lmms.responses.reader import JournalReader
from lmms.responses.steps import Step
from lmms.responses.store import copy_journal
from tests.responses.records import opened


def steps(count: int, *, start: float = 0.0) -> list[Step]:
    return [
        Step(i, 10 + i, f"item{i}", i % 2, start + i / 3, 1 / (i + 1) if i else None)
        for i in range(count)
    ]


def test_steps_come_back_as_they_were(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record_steps("a", steps(2))
        journal.record_steps("b", steps(1))
        journal.record_steps("a", steps(5)[2:])
        assert journal.steps("a") == steps(5)
        with JournalReader(tmp_path) as reader:
            assert reader.steps("a") == steps(5)
            assert reader.steps("b") == steps(1)
            assert reader.steps("c") == []


def test_equal_steps_stay_and_what_follows_another_one_goes(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record_steps("a", steps(6))
        journal.record_steps("a", steps(3))
        assert journal.steps("a") == steps(6)
        journal.record_steps("a", steps(4, start=1.0)[3:])
        assert journal.steps("a") == [*steps(3), steps(4, start=1.0)[3]]


def test_nothing_is_left_after_the_last_one(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record_steps("a", steps(6))
        journal.record_steps("a", steps(4)[3:], total=4)
        assert journal.steps("a") == steps(4)
        journal.record_steps("a", [], total=0)
        assert journal.steps("a") == []


def test_steps_end_before_a_damaged_one(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record_steps("a", steps(5))
        path = journal.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE steps SET response = 1 - response WHERE number = 2")
        connection.commit()
    with opened(tmp_path) as journal:
        assert journal.steps("a") == steps(2)
        journal.record_steps("a", steps(5))
        assert journal.steps("a") == steps(5)


def test_a_journal_from_before_there_were_steps(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        path = journal.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE steps")
        connection.commit()
    with JournalReader(tmp_path) as reader:
        assert reader.steps("a") == []
    with opened(tmp_path) as journal:
        journal.record_steps("a", steps(2))
        assert journal.steps("a") == steps(2)


def test_a_run_that_goes_on_from_another_one_finds_its_own_steps(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with opened(old) as journal:
        journal.record_steps("a", steps(2))
    copy_journal(old, new)
    with opened(new) as journal:
        assert journal.steps("a") == []
