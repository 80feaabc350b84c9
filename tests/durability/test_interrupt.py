"""Ctrl-C and SIGTERM: the run ends in order, says how to go on, and goes on."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from lmms.report import load_run
from tests.durability.bed import CONCURRENCY, Bed, differences, finish


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_once(bed: Bed, undisturbed: Any, number: int, code: int) -> None:
    bed.server.script(delay=0.05)
    process = bed.start()
    bed.until_asked(6, process)
    process.send_signal(number)
    done = finish(process)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    calls = bed.server.calls()
    # What was in flight has been waited for and kept; nothing new was asked.
    assert calls["total"] == calls["answered"] == bed.journal_rows("answers")
    assert calls["total"] < bed.documents
    shown = done.stdout + done.stderr
    assert "resume" in shown.lower()
    assert "lmms " in shown
    assert load_run(bed.run_folder).status == "interrupted"
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == bed.documents


def test_twice(bed: Bed, undisturbed: Any) -> None:
    bed.server.script({"skip": 6, "do": {"stall": True}}, delay=0.02)
    process = bed.start()
    bed.until_asked(6 + CONCURRENCY, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "the first Ctrl-C waits for what is in flight"
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    done = finish(process)
    assert time.monotonic() - begun < 5
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    kept = bed.journal_rows("answers")
    assert kept == 6
    bed.server.script()
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == bed.documents + CONCURRENCY
