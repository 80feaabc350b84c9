"""Digests on disk: shared between processes, never wrong, never in the way."""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from lmms.media import digest_store, hashing
from lmms.media.digest_store import DigestStore
from lmms.media.hashing import file_identity, hash_bytes, hash_file, keep_digests_in

LARGE = bytes(2**20)
OLD = (1_600_000_000, 1_600_000_000)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    os.utime(path, OLD)
    return path


@pytest.fixture
def shared(tmp_path):
    folder = tmp_path / "cache"
    keep_digests_in(folder)
    yield folder
    keep_digests_in(None)


def test_a_digest_is_there_for_the_next_process(large, shared, monkeypatch):
    digest = hash_file(large)
    assert digest == hash_bytes(LARGE)
    code = (
        "import sys; from lmms.media import hashing as h; import hashlib\n"
        "h.keep_digests_in(sys.argv[1]); hashlib.sha256 = None; print(h.hash_file(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(shared), str(large)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == digest, done.stderr


def test_a_changed_file_has_its_own_digest(large, shared):
    hash_file(large)
    store = DigestStore(shared / "media-digests.sqlite")
    before = file_identity(large)
    assert store.get(before) == hash_bytes(LARGE)
    large.write_bytes(LARGE + b"x")
    os.utime(large, OLD)
    assert store.get(file_identity(large)) is None
    assert hash_file(large) == hash_bytes(LARGE + b"x")
    assert store.get(before) is None


def test_what_is_small_or_young_is_not_kept(tmp_path, shared):
    small = tmp_path / "small"
    small.write_bytes(b"x" * 1000)
    os.utime(small, OLD)
    young = tmp_path / "young"
    young.write_bytes(LARGE)
    hash_file(small)
    hash_file(young)
    assert not (shared / "media-digests.sqlite").exists()


@pytest.mark.parametrize("harm", ["no database", "folder", "nonsense", "read-only place"])
def test_a_store_that_does_not_work_changes_nothing(large, shared, harm, monkeypatch):
    path = shared / "media-digests.sqlite"
    if harm == "folder":
        path.mkdir(parents=True)
    elif harm == "read-only place":
        shared.write_text("a file where the folder should be")
    else:
        hash_file(large)
        if harm == "no database":
            path.write_bytes(b"not a database" * 100)
        else:
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE digests SET sha256 = 'nonsense'")
    monkeypatch.setattr(hashing, "_memory", hashing.Remembered(10))
    assert hash_file(large) == hash_bytes(LARGE)


def test_many_writers_do_not_lose_a_digest(tmp_path):
    store = [DigestStore(tmp_path / "d.sqlite") for _ in range(4)]
    size = digest_store.MIN_BYTES

    def write(number):
        for step in range(10):
            store[number].put((f"{number}-{step}", size, 1, 2), f"{number:064x}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        for step in range(10):
            assert store[0].get((f"{number}-{step}", size, 1, 2)) == f"{number:064x}"
    assert store[0].get(("0-0", size, 1, 3)) is None


def test_a_locked_store_costs_little_time(tmp_path, monkeypatch):
    monkeypatch.setattr(digest_store, "_WAIT_SECONDS", 0.1)
    store = DigestStore(tmp_path / "d.sqlite")
    identity = ("a", digest_store.MIN_BYTES, 1, 2)
    store.put(identity, "0" * 64)
    other = sqlite3.connect(tmp_path / "d.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    start = time.monotonic()
    assert store.get(identity) is None
    assert time.monotonic() - start < 2
    other.execute("ROLLBACK")
    other.close()
