"""SIGKILL at any moment, then the same command: nothing that was answered is asked again."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import time
from typing import Any

import pytest

from tests.durability.bed import CONCURRENCY, Bed, differences, finish


def resume(bed: Bed, undisturbed: Any) -> None:
    """Runs the same command; the result must be that of a run that nothing happened to."""
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []


@pytest.mark.parametrize("calls", [1, 12, 23])
def test_kill_in_the_middle(bed: Bed, undisturbed: Any, calls: int) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(calls)
    assert not (bed.run_folder / "results.json").exists()
    resume(bed, undisturbed)
    assert bed.server.calls()["total"] <= bed.documents + CONCURRENCY
    assert max(bed.server.asked().values()) <= 2


def test_kill_again_and_again(bed: Bed, undisturbed: Any) -> None:
    chance, kills = random.Random(5), 4
    bed.server.script(delay=0.02)
    for _ in range(kills):
        process = bed.start()
        bed.until_asked(bed.server.calls()["total"] + 1, process)
        time.sleep(chance.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        finish(process)
    resume(bed, undisturbed)
    assert bed.server.calls()["total"] <= bed.documents + kills * CONCURRENCY


@pytest.mark.parametrize("name", ["plan.json", "samples_sums.jsonl", "results.json"])
def test_kill_while_a_file_is_written(bed: Bed, undisturbed: Any, name: str) -> None:
    killed = bed.run(hooks={"LMMS_TEST_KILL_BEFORE_RENAME": name})
    assert killed.returncode == -signal.SIGKILL
    asked = bed.server.calls()["total"]
    assert asked == (0 if name == "plan.json" else bed.documents)
    assert not list(bed.output.glob(f"*/{name}"))
    bed.run_well()
    assert differences(bed.outcome(bed.runs()[-1]), undisturbed) == []
    # All answers were there: finishing the files asks nothing.
    assert bed.server.calls()["total"] == bed.documents


def test_kill_before_the_journal_has_its_tables(bed: Bed, undisturbed: Any) -> None:
    bed.run(hooks={"LMMS_TEST_KILL_BEFORE_RENAME": "plan.json"})
    journal = bed.run_folder / "journal.sqlite"
    for path in bed.run_folder.glob("journal.sqlite*"):
        path.unlink()
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    assert journal.stat().st_size > 0
    bed.run_well()
    assert differences(bed.outcome(bed.runs()[-1]), undisturbed) == []


@pytest.mark.parametrize("lost", [1, 5000])
def test_a_torn_end_of_the_journal(bed: Bed, undisturbed: Any, lost: int) -> None:
    bed.server.script(delay=0.02)
    answered = bed.kill_after(14)
    log = bed.run_folder / "journal.sqlite-wal"
    log.write_bytes(log.read_bytes()[:-lost])
    resume(bed, undisturbed)
    # A frame of the log is a page of 4 KiB: one or two transactions are torn.
    assert bed.server.calls()["total"] <= bed.documents + (14 - answered) + CONCURRENCY + 4


def test_a_finished_run_is_not_touched_again(bed: Bed, undisturbed: Any) -> None:
    bed.run_well()
    before = (bed.run_folder / "results.json").read_bytes()
    bed.run_well()
    first, second = bed.runs()
    assert (first / "results.json").read_bytes() == before
    assert differences(bed.outcome(second), undisturbed) == []


def test_resume_never_starts_anew(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(7)
    bed.run_well("run.resume=never")
    assert len(bed.runs()) == 2
    assert differences(bed.outcome(bed.runs()[-1]), undisturbed) == []
