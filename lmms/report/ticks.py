"""Where the numbers of an axis stand, and how they are written."""

from __future__ import annotations

import math

_TICKS = 5


def tick_step(low: float, high: float) -> float:
    """Returns the distance of about five ticks: 1, 2, 2.5 or 5 times a power of ten."""
    rough = (high - low) / _TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(f for f in (1, 2, 2.5, 5, 10) if f * power >= rough * (1 - 1e-9))


def tick_text(tick: float, step: float) -> str:
    """Returns a tick as text, with as many decimals as its distance to the next one needs."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step * 10**decimals, 9) % 1:
        decimals += 1
    # Adding zero takes the sign from a zero.
    return f"{round(tick, decimals) + 0.0:,.{decimals}f}"
