"""Plots over two axes, drawn as plain SVG: curves, dots and bars, with their intervals.

As in `lmms.report.plots` there is no script and no colour: classes (`blue`, …) get their colours
from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lmms.report.plots import escape
from lmms.report.ticks import tick_step, tick_text

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 12, 44
_Y_TITLE = 14
_LEGEND = 20
_KEY = 26
_CHARACTER = 6.6
"""Width of a letter of the legend, on average."""
_INSET = 14
"""Room beside the outermost marks of a logarithmic axis, which ends with the data."""
_TICK_ROOM = 30
_NOTHING = 1e-9
"""A span so small, relative to the numbers, is rounding."""
_BAR_GAP = 1.0
_CAP = 3.5

Number = float | None
Kind = Literal["line", "steps", "joined", "dots", "bars", "level"]
Color = Literal["blue", "red", "green", "amber", "purple", "grey"]
Mark = Literal["circle", "square", "triangle"]


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        label: Its name in the legend; "": it has none.
        x: Positions, ascending for curves; of a level there are none.
        y: Values; None and NaN interrupt a curve.
        kind: A curve, steps (a curve that keeps each value until the next), marks joined by lines,
            separate marks, bars as wide as their distance, or a level: a dashed line at each value
            over the whole width.
        low: Lower edges of a band around a curve, or of the whisker of each mark.
        high: Upper edges.
        color: As the style sheet has it in light and dark.
        mark: Form of the marks, so that series are told apart without colour.
        titles: What a pointer over each separate mark is told.
    """

    label: str
    x: Sequence[float]
    y: Sequence[Number]
    kind: Kind = "line"
    low: Sequence[Number] | None = None
    high: Sequence[Number] | None = None
    color: Color = "blue"
    mark: Mark = "circle"
    titles: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        title: What it counts.
        low: Its lower end, where it is not to follow the data; what is beyond stands at the end.
        high: Its upper end, likewise.
        log: Whether it is logarithmic (x alone); it takes positive positions and `ticks`.
        ticks: Where the numbers stand, as far as they have room; None: at round numbers.
    """

    title: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    ticks: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where the values of an axis lie on the canvas."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle that the axes span."""

    x: _Scale
    y: _Scale
    left: float
    right: float
    top: float
    bottom: float


def xy_plot(
    series: Sequence[Series],
    *,
    title: str,
    x: Axis,
    y: Axis,
    width: int = 480,
    height: int = 300,
    legend: bool = True,
) -> str:
    """Returns a plot of curves, dots and bars over shared axes.

    Args:
        series: Drawn in this order, so that bars belong first.
        title: For readers that cannot see it.
        x: The horizontal axis.
        y: The vertical axis.
        width: Units of the drawing; it is as wide on the page as there is room.
        height: Likewise.
        legend: Whether it names its series, where several have a name.
    """
    named = [s for s in series if s.label] if legend else []
    names = list(_legend(named)) if len(named) > 1 else []
    left = _LEFT + (_Y_TITLE if y.title else 0)
    top = _TOP + (_LEGEND if names else 0)
    right, bottom = width - _RIGHT, height - _BOTTOM
    inset = _INSET if x.log else 0
    x_low, x_high = _ends(x, [v for s in series for v in s.x])
    values = [v for s in series for edge in (s.y, s.low or (), s.high or ()) for v in edge]
    if any(s.kind == "bars" for s in series):
        values.append(0.0)
    frame = _Frame(
        _Scale(x_low, x_high, left + inset, right - inset, x.log),
        _Scale(*_ends(y, values), bottom, top),
        left,
        right,
        top,
        bottom,
    )
    parts = [
        f'<svg class="plot xy" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">',
        *_axes(frame, x, y),
    ]
    for one in series:
        parts.append(f'<g class="{one.color}">')
        if one.label:
            parts.append(f"<title>{escape(one.label)}</title>")
        parts += _DRAW[one.kind](frame, one)
        parts.append("</g>")
    return "".join([*parts, *names, "</svg>"])


def legend_key(kind: Kind, color: Color, mark: Mark = "circle") -> str:
    """Returns how a series looks as a picture of its own, for a legend that plots share."""
    return (
        f'<svg class="xy key" viewBox="0 0 {_KEY} 14" width="{_KEY}" height="14" '
        f'aria-hidden="true">{_key(kind, color, mark)}</svg>'
    )


def _key(kind: Kind, color: Color, mark: Mark) -> str:
    parts = [f'<g class="{color}">']
    if kind == "bars":
        parts.append('<rect x="8" y="2" width="10" height="10"/>')
    elif kind != "dots":
        line = "level" if kind == "level" else "line"
        parts.append(f'<path class="{line}" d="M1 7H{_KEY - 1}"/>')
    if kind in ("dots", "joined"):
        parts.append(_MARKS[mark](_KEY / 2, 7, _RADIUS[kind]) + "/>")
    return "".join([*parts, "</g>"])


def _legend(named: Sequence[Series]) -> Iterator[str]:
    at = float(_LEFT)
    for one in named:
        yield (
            f'<g transform="translate({at:.0f} {_TOP - 11})">{_key(one.kind, one.color, one.mark)}'
            f'<text class="name" x="{_KEY + 6}" y="11">{escape(one.label)}</text></g>'
        )
        at += _KEY + 22 + _CHARACTER * len(one.label)


