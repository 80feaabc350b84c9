"""Qwen-VL's rules: how many frames, which ones, and how large. Pure functions.

Two sets of rules are in use, and they choose different frames. `qwen_vl` is that of the package
`qwen-vl-utils` (0.0.14), by which Qwen2-VL, Qwen2.5-VL and Qwen3-VL were evaluated; `qwen3_vl` is
that of `Qwen3VLVideoProcessor.sample_frames` in Transformers (5.x).
"""

from __future__ import annotations

import math
from fractions import Fraction

from lmms.media.errors import MediaUnsupportedError

#: Frames are merged in pairs, so their number is a multiple of this.
FRAME_FACTOR = 2
#: Frames per second where neither a rate nor a number is given.
FPS = 2.0
MIN_FRAMES = 4
MAX_FRAMES = 768

#: Pixels of one visual token per side: patches of 14 (Qwen2-VL, Qwen2.5-VL) or 16 (Qwen3-VL)
#: pixels, merged two by two.
QWEN2_FACTOR, QWEN3_FACTOR = 28, 32
#: Visual tokens of an image, of a video frame, and of a prompt.
IMAGE_MIN_TOKENS, IMAGE_MAX_TOKENS = 4, 16_384
VIDEO_MIN_TOKENS, VIDEO_MAX_TOKENS = 128, 768
SEQUENCE_TOKENS = 128_000
#: Share of the prompt that a video may fill.
VIDEO_SHARE = 0.9
#: Longest side over shortest, above which a picture is refused.
MAX_RATIO = 200
#: A frame is allowed this much more than its least size, however many frames there are.
SLACK = 1.05


def smart_frame_count(
    total: int,
    rate: Fraction | float,
    *,
    num_frames: int | None = None,
    fps: float | None = None,
    min_frames: int | None = None,
    max_frames: int | None = None,
) -> int:
    """Returns how many frames `qwen-vl-utils` takes (`smart_nframes`), always an even number.

    By `num_frames`, rounded to an even number; else by `fps` within `min_frames` and `max_frames`,
    rounded down. Where the reference refuses a clip because it is shorter than the number, the
    largest even number of its frames is taken; a clip of one frame gives 1.

    Args:
        total: Frames of the video, at least 1.
        rate: Frames per second of the video; 0 for a single picture.
        num_frames: Frames wanted.
        fps: Frames per second wanted; 2 by default.
        min_frames: Lower bound of the rule by rate; 4 by default, rounded up to an even number.
        max_frames: Upper bound of the rule by rate; 768 by default, rounded down.

    Raises:
        ValueError: A number is out of its range.
    """
    if total < 1 or rate < 0:
        raise ValueError(f"need frames and a rate: total={total}, rate={rate}")
    most = total // FRAME_FACTOR * FRAME_FACTOR
    if num_frames is not None:
        wanted = round(num_frames / FRAME_FACTOR) * FRAME_FACTOR
        return max(1, min(max(wanted, FRAME_FACTOR), most))
    fps = FPS if fps is None else fps
    if fps <= 0:
        raise ValueError(f"rates must be above zero: fps={fps}")
    least = math.ceil((MIN_FRAMES if min_frames is None else min_frames) / FRAME_FACTOR)
    cap = (min(MAX_FRAMES, total) if max_frames is None else max_frames) // FRAME_FACTOR
    # In floating point, as the reference computes it.
    count = total / float(rate) * fps if rate else float(total)
    count = min(max(count, least * FRAME_FACTOR), cap * FRAME_FACTOR, total)
    return max(1, min(max(math.floor(count / FRAME_FACTOR) * FRAME_FACTOR, FRAME_FACTOR), most))


