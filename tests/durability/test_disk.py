"""The disk: full, gone, damaged, used by two."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
from typing import Any

import pytest

from tests.durability.bed import CONCURRENCY, Bed, finish, running


@pytest.mark.parametrize("limit", [120_000, 200_000])
def test_no_space_for_the_journal(bed: Bed, undisturbed: Any, limit: int) -> None:
    # Reasoning beside the answer makes large records; it is not part of the answer's text.
    long = "reasoning " * 2000
    rule = {"do": {"answer": long + "\n#### 5"}}
    bed.server.script(rule, delay=0.005)
    done = bed.run(limit=limit)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "space" in done.stderr
    kept = bed.journal_rows("answers")
    asked = bed.server.calls()["total"]
    assert 0 < kept < bed.documents
    assert asked <= kept + 2 * CONCURRENCY
    bed.run_well()
    assert bed.server.calls()["total"] == asked + bed.documents - kept


def test_no_place_for_results(bed: Bed) -> None:
    bed.output.write_text("a file, not a folder")
    done = bed.run()
    assert done.returncode not in (0, 130)
    assert str(bed.output) in done.stderr
    assert "Traceback" not in done.stderr
    assert bed.server.calls()["total"] == 0
    bed.output.unlink()


def test_the_folder_is_removed_during_the_run(bed: Bed) -> None:
    bed.server.script(delay=0.4)
    process = bed.start()
    bed.until_asked(4, process)
    shutil.rmtree(bed.output)
    done = finish(process)
    assert done.returncode == 1, done.stderr
    assert "removed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_process_is_refused(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.3)
    with running(bed.start()) as first:
        bed.until_asked(2, first)
        folder = bed.run_folder
        second = bed.run(f"run.resume={folder}")
        assert second.returncode == 1
        assert f"in use by process {first.pid}" in second.stderr
        done = finish(first)
    assert done.returncode == 0
    assert bed.outcome() == undisturbed
    assert bed.server.calls()["total"] == bed.documents


def test_the_lock_of_a_killed_process_is_taken_over(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(6)
    assert (bed.run_folder / "journal.lock").read_text()
    bed.run_well()
    assert bed.outcome() == undisturbed


def test_a_flipped_bit_in_an_answer(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(12)
    journal = bed.run_folder / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        # Row 3 is changed behind the journal's back, as a bad disk would.
        connection.execute("UPDATE answers SET response = replace(response, '####', '###%')")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (damaged,) = connection.execute("SELECT count(*) FROM answers").fetchone()
        connection.commit()
    asked = bed.server.calls()["total"]
    done = bed.run_well()
    assert "damaged" in done.stdout + done.stderr
    assert bed.outcome() == undisturbed
    assert bed.server.calls()["total"] == asked + bed.documents
    assert damaged > 0


def test_a_damaged_page(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    process = bed.start()
    bed.until_asked(16, process)
    process.send_signal(signal.SIGINT)
    finish(process)
    journal = bed.run_folder / "journal.sqlite"
    content = bytearray(journal.read_bytes())
    at = content.rindex(b"####")
    content[at : at + 600] = bytes(600)
    journal.write_bytes(content)
    done = bed.run_well()
    assert "damaged" in done.stdout + done.stderr
    assert bed.outcome() == undisturbed


def test_a_journal_of_length_zero(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    process = bed.start()
    bed.until_asked(8, process)
    process.send_signal(signal.SIGINT)
    finish(process)
    (bed.run_folder / "journal.sqlite").write_bytes(b"")
    folder = bed.run_folder
    bed.run_well(f"run.resume={folder}")
    assert bed.outcome() == undisturbed


def test_a_journal_of_another_version(bed: Bed) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(8)
    with contextlib.closing(sqlite3.connect(bed.run_folder / "journal.sqlite")) as connection:
        connection.execute("PRAGMA user_version=9999")
    asked = bed.server.calls()["total"]
    done = bed.run(f"run.resume={bed.run_folder}")
    assert done.returncode == 1
    assert "9999" in done.stderr
    assert "Traceback" not in done.stderr
    assert bed.server.calls()["total"] == asked
