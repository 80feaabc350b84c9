"""Where the journal lies: locks, second processes, full and read-only and vanished places."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from lmms.errors import JournalError
from lmms.responses import journal as journal_module
from lmms.responses import opening as opening_module
from lmms.responses.journal import Answer
from lmms.responses.lock import LOCK_NAME, live_owner
from lmms.responses.reader import JournalReader
from lmms.responses.store import JOURNAL_NAME
from lmms.types import Response
from tests.responses.records import PLAN, key, opened, response, sample

# ------------------------------------------------------------------------------ places and locks


def test_a_second_process_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import sys, time
        from lmms.responses.journal import Journal
        journal = Journal.open({str(tmp_path)!r}, plan_fingerprint="ab" * 32)
        print("open", flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(JournalError, match=f"in use by process {holder.pid}"):
            opened(tmp_path)
        owner = live_owner(tmp_path)
        assert owner is not None
        assert owner.pid == holder.pid
        with JournalReader(tmp_path) as reader:
            assert reader.meta("fingerprint") == PLAN, "readers may look"
        holder.kill()
    assert live_owner(tmp_path) is None
    with opened(tmp_path):
        assert (tmp_path / LOCK_NAME).stat().st_size > 0


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(JournalError, match="in use"):
        opened(tmp_path)


def test_a_lock_file_of_a_dead_process_is_taken_over_without_flock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def no_flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    dead = '{"pid": 999999999, "boot_id": "x", "start_time": "1", "host": "%s"}'
    (tmp_path / LOCK_NAME).write_text(dead % os.uname().nodename)
    with opened(tmp_path):
        pass
    (tmp_path / LOCK_NAME).write_text(dead % "another-machine")
    with pytest.raises(JournalError, match="in use by process 999999999 on another-machine"):
        opened(tmp_path)


def test_reading_while_it_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, JournalReader(tmp_path) as reader:
        for number in range(5):
            journal.record_sample(sample(number))
            assert [s.doc_id for s in reader.samples("t")] == list(range(number + 1))
        assert reader.tasks() == ["t"]
        assert reader.counts("t") == {"ok": 5}


def test_a_disk_without_shared_memory_locks_works_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_module, "enable_wal", lambda connection: False)
    told: list[str] = []
    with opened(tmp_path, notice=told.append) as journal:
        journal.record(key(1), response(1), task="t", doc_id=1)
        assert not (tmp_path / f"{JOURNAL_NAME}-wal").exists()
    assert "TRUNCATE" in told[0]
    with opened(tmp_path) as journal:
        assert journal.answer(key(1)) == response(1)


def test_a_removed_folder_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_SECONDS", 0.01)
    folder = tmp_path / "run"
    folder.mkdir()
    journal = opened(folder)
    shutil.rmtree(folder)

    def write_on() -> None:
        for number in range(500):
            journal.record(key(number), response(number), task="t", doc_id=number)
            threading.Event().wait(0.005)

    with pytest.raises(JournalError, match="removed or replaced"):
        write_on()
    journal.close()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="does not exist"):
        opened(tmp_path / "missing")
    with pytest.raises(JournalError, match="no journal"):
        opened(tmp_path, create=False)
    with pytest.raises(JournalError, match="no journal"):
        JournalReader(tmp_path)


FILL_DISK = """
import resource, sys, hashlib, signal
from lmms.errors import JournalError
from lmms.responses.journal import Journal
from lmms.types import Response
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.open(sys.argv[1], plan_fingerprint="ab" * 32)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
written = 0
try:
    for number in range(10_000):
        key = hashlib.sha256(str(number).encode()).hexdigest()
        journal.record(key, Response(text="x" * 2000), task="t", doc_id=number)
        written += 1
except JournalError as error:
    print(written, error.message)
journal.close()
"""


def test_a_full_disk_is_one_clear_error_and_nothing_earlier_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    written, message = done.stdout.split(" ", 1)
    assert "cannot write the journal" in message
    assert "space" in message or "full" in message
    assert int(written) > 10
    with opened(tmp_path) as journal:
        for number in range(int(written)):
            assert journal.answer(key(number)) == Response(text="x" * 2000)
        journal.record(key(-1), response(1), task="t", doc_id=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(JournalError, match="cannot be written to"):
            opened(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_small_answers_cost_little_space(tmp_path: Path) -> None:
    text = "x" * 1024
    with opened(tmp_path) as journal:
        journal.record_many(Answer(key(n), Response(text=text), "task", n, 0) for n in range(2000))
    assert (tmp_path / JOURNAL_NAME).stat().st_size < 1.5 * 2000 * 1024


def test_no_pickle_is_ever_read() -> None:
    folder = Path(journal_module.__file__).parent
    for path in folder.glob("*.py"):
        assert "import pickle" not in path.read_text()
