"""Plots of the report, drawn as plain SVG: no script, no font, no colour of their own.

Colours come from the page's style sheet by class, so that plots follow light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape as escape_markup
from typing import Literal

from lmms.report.digits import decimals_for, fixed
from lmms.report.ticks import tick_step, tick_text
from lmms.report.wording import displayable

_WIDTH = 960
_LABELS = 300
_COUNTS = 272
_VALUES = 178
"""Least room for values and intervals; long ones get what they need."""
_GAP = 20
_VALUE_CHARACTER = 9.4
_RANGE_CHARACTER = 7.9
"""Width of a digit in bold and in small type, at most."""
_ROW = 30
_AXIS = 34
_MAX_LABEL = 30
_MAX_HEADING = 100
_ROUNDING = 1e-9
"""So little below zero is nothing that an axis could show."""


def escape(text: str) -> str:
    """Returns `text` for use between tags and in quoted attributes."""
    return escape_markup(displayable(text))


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A value with its interval."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    role: Literal["heading", "metric", "category"] = "metric"
    """A heading is a label alone."""
    stderr: float | None = None


@dataclass(frozen=True, slots=True)
class _Axis:
    """The common axis of a plot's rows."""

    low: float
    high: float
    signed: bool = False
    """Whether the values are differences, which are read from zero in both directions."""
    right: float = _WIDTH - _VALUES
    """Where the axis ends and the values' text begins."""

    def x(self, value: float) -> float:
        """Returns where a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return _LABELS + share * (self.right - _LABELS)

    def number(self, value: float | None, decimals: int, *, missing: str = "–") -> str:
        """Returns a value as text, a difference with its sign."""
        text = fixed(value, decimals, missing=missing)
        above = self.signed and value is not None and value > 0 and float(text) > 0
        return f"+{text}" if above else text

    def texts(self, row: ForestRow) -> tuple[str, str]:
        """Returns value and interval of a row as text."""
        decimals = decimals_for(row.value, row.stderr, row.low, row.high, n=row.n)
        value = self.number(row.value, decimals, missing="not available")
        if row.low is None or row.high is None:
            return value, "no interval" if self.signed and row.value is not None else ""
        between = " to " if self.signed else " – "
        return value, between.join(self.number(end, decimals) for end in (row.low, row.high))

    def beside(self, rows: Sequence[ForestRow]) -> _Axis:
        """Returns the axis as long as the texts of these rows leave room for."""
        widest = max(
            (
                _VALUE_CHARACTER * len(value) + _RANGE_CHARACTER * (len(span) + 1)
                for value, span in (self.texts(row) for row in rows if row.role != "heading")
            ),
            default=0.0,
        )
        return replace(self, right=_WIDTH - max(_VALUES, _GAP + widest))


def forest(rows: Sequence[ForestRow], *, title: str) -> str:
    """Returns a forest plot: one line per row, a dot at the value, a bar over the interval.

    Rows without a value say so. All rows share one axis: 0 to 1 where everything lies within. A
    zero without an interval may be of any scale, shares or points: it has its number, but no
    place on an axis from 0 to 1, and where there is nothing else there is no axis.

    Args:
        rows: At least one.
        title: For readers that cannot see it.
    """
    low, high = _domain(rows)
    unit = (low, high) == (0.0, 1.0)
    dots = [row.role != "heading" and not (unit and _of_unknown_scale(row)) for row in rows]
    return _drawn(rows, dots, _Axis(low, high), _ticks(low, high), title=title)


def forest_of_differences(rows: Sequence[ForestRow], *, title: str) -> str:
    """Returns a forest plot of differences: the axis goes around zero, which is marked.

    Args:
        rows: At least one; values are differences of one unit.
        title: For readers that cannot see it.
    """
    known = [abs(v) for row in rows for v in (row.value, row.low, row.high) if v is not None]
    # Both sides equally wide: which way, and how far, is seen before it is read.
    largest = max(known, default=0.0)
    largest = largest if largest > _ROUNDING else 1.0
    step = tick_step(-largest, largest)
    count = math.ceil(largest / step * (1 - _ROUNDING))
    ticks = [i * step for i in range(-count, count + 1)]
    dots = [row.role != "heading" and row.value is not None for row in rows]
    return _drawn(rows, dots, _Axis(ticks[0], ticks[-1], signed=True), ticks, title=title)


def _drawn(
    rows: Sequence[ForestRow],
    dots: Sequence[bool],
    axis: _Axis,
    ticks: Sequence[float],
    *,
    title: str,
) -> str:
    axis = axis.beside(rows)
    height = _ROW * len(rows) + _AXIS
    ticks = ticks if any(dots) else []
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    bottom = height - _AXIS + 6
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    for tick in ticks:
        at, text = f"{axis.x(tick):.1f}", tick_text(tick, step)
        line = "grid zero" if axis.signed and tick == 0 else "grid"
        parts.append(
            f'<line class="{line}" x1="{at}" x2="{at}" y1="2" y2="{bottom}"/>'
            f'<text class="tick" x="{at}" y="{bottom + 18}">{text}</text>'
        )
    for number, (row, dot) in enumerate(zip(rows, dots, strict=True)):
        parts.extend(_forest_row(row, _ROW * (number + 0.5) + 2, axis, dot=dot))
    if any(row.n is not None for row in rows):
        parts.append(f'<text class="count" x="{_COUNTS}" y="{bottom + 18}">n</text>')
    return "".join([*parts, "</svg>"])


def _of_unknown_scale(row: ForestRow) -> bool:
    return row.value == 0 and row.low is None and row.high is None


def _forest_row(row: ForestRow, y: float, axis: _Axis, *, dot: bool) -> Iterator[str]:
    longest = _MAX_HEADING if row.role == "heading" else _MAX_LABEL
    label = row.label if len(row.label) <= longest else row.label[: longest - 1] + "…"
    indent = 0 if row.role == "heading" else 14
    yield (
        f'<g class="row {row.role}"><title>{escape(row.label)}</title>'
        f'<text class="label" x="{indent}" y="{y + 4.5:.1f}">{escape(label)}</text>'
    )
    if row.role == "heading":
        yield "</g>"
        return
    if row.n is not None:
        yield f'<text class="count" x="{_COUNTS}" y="{y + 4.5:.1f}">{row.n:,}</text>'
    if row.low is not None and row.high is not None:
        a, b = axis.x(row.low), axis.x(row.high)
        yield (
            f'<line class="ci" x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<path class="cap" d="M{a:.1f} {y - 5:.1f}v10M{b:.1f} {y - 5:.1f}v10"/>'
        )
    if row.value is not None and dot:
        radius = 5.5 if row.role == "metric" else 4.5
        # A difference of unknown certainty must not look as sure as the others.
        sure = "dot" if row.low is not None or not axis.signed else "dot hollow"
        yield f'<circle class="{sure}" cx="{axis.x(row.value):.1f}" cy="{y:.1f}" r="{radius}"/>'
    value, span = axis.texts(row)
    interval = f'<tspan class="range" dx="8">{span}</tspan>' if span else ""
    start = axis.right + _GAP
    yield f'<text class="value" x="{start:g}" y="{y + 4.5:.1f}">{value}{interval}</text></g>'


def _domain(rows: Sequence[ForestRow]) -> tuple[float, float]:
    known = [v for row in rows for v in (row.value, row.low, row.high) if v is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low >= -_ROUNDING and high <= 1:
        return 0.0, 1.0
    low, high = min(low, 0.0), max(high, 0.0)
    step = tick_step(low, high)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _ticks(low: float, high: float) -> list[float]:
    step = 0.25 if (low, high) == (0.0, 1.0) else tick_step(low, high)
    count = round((high - low) / step)
    return [low + i * step for i in range(count + 1)]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar."""

    name: str
    """Class in the style sheet, and what it stands for."""
    amount: float
    title: str


def bar(segments: Sequence[Segment], *, title: str, height: int = 14) -> str:
    """Returns one bar whose pieces are as long as their share; pieces of nothing are left out."""
    total = sum(s.amount for s in segments)
    if total <= 0:
        return ""
    parts = [
        f'<svg class="bar" viewBox="0 0 {_WIDTH} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    start = 0.0
    for segment in segments:
        width = segment.amount / total * _WIDTH
        if width > 0:
            parts.append(
                f'<rect class="{escape(segment.name)}" x="{start:.2f}" y="0" '
                f'width="{max(width - 2, 1):.2f}" height="{height}">'
                f"<title>{escape(segment.title)}</title></rect>"
            )
        start += width
    return "".join([*parts, "</svg>"])
