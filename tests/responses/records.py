"""Answers and samples to write into journals."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lmms.responses.journal import Journal
from lmms.responses.store import JOURNAL_NAME
from lmms.types import Response, Sample, Score, TokenCounts

PLAN = "ab" * 32


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def response(number: int) -> Response:
    return Response(
        text=f"answer {number} " + "x" * 200,
        tokens=TokenCounts(input=number, output=2),
        finish_reason="stop",
        ttft_seconds=0.25,
    )


def sample(number: int, task: str = "t", **changes: object) -> Sample:
    values = {
        "task": task,
        "doc_id": number,
        "document_id": f"d{number}",
        "doc_hash": "h",
        "input": "question",
        "target": "A",
        "resps": ["raw"],
        "filtered_resps": ["A"],
        "scores": {"acc": Score(value=1.0, answer="A", record={"pair": number})},
        "status": "ok",
        "request_keys": (key(number),),
    } | changes
    return Sample(**values)  # type: ignore[arg-type]


def opened(folder: Path, **options: object) -> Journal:
    return Journal.open(folder, plan_fingerprint=PLAN, **options)  # type: ignore[arg-type]


def filled(folder: Path, count: int = 20) -> Path:
    with opened(folder) as journal:
        for number in range(count):
            journal.record(key(number), response(number), task="t", doc_id=number)
            journal.record_sample(sample(number))
    return folder / JOURNAL_NAME
