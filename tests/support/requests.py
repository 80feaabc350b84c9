"""Requests and media for tests of back ends."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmms.models.base import PreparedRequest
from lmms.types import (
    GenerationArgs,
    LoadedMedia,
    MediaKind,
    MediaRef,
    Message,
    Part,
    Request,
    TextPart,
)


def picture(height: int = 4, width: int = 6, *, value: int = 200) -> np.ndarray:
    """A plain picture, (height, width, 3) uint8."""
    return np.full((height, width, 3), value, np.uint8)


def loaded(kind: MediaKind, frames: Any, times: Sequence[float] = ()) -> LoadedMedia:
    """A medium with its content, as the media layer gives it."""
    data = np.ascontiguousarray(frames).tobytes()
    return LoadedMedia(
        ref=MediaRef(kind=kind, data=data),
        digest=hashlib.sha256(data).hexdigest(),
        frames=frames,
        indices=tuple(range(len(times))),
        times=tuple(times),
    )


def generation_request(
    *parts: str | LoadedMedia,
    system: str | None = None,
    template: bool = True,
    repeat: int = 0,
    **generation: Any,
) -> PreparedRequest:
    """A prepared `generate_until` request of one user turn."""
    turn: list[Part] = [TextPart(part) if isinstance(part, str) else part.ref for part in parts]
    messages = [Message("user", tuple(turn))]
    if system is not None:
        messages.insert(0, Message("system", (TextPart(system),)))
    request = Request(
        kind="generate_until",
        messages=tuple(messages),
        generation=GenerationArgs(**generation),
        apply_chat_template=template,
        repeat=repeat,
    )
    media = tuple(part for part in parts if isinstance(part, LoadedMedia))
    return PreparedRequest(
        key=request.digest([m.digest for m in media]), request=request, media=media
    )


def loglikelihood_request(
    context: str, continuation: str, *, template: bool = False
) -> PreparedRequest:
    """A prepared `loglikelihood` request over raw text."""
    request = Request(
        kind="loglikelihood",
        messages=(Message("user", (TextPart(context),)),),
        continuation=continuation,
        apply_chat_template=template,
    )
    return PreparedRequest(key=request.digest([]), request=request)
