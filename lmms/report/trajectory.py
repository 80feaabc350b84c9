"""The course of an adaptive task as plain SVG: the ability after each answer, with its band."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmms.report.plots import escape

_WIDTH = 960
_HEIGHT = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 12, 40
_MOST_TICKS = 8
_HALF_HEIGHT = 0.6
"""Ability shown above and below the course at least."""


@dataclass(frozen=True, slots=True)
class CoursePoint:
    """The state after one answer."""

    right: bool
    difficulty: float
    """Of the item, on the scale of ability."""
    ability: float
    low: float | None
    """Of the interval; None: there is none yet."""
    high: float | None
    title: str


def trajectory(points: Sequence[CoursePoint], *, title: str) -> str:
    """Returns the plot: a line through the abilities, a band over their intervals, a dot per item.

    A dot stands at the item's difficulty, in the colour of its answer. Difficulties beyond what the
    axis shows stand at its edge.

    Args:
        points: At least one, in the order of the answers.
        title: For readers that cannot see it.
    """
    low, high = _domain(points)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(number: float) -> float:
        span = max(1, len(points) - 1)
        return _LEFT + (number / span if len(points) > 1 else 0.5) * (right - _LEFT)

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return bottom - (inside - low) / (high - low) * (bottom - _TOP)

    parts = [
        f'<svg class="plot course" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for tick in _whole_steps(low, high):
        at = f"{y(tick):.1f}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at}" y2="{at}"/>'
            f'<text class="count" x="{_LEFT - 10}" y="{y(tick) + 4.5:.1f}">{tick:g}</text>'
        )
    for number in _counts(len(points)):
        parts.append(
            f'<text class="tick" x="{x(number - 1):.1f}" y="{bottom + 20}">{number}</text>'
        )
    middle = f"{(_LEFT + right) / 2:.1f}"
    parts.append(f'<text class="tick" x="{middle}" y="{_HEIGHT - 4}">documents answered</text>')
    edges = [
        (x(number), y(point.low), y(point.high))
        for number, point in enumerate(points)
        if point.low is not None and point.high is not None
    ]
    parts.extend(_band(edges))
    line = " ".join(f"{x(i):.1f},{y(p.ability):.1f}" for i, p in enumerate(points))
    parts.append(f'<polyline class="line" points="{line}"/>')
    for number, point in enumerate(points):
        kind = "right" if point.right else "wrong"
        parts.append(
            f'<circle class="v-{kind}" cx="{x(number):.1f}" cy="{y(point.difficulty):.1f}" '
            f'r="3.5"><title>{escape(point.title)}</title></circle>'
        )
    return "".join([*parts, "</svg>"])


def _band(edges: Sequence[tuple[float, float, float]]) -> Iterator[str]:
    if len(edges) > 1:
        upper = [f"{x:.1f},{high:.1f}" for x, _, high in edges]
        lower = [f"{x:.1f},{low:.1f}" for x, low, _ in reversed(edges)]
        yield f'<polygon class="band" points="{" ".join([*upper, *lower])}"/>'


def _domain(points: Sequence[CoursePoint]) -> tuple[float, float]:
    """The abilities, their intervals once there are a few answers, and some room."""
    settled = points[min(len(points) - 1, 2) :]
    edges = [v for p in settled for v in (p.low, p.high) if v is not None]
    known = [*(p.ability for p in points), *edges]
    middle = points[-1].ability
    low = min(*known, middle - _HALF_HEIGHT)
    high = max(*known, middle + _HALF_HEIGHT)
    return math.floor(low * 2) / 2, math.ceil(high * 2) / 2


def _whole_steps(low: float, high: float) -> list[float]:
    step = 0.5 if high - low <= 4 else 1.0
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def _counts(total: int) -> list[int]:
    """Returns about eight numbers from 1 to the number of answers."""
    if total <= _MOST_TICKS:
        return list(range(1, total + 1))
    rough = total / _MOST_TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough)
    return [1, *range(int(step), total + 1, int(step))]