def qwen_vl_indices(total: int, count: int) -> tuple[int, ...]:
    """Returns `count` positions as `torch.linspace(0, total - 1, count).round()` gives them.

    That is single precision, computed from both ends, halves rounded to even: in long clips some
    positions differ by one from those of double precision.

    Args:
        total: Frames of the video, at least 1.
        count: Frames to take, 1 to `total`.

    Raises:
        ValueError: A number is out of its range.
    """
    if not 1 <= count <= total:
        raise ValueError(f"cannot take {count} of {total} frames")
    if count == 1:
        return (0,)
    import numpy as np

    end = np.float64(total - 1)
    step = np.float64(np.float32(end) / np.float32(count - 1))
    places = np.arange(count, dtype=np.float64)
    # Products and sums are exact in double precision and rounded once, like the fused
    # multiply-add that PyTorch's kernels use.
    # The later half is computed from the end, so that the last position is exact.
    found = np.where(places < count // 2, step * places, end - step * places[::-1])
    return tuple(int(i) for i in np.rint(found.astype(np.float32)))


def qwen3_vl_indices(
    total: int,
    rate: Fraction | float,
    *,
    num_frames: int | None = None,
    fps: float | None = None,
    min_frames: int | None = None,
    max_frames: int | None = None,
) -> tuple[int, ...]:
    """Returns positions by the rule of Transformers' Qwen3-VL processor.

    `np.linspace(0, total - 1, k).round()` with `k = int(total / rate * fps)` within `min_frames`
    and `max_frames`; the number may be odd (the processor repeats the last frame then). A clip
    shorter than `num_frames` gives all its frames.

    Args:
        total: Frames of the video, at least 1.
        rate: Frames per second of the video; 0 for a single picture.
        num_frames: Frames wanted; takes the place of the rule by rate.
        fps: Frames per second wanted; 2 by default.
        min_frames: 4 by default.
        max_frames: 768 by default.

    Raises:
        ValueError: A number is out of its range.
    """
    fps = FPS if fps is None else fps
    if total < 1 or rate < 0 or fps <= 0:
        raise ValueError(f"need frames and rates: total={total}, rate={rate}, fps={fps}")
    if num_frames is None:
        count = int(total / float(rate) * fps) if rate else total
        count = max(count, MIN_FRAMES if min_frames is None else min_frames)
        count = min(count, MAX_FRAMES if max_frames is None else max_frames)
    else:
        count = num_frames
    count = max(1, min(count, total))
    if count == 1:
        return (0,)
    # As NumPy computes it: one step, one product per position, the end set exactly.
    step = (total - 1) / (count - 1)
    return (*(round(i * step) for i in range(count - 1)), total - 1)


def smart_resize(
    height: int,
    width: int,
    factor: int = QWEN3_FACTOR,
    *,
    min_pixels: float | None = None,
    max_pixels: float | None = None,
) -> tuple[int, int]:
    """Returns the (height, width) on the grid of visual tokens, within a budget of pixels.

    The rule of `qwen-vl-utils`: sides rounded to multiples of `factor`, then shrunk or enlarged
    into the budget, shape kept as far as the grid allows.

    Args:
        height: Pixels.
        width: Pixels.
        factor: Pixels of one token per side: 28 (Qwen2-VL, Qwen2.5-VL) or 32 (Qwen3-VL).
        min_pixels: Lower bound; that of an image by default.
        max_pixels: Upper bound; that of an image by default.

    Raises:
        MediaUnsupportedError: One side is more than 200 times the other.
        ValueError: The bounds contradict each other, or a side is below 1.
    """
    if height < 1 or width < 1 or factor < 1:
        raise ValueError(f"cannot size {height} x {width} pixels by {factor}")
    least = IMAGE_MIN_TOKENS * factor**2 if min_pixels is None else min_pixels
    most = IMAGE_MAX_TOKENS * factor**2 if max_pixels is None else max_pixels
    if most < least:
        raise ValueError(f"min_pixels={least} is above max_pixels={most}")
    if max(height, width) > MAX_RATIO * min(height, width):
        raise MediaUnsupportedError(
            f"a picture of {height} x {width} pixels is too elongated",
            allowed=f"sides up to {MAX_RATIO} : 1",
        )
    rows, columns = _multiple(height, factor), _multiple(width, factor)
    if rows * columns > most:
        shrink = math.sqrt(height * width / most)
        # The reference can come to no pixels at all here; one token is the least.
        return (
            max(factor, math.floor(height / shrink / factor) * factor),
            max(factor, math.floor(width / shrink / factor) * factor),
        )
    if rows * columns < least:
        enlarge = math.sqrt(least / (height * width))
        return (
            math.ceil(height * enlarge / factor) * factor,
            math.ceil(width * enlarge / factor) * factor,
        )
    return rows, columns


def _multiple(side: int, factor: int) -> int:
    return max(factor, round(side / factor) * factor)


def video_pixel_bounds(
    num_frames: int,
    factor: int,
    *,
    min_pixels: float | None = None,
    max_pixels: float | None = None,
    total_pixels: float | None = None,
) -> tuple[float, float]:
    """Returns the least and most pixels of each frame of a clip, by `qwen-vl-utils`.

    A frame gets at most 768 tokens, at most its share of what the whole clip may fill (two frames
    are merged into one, so each counts half), and at least 1.05 times the least size.

    Args:
        num_frames: Frames of the clip that are shown.
        factor: Pixels of one token per side: 28 or 32.
        min_pixels: Lower bound; 128 tokens by default.
        max_pixels: A further upper bound.
        total_pixels: For the whole clip; 90 % of 128,000 tokens by default.
    """
    area = factor**2
    least = VIDEO_MIN_TOKENS * area if min_pixels is None else min_pixels
    # In the reference's order of products, which decides how the bound rounds.
    whole = SEQUENCE_TOKENS * factor * factor * VIDEO_SHARE
    total = whole if total_pixels is None else total_pixels
    most = max(min(VIDEO_MAX_TOKENS * area, total / num_frames * FRAME_FACTOR), int(least * SLACK))
    return least, most if max_pixels is None else min(max_pixels, most)


def video_frame_size(
    num_frames: int,
    height: int,
    width: int,
    *,
    factor: int = QWEN3_FACTOR,
    min_pixels: float | None = None,
    max_pixels: float | None = None,
    total_pixels: float | None = None,
) -> tuple[int, int]:
    """Returns the (height, width) that `qwen-vl-utils` resizes the frames of a clip to.

    With `functools.partial` over the keyword arguments it is a `size=` for `lmms.media.decode`.

    Args:
        num_frames: Frames of the clip that are shown.
        height: Pixels of the source.
        width: Pixels of the source.
        factor: Pixels of one token per side: 28 or 32.
        min_pixels: As for `video_pixel_bounds`.
        max_pixels: As for `video_pixel_bounds`.
        total_pixels: As for `video_pixel_bounds`.

    Raises:
        MediaUnsupportedError: One side is more than 200 times the other.
    """
    least, most = video_pixel_bounds(
        num_frames,
        factor,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        total_pixels=total_pixels,
    )
    return smart_resize(height, width, factor, min_pixels=least, max_pixels=most)
