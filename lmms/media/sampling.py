"""Which frames of a video are taken. Pure functions on counts, rates and times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from lmms.media.errors import MediaRangeError
from lmms.types import FramePolicy

#: Seconds by which a wanted time may lie before a frame's own and still name that frame: times
#: in annotations are rounded, often to microseconds.
TIME_TOLERANCE = 1e-6


def uniform_indices(
    total: int, count: int, *, force_include_last_frame: bool = False
) -> tuple[int, ...]:
    """Returns `min(total, count)` positions spread over a video, both ends included.

    The rule of LMMs-Eval's readers: linspace(0, total - 1, k), truncated toward zero.

    Args:
        total: Frames of the video, at least 1.
        count: Frames wanted, at least 1.
        force_include_last_frame: Takes the last frame also where the rule leaves it out, which
            is only the case for one frame of several: the last instead of the first.

    Returns:
        Ascending positions without repeats, between 1 and `count` of them.

    Raises:
        ValueError: `total` or `count` is below 1.
    """
    if total < 1 or count < 1:
        raise ValueError(f"need at least one frame: total={total}, count={count}")
    k = min(total, count)
    if k == 1:
        return (total - 1,) if force_include_last_frame else (0,)
    # In floating point as NumPy does it, so that both truncate alike; the end is set exactly.
    step = (total - 1) / (k - 1)
    return (*(int(i * step) for i in range(k - 1)), total - 1)


def fps_indices(
    total: int,
    rate: Fraction | float,
    fps: float,
    *,
    max_frames: int | None = None,
    force_include_last_frame: bool = False,
) -> tuple[int, ...]:
    """Returns positions for `fps` frames per second, spread uniformly over the video.

    The rule of LMMs-Eval's readers: `int(total / rate * fps)` frames, at most `max_frames`, by
    `uniform_indices`. Always at least one frame: a clip shorter than one interval is still shown.

    Args:
        total: Frames of the video, at least 1.
        rate: Average frames per second of the video; 0 for a single picture, which has none. A
            fraction keeps the count exact.
        fps: Frames per second wanted, above 0.
        max_frames: Upper bound on the number of frames.
        force_include_last_frame: As for `uniform_indices`.

    Returns:
        Ascending positions without repeats.

    Raises:
        ValueError: A number is out of its range.
    """
    if rate < 0 or fps <= 0:
        raise ValueError(f"rates must be above zero: rate={rate}, fps={fps}")
    count = int(total / rate * fps) if rate else 1
    if max_frames is not None:
        count = min(count, max_frames)
    return uniform_indices(total, max(1, count), force_include_last_frame=force_include_last_frame)


def time_indices(times: Sequence[float], wanted: Sequence[float]) -> tuple[int, ...]:
    """Returns the position of the frame that is shown at each wanted time.

    A frame is shown from its own time until the next frame's; a time after the last frame's
    names the last frame.

    Args:
        times: Seconds of all frames, ascending, the first one 0.
        wanted: Seconds from the first frame, in any order.

    Returns:
        One position for each wanted time, in their order.

    Raises:
        MediaRangeError: A wanted time is negative or not a number.
    """
    found = []
    for time in wanted:
        if not time >= 0:
            raise MediaRangeError(
                f"a frame at {time} s was asked for", allowed="seconds from the first frame, >= 0"
            )
        found.append(max(0, bisect_right(times, time + TIME_TOLERANCE) - 1))
    return tuple(found)


def frame_indices(
    policy: FramePolicy, *, total: int, rate: Fraction | float, times: Sequence[float]
) -> tuple[int, ...]:
    """Returns the positions that a policy chooses.

    Args:
        policy: `indices`, `times`, `fps` or `num_frames` decides, in this order.
        total: Frames of the video, at least 1.
        rate: Average frames per second of the video; only looked at for `fps`.
        times: Seconds of all frames; only looked at for `times`.

    Returns:
        Positions in presentation order: ascending and distinct for `fps` and `num_frames`, as
        given for the other two.

    Raises:
        MediaRangeError: An explicit index or time that the video does not have.
        ValueError: The policy names nothing to choose by, or a number below 1.
    """
    if policy.indices is not None:
        wrong = [i for i in policy.indices if not 0 <= i < total]
        if wrong:
            raise MediaRangeError(
                f"frame {wrong[0]} was asked for, but there are {total} frames",
                allowed=f"0 to {total - 1}",
            )
        return tuple(policy.indices)
    if policy.times is not None:
        return time_indices(times, policy.times)
    if policy.fps is not None:
        cap = policy.max_frames if policy.max_frames is not None else policy.num_frames
        return fps_indices(
            total,
            rate,
            policy.fps,
            max_frames=cap,
            force_include_last_frame=policy.force_include_last_frame,
        )
    if policy.num_frames is None:
        raise ValueError("a frame policy needs one of num_frames, fps, times, indices")
    return uniform_indices(
        total, policy.num_frames, force_include_last_frame=policy.force_include_last_frame
    )
