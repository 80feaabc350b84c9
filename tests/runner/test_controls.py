"""Controls that change requests: no media, or another document's clip, the same in every run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lmms
from lmms.errors import MediaError
from lmms.responses.reader import JournalReader
from lmms.runner.controls import Controls
from lmms.runner.task_run import TaskRun, open_tasks
from lmms.types import FramePolicy, MediaControl, MediaRef, Message, Request, TextPart
from tests.runner.conftest import Bed

TASK = "longvideobench_val_v"
COUNT = 12


def clips(bed: Bed, *words: str) -> list[str]:
    """Returns the clip that each question was asked with."""
    result = bed.run(f"limit={COUNT}", *words, task=TASK)
    assert result.status == "complete"
    with JournalReader(Path(result.path)) as journal:
        return [
            Path(str(sample.media[0]["path"])).stem if sample.media else ""
            for sample in journal.samples(TASK)
        ]


def test_text_only_takes_the_clips_away(bed: Bed) -> None:
    assert clips(bed, "media.control=text_only") == [""] * COUNT


def test_other_clip_shows_another_documents_clip_always_the_same(bed: Bed) -> None:
    own = clips(bed)
    assert all(own)
    first = clips(bed, "media.control=other_clip")
    assert all(other and other != mine for other, mine in zip(first, own, strict=True))
    assert len(set(first)) > 1
    again = clips(bed, "media.control=other_clip", "model.batch_size=1", "run.resume=never")
    assert first == again


@pytest.mark.parametrize("control", ["black", "wrong_times", "shuffle_frames", "swap_red_blue"])
def test_every_control_asks_questions_of_its_own(bed: Bed, control: str) -> None:
    own = clips(bed)
    before = set(bed.asked)
    assert clips(bed, f"media.control={control}") == own, "the clip is the same, its frames not"
    assert not before & set(bed.asked[COUNT:])


# A picture has no frame policy of its own; these look at single requests.


@pytest.fixture
def task(bed: Bed) -> TaskRun:
    return open_tasks(lmms.plan(bed.words("limit=4", task=TASK)))[TASK]


def controlled(task: TaskRun, control: MediaControl | None, *media: MediaRef) -> Request:
    policy = replace(task.context.media, control=control)
    task.context = replace(task.context, media=policy)
    message = Message("user", (*media, TextPart("What is it?")))
    request = Request(kind="generate_until", messages=(message,))
    return Controls(seed=0).apply(task, 0, request)


def test_a_picture_gets_a_policy_that_carries_the_control(task: TaskRun) -> None:
    request = controlled(task, "black", MediaRef(kind="image", path="a.png"))
    assert request.media == (
        MediaRef(kind="image", path="a.png", policy=FramePolicy(num_frames=None, control="black")),
    )
    assert request.prompt == "<image>What is it?"


def test_without_a_control_or_media_nothing_changes(task: TaskRun) -> None:
    picture = MediaRef(kind="image", path="a.png")
    assert controlled(task, None, picture).media == (picture,)
    assert controlled(task, "black").media == ()


def test_other_clip_fails_where_no_document_has_other_media(
    task: TaskRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lmms.runner.controls as controls

    same = MediaRef(kind="video", path="a.mp4")
    seen: list[Any] = []

    def media_of(asked: TaskRun, index: int) -> tuple[MediaRef, ...]:
        seen.append(index)
        return (same,)

    monkeypatch.setattr(controls, "_media_of", media_of)
    with pytest.raises(MediaError, match="no document of task"):
        controlled(task, "other_clip", same)
    assert 0 not in seen
