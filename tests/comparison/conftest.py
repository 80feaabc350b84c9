"""Samples with chosen scores, written by the real writer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lmms.report.samples import write_samples
from lmms.types import Failure, Sample, Score

METRIC = "acc"


def digest(document: str) -> str:
    """What stands for the digest of a document's content."""
    return hashlib.sha256(document.encode()).hexdigest()


def sample(
    document: str, value: float | Mapping[str, float | None] | None, **changes: Any
) -> Sample:
    """A sample with one score, or one per metric."""
    values = value if isinstance(value, Mapping) else {METRIC: value}
    answers = {1.0: "right", 0.0: "wrong"}
    given: dict[str, Any] = {
        "task": "quiz",
        "doc_id": 0,
        "document_id": document,
        "doc_hash": digest(document),
        "input": f"What is {document}?",
        "target": "right",
        "resps": ["text"],
        "filtered_resps": ["text"],
        "scores": {
            key: Score(value=v, answer=answers.get(v if v is not None else -1.0))
            for key, v in values.items()
        },
        "status": "ok",
        "request_keys": ("k" * 64,),
    }
    return Sample(**(given | changes))


def failed(document: str) -> Sample:
    """A sample whose request was given up."""
    return sample(
        document,
        {},
        status="failed",
        failure=Failure(kind="model", message="no answer"),
        resps=[],
        filtered_resps=[],
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes samples as a file and returns its path."""

    def written(name: str, samples: Iterable[Sample]) -> str:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        path = folder / "samples_quiz.jsonl"
        write_samples(path, samples)
        return str(path)

    return written


@pytest.fixture
def sides(write: Callable[..., str]) -> Callable[..., tuple[str, str]]:
    """Writes two sides with the given scores of documents d0, d1, …"""

    def written(a: Iterable[float | None], b: Iterable[float | None]) -> tuple[str, str]:
        return tuple(  # type: ignore[return-value]
            write(name, [sample(f"d{i}", value) for i, value in enumerate(values)])
            for name, values in (("a", a), ("b", b))
        )

    return written
