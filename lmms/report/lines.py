"""Line charts as plain SVG: curves over a number of things, with their intervals.

As in `lmms.report.plots`, colours come from the page's style sheet by class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape as escape_markup

from lmms.report.wording import displayable

_WIDTH, _HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44
_CAP = 4
_MARK = 4.5


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """Points that belong together, in the order of x."""

    name: str
    role: str
    """Class in the style sheet: `line-1`, `line-2` or `line-3`; also gives the marks' form."""
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A value that does not depend on x: a dashed line over the whole width."""

    name: str
    role: str
    value: float


def line_chart(
    curves: Sequence[Curve], levels: Sequence[Level] = (), *, title: str, x_title: str
) -> str:
    """Returns a chart of curves over a logarithmic x axis with a tick at every x that occurs.

    Args:
        curves: With at least one point in all; x positive.
        levels: Values to hold the curves against.
        title: For readers that cannot see it.
        x_title: What x counts.
    """
    points = [point for curve in curves for point in curve.points]
    frame = _frame(points, [level.value for level in levels])
    parts = [
        f'<svg class="plot chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{_escape(title)}">'
    ]
    parts += _axes(frame, sorted({point.x for point in points}), x_title)
    for level in levels:
        y = frame.y(level.value)
        parts.append(
            f'<g class="{_escape(level.role)}"><title>{_escape(level.name)}</title>'
            f'<path class="level" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/></g>'
        )
    for curve in curves:
        parts += _curve(frame, curve)
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class _Frame:
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    step: float

    def x(self, value: float) -> float:
        share = 0.5
        if self.x_high > self.x_low:
            share = math.log(value / self.x_low) / math.log(self.x_high / self.x_low)
        return _LEFT + 14 + share * (_WIDTH - _LEFT - _RIGHT - 28)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _frame(points: Sequence[Point], levels: Sequence[float]) -> _Frame:
    values = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    low, high = min([*values, *levels]), max([*values, *levels])
    if 0 < low < high / 2:
        low = 0.0
    step = _step(high - low)
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    xs = [point.x for point in points]
    return _Frame(min(xs), max(xs), bottom, top if top > bottom else bottom + step, step)


def _step(span: float) -> float:
    """Returns the distance of about five ticks: 1, 2 or 5 times a power of ten."""
    rough = span / 5 if span > 0 else 0.2
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(f for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))


def _axes(frame: _Frame, xs: Sequence[float], x_title: str) -> Iterator[str]:
    decimals = max(0, -math.floor(math.log10(frame.step) + 1e-9))
    for number in range(round((frame.y_high - frame.y_low) / frame.step) + 1):
        value = frame.y_low + number * frame.step
        y = frame.y(value)
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="count" x="{_LEFT - 8}" y="{y + 4:.1f}">{value:.{decimals}f}</text>'
        )
    bottom = _HEIGHT - _BOTTOM
    for x in _spaced(frame, xs):
        yield f'<text class="tick" x="{frame.x(x):.1f}" y="{bottom + 18}">{x:,.0f}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text class="tick" x="{middle:.0f}" y="{bottom + 36}">{_escape(x_title)}</text>'


def _spaced(frame: _Frame, xs: Sequence[float]) -> Iterator[float]:
    """Gives those ticks that have room for their numbers."""
    last = -math.inf
    for x in xs:
        if frame.x(x) - last >= 30:
            last = frame.x(x)
            yield x


def _curve(frame: _Frame, curve: Curve) -> Iterator[str]:
    if not curve.points:
        return
    yield f'<g class="{_escape(curve.role)}"><title>{_escape(curve.name)}</title>'
    places = [(frame.x(p.x), frame.y(p.y)) for p in curve.points]
    yield '<path class="line" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + '"/>'
    for point, (x, y) in zip(curve.points, places, strict=True):
        if point.low is not None and point.high is not None:
            top, bottom = frame.y(point.high), frame.y(point.low)
            caps = "".join(f"M{x - _CAP:.1f} {end:.1f}h{2 * _CAP}" for end in (top, bottom))
            yield f'<path class="whisker" d="M{x:.1f} {top:.1f}V{bottom:.1f}{caps}"/>'
        yield mark(curve.role, x, y)
    yield "</g>"


def mark(role: str, x: float, y: float) -> str:
    """Returns the mark of a role: a circle, a square or a triangle, told apart without colour."""
    r = _MARK
    if role == "line-2":
        return (
            f'<path class="mark" d="M{x - r + 0.5:.1f} {y - r + 0.5:.1f}h{2 * r - 1}v{2 * r - 1}'
            f'h{1 - 2 * r}z"/>'
        )
    if role == "line-3":
        return (
            f'<path class="mark" d="M{x:.1f} {y - r - 0.5:.1f}l{r + 0.5} {2 * r}h{-2 * r - 1}z"/>'
        )
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'


def legend_mark(role: str) -> str:
    """Returns the mark of a role as a picture of its own, for a legend."""
    return (
        f'<svg class="chart-key {_escape(role)}" viewBox="0 0 26 14" width="26" height="14" '
        f'aria-hidden="true"><path class="line" d="M1 7H25"/>{mark(role, 13, 7)}</svg>'
    )


def _escape(text: str) -> str:
    return escape_markup(displayable(text))
