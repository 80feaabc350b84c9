"""Plots over two axes, drawn as plain SVG: curves with bands, points and bars.

As in `lmms.report.plots` there is no script and no colour: classes (`series-1`, …) get their
colours from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lmms.report.plots import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 46
_LEGEND = 20
_NOTHING = 1e-9
"""A span so small, relative to the numbers, is rounding."""
_TICKS = 5
_BAR_GAP = 1.0

Number = float | None


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        label: Its name in the legend; "": it has none.
        x: Positions, ascending for curves.
        y: Values; None and NaN interrupt a curve.
        kind: A curve, separate dots, steps (a curve that keeps each value until the next), or
            bars, as wide as their distance.
        low: Lower edge of a band around a curve, or of the whisker of each dot.
        high: Upper edge.
        color: Which of the style sheet's colours, 1 to 4; 0 is grey.
    """

    label: str
    x: Sequence[float]
    y: Sequence[Number]
    kind: Literal["line", "dots", "steps", "bars"] = "line"
    low: Sequence[Number] | None = None
    high: Sequence[Number] | None = None
    color: int = 1


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its title and, where it is not to follow the data, its ends."""

    title: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the axes lie on the canvas."""

    width: int
    height: int
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    top: int

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.height - _BOTTOM - share * (self.height - self.top - _BOTTOM)


def xy_plot(
    series: Sequence[Series],
    *,
    title: str,
    x: Axis,
    y: Axis,
    width: int = 620,
    height: int = 320,
) -> str:
    """Returns a plot of curves, dots and bars over shared axes.

    Args:
        series: Drawn in this order, so that bars belong first.
        title: For readers that cannot see it.
        x: The horizontal axis.
        y: The vertical axis.
        width: Units of the drawing; it is as wide on the page as there is room.
        height: Likewise.
    """
    x_low, x_high = _ends(x, [v for s in series for v in s.x])
    values = [v for s in series for edge in (s.y, s.low or (), s.high or ()) for v in edge]
    if any(s.kind == "bars" for s in series):
        values.append(0.0)
    y_low, y_high = _ends(y, values)
    legend = list(_legend(series))
    top = _TOP + (_LEGEND if legend else 0)
    frame = _Frame(width, height, x_low, x_high, y_low, y_high, top)
    parts = [
        f'<svg class="plot xy" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">',
        *_axes(frame, x, y),
    ]
    for one in series:
        parts.append(f'<g class="series series-{one.color}">')
        if one.label:
            parts.append(f"<title>{escape(one.label)}</title>")
        parts += _DRAW[one.kind](frame, one)
        parts.append("</g>")
    return "".join([*parts, *legend, "</svg>"])


def _ends(axis: Axis, values: Sequence[Number]) -> tuple[float, float]:
    known = [v for v in values if v is not None and math.isfinite(v)]
    low = min(known, default=0.0) if axis.low is None else axis.low
    high = max(known, default=1.0) if axis.high is None else axis.high
    if high - low <= _NOTHING * max(abs(low), abs(high), _NOTHING):
        middle, half = (low + high) / 2, abs(low) / 2 if abs(low) > _NOTHING else 0.5
        low, high = middle - half, middle + half
    step = _step(low, high)
    if axis.low is None:
        low = math.floor(low / step + 1e-9) * step
    if axis.high is None:
        high = math.ceil(high / step - 1e-9) * step
    return low, high


def _step(low: float, high: float) -> float:
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(f for f in (1, 2, 2.5, 5, 10) if f * power >= rough * (1 - 1e-9))


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    step = _step(low, high)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step * 10**decimals, 9) % 1:
        decimals += 1
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, f"{i * step + 0.0:,.{decimals}f}") for i in range(first, last + 1)]


