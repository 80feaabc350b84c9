"""A local model on video, killed and resumed."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Any

import pytest

from lmms.errors import JournalError
from lmms.responses.reader import JournalReader
from tests.durability.bed import Bed, differences, finish, running

pytestmark = pytest.mark.canary

WORDS = (
    "model=qwen3_vl",
    "model.base_url=",
    "model.pretrained=",
    "model.api_key_env=",
    "model.concurrency=",
    "+model.kwargs.startup_wait_seconds=",
    "model.batch_size=1",
    "env.task_paths=",
    "task=longvideobench_val_v",
    "limit=4",
)


def answers(bed: Bed) -> int:
    with contextlib.suppress(JournalError):
        for folder in bed.runs():
            with JournalReader(folder) as journal:
                return journal.answer_count()
    return 0


def wait_for_answer(bed: Bed, process: Any) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None and not answers(bed):
        time.sleep(0.02)


def test_kill_and_resume(bed: Bed) -> None:
    with running(bed.start(*WORDS)) as process:
        wait_for_answer(bed, process)
        process.send_signal(signal.SIGKILL)
        assert finish(process).returncode == -signal.SIGKILL
    kept = answers(bed)
    assert 0 < kept < 4
    bed.run_well(*WORDS)
    resumed = bed.outcome()
    bed.run_well(*WORDS, "run.resume=never")
    assert differences(resumed, bed.outcome(bed.runs()[-1])) == []
