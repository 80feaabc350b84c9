"""Many frames of a video, chunk by chunk: the memory of one chunk, however long the video is."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lmms.media.errors import MediaRangeError, MediaTooLargeError, native
from lmms.media.source import MediaInput, native_source, shared_source, source_name
from lmms.media.video import (
    DEFAULT_MAX_BYTES,
    MediaDamageWarning,
    MediaWarning,
    frame_times,
    key_frames,
    probe,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A chunk is at most this many times as long as was asked for.
MAX_STRETCH = 4


class FrameChunk(NamedTuple):
    """Successive frames of a video."""

    indices: tuple[int, ...]
    """Positions in presentation order, one for each frame."""
    times: NDArray[np.float64]
    """Seconds from the first frame of the video, one for each frame."""
    frames: NDArray[np.uint8]
    """Shape (n, height, width, 3), RGB."""


def iter_frames(
    path: MediaInput,
    indices: Sequence[int] | None = None,
    *,
    chunk: int = 64,
    size: tuple[int, int] | None = None,
    rotate: bool = True,
    out: NDArray[np.uint8] | None = None,
) -> Iterator[FrameChunk]:
    """Decodes a video chunk by chunk, the same frames as `read_frames` gives.

    Chunks end where a group of pictures does, so that no group is decoded twice (of an open one
    the next keyframe, which its last pictures refer to). They have at least `chunk` frames, apart
    from the last one and those before a group that would make them longer than four times that. A
    video with groups longer than that is decoded straight through on one thread, in chunks of
    exactly `chunk`; so is, whatever its chunks, one that can only be decoded from its start (AVI
    with B-frames, raw streams, damaged files).

    Anything wrong with the file is told by a Python `MediaDamageWarning`, once for each kind.

    Args:
        path: A video file, or anything else that `MediaInput` names.
        indices: Positions in presentation order, best ascending; None: all.
        chunk: Number of frames, see above.
        size: (height, width) to resize to, as for `read_frames`.
        rotate: Applies rotation metadata.
        out: A writable, C-contiguous uint8 array of shape (n, height, width, 3) that every chunk
            is written to: its frames are a view of the first ones, until the next chunk. `4 *
            chunk` frames always suffice.

    Raises:
        MediaRangeError: An index that the video does not have.
        MediaTooLargeError: A chunk has more than 4 GiB, without `out`.
        MediaError: As `probe`.
        ValueError: `chunk` is below 1, or `out` is too small, has another type, or cannot be
            written.
    """
    if chunk < 1:
        raise ValueError(f"chunk is a number of frames from 1 on, got {chunk}")
    if size is not None and min(size) < 1:
        raise ValueError(f"size is (height, width) in pixels, got {size}")
    path = shared_source(path)
    info = probe(path)
    wanted = (
        range(info.num_frames) if indices is None else tuple(operator.index(i) for i in indices)
    )
    outside = [i for i in wanted if not 0 <= i < info.num_frames] if indices is not None else []
    if outside:
        raise MediaRangeError(
            f"{info.path}: frame {outside[0]} was asked for, but there are {info.num_frames} frames"
            f" (0 to {info.num_frames - 1})"
        )
    ends, is_split = chunk_ends(wanted, key_frames(path), chunk)
    longest = max((end - start for start, end in zip([0, *ends], ends, strict=False)), default=0)
    stored = (info.height, info.width) if rotate else (info.stored_height, info.stored_width)
    height, width = stored if size is None else size
    _check_room(info.path, longest, height * width * 3, out)
    return _chunks(path, wanted, ends, out, (size, rotate, is_split))


def chunk_ends(
    indices: Sequence[int], keys: Sequence[int], chunk: int
) -> tuple[tuple[int, ...], bool]:
    """Divides frames into chunks along groups of pictures.

    Args:
        indices: Positions of frames.
        keys: Positions of the frames that groups begin with, ascending, the first one 0.
        chunk: Frames that a chunk should have at least.

    Returns:
        How many of `indices` come before the end of each chunk, and whether chunks end inside of
        groups, because one of them is longer than a chunk may be.
    """
    import numpy as np

    total, limit = len(indices), MAX_STRETCH * chunk
    groups = np.searchsorted(np.asarray(keys), np.asarray(indices), side="right")
    group_ends = [*(np.flatnonzero(np.diff(groups)) + 1).tolist(), *([total] if total else [])]
    if any(end - start > limit for start, end in zip([0, *group_ends], group_ends, strict=False)):
        return (*range(chunk, total, chunk), total), True
    ends: list[int] = []
    start = previous = 0
    for end in group_ends:
        if end - start > limit:
            ends.append(previous)
            start = previous
        if end - start >= chunk:
            ends.append(end)
            start = end
        previous = end
    if start < total:
        ends.append(total)
    return tuple(ends), False


def _check_room(name: str, longest: int, frame_bytes: int, out: NDArray[np.uint8] | None) -> None:
    if out is None:
        if longest * frame_bytes > DEFAULT_MAX_BYTES:
            raise MediaTooLargeError(
                f"{name}: a chunk of {longest} frames takes {longest * frame_bytes} bytes; the"
                f" limit is {DEFAULT_MAX_BYTES}"
            )
        return
    shape = getattr(out, "shape", ())
    if not shape or shape[0] < longest:
        raise ValueError(f"out has the shape {shape}; the longest chunk has {longest} frames")


def _chunks(
    path: MediaInput,
    wanted: Sequence[int],
    ends: Sequence[int],
    out: NDArray[np.uint8] | None,
    settings: tuple[Any, ...],
) -> Iterator[FrameChunk]:
    times = frame_times(path)
    with native() as media:
        sequence = media.FrameSequence(native_source(path), *settings)
    told: set[str] = set()
    start = 0
    for end in ends:
        indices = tuple(wanted[start:end])
        target = None if out is None else out[: end - start]
        with native():
            frames, damage = sequence.read(indices, target)
        for warning in (MediaWarning(code, message) for code, message in damage):
            if warning.code not in told:
                told.add(warning.code)
                text = f"{source_name(path)}: {warning}"
                warnings.warn(text, MediaDamageWarning, stacklevel=2)
        yield FrameChunk(indices, times[list(indices)], frames)
        start = end
        del frames
