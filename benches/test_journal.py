"""What keeping every answer at once costs: a commit per answer against no journal at all.

Claims: an answer of 1 KiB costs at most 0.15 CPU ms to keep and 0.05 to find again, and the file
is at most 1.5 times its payload. CPU seconds, median of five rounds after one to warm up.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from lmms.responses.journal import Journal
from lmms.responses.store import JOURNAL_NAME
from lmms.types import Response, TokenCounts

COUNT = 4_000
ROUNDS = 5
CLAIM_WRITE_MS, CLAIM_READ_MS, CLAIM_SIZE = 0.15, 0.05, 1.5
OUT = Path(__file__).parent / "out"


def cpu_ms(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / COUNT * 1000


def test_cost_of_keeping_answers(tmp_path: Path) -> None:
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(COUNT)]
    answer = Response(text="x" * 1024, tokens=TokenCounts(input=900, output=256))
    writes, reads = [], []
    for number in range(ROUNDS + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Journal.open(folder, plan_fingerprint="ab" * 32) as journal:

            def write(journal: Journal = journal) -> None:
                for doc_id, key in enumerate(keys):
                    journal.record(key, answer, task="task", doc_id=doc_id)

            def read(journal: Journal = journal) -> None:
                for key in keys:
                    assert journal.answer(key) is not None

            writes.append(cpu_ms(write))
            reads.append(cpu_ms(read))
    size = (folder / JOURNAL_NAME).stat().st_size / (COUNT * 1024)
    write_ms, read_ms = statistics.median(writes[1:]), statistics.median(reads[1:])
    print(f"\njournal  keep {write_ms:.3f} CPU ms, find {read_ms:.3f} CPU ms, size x {size:.2f}")
    OUT.mkdir(exist_ok=True)
    with (OUT / "journal.jsonl").open("a") as file:
        record = {"bench": "journal", "keep_ms": write_ms, "find_ms": read_ms, "size": size}
        file.write(json.dumps(record) + "\n")
    assert write_ms <= CLAIM_WRITE_MS
    assert read_ms <= CLAIM_READ_MS
    assert size <= CLAIM_SIZE
