"""`report.html`: one file that shows a run to somebody who was not there.

It loads nothing and runs nothing: a strict content security policy allows its own style sheet (by
hash) and embedded pictures, and every text that a model or a data set wrote is escaped. This
module loads Jinja2, so it is itself imported only when a page is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from markupsafe import Markup

from lmms.report.adaptive import NOT_COMPARABLE, AdaptiveView, adaptive_view, headline_lines
from lmms.report.efficiency import efficiency_view
from lmms.report.groups import group_lines, groups_table
from lmms.report.jsonable import dumps
from lmms.report.markup import render_page
from lmms.report.media import media_lines
from lmms.report.pictures import Budget, PixelReader
from lmms.report.plots import ForestRow, Segment, bar, forest
from lmms.report.repeats import REPEATS, repeats_table
from lmms.report.tables import metric_cells, result_table
from lmms.report.transcript import Card, card_of, reasoning_tags
from lmms.report.verdicts import VERDICTS, SampleChooser, Verdict
from lmms.report.wording import (
    STATUS_WORDS,
    counted,
    duration,
    embedded_notice,
    failure_lines,
    reproduce_command,
    warning_lines,
)
from lmms.types import MetricResult, RunResult, Sample, TaskResult

_MAX_HEADLINES = 12
"""Cards above the table; with more tasks the table is the better overview."""
_PAGE_BYTES = 18_000_000
"""Bytes for samples, pictures included; the rest of a page of 20 MB is left for everything else."""

VERDICT_WORDS: Mapping[Verdict, str] = {
    "failed": "failed",
    "refused": "refused",
    "truncated": "cut off",
    "unparsed": "unparsed",
    "wrong": "wrong",
    "partial": "partly right",
    "right": "right",
    "unscored": "not scored by this metric",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """The first number of a task."""

    label: str
    metric: str
    value: str
    interval: str
    n: int
    verdicts: tuple[tuple[Verdict, str, int], ...]
    bar: str
    more: tuple[str, ...] = ()
    """Further lines, in place of the bar where the shares of verdicts are no score."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The samples of one task."""

    label: str
    groups: tuple[tuple[Verdict, str, int, tuple[Card, ...]], ...]
    """Verdict, its word, how many samples have it in all, and the cards."""
    note: str


def html_report(
    run: RunResult,
    choosers: Mapping[str, SampleChooser],
    pictures: Callable[[str], Callable[[Sample], PixelReader]],
) -> str:
    """Returns the report as one HTML page.

    Args:
        run: The run.
        choosers: Per label of a task, what `SampleChooser` saw of its samples.
        pictures: Per label, what gives the reader of a sample's pictures.
    """
    budget = Budget(_PAGE_BYTES)
    problems = failure_lines(run), warning_lines(run)
    galleries = [
        _gallery(run, key, task, choosers[key], pictures(key), budget)
        for key, task in run.tasks.items()
        if key in choosers
    ]
    return render_page(
        "lmms.report",
        "report.html.j2",
        run=run,
        status=STATUS_WORDS[run.status],
        facts=list(_run_facts(run)),
        notice=embedded_notice(run),
        command=reproduce_command(run),
        headlines=[
            _headline(task, choosers.get(key))
            for key, task in list(run.tasks.items())[:_MAX_HEADLINES]
        ],
        columns=result_table(run).columns,
        rows=list(_rows_with_spans(run)),
        forests=[Markup(plot) for plot in _forests(run)],
        groups=groups_table(run),
        group_lines=list(group_lines(run)),
        repeats=repeats_table(run),
        breakdowns=list(_breakdowns(run)),
        efficiency=efficiency_view(run),
        media=media_lines(run),
        failures=problems[0],
        warnings=problems[1],
        galleries=galleries,
        adaptive=list(_adaptive_views(run, galleries)),
        not_comparable=NOT_COMPARABLE,
        settings=dumps(run.raw.get("config", {}).get("resolved_cli_args"), indent=2),
        model_identity=dumps(run.raw.get("model", {}).get("identity"), indent=2),
        environment=list(_environment_facts(run.raw.get("environment", {}))),
    )


def _run_facts(run: RunResult) -> Iterator[tuple[str, str]]:
    raw = run.raw
    if date := raw.get("end_time") or raw.get("date"):
        yield "Finished", str(date).replace("T", " ").replace("Z", " UTC")
    if seconds := raw.get("total_evaluation_time_seconds"):
        yield "Duration", duration(float(seconds))
    yield "Samples", f"{sum(task.n_effective for task in run.tasks.values()):,}"
    if dtype := raw.get("config", {}).get("model_dtype"):
        yield "Precision", str(dtype)
    if version := raw.get("environment", {}).get("lmms"):
        yield "lmms", str(version)
    yield "Fingerprint", str(raw.get("plan_fingerprint", ""))[:12]
    yield "Run", str(raw.get("run_id", ""))


