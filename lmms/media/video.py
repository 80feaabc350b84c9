"""Videos: what they hold, and exactly the asked frames.

A frame's position is its position in presentation order; its time is counted from the first
frame's presentation, whatever time stamp the file starts at. Decoded pixels are byte for byte
what `ffmpeg -pix_fmt rgb24` gives, rotation metadata applied.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lmms.media.errors import MediaRangeError, native
from lmms.media.sampling import frame_indices, pixel_bounds
from lmms.media.source import MediaInput, native_source, shared_source, source_name
from lmms.types import FramePolicy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: (number of frames, height, width) of the chosen frames to their final (height, width).
SizeRule = Callable[[int, int, int], tuple[int, int]]

#: Bytes of frames that one call may return unless told otherwise: 600 frames of 1080p.
DEFAULT_MAX_BYTES = 4 * 2**30


class MediaDamageWarning(UserWarning):
    """A video is damaged, though the asked frames could be given."""


@dataclass(frozen=True, slots=True)
class MediaWarning:
    """What was wrong with a video although frames could be read."""

    code: str
    """Stable name: truncated, corrupt_packets, decode_errors, missing_frames, no_timestamps,
    size_changed, odd_rotation, time_past_end, declared_count."""
    message: str
    """One sentence with the figures."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """Facts about the best video stream of a file (FFmpeg's choice)."""

    path: str
    width: int
    """Pixels, after rotation."""
    height: int
    """Pixels, after rotation."""
    stored_width: int
    """Pixels, before rotation."""
    stored_height: int
    """Pixels, before rotation."""
    num_frames: int
    """Exact count of frames that are shown, not the container's declaration."""
    declared_frames: int | None
    """What the container says of the number of frames, right or wrong; None if it says nothing."""
    duration_seconds: float
    """From the first frame's presentation to the end of the last frame's."""
    frame_rate: Fraction
    """Average frames per second, exact; 0 if it cannot be told (a single frame)."""
    codec: str
    """FFmpeg's name, e.g. `h264`."""
    container: str
    """FFmpeg's name of the format, e.g. `mov,mp4,m4a,3gp,3g2,mj2`."""
    pixel_format: str
    """FFmpeg's name, e.g. `yuv420p`."""
    rotation: int
    """Clockwise degrees of the rotation metadata, already applied to width and height."""
    is_vfr: bool
    """Whether frames are shown for different lengths of time (beyond time stamp rounding)."""
    key_frames: int
    """Frames that decoding can start at."""
    warnings: tuple[MediaWarning, ...] = ()

    @property
    def average_fps(self) -> float:
        """Average frames per second."""
        return float(self.frame_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBatch:
    """Chosen frames of one video."""

    frames: NDArray[np.uint8]
    """Shape (n, height, width, 3), RGB."""
    indices: tuple[int, ...]
    """Positions in presentation order, one for each frame."""
    times: tuple[float, ...]
    """Seconds from the first frame of the video, one for each frame."""
    info: VideoInfo
    """The video they come from."""
    asked_indices: tuple[int, ...] | None = None
    """What the policy chose, where `strategy="keyframes"` took other frames instead."""
    warnings: tuple[MediaWarning, ...] = ()
    """What was wrong although every frame was filled."""

    @property
    def total_frames(self) -> int:
        """Frames of the whole video."""
        return self.info.num_frames

    @property
    def width(self) -> int:
        """Source width after rotation, in pixels."""
        return self.info.width

    @property
    def height(self) -> int:
        """Source height after rotation, in pixels."""
        return self.info.height

    @property
    def duration_seconds(self) -> float:
        """Duration of the whole video."""
        return self.info.duration_seconds

    def __repr__(self) -> str:
        return (
            f"FrameBatch({tuple(self.frames.shape)} of {self.total_frames} frames, "
            f"indices={self.indices}, warnings={len(self.warnings)})"
        )


def probe(path: MediaInput) -> VideoInfo:
    """Indexes a video without decoding it (damaged files are decoded once) and describes it.

    The index is remembered for as long as the file does not change; that of bytes and objects is
    not, unless they come as a `Source`.

    Raises:
        MediaNotFoundError: The file does not exist.
        MediaUnreadableError: It is a folder or cannot be opened, or reading it failed.
        MediaDecodeError: It is empty, no video, or nothing of it can be decoded.
        MediaTooLargeError: It has more than 20 million frames.
    """
    with native() as media:
        return _info(path, media.probe(native_source(path)))


def _info(path: MediaInput, facts: Any) -> VideoInfo:
    return VideoInfo(
        path=source_name(path),
        width=facts.width,
        height=facts.height,
        stored_width=facts.stored_width,
        stored_height=facts.stored_height,
        num_frames=facts.num_frames,
        declared_frames=facts.declared_frames if facts.declared_frames > 0 else None,
        duration_seconds=facts.duration_seconds,
        frame_rate=Fraction(*facts.average_rate),
        codec=facts.codec,
        container=facts.container,
        pixel_format=facts.pixel_format,
        rotation=facts.rotation,
        is_vfr=facts.is_vfr,
        key_frames=facts.key_frames,
        warnings=_warnings(facts.warnings),
    )


def _warnings(pairs: Sequence[tuple[str, str]]) -> tuple[MediaWarning, ...]:
    return tuple(MediaWarning(code, message) for code, message in pairs)


def frame_times(path: MediaInput) -> NDArray[np.float64]:
    """Returns the presentation time of every frame.

    Returns:
        float64, shape (num_frames,): seconds from the first frame's presentation, ascending,
        the first one 0; exact for variable frame rates.

    Raises:
        MediaError: As `probe`.
    """
    with native() as media:
        times: NDArray[np.float64] = media.frame_times(native_source(path))
    return times


def _positions(path: MediaInput, indices: Sequence[int]) -> list[int]:
    try:
        wanted = [operator.index(i) for i in indices]
    except TypeError:
        wrong = [i for i in indices if not hasattr(i, "__index__")]
        raise TypeError(
            f"{source_name(path)}: frame {wrong[0]!r} was asked for; positions are whole numbers, "
            "and decode() takes times in seconds"
        ) from None
    if any(i < 0 for i in wanted):
        raise MediaRangeError(
            f"{source_name(path)}: frame {min(wanted)} was asked for", allowed="0 and above"
        )
    return wanted


def read_frames(
    path: MediaInput,
    indices: Sequence[int],
    *,
    size: tuple[int, int] | None = None,
    rotate: bool = True,
    max_bytes: int = DEFAULT_MAX_BYTES,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Decodes exactly the asked frames.

    For frames that damage makes undecodable the nearest earlier one stands in. Anything wrong
    with the file is told by a Python `MediaDamageWarning`; `decode` returns the same as data.

    Args:
        path: A video file, or anything else that `MediaInput` names.
        indices: Positions in presentation order, in any order, repeats allowed.
        size: (height, width) to resize to, bicubic with antialiasing; None keeps the video's.
        rotate: Applies rotation metadata.
        max_bytes: Refuses to return more than this.
        out: A writable, C-contiguous uint8 array of the returned shape to write to instead of a
            new one. Using one again and again spares the page faults that otherwise take much of
            the time of decoding many frames in a row. After an error its content is undefined.

    Returns:
        uint8, shape (len(indices), height, width, 3), RGB; `out` if it was given.

    Raises:
        MediaRangeError: An index that the video does not have.
        MediaTooLargeError: More bytes than `max_bytes`, without `out`.
        TypeError: An index that is no whole number.
        MediaError: As `probe`.
        ValueError: `out` has another shape or type, or cannot be written.
    """
    frames, damage = _read(path, indices, size=size, rotate=rotate, max_bytes=max_bytes, out=out)
    for warning in damage:
        warnings.warn(f"{source_name(path)}: {warning}", MediaDamageWarning, stacklevel=2)
    return frames


def _read(
    path: MediaInput,
    indices: Sequence[int],
    *,
    size: tuple[int, int] | None,
    rotate: bool,
    max_bytes: int,
    out: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], tuple[MediaWarning, ...]]:
    wanted = _positions(path, indices)
    if size is not None and min(size) < 1:
        raise ValueError(f"size is (height, width) in pixels, got {size}")
    with native() as media:
        frames, damage = media.read_frames(
            native_source(path), wanted, size, rotate, max_bytes, out
        )
    return frames, _warnings(damage)


def decode(
    path: MediaInput,
    policy: FramePolicy,
    *,
    size: SizeRule | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> FrameBatch:
    """Chooses frames by a policy and decodes them at their final size.

    Args:
        path: A video file, or anything else that `MediaInput` names.
        policy: Which frames. Its `control` is not applied here; see `lmms.media.controls`.
        size: Gives the final (height, width) from (number of frames, height, width); usually a
            model's own sizing rule. Without it, frames keep their size unless the policy bounds
            their pixels.
        max_bytes: Refuses to return more than this.

    Raises:
        MediaRangeError: An explicit index or time that the video does not have.
        MediaTooLargeError: More bytes than `max_bytes`.
        MediaError: As `probe`.
    """
    content, path = path, shared_source(path)
    info = probe(path)
    times = frame_times(path)
    chosen = chosen_frames(path, policy, info)
    indices = chosen.indices
    height, width = info.height, info.width
    if not policy.rotate:
        height, width = info.stored_height, info.stored_width
    if size is not None:
        target = size(len(indices), height, width)
    else:
        target = bounded_size(height, width, *pixel_bounds(policy, len(indices)))
    resized = None if target == (height, width) else target
    if policy.backend == "rust":
        frames, damage = _read(
            path, indices, size=resized, rotate=policy.rotate, max_bytes=max_bytes
        )
    else:
        frames, damage = _read_elsewhere(content, policy, indices, info, resized, max_bytes), ()
    return FrameBatch(
        frames=frames,
        indices=indices,
        times=tuple(float(times[i]) for i in indices),
        info=info,
        asked_indices=chosen.asked,
        warnings=damage + chosen.warnings,
    )


def _read_elsewhere(
    path: MediaInput,
    policy: FramePolicy,
    indices: Sequence[int],
    info: VideoInfo,
    size: tuple[int, int] | None,
    max_bytes: int,
) -> NDArray[np.uint8]:
    """Decodes with another library, which gives frames at their own size, and resizes then."""
    from lmms.media.backends import read_with

    frames = read_with(
        policy.backend, path, indices, info, rotate=policy.rotate, max_bytes=max_bytes
    )
    if size is None:
        return frames
    import numpy as np

    from lmms.media.images import resize_image

    return np.stack([resize_image(frame, size) for frame in frames])


@dataclass(frozen=True, slots=True)
class ChosenFrames:
    """Frames that a policy takes of a video."""

    indices: tuple[int, ...]
    """Positions in presentation order."""
    asked: tuple[int, ...] | None
    """What the rule gave, where keyframes near to it are taken; None where it is taken itself."""
    warnings: tuple[MediaWarning, ...]
    """Where the choice rests on something that does not hold."""


def chosen_frames(path: MediaInput, policy: FramePolicy, info: VideoInfo) -> ChosenFrames:
    """Returns the frames that a policy takes of a video, without decoding any.

    Args:
        path: A video file.
        policy: Which frames.
        info: What `probe` says of the file.

    Raises:
        MediaRangeError: An explicit index or time that the video does not have.
    """
    wanted = frame_indices(
        policy,
        total=info.num_frames,
        rate=info.frame_rate,
        times=frame_times(path).tolist() if policy.times is not None else (),
        declared=info.declared_frames,
    )
    warnings = _past_end(policy, info) + _declared(policy, info)
    if policy.strategy == "exact":
        return ChosenFrames(wanted, None, warnings)
    return ChosenFrames(nearest_key_frames(path, wanted), wanted, warnings)


def key_frames(path: MediaInput) -> tuple[int, ...]:
    """Returns the positions of the frames that decoding can start at, ascending; the first is 0.

    Raises:
        MediaError: As `probe`.
    """
    with native() as media:
        return tuple(media.key_frames(native_source(path)))


def nearest_key_frames(path: MediaInput, indices: Sequence[int]) -> tuple[int, ...]:
    """Returns for each position that of the keyframe nearest to it; the earlier one of two.

    Raises:
        MediaRangeError: An index that the video does not have.
        MediaError: As `probe`.
    """
    wanted = _positions(path, indices)
    with native() as media:
        return tuple(media.nearest_key_frames(native_source(path), wanted))


def _past_end(policy: FramePolicy, info: VideoInfo) -> tuple[MediaWarning, ...]:
    if policy.indices is not None or policy.times is None:
        return ()
    late = [time for time in policy.times if time > info.duration_seconds]
    if not late:
        return ()
    message = (
        f"{len(late)} of {len(policy.times)} wanted times lie after the end "
        f"({max(late):g} s of {info.duration_seconds:g} s); the last frame is shown for them"
    )
    return (MediaWarning("time_past_end", message),)


def _declared(policy: FramePolicy, info: VideoInfo) -> tuple[MediaWarning, ...]:
    given = policy.indices is not None or policy.times is not None
    if given or policy.count == "indexed" or info.declared_frames == info.num_frames:
        return ()
    if info.declared_frames is None:
        message = f"the container declares no number of frames; its {info.num_frames} were counted"
    else:
        message = (
            f"frames were chosen from the {info.declared_frames} that the container declares; "
            f"it has {info.num_frames}"
        )
    return (MediaWarning("declared_count", message),)


def bounded_size(
    height: int, width: int, min_pixels: int | None, max_pixels: int | None
) -> tuple[int, int]:
    """Returns (height, width) scaled so that the pixels lie within bounds, shape kept.

    Raises:
        ValueError: The bounds contradict each other.
    """
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        raise ValueError(f"min_pixels={min_pixels} is above max_pixels={max_pixels}")
    pixels = height * width
    if max_pixels is not None and pixels > max_pixels:
        scale = (max_pixels / pixels) ** 0.5
        return max(1, int(height * scale)), max(1, int(width * scale))
    if min_pixels is not None and pixels < min_pixels:
        scale = (min_pixels / pixels) ** 0.5
        return math.ceil(height * scale), math.ceil(width * scale)
    return height, width
