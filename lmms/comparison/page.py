"""A comparison as one HTML file: table, forest plot of the differences, flips side by side.

The page is made like a run's report: it loads nothing and runs nothing, and every text that a
model or a data set wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from lmms.comparison.compare import Comparison
from lmms.comparison.effects import MetricComparison
from lmms.comparison.sides import Side, SideTask
from lmms.comparison.wording import (
    answers_text,
    comparison_table,
    difference_line,
    flip_title,
    heading_lines,
    problem_lines,
    reading_line,
    repeated_answers,
    setting_rows,
    verdict_lines,
)
from lmms.errors import LmmsError
from lmms.report.markup import render_page
from lmms.report.pictures import Budget, PixelReader, pictures_in_documents, recorded_pixels
from lmms.report.plots import ForestRow, forest_of_differences
from lmms.report.transcript import Card, card_of, reasoning_tags
from lmms.types import MetricResult, Sample

_PAGE_BYTES = 18_000_000
"""Bytes for flipped samples, pictures included; a page stays below 20 MB."""


@dataclass(frozen=True, slots=True)
class FlipCard:
    """One sample on which the runs differ."""

    a: Card
    b: Card
    same_prompt: bool
    said_a: str | None
    """All answers of A to a question that was asked several times; else None."""
    said_b: str | None


@dataclass(frozen=True, slots=True)
class FlipGroup:
    """The flips of one metric in one direction."""

    title: str
    verdict: str
    """Class in the style sheet: `right` where B is better, else `wrong`."""
    word: str
    cards: tuple[FlipCard, ...]
    left_out: int


def comparison_page(comparison: Comparison, *, flips: int | None = None) -> str:
    """Returns the comparison as one HTML page.

    Args:
        comparison: What was found.
        flips: Flipped samples per metric and direction; None: all that the page has room for.

    Raises:
        DataError: A flipped sample cannot be read any more.
    """
    table = comparison_table(comparison)
    budget = Budget(_PAGE_BYTES)
    readers = _Readers(comparison.a), _Readers(comparison.b)
    return render_page(
        "lmms.comparison",
        "comparison.html.j2",
        comparison=comparison,
        heading=list(heading_lines(comparison)),
        difference=difference_line(comparison),
        verdicts=list(verdict_lines(comparison)),
        reading=reading_line(comparison),
        columns=table.columns,
        rows=table.cells,
        forests=[Markup(plot) for plot in _forests(comparison.rows)],
        problems=list(problem_lines(comparison)),
        settings=setting_rows(comparison),
        groups=[
            group
            for row in comparison.rows
            for group in _groups(comparison, row, flips, budget, readers)
        ],
    )


def _forests(rows: Sequence[MetricComparison]) -> Iterator[str]:
    """One plot of all differences on a scale from 0 to 1, and one per metric on another scale."""
    shares = [row for row in rows if row.unit]
    if shares:
        yield forest_of_differences(list(_plotted(shares)), title="differences, B − A")
    for row in rows:
        if not row.unit and row.difference is not None:
            title = f"difference of {row.metric} of {row.shown}, B − A"
            yield forest_of_differences(list(_plotted([row])), title=title)


def _plotted(rows: Sequence[MetricComparison]) -> Iterator[ForestRow]:
    task = ""
    for row in rows:
        if row.task != task:
            yield ForestRow(row.shown, None, role="heading")
        task = row.task
        arrow = "" if row.higher_is_better else " (less is better)"
        yield ForestRow(
            label=row.metric + arrow,
            value=row.difference,
            low=row.low,
            high=row.high,
            n=row.n,
            stderr=row.stderr,
        )


def _groups(
    comparison: Comparison,
    row: MetricComparison,
    limit: int | None,
    budget: Budget,
    readers: tuple[_Readers, _Readers],
) -> Iterator[FlipGroup]:
    name, _, chain = row.metric.partition(",")
    metric = MetricResult(
        name=name, filter=chain or "none", value=None, higher_is_better=row.higher_is_better
    )
    for better in (False, True):
        total = row.better if better else row.worse
        cards: list[FlipCard] = []
        for a, b in comparison.flipped(row, better=better, limit=limit):
            card = _flip_card(a, b, row, metric, budget, readers)
            if not budget.take(card.a.size + card.b.size):
                break
            cards.append(card)
        if total:
            yield FlipGroup(
                title=flip_title(row, better=better),
                verdict="right" if better else "wrong",
                word="better" if better else "worse",
                cards=tuple(cards),
                left_out=total - len(cards),
            )


def _flip_card(
    a: Sample,
    b: Sample,
    row: MetricComparison,
    metric: MetricResult,
    budget: Budget,
    readers: tuple[_Readers, _Readers],
) -> FlipCard:
    # What both were shown is shown once.
    shown_b = replace(b, media=()) if a.media == b.media else b
    cards = [
        card_of(
            sample,
            metric,
            read=reader.pixels(row.task)(sample),
            budget=budget,
            tags=reader.tags(row.task),
        )
        for sample, reader in ((a, readers[0]), (shown_b, readers[1]))
    ]
    said_a, said_b = (
        answers_text(sample, row.metric) if repeated_answers(sample, row.metric) else None
        for sample in (a, b)
    )
    return FlipCard(cards[0], cards[1], a.input == b.input, said_a, said_b)


class _Readers:
    """Reads the pictures of one side's samples, as far as they can still be found."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._pixels: dict[str, Callable[[Sample], PixelReader]] = {}

    def pixels(self, label: str) -> Callable[[Sample], PixelReader]:
        """Returns what gives the reader of a sample's pictures."""
        if label not in self._pixels:
            self._pixels[label] = _pixels_of(self._side.tasks[label])
        return self._pixels[label]

    def tags(self, label: str) -> list[tuple[str, str]] | None:
        """Returns the marks of reasoning that the run asked for."""
        if self._side.run is None:
            return None
        settings = self._side.run.raw.get("config", {}).get("resolved_cli_args", {})
        return reasoning_tags(settings.get("tasks", {}).get(label, {}))


def _pixels_of(task: SideTask) -> Callable[[Sample], PixelReader]:
    from lmms.report.unfinished import read_plan

    def without_documents(sample: Sample) -> PixelReader:
        del sample
        return recorded_pixels(lambda _: None)

    if not Path(task.folder, "plan.json").is_file():
        return without_documents
    try:
        return pictures_in_documents(read_plan(task.folder), task.label)
    except LmmsError:
        return without_documents