def _axes(frame: _Frame, x: Axis, y: Axis) -> Iterator[str]:
    bottom, right = frame.height - _BOTTOM, frame.width - _RIGHT
    for value, text in _ticks(frame.y_low, frame.y_high):
        at = f"{frame.y(value):.1f}"
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at}" y2="{at}"/>'
            f'<text class="tick left" x="{_LEFT - 8}" y="{frame.y(value) + 4:.1f}">{text}</text>'
        )
    for value, text in _ticks(frame.x_low, frame.x_high):
        yield f'<text class="tick" x="{frame.x(value):.1f}" y="{bottom + 18}">{text}</text>'
    middle = (_LEFT + right) / 2
    yield f'<text class="axis" x="{middle:.1f}" y="{frame.height - 8}">{escape(x.title)}</text>'
    half = (frame.top + bottom) / 2
    yield (
        f'<text class="axis" x="14" y="{half:.1f}" transform="rotate(-90 14 {half:.1f})">'
        f"{escape(y.title)}</text>"
    )


def _known(value: Number) -> bool:
    return value is not None and math.isfinite(value)


def _runs(xs: Sequence[float], ys: Sequence[Number]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        if y is not None and math.isfinite(y):
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _path(frame: _Frame, points: Sequence[tuple[float, float]], *, steps: bool) -> str:
    drawn = []
    for number, (x, y) in enumerate(points):
        if number and steps:
            drawn.append(f"H{frame.x(x):.1f}V{frame.y(y):.1f}")
        else:
            drawn.append(f"{'L' if number else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}")
    return "".join(drawn)


def _draw_line(frame: _Frame, series: Series) -> Iterator[str]:
    steps = series.kind == "steps"
    if series.low is not None and series.high is not None:
        edges = [
            (x, low, high)
            for x, low, high in zip(series.x, series.low, series.high, strict=True)
            if low is not None and high is not None and _known(low) and _known(high)
        ]
        if edges:
            there = _path(frame, [(x, high) for x, _, high in edges], steps=steps)
            back = _path(frame, [(x, low) for x, low, _ in edges[::-1]], steps=False)
            yield f'<path class="band" d="{there}L{back[1:]}Z"/>'
    for run in _runs(series.x, series.y):
        yield f'<path class="line" d="{_path(frame, run, steps=steps)}"/>'


def _draw_dots(frame: _Frame, series: Series) -> Iterator[str]:
    for number, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        low = series.low[number] if series.low is not None else None
        high = series.high[number] if series.high is not None else None
        if low is not None and high is not None:
            at = f"{frame.x(x):.1f}"
            yield (
                f'<line class="ci" x1="{at}" x2="{at}" y1="{frame.y(low):.1f}" '
                f'y2="{frame.y(high):.1f}"/>'
            )
        if y is not None and math.isfinite(y):
            yield f'<circle class="dot" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5"/>'


def _draw_bars(frame: _Frame, series: Series) -> Iterator[str]:
    distance = series.x[1] - series.x[0] if len(series.x) > 1 else 1.0
    width = frame.x(distance) - frame.x(0.0)
    bottom = frame.y(0.0)
    for x, y in zip(series.x, series.y, strict=True):
        if y:
            yield (
                f'<rect x="{frame.x(x) - width / 2 + _BAR_GAP / 2:.1f}" y="{frame.y(y):.1f}" '
                f'width="{max(width - _BAR_GAP, 1):.1f}" height="{bottom - frame.y(y):.1f}"/>'
            )


_DRAW: dict[str, Callable[[_Frame, Series], Iterator[str]]] = {
    "line": _draw_line,
    "steps": _draw_line,
    "dots": _draw_dots,
    "bars": _draw_bars,
}


def _legend(series: Sequence[Series]) -> Iterator[str]:
    named = [s for s in series if s.label]
    if len(named) < 2:
        return
    at = _LEFT + 10
    for one in named:
        yield (
            f'<g class="series series-{one.color}"><rect class="key" x="{at}" y="{_TOP - 8}" '
            f'width="10" height="10"/></g><text class="key" x="{at + 15}" y="{_TOP + 1}">'
            f"{escape(one.label)}</text>"
        )
        at += 30 + 7 * len(one.label)