def _ends(axis: Axis, values: Sequence[Number]) -> tuple[float, float]:
    known = [v for v in values if v is not None and math.isfinite(v)]
    low = min(known, default=0.0) if axis.low is None else axis.low
    high = max(known, default=1.0) if axis.high is None else axis.high
    if axis.low is None and not axis.log and 0 < low < high / 2:
        low = 0.0
    if high - low <= _NOTHING * max(abs(low), abs(high), _NOTHING):
        middle, half = (low + high) / 2, abs(low) / 2 if abs(low) > _NOTHING else 0.5
        low, high = middle - half, middle + half
    if axis.log:
        return low, high
    step = tick_step(low, high)
    if axis.low is None:
        low = math.floor(low / step + 1e-9) * step
    if axis.high is None:
        high = math.ceil(high / step - 1e-9) * step
    return low, high


def _ticks(scale: _Scale, axis: Axis) -> list[tuple[float, str]]:
    if axis.ticks is not None:
        return [(tick, f"{tick:,.10g}") for tick in axis.ticks]
    step = tick_step(scale.low, scale.high)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [(i * step, tick_text(i * step, step)) for i in range(first, last + 1)]


def _axes(frame: _Frame, x: Axis, y: Axis) -> Iterator[str]:
    for value, text in _ticks(frame.y, y):
        at = frame.y(value)
        yield (
            f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="count" x="{frame.left - 8}" y="{at + 4.5:.1f}">{text}</text>'
        )
    last = -math.inf
    for value, text in _ticks(frame.x, x):
        at = frame.x(value)
        if at - last >= _TICK_ROOM:
            last = at
            yield f'<text class="tick" x="{at:.1f}" y="{frame.bottom + 19}">{text}</text>'
    middle = (frame.left + frame.right) / 2
    yield f'<text class="axis" x="{middle:.1f}" y="{frame.bottom + 37}">{escape(x.title)}</text>'
    if y.title:
        half = (frame.top + frame.bottom) / 2
        yield (
            f'<text class="axis" x="12" y="{half:.1f}" transform="rotate(-90 12 {half:.1f})">'
            f"{escape(y.title)}</text>"
        )


def _runs(series: Series) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in zip(series.x, series.y, strict=True):
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


def _edges(series: Series) -> Iterator[tuple[float, float, float]]:
    """Gives the intervals that are known: where, lower and upper edge."""
    if series.low is None or series.high is None:
        return
    for x, low, high in zip(series.x, series.low, series.high, strict=True):
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            yield x, low, high


def _draw_line(frame: _Frame, series: Series) -> Iterator[str]:
    steps = series.kind == "steps"
    edges = list(_edges(series))
    if len(edges) > 1:
        there = _path(frame, [(x, high) for x, _, high in edges], steps=False)
        back = _path(frame, [(x, low) for x, low, _ in edges[::-1]], steps=False)
        yield f'<path class="band" d="{there}L{back[1:]}Z"/>'
    for run in _runs(series):
        yield f'<path class="line" d="{_path(frame, run, steps=steps)}"/>'


def _draw_marks(frame: _Frame, series: Series) -> Iterator[str]:
    if series.kind == "joined":
        for run in _runs(series):
            yield f'<path class="line" d="{_path(frame, run, steps=False)}"/>'
    for x, low, high in _edges(series):
        at, ends = frame.x(x), (frame.y(low), frame.y(high))
        caps = "".join(f"M{at - _CAP:.1f} {end:.1f}h{2 * _CAP}" for end in ends)
        yield f'<path class="whisker" d="M{at:.1f} {ends[0]:.1f}V{ends[1]:.1f}{caps}"/>'
    mark, radius = _MARKS[series.mark], _RADIUS[series.kind]
    for number, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if y is not None and math.isfinite(y):
            drawn = mark(frame.x(x), frame.y(y), radius)
            title = escape(series.titles[number]) if series.titles is not None else ""
            end = f"><title>{title}</title></{drawn[1:].split()[0]}>" if title else "/>"
            yield drawn + end


def _draw_bars(frame: _Frame, series: Series) -> Iterator[str]:
    distance = series.x[1] - series.x[0] if len(series.x) > 1 else 1.0
    width = distance / (frame.x.high - frame.x.low) * (frame.right - frame.left)
    bottom = frame.y(0.0)
    for x, y in zip(series.x, series.y, strict=True):
        if y:
            yield (
                f'<rect x="{frame.x(x) - width / 2 + _BAR_GAP / 2:.1f}" y="{frame.y(y):.1f}" '
                f'width="{max(width - _BAR_GAP, 1):.1f}" height="{bottom - frame.y(y):.1f}"/>'
            )


def _draw_levels(frame: _Frame, series: Series) -> Iterator[str]:
    for value in series.y:
        if value is not None and math.isfinite(value):
            yield f'<path class="level" d="M{frame.left} {frame.y(value):.1f}H{frame.right}"/>'


_DRAW: dict[Kind, Callable[[_Frame, Series], Iterator[str]]] = {
    "line": _draw_line,
    "steps": _draw_line,
    "joined": _draw_marks,
    "dots": _draw_marks,
    "bars": _draw_bars,
    "level": _draw_levels,
}


def _circle(x: float, y: float, r: float) -> str:
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{r}"'


def _square(x: float, y: float, r: float) -> str:
    half = r - 0.5
    return (
        f'<path class="mark" d="M{x - half:.1f} {y - half:.1f}h{2 * half}v{2 * half}h{-2 * half}z"'
    )


def _triangle(x: float, y: float, r: float) -> str:
    return f'<path class="mark" d="M{x:.1f} {y - r - 0.5:.1f}l{r + 0.5} {2 * r}h{-2 * r - 1}z"'


_MARKS: dict[Mark, Callable[[float, float, float], str]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
}
_RADIUS: dict[Kind, float] = {"joined": 4.5, "dots": 4.0}
