"""The journal: what is written is there, whatever happens to the process, the file or the disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.errors import JournalError
from lmms.responses import journal as journal_module
from lmms.responses.codec import encode, response_to_json, sample_from_json, sample_to_json
from lmms.responses.journal import Journal
from lmms.responses.reader import JournalReader
from lmms.responses.store import JOURNAL_NAME
from lmms.types import Failure, Response
from tests.responses.records import filled, key, opened, response, sample

# ------------------------------------------------------------------------------- write and read


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    media = [{"kind": "video", "indices": [0, 4], "times": [0.0, 0.5]}]
    with opened(tmp_path) as journal:
        journal.record(key(1), response(1), task="t", doc_id=1, position=2, media=media)
        journal.record(key(2), Response(text=""), task="t", doc_id=2)
        journal.record(key(3), Response(loglikelihood=-1.5, is_greedy=False), task="t", doc_id=3)
    with opened(tmp_path) as journal:
        assert journal.answer(key(1)) == response(1)
        stored = journal.stored(key(1))
        assert stored is not None
        assert stored.media == tuple(media)
        assert journal.answer(key(2)) == Response(text=""), "an empty answer is an answer"
        assert journal.answer(key(3)) == Response(loglikelihood=-1.5, is_greedy=False)
        assert journal.answer(key(4)) is None


def test_a_second_answer_to_a_key_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record(key(1), Response(text="first"), task="t", doc_id=1)
        journal.record(key(1), Response(text="late duplicate"), task="t", doc_id=1)
        assert journal.answer(key(1)) == Response(text="first")
    with JournalReader(tmp_path) as reader:
        assert reader.answer_count() == 1


def test_failures_are_never_answers(tmp_path: Path) -> None:
    failure = Failure(kind="timeout", message="no answer", attempts=6)
    with opened(tmp_path) as journal:
        journal.record_failure(failure, task="t", doc_id=3, key=key(3))
        assert journal.answer(key(3)) is None
    with JournalReader(tmp_path) as reader:
        assert list(reader.failures("t")) == [(3, failure)]


def test_samples_stream_in_document_order_whatever_the_order_of_writing(tmp_path: Path) -> None:
    numbers = [(i * 7919) % 1000 for i in range(1000)]
    with opened(tmp_path) as journal:
        journal.record_samples(sample(n) for n in numbers)
        journal.record_sample(sample(5, task="other"))
        assert [s.doc_id for s in journal.samples("t")] == list(range(1000))
        assert [s.doc_id for s in journal.samples("t", stop=300)] == list(range(300))
        assert journal.sample("t", 17) == sample(17)
        assert journal.sample("t", 1000) is None


def test_a_sample_is_replaced_when_it_is_recorded_again(tmp_path: Path) -> None:
    failed = sample(1, status="failed", failure=Failure(kind="network", message="gone"), scores={})
    with opened(tmp_path) as journal:
        journal.record_sample(failed)
        assert list(journal.samples("t")) == [failed]
        journal.record_sample(sample(1))
        assert list(journal.samples("t")) == [sample(1)]


def test_writers_in_many_threads_lose_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:

        def write(start: int) -> None:
            for number in range(start, start + 100):
                journal.record(key(number), response(number), task="t", doc_id=number)

        threads = [threading.Thread(target=write, args=(i * 100,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(journal.answer(key(n)) == response(n) for n in range(800))


def test_media_digests_are_remembered_for_an_unchanged_file(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record_media_digest("/clip.mp4", 10, 111, 7, "d" * 64)
        assert journal.media_digest("/clip.mp4", 10, 111, 7) == "d" * 64
        for changed in [(11, 111, 7), (10, 112, 7), (10, 111, 8)]:
            assert journal.media_digest("/clip.mp4", *changed) is None
        assert journal.media_digest("/other.mp4", 10, 111, 7) is None


TEXTS = st.text(st.characters(exclude_categories=())) | st.none()


@settings(max_examples=50, deadline=None)
@given(text=TEXTS, number=st.floats(allow_nan=False), media=st.text())
def test_any_text_survives(text: str | None, number: float, media: str) -> None:
    shown = Response(text=text, loglikelihood=number)
    assert Response.from_json(json.loads(encode(response_to_json(shown)))) == shown


def test_half_a_surrogate_pair_survives_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record(key(1), Response(text="\ud83d half, 中文 \x00 end"), task="t", doc_id=1)
        assert journal.answer(key(1)) == Response(text="\ud83d half, 中文 \x00 end")


def test_samples_survive_their_codec() -> None:
    full = sample(
        3,
        cluster="video7",
        media=({"kind": "video"},),
        responses=({"tokens": {"input": 3}},),
        failure=Failure(kind="media", message="broken"),
    )
    text = encode(sample_to_json(full))
    assert sample_from_json("t", 3, json.loads(text)) == full


def test_the_fast_codec_equals_the_plain_one() -> None:
    for shown in [response(3), Response(text=""), Response(loglikelihood=-2.0, is_greedy=True)]:
        assert response_to_json(shown) == shown.to_json()


# ------------------------------------------------------------------------------------ crash, kill


WRITER = """
import os, sys
from pathlib import Path
from lmms.responses.journal import Journal
from lmms.types import Response
import hashlib
import json
journal = Journal.open(Path(sys.argv[1]), plan_fingerprint="ab" * 32)
for number in range(10_000):
    key = hashlib.sha256(str(number).encode()).hexdigest()
    journal.record(key, Response(text=f"answer {number}"), task="t", doc_id=number)
    os.write(1, b"%d\\n" % number)
