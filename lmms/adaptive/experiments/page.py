"""The analysis of an experiment as one HTML file: charts of every measure, and all tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lmms.adaptive.experiments.analysis import Analysis, MethodQuality
from lmms.adaptive.experiments.wording import (
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
from lmms.report.markup import render_page
from lmms.report.xy_plots import Axis, Color, Mark, Series, legend_key, xy_plot

_LOOKS: dict[str, tuple[Color, Mark]] = {
    "fluid_benchmarking": ("blue", "circle"),
    "random_ability": ("amber", "square"),
    "random_accuracy": ("purple", "triangle"),
    "full_ability": ("amber", "square"),
    "full_accuracy": ("purple", "triangle"),
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
    overall = analysis.overall()
    used = {q.method for q in overall}
    return render_page(
        "lmms.adaptive.experiments",
        "analysis.html.j2",
        source=source,
        facts=list(heading_lines(analysis)),
        legend=[
            (Markup(legend_key("joined", *_LOOKS[m])), METHOD_NAMES[m]) for m in _SIZED if m in used
        ],
        levels=[METHOD_NAMES[m] for m in ("full_ability", "full_accuracy") if m in used],
        charts=list(_charts(overall)),
        tables=list(_tables(analysis)),
        savings=list(saving_lines(analysis)),
        reasons=list(reasons(analysis)),
    )


def _charts(qualities: Sequence[MethodQuality]) -> Iterator[Chart]:
    for measure in shown_measures(qualities):
        curves = [_curve(qualities, method, measure) for method in _SIZED]
        sizes = sorted({x for curve in curves for x in curve.x})
        if not sizes:
            continue
        text = MEASURE_TEXTS[measure]
        plot = xy_plot(
            [*_levels(qualities, measure), *(curve for curve in curves if curve.x)],
            title=f"{text.title}: {text.short} by number of items",
            x=Axis("items", log=True, ticks=sizes),
            y=Axis(""),
            legend=False,
        )
        yield Chart(f"{text.title}: {text.short} {arrow(measure)}", text.meaning, Markup(plot))


def _levels(qualities: Sequence[MethodQuality], measure: str) -> Iterator[Series]:
    for quality in qualities:
        value = getattr(quality, measure).value
        if quality.items is None and value is not None:
            color, _ = _LOOKS[quality.method]
            yield Series(METHOD_NAMES[quality.method], (), [value], "level", color=color)


def _curve(qualities: Sequence[MethodQuality], method: str, measure: str) -> Series:
    found = [
        (quality.items, value)
        for quality in qualities
        if quality.method == method
        and quality.items is not None
        and (value := getattr(quality, measure)).value is not None
    ]
    color, mark = _LOOKS[method]
    return Series(
        METHOD_NAMES[method],
        [items for items, _ in found],
        [value.value for _, value in found],
        "joined",
        low=[value.low for _, value in found],
        high=[value.high for _, value in found],
        color=color,
        mark=mark,
    )


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
