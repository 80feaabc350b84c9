"""The analysis of an experiment as one HTML file: charts of every measure, and all tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from lmms.adaptive.analysis import Analysis, MethodQuality
from lmms.adaptive.analysis_wording import (
    MEASURE_TEXTS,
    METHOD_NAMES,
    arrow,
    contrast_table,
    heading_lines,
    quality_table,
    reasons,
    saving_lines,
    shown_measures,
)
from lmms.errors import LmmsError
from lmms.report.lines import Curve, Level, Point, legend_mark, line_chart
from lmms.report.markup import style_sheet, templates
from lmms.responses.atomic import write_text

_ROLES = {
    "fluid_benchmarking": "line-1",
    "random_ability": "line-2",
    "random_accuracy": "line-3",
    "full_ability": "line-2",
    "full_accuracy": "line-3",
}
_SIZED = ("fluid_benchmarking", "random_ability", "random_accuracy")


@dataclass(frozen=True, slots=True)
class Chart:
    """One measure, by method and number of items."""

    title: str
    meaning: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class TableView:
    """A table of the page."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def analysis_page(analysis: Analysis, *, source: str) -> str:
    """Returns the analysis as one HTML page that loads nothing and runs nothing.

    Args:
        analysis: From `analyse`.
        source: Where the rows are from.
    """
    style, style_hash = style_sheet()
    overall = analysis.overall()
    used = {q.method for q in overall}
    return (
        templates("lmms.adaptive")
        .get_template("analysis.html.j2")
        .render(
            style=style,
            style_hash=style_hash,
            source=source,
            facts=list(heading_lines(analysis)),
            legend=[(Markup(legend_mark(_ROLES[m])), METHOD_NAMES[m]) for m in _SIZED if m in used],
            levels=[METHOD_NAMES[m] for m in ("full_ability", "full_accuracy") if m in used],
            charts=list(_charts(overall)),
            tables=list(_tables(analysis)),
            savings=list(saving_lines(analysis)),
            reasons=list(reasons(analysis)),
        )
    )


def write_page(path: Path, analysis: Analysis, *, source: Path) -> None:
    """Writes the page, whole or not at all.

    Raises:
        LmmsError: The file cannot be written.
    """
    text = analysis_page(analysis, source=str(source))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise LmmsError(
            f"cannot write {path.name}: {error.strerror or error}", origin=str(path.parent)
        ) from error


def _charts(qualities: Sequence[MethodQuality]) -> Iterator[Chart]:
    for measure in shown_measures(qualities):
        curves = [_curve(qualities, method, measure) for method in _SIZED]
        levels = [
            Level(METHOD_NAMES[q.method], _ROLES[q.method], value)
            for q in qualities
            if q.items is None and (value := getattr(q, measure).value) is not None
        ]
        if not any(curve.points for curve in curves):
            continue
        text = MEASURE_TEXTS[measure]
        plot = line_chart(
            [curve for curve in curves if curve.points],
            levels,
            title=f"{text.title}: {text.short} by number of items",
            x_title="items",
        )
        yield Chart(f"{text.title}: {text.short} {arrow(measure)}", text.meaning, Markup(plot))


def _curve(qualities: Sequence[MethodQuality], method: str, measure: str) -> Curve:
    points = []
    for quality in qualities:
        found = getattr(quality, measure)
        if quality.method == method and quality.items is not None and found.value is not None:
            points.append(Point(quality.items, found.value, found.low, found.high))
    return Curve(METHOD_NAMES[method], _ROLES[method], tuple(points))


def _tables(analysis: Analysis) -> Iterator[TableView]:
    yield _table("All benchmarks", *quality_table(analysis.overall()))
    header, rows = contrast_table(analysis)
    if rows:
        yield _table("Fluid against the others", header, rows)
    for name in analysis.benchmarks if len(analysis.benchmarks) > 1 else ():
        chosen = [q for q in analysis.qualities if q.benchmark == name]
        yield _table(name, *quality_table(chosen))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> TableView:
    return TableView(title, tuple(header), tuple(tuple(row) for row in rows))
