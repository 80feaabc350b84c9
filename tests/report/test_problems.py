"""Reasons of failures and warnings about media: counted by reason, named by file."""

from __future__ import annotations

import pytest

from lmms.report.problems import Problems, medium_name
from lmms.types import Failure, Sample


def sample(number: int, *, failure: Failure | None = None, **medium: object) -> Sample:
    return Sample(
        task="t",
        doc_id=number,
        document_id=f"d{number}",
        doc_hash="",
        input="",
        target="",
        resps=[],
        filtered_resps=[],
        scores={},
        status="ok" if failure is None else "failed",
        failure=failure,
        media=(medium,) if medium else (),
    )


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ({"path": "/data/videos/a b.mp4"}, "a b.mp4"),
        ({"path": "a.mp4"}, "a.mp4"),
        ({"path": "zip://videos/a.mp4::/data/all.zip"}, "a.mp4"),
        ({"path": "bytes://100-20::/data/all.bin"}, "all.bin"),
        ({"path": "lance://Ab3::hf://owner/name"}, "Ab3"),
        ({"sha256": "0123456789abcdef"}, "sha256 0123456789ab"),
    ],
)
def test_names_are_short(shown: dict[str, str], name: str) -> None:
    assert medium_name(shown) == name


def test_equal_reasons_are_counted_whatever_the_file() -> None:
    problems = Problems()
    for number in range(7):
        message = f"/data/{number}.mp4: the file is empty\n  from: somewhere"
        problems.add(sample(number, failure=Failure(kind="media", message=message)))
    problems.add(sample(9, failure=Failure(kind="model", message="a.b: said no")))
    empty, other = problems.reasons()
    assert empty == {
        "kind": "media",
        "reason": "the file is empty",
        "count": 7,
        "documents": ["d0", "d1", "d2", "d3", "d4"],
    }
    assert other["reason"] == "a.b: said no"


def test_warnings_name_their_media_once_and_are_capped() -> None:
    problems = Problems()
    for number in range(10):
        path = f"/data/{number // 2}.mp4"
        problems.add(sample(number, path=path, warnings=["truncated: a third is missing"]))
    problems.add(sample(10, path="one.mp4", warnings=["odd"]))
    assert problems.warnings() == [
        "0.mp4, 1.mp4, 2.mp4 and 2 more: truncated: a third is missing",
        "one.mp4: odd",
    ]
    for number in range(30):
        problems.add(sample(number, path="x.mp4", warnings=[f"warning {number}"]))
    assert len(problems.warnings()) == 21
    assert problems.warnings()[-1] == "12 further warnings about media"
