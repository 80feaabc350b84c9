"""From a reference to pixels: the one place that says what loading a medium means.

The loader's threads and the worker processes both call `load`, so that isolation cannot change a
result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from lmms.media.diagnosis import explained
from lmms.media.errors import MediaDecodeError, MediaUnsupportedError
from lmms.media.images import load_image, resize_image
from lmms.media.sampling import pixel_bounds
from lmms.media.video import SizeRule, bounded_size, decode
from lmms.types import FramePolicy, MediaRef


@dataclass(frozen=True, slots=True)
class Decoded:
    """A medium as it was decoded, before any control."""

    frames: Any
    """uint8, (n, height, width, 3) for a video, (height, width, 3) for an image."""
    indices: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of pixels."""
        return int(self.frames.nbytes)

    @property
    def count(self) -> int:
        """Frames; an image counts as one."""
        return len(self.frames) if self.frames.ndim == 4 else 1


#: Loads a reference at the size that a rule gives.
Load = Callable[[MediaRef, SizeRule | None], Decoded]


def load(ref: MediaRef, size: SizeRule | None = None, *, medium: Any = None) -> Decoded:
    """Decodes a medium in this process.

    Args:
        ref: An image or a video. Its policy's control is not applied.
        size: Final (height, width) from (number of frames, height, width).
        medium: Its content where that is at hand; None: what the reference says.

    Raises:
        MediaError: It cannot be loaded.
    """
    content = medium_of(ref) if medium is None else medium
    if ref.kind == "video":
        return _load_video(content, ref.policy or FramePolicy(), size)
    if ref.kind == "image" and ref.frame is not None:
        return _load_frame(content, ref, size)
    if ref.kind == "image":
        return _load_image(content, size)
    held = "a path" if ref.path is not None else "bytes"
    raise MediaUnsupportedError(
        f"{ref.kind} given as {held} cannot be loaded", allowed="videos and images"
    )


def medium_of(ref: MediaRef) -> str | bytes:
    """Returns what a reference refers to: its path or locator, or its content.

    Raises:
        MediaUnsupportedError: The reference has neither path nor data.
    """
    if ref.data is not None:
        return ref.data
    if ref.path is None:
        raise MediaUnsupportedError(f"a {ref.kind} reference without path or data")
    return ref.path


def uses_ffmpeg(ref: MediaRef) -> bool:
    """Whether FFmpeg decodes a medium; still images are decoded in Rust, JPEG by libjpeg-turbo."""
    return ref.kind != "image" or ref.frame is not None


def default_size(ref: MediaRef) -> SizeRule:
    """Returns the size rule that `load` follows where it is given none."""

    def size(frames: int, height: int, width: int) -> tuple[int, int]:
        if ref.kind != "video":
            return height, width
        return bounded_size(height, width, *pixel_bounds(ref.policy or FramePolicy(), frames))

    return size


def _load_video(medium: Any, policy: FramePolicy, size: SizeRule | None) -> Decoded:
    try:
        batch = decode(medium, policy, size=size)
    except MediaDecodeError as error:
        raise explained(error, medium) from error
    info = batch.info
    source: dict[str, Any] = {
        "width": info.width,
        "height": info.height,
        "total_frames": info.num_frames,
        "duration_seconds": info.duration_seconds,
        "average_fps": info.average_fps,
        "codec": info.codec,
        "is_vfr": info.is_vfr,
    }
    if batch.asked_indices is not None:
        source["asked_indices"] = list(batch.asked_indices)
    warnings = tuple(str(warning) for warning in batch.warnings)
    return Decoded(batch.frames, batch.indices, batch.times, source, warnings)


def _load_frame(medium: Any, ref: MediaRef, size: SizeRule | None) -> Decoded:
    own = ref.policy or FramePolicy()
    policy = FramePolicy(
        indices=(int(ref.frame or 0),),
        rotate=own.rotate,
        strategy=own.strategy,
        backend=own.backend,
    )
    batch = decode(medium, policy, size=size)
    source = {"width": batch.width, "height": batch.height, "frame": ref.frame}
    warnings = tuple(str(warning) for warning in batch.warnings)
    return Decoded(batch.frames[0], batch.indices, batch.times, source, warnings)


def _load_image(medium: Any, size: SizeRule | None) -> Decoded:
    picture = load_image(medium)
    height, width = int(picture.shape[0]), int(picture.shape[1])
    source = {"width": width, "height": height}
    if size is not None:
        target = size(1, height, width)
        if target != (height, width):
            picture = resize_image(picture, target)
    return Decoded(picture, source=source)


def choice_of(ref: MediaRef) -> MediaRef:
    """Returns what of a reference is decoded: without its control, which works on the result."""
    if ref.policy is None or ref.policy.control is None:
        return ref
    return replace(ref, policy=replace(ref.policy, control=None))