def _headline(task: TaskResult, chooser: SampleChooser | None) -> Headline:
    metric = next((m for m in task.metrics if m.value is not None), None)
    value, stderr, interval = metric_cells(metric) if metric else ("–", "–", "–")
    if task.adaptive:
        # The documents were chosen to be answered rightly every other time.
        return Headline(
            label=task.label,
            metric=_metric_name(metric) if metric else "",
            value=value,
            # Beside the number, which fills the card's width alone.
            interval=interval if stderr == "–" else f"± {stderr}, {interval}",
            n=metric.n if metric else task.n_effective,
            verdicts=(),
            bar="",
            more=tuple(headline_lines(task.adaptive)),
        )
    counts = chooser.counts if chooser else {}
    verdicts = tuple((v, VERDICT_WORDS[v], counts[v]) for v in VERDICTS if counts.get(v))
    segments = [Segment(f"v-{v}", n, f"{counted(n, 'sample')} {word}") for v, word, n in verdicts]
    return Headline(
        label=task.label,
        metric=_metric_name(metric) if metric else "",
        value=value,
        interval=interval,
        n=metric.n if metric else task.n_effective,
        verdicts=tuple(reversed(verdicts)),
        bar=Markup(bar(segments[::-1], title=f"verdicts of {task.label}", height=8)),
    )


def _metric_name(metric: MetricResult) -> str:
    return metric.name if metric.filter == "none" else f"{metric.name}, {metric.filter}"


def _rows_with_spans(run: RunResult) -> Iterator[tuple[tuple[str, ...], int]]:
    """Gives the rows of the table, each with the number of rows that its task's name spans."""
    cells = result_table(run).cells
    for number, row in enumerate(cells):
        following = takewhile(lambda later: not later[0], cells[number + 1 :])
        yield row, 1 + sum(1 for _ in following) if row[0] else 0


def _forests(run: RunResult) -> Iterator[str]:
    """One plot over all shares of 1, and one per task that has numbers on other scales.

    A metric whose task declares no scale is told by its value.
    """
    shares: list[ForestRow] = []
    scaled: list[str] = []
    for task in run.tasks.values():
        heading = ForestRow(task.label, None, role="heading")
        inside: list[ForestRow] = []
        others: list[ForestRow] = []
        for metric in task.metrics:
            if metric.value is not None:
                is_share = (metric.maximum or 1) == 1 and 0 <= metric.value <= 1
                (inside if is_share else others).append(_metric_row(metric))
        if inside:
            shares += [heading, *inside]
        if others:
            scaled.append(forest([heading, *others], title=f"metrics of {task.label}"))
    if shares:
        yield forest(shares, title="metrics with their intervals")
    yield from scaled


def _metric_row(metric: MetricResult, label: str | None = None) -> ForestRow:
    return ForestRow(
        label=label or _metric_name(metric),
        value=metric.value,
        low=metric.ci_low,
        high=metric.ci_high,
        n=metric.n,
        stderr=metric.stderr,
    )


def _breakdowns(run: RunResult) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Gives per task the metrics that have categories, each with its plot."""
    for task in run.tasks.values():
        plots: list[tuple[str, str]] = []
        for metric in task.metrics:
            if rows := list(_categories(metric.breakdown)):
                title = f"{metric.name} of {task.label} by category"
                plot = forest([_metric_row(metric, "all"), *rows], title=title)
                plots.append((_metric_name(metric), Markup(plot)))
        if plots:
            yield task.label, plots


def _categories(breakdown: Mapping[str, Any]) -> Iterator[ForestRow]:
    """Gives a row per category; those named `column=value` under a heading for the column."""
    column = ""
    for name, entry in breakdown.items():
        if not isinstance(entry, Mapping) or name == REPEATS:
            continue
        before, _, value = str(name).rpartition("=")
        if before and before != column:
            yield ForestRow(before.replace("_", " "), None, role="heading")
        column = before
        known = entry.get("value")
        yield ForestRow(
            label=value,
            value=known if isinstance(known, int | float) else None,
            low=entry.get("ci_low"),
            high=entry.get("ci_high"),
            n=entry.get("n"),
            role="category",
            stderr=entry.get("stderr"),
        )


def _gallery(
    run: RunResult,
    key: str,
    task: TaskResult,
    chooser: SampleChooser,
    pictures: Callable[[Sample], PixelReader],
    budget: Budget,
) -> Gallery:
    settings = run.raw.get("config", {}).get("resolved_cli_args", {}).get("tasks", {}).get(key, {})
    tags = reasoning_tags(settings)
    groups, left_out = [], 0
    for verdict, samples in chooser.chosen().items():
        cards: list[Card] = []
        for sample in samples:
            card = card_of(sample, chooser.metric, read=pictures(sample), budget=budget, tags=tags)
            if budget.take(card.size):
                cards.append(card)
            else:
                left_out += 1
        words, total = VERDICT_WORDS[verdict], chooser.counts[verdict]
        groups.append((verdict, words, total, tuple(cards)))
    shown = sum(len(cards) for *_, cards in groups)
    note = f"{shown:,} of {counted(chooser.counts.total(), 'sample')}"
    if left_out:
        note += f"; {left_out:,} left out to keep this page small"
    return Gallery(task.label, tuple(groups), note)


def _adaptive_views(run: RunResult, galleries: Sequence[Gallery]) -> Iterator[AdaptiveView]:
    anchors = {
        gallery.label: {
            card.row: f"sample-{place}-{card.row}" for *_, cards in gallery.groups for card in cards
        }
        for place, gallery in enumerate(galleries, 1)
    }
    for task in run.tasks.values():
        view = adaptive_view(task, anchors.get(task.label, {}))
        if view is not None:
            yield replace(view, plot=Markup(view.plot))


def _environment_facts(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name == "packages" and isinstance(value, Mapping):
            yield name, ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if value:
                yield name, ", ".join(map(str, value))
        elif value not in (None, ""):
            yield name, str(value)
