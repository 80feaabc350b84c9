"""The disk: full, gone, damaged, used by two."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
from typing import Any

from tests.durability.bed import CONCURRENCY, Bed, differences, finish, running


def test_no_space_for_the_journal(bed: Bed) -> None:
    # Long answers fill the allowed size after a few records.
    long = "reasoning " * 2000
    rule = {"do": {"answer": long + "\n#### 5"}}
    bed.server.script(rule, delay=0.005)
    done = bed.run(limit=200_000)
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
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == bed.documents


def test_the_lock_of_a_killed_process_is_taken_over(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(6)
    assert (bed.run_folder / "journal.lock").read_text()
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []


def test_a_flipped_bit_in_an_answer(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(12)
    journal = bed.run_folder / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        # Changed behind the journal's back, as a bad disk would.
        connection.execute("UPDATE answers SET response = replace(response, '####', '###%')")
        (damaged,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    asked = bed.server.calls()["total"]
    done = bed.run_well()
    assert "damaged" in done.stdout + done.stderr
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == asked + bed.documents
    assert 12 - CONCURRENCY <= damaged <= 12


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
    assert differences(bed.outcome(), undisturbed) == []


def test_a_journal_of_length_zero(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    process = bed.start()
    bed.until_asked(8, process)
    process.send_signal(signal.SIGINT)
    finish(process)
    (bed.run_folder / "journal.sqlite").write_bytes(b"")
    named = bed.run(f"run.resume={bed.run_folder}")
    assert named.returncode == 1
    assert "empty" in named.stderr
    # Nothing can be continued: the same command starts anew and is not held up by it.
    bed.run_well()
    assert differences(bed.outcome(bed.runs()[-1]), undisturbed) == []


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
