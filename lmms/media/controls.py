"""Deliberate damage to frames, for blind baselines and sanity checks of a benchmark.

A model that scores above chance on black frames is not looking; one that answers *when* questions
as well with wrong time stamps is not reading them. `other_clip` and `text_only` are made where
requests are built; they need nothing here.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from lmms.types import MediaControl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Times are stretched by this, which moves every frame but the first to a wrong time.
_WRONG_TIME_FACTOR = 2.0


def apply_control(
    frames: NDArray[np.uint8],
    times: tuple[float, ...],
    control: MediaControl | None,
    *,
    seed: str,
) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
    """Returns frames and times with a control applied; the inputs are not changed.

    Args:
        frames: uint8, shape (n, height, width, 3) or (height, width, 3).
        times: Seconds of the frames.
        control: None, `other_clip` and `text_only` return the inputs.
        seed: Decides the order of `shuffle_frames`; the same seed gives the same order.
    """
    if control == "black":
        return frames * frames.dtype.type(0), times
    if control == "swap_red_blue":
        return frames[..., ::-1].copy(), times
    if control == "wrong_times":
        return frames, tuple(time * _WRONG_TIME_FACTOR for time in times)
    if control == "shuffle_frames" and frames.ndim == 4:
        # Contents move, times stay: the model sees the right clock over the wrong order.
        return frames[list(_derangement(len(frames), seed))], times
    return frames, times


def _derangement(count: int, seed: str) -> tuple[int, ...]:
    """Returns an order in which no frame keeps its place (for two frames and more)."""
    order = list(range(count))
    # Sattolo's algorithm draws a cyclic permutation, which has no fixed point.
    generator = random.Random(seed)
    for last in range(count - 1, 0, -1):
        other = generator.randrange(last)
        order[last], order[other] = order[other], order[last]
    return tuple(order)
