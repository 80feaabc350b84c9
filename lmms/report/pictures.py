"""The pictures that a model saw, made again as thumbnails from what the samples recorded.

Frames are decoded anew at the recorded positions, straight to a small size, and damaged in the same
way where the run asked for that; they are the frames that the model was given, only smaller.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lmms.errors import LmmsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lmms.config.plan import RunPlan
    from lmms.types import Sample

_FRAME_SIDE = 224
"""Longer side of a frame's thumbnail in pixels; sharp at half of it on dense screens."""
_IMAGE_SIDE = 480
_JPEG_QUALITY = 72
_MAX_FRAMES = 32
"""Frames shown of one clip; more are thinned out evenly, first and last kept."""


class PixelReader(Protocol):
    """Reads the pixels of a recorded medium."""

    def __call__(
        self, media: Mapping[str, Any], indices: Sequence[int], size: tuple[int, int] | None
    ) -> NDArray[np.uint8]:
        """Returns uint8 (n, height, width, 3): the frames at `indices`, or one image.

        Args:
            media: What a sample recorded of the medium (`LoadedMedia.to_json`).
            indices: Positions in presentation order; empty for an image.
            size: (height, width) to resize to; None keeps the source's.

        Raises:
            LmmsError: It cannot be read any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture of the page."""

    url: str
    """A `data:` URL of a JPEG."""
    caption: str
    """Time stamp; empty for an image."""
    title: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Strip:
    """All pictures of one medium, with what there is to say about it."""

    kind: str
    name: str
    facts: tuple[str, ...]
    thumbnails: tuple[Thumbnail, ...] = ()
    note: str = ""
    """Why there are no pictures, or how they differ from what was seen."""


