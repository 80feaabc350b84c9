"""Which frames of a video are taken. Pure functions on counts, rates and times.

`frame_indices` applies a policy; the rules by themselves are here and, for Qwen-VL's, in
`lmms.media.qwen_vl`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from lmms.frame_policy import FramePolicy, FrameSampling
from lmms.media import qwen_vl
from lmms.media.errors import MediaRangeError

Rate = Fraction | float

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
    rate: Rate,
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


def stride_indices(
    total: int, rate: Rate, fps: float, *, max_frames: int | None = None
) -> tuple[int, ...]:
    """Returns every n-th position and the last one, thinned to a number.

    The rule of LMMs-Eval's `openai` back end (`encode_video` with `video_fps` and
    `max_frames_num`): steps of `round(rate / fps)` frames from the first on, then the last frame;
    of more than `max_frames` positions a truncated linspace keeps that many, and the last frame is
    added where it was dropped, so that `max_frames=1` gives two.

    Args:
        total: Frames of the video, at least 1.
        rate: Frames per second of the video; 0 for a single picture.
        fps: Frames per second wanted, above 0.
        max_frames: Number to thin to.

    Returns:
        Ascending positions without repeats; the first and the last frame are among them.

    Raises:
        ValueError: A number is out of its range.
    """
    if total < 1 or rate < 0 or fps <= 0:
        raise ValueError(f"need frames and rates: total={total}, rate={rate}, fps={fps}")
    found = list(range(0, total, max(1, round(float(rate) / fps))))
    if found[-1] != total - 1:
        found.append(total - 1)
    if max_frames is not None and len(found) > max_frames:
        found = [found[i] for i in uniform_indices(len(found), max_frames)]
        if found[-1] != total - 1:
            found.append(total - 1)
    return tuple(found)


def longvideobench_indices(duration: Rate, rate: Rate, max_frames: int) -> tuple[int, ...]:
    """Returns the positions that LongVideoBench's own loader takes.

    The first frames of n pieces of equal length, `n = min(max_frames, whole seconds)`: the last
    piece is never entered. A clip below one second, for which the loader divides by zero, gives
    its first frame.

    Args:
        duration: Seconds of the clip; the benchmark takes them from its annotation.
        rate: Frames per second of the clip.
        max_frames: Frames wanted at most, at least 1.

    Raises:
        ValueError: A number is out of its range.
    """
    if duration < 0 or rate < 0 or max_frames < 1:
        raise ValueError(f"out of range: duration={duration}, rate={rate}, max_frames={max_frames}")
    count = max(1, min(max_frames, int(duration)))
    step = int(int(duration * rate) / count)
    return tuple(step * i for i in range(count))


#: What a rule cannot do without.
NEEDED: Final[Mapping[FrameSampling, tuple[str, ...]]] = {
    "uniform": ("num_frames",),
    "fps": ("fps",),
    "stride": ("fps",),
    "qwen_vl": (),
    "qwen3_vl": (),
    "longvideobench": ("num_frames",),
}


def missing_settings(policy: FramePolicy) -> tuple[str, ...]:
    """Returns the settings that the policy's rule needs and does not have."""
    if policy.indices is not None or policy.times is not None:
        return ()
    has = {"num_frames": policy.frames_wanted, "fps": policy.fps}
    return tuple(name for name in NEEDED[policy.rule] if has[name] is None)


def frame_indices(
    policy: FramePolicy,
    *,
    total: int,
    rate: Rate,
    times: Sequence[float],
    declared: int | None = None,
) -> tuple[int, ...]:
    """Returns the positions that a policy chooses.

    Args:
        policy: `indices` or `times` decide where given, else its rule.
        total: Frames of the video that are shown, at least 1.
        rate: Average frames per second of the video; only looked at by rules that go by time.
        times: Seconds of all frames; only looked at for `times`.
        declared: Frames that the container claims, for `count="declared"`; None or 0 where it
            claims nothing, so that `total` counts. Positions that do not exist become the last
            frame.

    Returns:
        Positions in presentation order: ascending for the rules, as given for the other two.
        Distinct, unless a wrong `declared` count made several of them the last frame.

    Raises:
        MediaRangeError: An explicit index or time that the video does not have.
        ValueError: The policy lacks what its rule needs, or a number is below 1.
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
    missing = missing_settings(policy)
    if missing:
        raise ValueError(f"the sampling rule {policy.rule!r} needs {' and '.join(missing)}")
    counted = declared if policy.count == "declared" and declared else total
    found = _RULES[policy.rule](policy, counted, rate)
    return found if counted <= total else tuple(min(i, total - 1) for i in found)


def pixel_bounds(policy: FramePolicy, num_frames: int) -> tuple[int | None, int | None]:
    """Returns the least and most pixels that a policy allows each of so many frames.

    `total_pixels` bounds the whole clip as Qwen-VL's tools do: frames are merged in pairs, so each
    gets two shares, and never less than 1.05 times `min_pixels`.
    """
    most = policy.max_pixels
    if policy.total_pixels is not None and num_frames > 0:
        share = policy.total_pixels * qwen_vl.FRAME_FACTOR // num_frames
        least = policy.min_pixels or 1
        share = max(share, int(least * qwen_vl.SLACK))
        most = share if most is None else min(most, share)
    return policy.min_pixels, most


def _uniform(policy: FramePolicy, total: int, rate: Rate) -> tuple[int, ...]:
    last = policy.force_include_last_frame
    return uniform_indices(total, policy.frames_wanted or 0, force_include_last_frame=last)


def _fps(policy: FramePolicy, total: int, rate: Rate) -> tuple[int, ...]:
    return fps_indices(
        total,
        rate,
        policy.fps or 0,
        max_frames=policy.frame_cap,
        force_include_last_frame=policy.force_include_last_frame,
    )


def _stride(policy: FramePolicy, total: int, rate: Rate) -> tuple[int, ...]:
    return stride_indices(total, rate, policy.fps or 0, max_frames=policy.frame_cap)


def _qwen_vl(policy: FramePolicy, total: int, rate: Rate) -> tuple[int, ...]:
    count = qwen_vl.smart_frame_count(
        total,
        rate,
        num_frames=policy.num_frames if policy.fps is None else None,
        fps=policy.fps,
        min_frames=policy.min_frames,
        max_frames=policy.max_frames if policy.fps is None else policy.frame_cap,
    )
    return qwen_vl.qwen_vl_indices(total, count)


def _qwen3_vl(policy: FramePolicy, total: int, rate: Rate) -> tuple[int, ...]:
    return qwen_vl.qwen3_vl_indices(
        total,
        rate,
        num_frames=policy.num_frames if policy.fps is None else None,
        fps=policy.fps,
        min_frames=policy.min_frames,
        max_frames=policy.max_frames if policy.fps is None else policy.frame_cap,
    )


def _longvideobench(policy: FramePolicy, total: int, rate: Rate) -> tuple[int, ...]:
    duration = total / rate if rate else 0
    return longvideobench_indices(duration, rate, policy.frames_wanted or 0)


_RULES: Final[Mapping[FrameSampling, Callable[[FramePolicy, int, Rate], tuple[int, ...]]]] = {
    "uniform": _uniform,
    "fps": _fps,
    "stride": _stride,
    "qwen_vl": _qwen_vl,
    "qwen3_vl": _qwen3_vl,
    "longvideobench": _longvideobench,
}
