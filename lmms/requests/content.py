"""The content of one user turn: text and media in their places, by the task's `prompt`.

Keys of `prompt` (and of a profile, which is merged over it):
    text        template of the question;
    image, video, audio
                expressions that give one medium or a list of them, in the order of the file;
    marks       regular expression: the media take the places of its matches in the text, in order;
                without it they stand before the text;
    prepare     `file.py:function(fields, media) -> mapping` of further fields;
    everything else is a constant for the templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmms.errors import DataError, MediaError
from lmms.media.references import MediaPlaces
from lmms.requests.context import RenderContext
from lmms.tasks.code import load_function
from lmms.tasks.loader import PROMPT_KEYS
from lmms.tasks.spec import TaskSpec
from lmms.tasks.template import evaluate, fields_of, render
from lmms.types import Document, FramePolicy, MediaKind, MediaRef, Part, TextPart

_KINDS: tuple[MediaKind, ...] = ("image", "video", "audio")


class MediaFinder:
    """Finds the media that rows refer to.

    Args:
        places: Where references are looked for, in order.
        policy: Frames and pixels that the run asks for.
    """

    def __init__(self, places: MediaPlaces, policy: FramePolicy) -> None:
        self.places = places
        self.roots = places.roots
        self.policy = policy

    def find(self, reference: str, kind: MediaKind = "video") -> str:
        """Returns the path, locator or URL of a medium; the reference itself if there is none.

        What is not found is an error only when it is loaded, so that it costs one sample.

        Raises:
            MediaError: Several members of archives could be meant, or a Lance table or a video
                of YouTube cannot be opened or fetched.
        """
        from lmms.media.references import default_resolver

        exact = self.find_file(reference)
        if exact is not None:
            return str(exact)
        resolver = default_resolver()
        found = resolver.find(reference, kind, self.places)
        return found or resolver.find_irregular(reference, kind, self.places) or reference

    def find_file(self, reference: str) -> Path | None:
        """Returns a file below the roots (subtitles and the like), or None.

        Links are followed (the hub's cache is made of them); `..` is not.
        """
        relative = Path(reference)
        if relative.is_absolute() or ".." in relative.parts:
            return None
        for root in self.roots:
            path = Path(root) / relative
            if path.is_file():
                return path
        return None


def prompt_of(spec: TaskSpec, profile: str | None) -> dict[str, Any]:
    """Returns the task's prompt with the profile's keys over it; null takes a key away."""
    merged = dict(spec.prompt) | dict(spec.profiles.get(profile or "", {}))
    return {key: value for key, value in merged.items() if value is not None}


def prompt_fields(spec: TaskSpec, document: Document, context: RenderContext) -> dict[str, Any]:
    """Returns all that templates may name: constants, columns, derived and prepared fields."""
    prompt = prompt_of(spec, context.profile)
    constants = {k: v for k, v in prompt.items() if k not in PROMPT_KEYS}
    fields = constants | fields_of(spec, document)
    if "prepare" in prompt:
        finder = MediaFinder(context.source.media_places, context.media)
        fields |= load_function(spec, prompt["prepare"])(fields, finder)
    return fields


def user_content(
    spec: TaskSpec,
    document: Document,
    context: RenderContext,
    fields: Mapping[str, Any] | None = None,
) -> tuple[Part, ...]:
    """Returns the parts of the user turn that asks the document's question.

    Args:
        spec: The task.
        document: Whose question it is.
        context: How it is asked.
        fields: Result of `prompt_fields`, if it is already there.

    Raises:
        DataError: A template names something that the document does not have.
    """
    known = prompt_fields(spec, document, context) if fields is None else fields
    prompt = prompt_of(spec, context.profile)
    origin = f"task {spec.name}, document {document.id}"
    text = render(prompt["text"], known, origin=f"{origin}, prompt.text")
    media = _media(spec, document, context, known)
    marks = prompt.get("marks")
    if marks is not None:
        return _interleaved(text, media, str(marks))
    return joined([*media, TextPart(text)])


def _interleaved(text: str, media: list[MediaRef], marks: str) -> tuple[Part, ...]:
    """Puts media at the marks, in order; what is left over stands before the last piece of text.

    A mark without a medium (an image that is named twice) just disappears.
    """
    pieces = re.split(marks, text)
    parts: list[Part] = []
    for number, piece in enumerate(pieces):
        if number == len(pieces) - 1:
            parts.extend(media[number:])
        parts.append(TextPart(piece))
        if number < len(pieces) - 1 and number < len(media):
            parts.append(media[number])
    return joined(parts)


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Returns the parts with neighbouring texts made one and empty texts left out."""
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, TextPart):
            if not part.text:
                continue
            if merged and isinstance(merged[-1], TextPart):
                merged[-1] = TextPart(merged[-1].text + part.text)
                continue
        merged.append(part)
    return tuple(merged)


def _media(
    spec: TaskSpec, document: Document, context: RenderContext, fields: Mapping[str, Any]
) -> list[MediaRef]:
    finder = MediaFinder(context.source.media_places, context.media)
    origin = f"task {spec.name}, document {document.id}"
    media: list[MediaRef] = []
    for key, source in prompt_of(spec, context.profile).items():
        for kind in _KINDS:
            if key != kind:
                continue
            value = evaluate(str(source), fields, origin=f"{origin}, prompt.{kind}")
            if value is None:
                raise MediaError(f"the row names no {kind}", origin=f"{origin}, prompt.{kind}")
            items = value if isinstance(value, list | tuple) else [value]
            media += [_reference(i, kind, finder, origin) for i in items if i is not None]
    return media


def _reference(value: Any, kind: MediaKind, finder: MediaFinder, origin: str) -> MediaRef:
    if isinstance(value, MediaRef):
        return value
    policy = finder.policy if kind == "video" else image_policy(finder.policy)
    if isinstance(value, Mapping) and ("bytes" in value or "path" in value):
        if value.get("bytes") is not None:
            return MediaRef(kind=kind, data=bytes(value["bytes"]), policy=policy)
        value = value.get("path")
    if isinstance(value, bytes):
        return MediaRef(kind=kind, data=value, policy=policy)
    if isinstance(value, str):
        return MediaRef(kind=kind, path=finder.find(value, kind), policy=policy)
    raise DataError(
        f"{type(value).__name__} is no {kind}", origin=origin, allowed="bytes, a path, or a struct"
    )


def image_policy(policy: FramePolicy) -> FramePolicy | None:
    """Returns the part of a frame policy that matters for pictures; None if nothing is set.

    A picture may be a frame of a video, so how that is decoded belongs to it.
    """
    kept = FramePolicy(
        num_frames=None,
        rotate=policy.rotate,
        strategy=policy.strategy,
        backend=policy.backend,
        min_pixels=policy.min_pixels,
        max_pixels=policy.max_pixels,
        control=policy.control,
    )
    return None if kept == FramePolicy(num_frames=None) else kept