"""


def test_sigkill_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 137:
                process.kill()
                break
        told = [137, *map(int, process.stdout.read().split())]
    with opened(tmp_path) as journal:
        for number in range(told[-1] + 1):
            assert journal.answer(key(number)) == Response(text=f"answer {number}")


def test_a_log_cut_at_any_byte_loses_only_its_tail(tmp_path: Path) -> None:
    """What a kill or a power loss in the middle of an append leaves behind."""
    source = tmp_path / "source"
    source.mkdir()
    journal = opened(source)
    for number in range(12):
        journal.record(key(number), response(number), task="t", doc_id=number)
    log = (source / f"{JOURNAL_NAME}-wal").read_bytes()
    main = (source / JOURNAL_NAME).read_bytes()
    journal.close()
    frame = 4096 + 24
    cuts = [*range(32, len(log), frame), *range(len(log) - 3 * frame, len(log), 509)]
    for number, cut in enumerate(sorted(set(cuts))[-40:]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / JOURNAL_NAME).write_bytes(main)
        (folder / f"{JOURNAL_NAME}-wal").write_bytes(log[:cut])
        with opened(folder) as torn:
            held = [n for n in range(12) if torn.answer(key(n)) == response(n)]
            assert held == list(range(len(held))), "a prefix of what was written"
            torn.record(key(99), response(99), task="t", doc_id=99)
            assert torn.answer(key(99)) == response(99)


def test_power_loss_costs_at_most_what_came_after_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_SECONDS", 0.02)
    folder, after = tmp_path / "run", tmp_path / "after"
    folder.mkdir()
    after.mkdir()
    with opened(folder) as journal:
        journal.record(key(1), response(1), task="t", doc_id=1)
        with JournalReader(folder) as reader:
            assert reader.answer_count() == 1
        for _ in range(200):
            # A power loss may take the whole log; the main file was brought to disk.
            shutil.copy(folder / JOURNAL_NAME, after / JOURNAL_NAME)
            with JournalReader(after) as reader:
                if reader.answer_count() == 1:
                    break
            threading.Event().wait(0.02)
        else:
            pytest.fail("no checkpoint within four seconds")


def test_the_log_does_not_grow_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(journal_module, "MAX_WAL_BYTES", 200_000)
    largest = 0
    with opened(tmp_path) as journal:
        for number in range(1500):
            journal.record(key(number), response(number), task="t", doc_id=number)
            if number % 50 == 0:
                largest = max(largest, (tmp_path / f"{JOURNAL_NAME}-wal").stat().st_size)
                threading.Event().wait(0.01)
    assert largest < 3_000_000, "1,500 commits of three pages are 18 MB of log"


# ----------------------------------------------------------------------------------------- damage


def test_a_bit_flip_in_any_row_is_found_and_only_that_row_is_asked_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(b"answer 7 ") + 3
    data[place] ^= 0x10
    path.write_bytes(data)
    told: list[str] = []
    with opened(tmp_path, notice=told.append) as journal:
        assert journal.answer(key(7)) is None
        assert all(journal.answer(key(n)) == response(n) for n in range(20) if n != 7)
        assert "row 8 of answers (task t, document 7)" in told[0]
        journal.record(key(7), response(7), task="t", doc_id=7)
        assert journal.answer(key(7)) == response(7)


def test_a_bit_flip_in_a_sample_leaves_out_that_sample(tmp_path: Path) -> None:
    path = filled(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(b'"document_id":"d11"') + 16
    data[place] ^= 0x02
    path.write_bytes(data)
    with JournalReader(tmp_path) as reader:
        assert [s.doc_id for s in reader.samples("t")] == [n for n in range(20) if n != 11]
        assert [d.doc_id for d in reader.damage] == [11]


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_gives_a_wrong_answer(tmp_path: Path, seed: int) -> None:
    import random

    path = filled(tmp_path, count=120)
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    # The first page tells that it is a journal at all; everything after it may be hit.
    for _ in range(6):
        data[rng.randrange(4096, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    told: list[str] = []
    with opened(tmp_path, notice=told.append) as journal:
        kept = 0
        for number in range(120):
            answer = journal.answer(key(number))
            assert answer in (None, response(number))
            kept += answer is not None
        assert kept >= 60
        for found in journal.samples("t"):
            assert found == sample(found.doc_id)


def test_a_destroyed_page_is_rebuilt_around(tmp_path: Path) -> None:
    path = filled(tmp_path, count=200)
    data = bytearray(path.read_bytes())
    page = data.index(b"answer 100 ") // 4096 * 4096
    data[page : page + 4096] = os.urandom(4096)
    path.write_bytes(data)
    told: list[str] = []
    with opened(tmp_path, notice=told.append) as journal:
        kept = sum(journal.answer(key(n)) == response(n) for n in range(200))
    assert kept > 150
    assert "damaged" in told[0]
    assert "recovered" in told[0]
    assert (tmp_path / f"{JOURNAL_NAME}.damaged-1").exists()


def test_an_emptied_file_starts_anew_with_a_notice(tmp_path: Path) -> None:
    filled(tmp_path).write_bytes(b"")
    told: list[str] = []
    with opened(tmp_path, notice=told.append) as journal:
        assert journal.answer(key(1)) is None
        journal.record(key(1), response(1), task="t", doc_id=1)
    assert "was empty" in told[0]


def test_a_journal_whose_writer_died_while_making_it_is_made_anew(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / JOURNAL_NAME) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    with pytest.raises(JournalError, match="the journal is empty"):
        JournalReader(tmp_path)
    with opened(tmp_path) as journal:
        journal.record(key(1), response(1), task="t", doc_id=1)
        assert journal.answer(key(1)) == response(1)


def test_a_file_that_is_no_journal_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(b"this is not a database" * 100)
    with pytest.raises(JournalError, match="damaged"):
        opened(tmp_path)
    assert (tmp_path / JOURNAL_NAME).read_bytes().startswith(b"this is not")


def test_another_schema_version_is_named_and_refused(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=7")
    connection.close()
    for opening in (lambda: opened(tmp_path), lambda: JournalReader(tmp_path)):
        with pytest.raises(JournalError, match="schema version 7, this lmms reads version 1"):
            opening()


def test_another_plan_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(JournalError, match="belongs to plan abababababab"):
        Journal.open(tmp_path, plan_fingerprint="cd" * 32)