class Budget:
    """Bytes that the page may still take."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, size: int) -> bool:
        """Takes `size` bytes if they are left."""
        if size > self.left:
            return False
        self.left -= size
        return True


def strip_of(media: Mapping[str, Any], read: PixelReader, budget: Budget) -> Strip:
    """Returns the thumbnails of one recorded medium; never raises for one that is gone."""
    kind, name, facts = str(media.get("kind", "image")), _name(media), tuple(_facts(media))
    note = _note(media.get("policy") or {})
    if kind == "audio":
        return Strip(kind, name, facts, note=note)
    try:
        thumbnails = tuple(_thumbnails(media, read))
    except LmmsError as error:
        # The page may travel; the folders of this machine need not.
        reason = error.message.replace(str(media.get("path")), name)
        return Strip(kind, name, facts, note=f"cannot be shown: {reason}")
    if not budget.take(sum(len(t.url) for t in thumbnails)):
        return Strip(kind, name, facts, note="left out to keep this page small")
    return Strip(kind, name, facts, thumbnails, note)


def _note(policy: Mapping[str, Any]) -> str:
    notes = []
    if policy.get("strategy") == "keyframes":
        notes.append("not the chosen frames, but the keyframes nearest to them")
    if policy.get("control"):
        notes.append(f"damaged on purpose before the model saw it: {policy['control']}")
    return "; ".join(notes)


def _thumbnails(media: Mapping[str, Any], read: PixelReader) -> Iterator[Thumbnail]:
    indices = [int(i) for i in media.get("indices") or ()]
    times = [float(t) for t in media.get("times") or ()]
    video = media.get("kind") == "video"
    pixels = read(media, indices, _size(media, _FRAME_SIDE if video else _IMAGE_SIDE))
    positions = _evenly(len(pixels), _MAX_FRAMES)
    for position in positions:
        time = times[position] if video and position < len(times) else None
        frame = f"frame {indices[position]}" if position < len(indices) else "image"
        picture = pixels[position]
        yield Thumbnail(
            url=_jpeg(picture),
            caption="" if time is None else f"{time:.1f} s",
            title=frame if time is None else f"{frame} at {time:.3f} s",
            width=int(picture.shape[1]),
            height=int(picture.shape[0]),
        )


def _jpeg(picture: NDArray[np.uint8]) -> str:
    from lmms.media import image_data_url

    return image_data_url(picture, format="JPEG", quality=_JPEG_QUALITY)


def _size(media: Mapping[str, Any], side: int) -> tuple[int, int] | None:
    shape = media.get("shape")
    if not shape or len(shape) < 3:
        return None
    height, width = int(shape[-3]), int(shape[-2])
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _evenly(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _name(media: Mapping[str, Any]) -> str:
    path = media.get("path")
    return str(path).rsplit("/", 1)[-1] if path else f"{media.get('kind', 'image')} in the data set"


def _facts(media: Mapping[str, Any]) -> Iterator[str]:
    shape, source = media.get("shape"), media.get("source") or {}
    frames = len(media.get("indices") or ())
    if media.get("kind") == "video" and frames:
        shown = f", {_MAX_FRAMES} shown" if frames > _MAX_FRAMES else ""
        yield f"{frames} frame{'s' if frames > 1 else ''} seen{shown}"
    if shape and len(shape) >= 3:
        yield f"{shape[-2]} × {shape[-3]} px"
    if total := source.get("total_frames"):
        yield f"of {total} frames"
    if seconds := source.get("duration_seconds"):
        yield f"{float(seconds):.1f} s"
    if codec := source.get("codec"):
        yield str(codec)
    yield from (str(warning) for warning in media.get("warnings") or ())


def recorded_pixels(find_bytes: Callable[[str], bytes | None]) -> PixelReader:
    """Returns the reader for real runs: files by their path, pictures inside rows by digest.

    Args:
        find_bytes: Gives the bytes with a SHA-256, None if they cannot be found.
    """

    def read(
        media: Mapping[str, Any], indices: Sequence[int], size: tuple[int, int] | None
    ) -> NDArray[np.uint8]:
        from lmms.media import apply_control

        policy = media.get("policy") or {}
        with warnings.catch_warnings():
            # Damage was told when the model was asked; the sample carries it.
            warnings.simplefilter("ignore")
            pixels = _decoded(media, indices, size, policy, find_bytes)
        times = tuple(media.get("times") or (0.0,) * len(pixels))
        seed = str(media.get("sha256", ""))
        return apply_control(pixels, times, policy.get("control"), seed=seed)[0]

    return read


def _decoded(
    media: Mapping[str, Any],
    indices: Sequence[int],
    size: tuple[int, int] | None,
    policy: Mapping[str, Any],
    find_bytes: Callable[[str], bytes | None],
) -> NDArray[np.uint8]:
    from lmms.media import load_image, read_frames

    path = media.get("path")
    rotate = bool(policy.get("rotate", True))
    if path and media.get("kind") == "video":
        return read_frames(path, indices, size=size, rotate=rotate)
    if path and media.get("frame") is not None:
        return read_frames(path, [int(media["frame"])], size=size, rotate=rotate)
    source = path or find_bytes(str(media.get("sha256", "")))
    if not source:
        raise LmmsError("the picture is not in the document any more")
    return load_image(source, size=size)[None]


def pictures_in_documents(plan: RunPlan, label: str) -> Callable[[Sample], PixelReader]:
    """Returns what gives, for a sample of a task, a reader that also finds pictures in its row.

    The documents are opened only if a sample holds such a picture.
    """
    opened: list[Any] = []

    def source() -> Any:
        if not opened:
            from lmms.documents import open_source
            from lmms.tasks import load_spec

            env = plan.config.env
            name = plan.config.tasks[label].name
            spec = load_spec(
                name,
                task_paths=env.task_paths,
                cache_dir=env.cache_dir,
                trust_code=env.trust_task_code,
            )
            opened.append(open_source(spec.dataset, env))
        return opened[0]

    def reader(sample: Sample) -> PixelReader:
        def find(digest: str) -> bytes | None:
            fields = source().get(sample.doc_id).fields
            return next((b for b in _bytes_in(fields) if _sha256(b) == digest), None)

        return recorded_pixels(find)

    return reader


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes | bytearray | memoryview):
        yield bytes(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _bytes_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _bytes_in(inner)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
