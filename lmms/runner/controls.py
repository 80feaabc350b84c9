"""Controls that change requests rather than pixels: no media at all, or another document's.

`black`, `shuffle_frames`, `wrong_times` and `swap_red_blue` work on decoded frames
(`lmms.media.controls`); here they are only written onto pictures, whose references carry no frame
policy of their own. `text_only` takes the media out of a request. `other_clip` replaces them by
those of another document of the task: the one a fixed, seeded distance further on (the first
further one whose media differ), so that it is the same in every run and on resume.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lmms.errors import MediaError
from lmms.types import FramePolicy, MediaControl, MediaRef, Message, Part, Request, TextPart

if TYPE_CHECKING:
    from lmms.runner.task_run import TaskRun

# Neighbours are often asked about the same clip; more questions per clip than this are not known.
_MAX_TRIES = 64


class Controls:
    """Applies the control of a task's frame policy to its requests.

    Args:
        seed: Decides which document's media `other_clip` shows.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def apply(self, task: TaskRun, index: int, request: Request) -> Request:
        """Returns the request that is asked instead; the same one without a control.

        Raises:
            MediaError: `other_clip` finds no document with other media.
        """
        control = task.context.media.control
        if control is None or not request.media:
            return request
        if control == "text_only":
            return _without_media(request)
        if control == "other_clip":
            others = self._others(task, index, request.media)
            pairs = zip(request.media, others, strict=True)
            request = _with_media(request, [replace(o, policy=r.policy) for r, o in pairs])
        return _with_media(request, [_labelled(ref, control) for ref in request.media])

    def _others(self, task: TaskRun, index: int, own: tuple[MediaRef, ...]) -> Iterator[MediaRef]:
        count = len(task.source)
        sources = {_source(ref) for ref in own}
        distance = random.Random(f"{self._seed}/{task.label}").randrange(1, max(2, count))
        for step in range(min(count - 1, _MAX_TRIES)):
            other = (index + distance + step) % count
            if other == index:
                continue
            found = [
                ref
                for ref in _media_of(task, other)
                if _source(ref) not in sources and ref.kind == own[0].kind
            ]
            if found:
                return (found[place % len(found)] for place in range(len(own)))
        raise MediaError(
            f"other_clip: no document of task {task.label} has media other than document {index}",
            origin=f"media.control of task {task.label}",
        )


def _media_of(task: TaskRun, index: int) -> tuple[MediaRef, ...]:
    from lmms.requests import open_episode

    episode = open_episode(task.spec, task.source.get(index), task.context)
    try:
        return tuple(ref for request in next(episode) for ref in request.media)
    except StopIteration:
        return ()
    finally:
        episode.close()


def _source(ref: MediaRef) -> str | bytes | None:
    return ref.path if ref.data is None else ref.data


def _labelled(ref: MediaRef, control: MediaControl) -> MediaRef:
    """A picture has no policy; with a control it gets one, which also enters the request's key."""
    policy = ref.policy or FramePolicy(num_frames=None)
    if policy.control == control:
        return ref
    return replace(ref, policy=replace(policy, control=control))


def _without_media(request: Request) -> Request:
    messages = tuple(
        Message(m.role, tuple(p for p in m.parts if isinstance(p, TextPart)))
        for m in request.messages
    )
    return replace(request, messages=messages)


def _with_media(request: Request, media: list[MediaRef]) -> Request:
    left = iter(media)

    def parts(message: Message) -> tuple[Part, ...]:
        return tuple(p if isinstance(p, TextPart) else next(left) for p in message.parts)

    messages = tuple(Message(m.role, parts(m)) for m in request.messages)
    return replace(request, messages=messages)
